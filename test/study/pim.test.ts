/** `--pim` from the command line and the cluster file: memory, provenance, power, and what it refuses. */
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {pimSpecs} from '#llmsim/catalogue/pim.js'
import {deploy} from '#llmsim/study/deployment.js'
import {defaultModel, type RunRequest} from '#llmsim/study/run-request.js'
import {problemOf} from '../catalogue/problem.js'
import {decodes, shapeOf} from '../latency/shapes.js'
import {llmsim, root} from '../support/cli.js'

const folder = mkdtempSync(join(tmpdir(), 'llmsim-pim-'))
after(() => rmSync(folder, {recursive: true}))

const request: RunRequest = {
  model: defaultModel,
  hardware: 'H100',
  layout: {},
  engine: {},
  latency: 'auto',
  policy: 'fcfs',
  frontEnd: 'none',
  seed: 0,
}
const pim = {spec: 'DDR4_8GB_3200_pim', subBatches: false}
const trace = `${root}/traces/chat.csv`
const run = (...flags: string[]) =>
  llmsim('simulate', trace, '--hardware', 'A6000', '--limit', '20', '--no-save', ...flags)

describe('KV in memory that computes', () => {
  it('fills its channels, whatever the device has left', async () => {
    const {settled} = (await deploy({...request, pim: {...pim, channels: 3}})).engines[0]!
    // 16 tokens of 128 KiB.
    expect(settled.config.numGpuBlocks).equal((3 * 8 * 2 ** 30) / (16 * 131_072))
    expect(settled.blocksFrom).equal('3 channels of DDR4_8GB_3200_pim a device')
  })

  it('takes the attention of decodes from the device and leaves that of chunks', async () => {
    const plain = (await deploy(request)).replicas[0]!
    const there = (await deploy({...request, pim})).replicas[0]!
    const prompt = shapeOf({chunks: [[2000, 0]]})
    expect(there.stepTime(prompt)).equal(plain.stepTime(prompt))
    // 32 layers, 8 KV heads, of which each has a channel to itself.
    const perToken = (32 * 333.2538) / 8
    const gap = there.stepTime(decodes(1, 9000)) - there.stepTime(decodes(1, 1000))
    expect(gap).closeTo(8000 * perToken, 1)
  })

  it('alternates sub-batches where that is shorter', async () => {
    const time = async (subBatches: boolean) =>
      (await deploy({...request, pim: {...pim, subBatches}})).replicas[0]!.stepTime
    const [whole, cut] = [await time(false), await time(true)]
    expect(cut(decodes(1, 500))).equal(whole(decodes(1, 500)))
    const batch = shapeOf({chunks: [[1500, 0]], contexts: new Array<number>(100).fill(800)})
    expect(cut(batch)).below(whole(batch))
  })

  it('draws idle power for every channel, and peak power while a step runs', async () => {
    const device = async (given: RunRequest) => (await deploy(given)).power!.engines[0]!.device
    const [plain, there] = [await device(request), await device({...request, pim})]
    expect(there.idleW - plain.idleW).closeTo(64 * 0.623, 1e-9)
    expect(there.standbyW - plain.standbyW).closeTo(64 * 0.623, 1e-9)
    expect(there.activeW - plain.activeW).closeTo(64 * 3.803, 1e-9)
  })

  for (const {name} of pimSpecs) {
    it(`runs on ${name}, and says so`, async () => {
      const {stdout, error} = await run('--pim', name, '--sub-batches', '--check', '--json')
      expect(error).equal(undefined)
      const {summary, config} = JSON.parse(stdout)
      expect(summary.requests.completed).equal(20)
      const terms = new Map<string, {from: string; detail: string}>(
        config.engines[0].latency.provenance.map((line: {term: string}) => [line.term, line]),
      )
      expect(terms.get('attention of decodes')!.from).equal('class default')
      expect(terms.get('attention of decodes')!.detail).contain(`64 channels of ${name}`)
      expect(terms.has('attention of chunks')).equal(true)
      expect(terms.has('attention')).equal(false)
      expect(terms.has('attention of mixed steps')).equal(false)
      expect(terms.has('sub-batches')).equal(true)
      // Nobody has measured it.
      expect(config.expected_error_percent).equal(null)
    })
  }

  it('is named in a cluster file, by instance', async () => {
    const path = join(folder, 'cluster.yaml')
    const decode = '{role: decode, pim: {spec: HBM2_1GB_2000_pim, channels: 80, sub_batches: true}}'
    writeFileSync(path, `hardware: H100\ninstances:\n  - {role: prefill}\n  - ${decode}\n`)
    const {engines} = await deploy({...request, hardware: undefined, cluster: path})
    expect(engines.map(({instance}) => instance.pim?.channels)).deep.equal([undefined, 80])
    expect(engines[1]!.settled.config.numGpuBlocks).equal((80 * 2 ** 30) / (16 * 131_072))
    const ran = await llmsim('simulate', trace, '--cluster', path, '--limit', '20', '--no-save')
    expect(ran.error).equal(undefined)
  })
})

describe('what PIM does not go with', () => {
  const wrong: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['a name', ['--pim', 'DDR4_8GB_3200'], /there is no PIM device "DDR4_8GB_3200"/],
    ['a path', ['--pim', './mine.ini'], /there is no PIM device ".\/mine\.ini"/],
    ['channels', ['--pim', 'x', '--pim-channels', '1.5'], /--pim-channels 1\.5: .* whole number/],
    ['no channels', ['--pim', 'x', '--pim-channels', '0'], /--pim-channels 0: /],
    ['bandwidth', ['--pim', 'x', '--pim-bandwidth', '-1'], /--pim-bandwidth -1: .* above 0/],
    ['latency', ['--pim', 'x', '--pim-latency', 'soon'], /--pim-latency soon: /],
    ['channels alone', ['--pim-channels', '4'], /--pim-channels without --pim/],
    ['sub-batches alone', ['--sub-batches'], /--sub-batches without --pim/],
  ]
  for (const [title, flags, message] of wrong) {
    it(title, async () => {
      const {error, exitCode} = await run(...flags)
      expect(exitCode).equal(2)
      expect(error?.message).match(message)
      expect(error?.message).not.contain('\n')
    })
  }

  const conflicts: readonly (readonly [string, Partial<RunRequest>, RegExp])[] = [
    ['stages', {layout: {pp: 2}}, /--pim and --pp 2/],
    ['prefill instances', {layout: {prefill: 1, decode: 1}}, /--pim and a prefill instance/],
    ['fp8 KV', {engine: {kvCacheDtype: 'fp8'}}, /--pim and --kv-cache-dtype fp8/],
    [
      'weights elsewhere',
      {weights: {place: {gib: 1}, prefetch: 'in place'}},
      /--pim and weights outside/,
    ],
    ['drafts', {speculation: {tokens: 2, rates: [0.5]}}, /--pim and --num-speculative-tokens/],
    ['another clock', {compat: 'llmservingsim'}, /--pim and --compat llmservingsim/],
    ['compressed KV', {model: 'deepseek-ai/DeepSeek-V2-Lite'}, /\(MLA\)/],
  ]
  for (const [title, change, message] of conflicts) {
    it(title, async () => {
      const {code, message: told} = await problemOf(() => deploy({...request, pim, ...change}))
      expect(code).equal('FLAG_CONFLICT')
      expect(told).match(message)
    })
  }

  it('a device without PCIe, unless a rate is given', async () => {
    const {code, message} = await problemOf(() => deploy({...request, hardware: 'B200', pim}))
    expect(code).equal('FLAG_MISSING')
    expect(message).contain('--pim-bandwidth')
    await deploy({...request, hardware: 'B200', pim: {...pim, gbPerS: 64}})
  })

  it('a cluster file that misspells it, with the place', async () => {
    const path = join(folder, 'wrong.yaml')
    writeFileSync(path, 'hardware: H100\ninstances:\n  - pim: {spec: DDR9}\n')
    const {message} = await problemOf(() =>
      deploy({...request, hardware: undefined, cluster: path}),
    )
    expect(message).match(/wrong\.yaml:3:\d+: instances\[0\]\.pim\.spec must be one of DDR4/)
  })
})
