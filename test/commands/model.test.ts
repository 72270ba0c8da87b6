import {fileURLToPath} from 'node:url'
import {run} from '@oclif/core'
import {captureOutput} from '@oclif/test'
import {expect} from 'chai'

const root = fileURLToPath(new URL('../..', import.meta.url))
const llmsim = <T>(...argv: string[]) =>
  captureOutput<T>(async () => run(argv, {root}), {testNodeEnv: 'production'})

describe('model commands', () => {
  it('lists the catalogue within 80 columns', async () => {
    const {stdout} = await llmsim('model', 'list')
    const lines = stdout.trimEnd().split('\n')
    expect(lines.length).above(60)
    for (const line of lines) expect(line.length).most(80)
    expect(stdout).match(/meta-llama\/Llama-3\.1-8B +8\.03 B +16\.1 GB +128 KiB/)
  })

  it('lists as JSON', async () => {
    const {stdout} = await llmsim('model', 'list', '--json')
    const rows = JSON.parse(stdout) as {id: string; ids: string[]; kv_bytes_per_token: number}[]
    const llama = rows.find(({ids}) => ids.includes('meta-llama/Llama-3.1-8B-Instruct'))
    expect(llama).include({kv_bytes_per_token: 131_072})
  })

  it('shows a model, cut and in another format', async () => {
    const plain = await llmsim('model', 'show', 'llama-3.1-8b')
    expect(plain.stdout)
      .match(/weights +16\.1 GB, bf16/)
      .and.match(/KV cache +131072 B per token/)
    for (const line of plain.stdout.split('\n')) expect(line.length).most(80)
    const flags = ['--tp', '2', '--dtype', 'fp8', '--kv-cache-dtype', 'fp8', '--json']
    const {stdout} = await llmsim('model', 'show', 'llama-3.1-8b', ...flags)
    const card = JSON.parse(stdout) as Record<string, unknown>
    expect(card).include({tp: 2, kv_bytes_per_token_per_rank: 32_768, layers: 32})
    expect(card.tp_allowed).deep.equal([1, 2, 4, 8, 16, 32])
  })

  it('notes what was taken', async () => {
    const {stdout} = await llmsim('model', 'show', 'llama-2-7b')
    expect(stdout).match(
      /Note: Model llama-2-7b: not in the catalogue, taken as meta-llama\/Llama-2-7b-hf\./,
    )
  })

  const wrong: [string[], string][] = [
    [['nope'], 'MODEL_UNKNOWN'],
    [['llama-3.1-8b', '--tp', '3'], 'PARALLELISM_INVALID'],
    [['./nowhere.json'], 'MODEL_UNKNOWN'],
  ]
  for (const [argv, code] of wrong) {
    it(`model show ${argv.join(' ')}: ${code}`, async () => {
      const {error} = await llmsim('model', 'show', ...argv)
      expect(error).include({code})
      expect(error?.oclif?.exit).equal(2)
    })
  }
})
