import {mkdtemp, readFile, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import type {RunComparison} from '#llmsim/report/validation.js'
import {llmsim, root} from '../support/cli.js'

/** A steady server: 20 ms to the first token, 10 ms to each other one. */
const measured = async (rows: number): Promise<string> => {
  const path = join(await mkdtemp(join(tmpdir(), 'llmsim-validate-')), 'run.csv')
  const lines = Array.from({length: rows}, (_, i) => `${i},100,21,20,220,completed`)
  await writeFile(
    path,
    ['arrived_at,input_tokens,output_tokens,ttft_ms,e2e_ms,status', ...lines, ''].join('\n'),
  )
  return path
}

const server = ['--hardware', 'H100', '--model', 'meta-llama/Llama-3.1-8B']

describe('llmsim validate', () => {
  it('prints measured, simulated and error within 80 columns', async () => {
    const {stdout, error} = await llmsim('validate', await measured(5), ...server)
    expect(error).equal(undefined)
    for (const line of stdout.split('\n')) expect(line.length, line).most(80)
    expect(stdout).match(/TTFT ms +measured +20\.0/)
    expect(stdout).match(/simulated/)
    expect(stdout).match(/error +[+−]\d/)
    expect(stdout).match(/Pearson's r/)
  })

  it('runs as the first commands of its page say, and finds the stand-in right', async () => {
    const page = await readFile(join(root, 'docs/validate.md'), 'utf8')
    const [, script = ''] = /^```sh\n([^`]*)^```/m.exec(page) ?? []
    const lab = join(await mkdtemp(join(tmpdir(), 'llmsim-validate-')), 'lab')
    const placed = script.replaceAll(/\blab\b/g, lab).replaceAll('traces/', join(root, 'traces/'))
    const commands = placed.trim().split('\n')
    expect(commands).length(2)
    let json = ''
    for (const command of commands) {
      const [npx, name, ...argv] = command.split(' ')
      expect([npx, name]).deep.equal(['npx', 'llmsim'])
      const {stdout, error} = await llmsim(...argv, '--json')
      expect(error).equal(undefined)
      json = stdout
    }
    const {errors} = JSON.parse(json) as {errors: {metric: string; worst: number}[]}
    const latencies = errors.filter(({metric}) => metric.endsWith('_ms'))
    expect(latencies.map(({metric}) => metric)).deep.equal(['ttft_ms', 'tpot_ms', 'e2e_ms'])
    for (const {worst} of latencies) expect(Math.abs(worst)).below(0.01)
  })

  it('prints the same twice as JSON, with the errors of all stages', async () => {
    const path = await measured(5)
    const once = await llmsim<{runs: RunComparison[]}>('validate', path, ...server, '--json')
    const again = await llmsim('validate', path, ...server, '--json')
    expect(once.stdout).equal(again.stdout)
    const {runs, errors} = JSON.parse(once.stdout) as {
      runs: RunComparison[]
      errors: {metric: string}[]
    }
    expect(runs[0]).include({device: 'H100', source: 'roofline', engine: 'vllm-0.19'})
    expect(errors.map(({metric}) => metric)).include.members(['ttft_ms', 'tpot_ms', 'e2e_ms'])
  })

  const wrong: [string, (path: string) => string[], string, RegExp][] = [
    ['a missing file', () => ['validate', 'gone'], 'MEASURED_BAD_FILE', /gone: there is no such/],
    [
      'no device',
      (path) => ['validate', path],
      'FLAG_MISSING',
      /does not say which (model|hardware)/,
    ],
    [
      'an unknown engine',
      (path) => ['validate', path, ...server, '--engine', 'vllm-9'],
      'ENGINE_UNKNOWN',
      /no profile "vllm-9"/,
    ],
    [
      'settings under which nothing is served',
      (path) => ['validate', path, ...server, '--max-model-len', '50'],
      'MEASURED_BAD_FILE',
      /run\.csv: under these settings none of its 5 requests can be served \(prompt and output are 121 tokens, max_model_len is 50\), so there is nothing to compare/,
    ],
    [
      'a calibration without a name',
      (path) => ['calibrate', path, ...server, '--out', ''],
      'FLAG_BAD_VALUE',
      /--out "": it must name a file or folder to write/,
    ],
    [
      'too few requests to calibrate',
      (path) => ['calibrate', path, ...server],
      'MEASURED_BAD_FILE',
      /at least 40 of them; this run has 5/,
    ],
  ]
  for (const [name, argv, code, message] of wrong) {
    it(`refuses ${name}`, async () => {
      const {error, exitCode} = await llmsim(...argv(await measured(5)))
      expect(error?.code).equal(code)
      expect(error?.message).match(message)
      expect(exitCode).equal(2)
    })
  }

  it('calibrate writes two files that simulate and validate take', async () => {
    const path = await measured(48)
    const out = join(await mkdtemp(join(tmpdir(), 'llmsim-calibrate-')), 'new', 'mine')
    const {error, stdout} = await llmsim('calibrate', path, ...server, '--out', out)
    expect(error).equal(undefined)
    expect(stdout)
      .match(/host\.layer_us/)
      .and.match(/fitted on/)
    expect(await readFile(`${out}.hardware.yaml`, 'utf8')).match(/efficiency_scale/)
    const after = await llmsim(
      ...['validate', path, '--model', 'meta-llama/Llama-3.1-8B', '--json'],
      ...['--hardware', `${out}.hardware.yaml`, '--engine', `${out}.engine.yaml`],
    )
    const {errors} = JSON.parse(after.stdout) as {errors: {metric: string; mean_abs: number}[]}
    expect(errors.find(({metric}) => metric === 'tpot_ms')!.mean_abs).below(5)
  }).timeout(60_000)
})
