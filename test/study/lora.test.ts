/** LoRA on whole deployments. */
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {deploy} from '#llmsim/study/deployment.js'
import {Adapters} from '#llmsim/study/lora.js'
import {readTrace} from '#llmsim/trace/read.js'
import {problemOf} from '../catalogue/problem.js'
import {llmsim, root} from '../support/cli.js'
import {runRequest} from '../support/run-request.js'

const request = runRequest({
  hardware: 'H100',
  router: 'round-robin',
  frontEnd: 'none',
})

describe('a deployment with LoRA', () => {
  it('has the bytes of an adapter by hand, in blocks and in the time to load it', async () => {
    const plain = await deploy(request)
    const lora = await deploy({...request, lora: {maxLoras: 10, rank: 16}})
    // q 4096+4096, k and v as one with q: qkv 4096+6144, o 4096+4096, gate and up 4096+28672, down 14336+4096.
    const perLayer = 4096 + 6144 + 8192 + 4096 + 28672 + 14336 + 4096
    const bytes = 2 * 16 * 32 * perLayer
    const {adapters, settled} = lora.engines[0]!
    expect(adapters!.loadNs).equal(Math.round(bytes / 64))
    expect(adapters!.overhead).closeTo(0.035, 1e-12)
    const fewer = plain.replicas[0]!.engine.numGpuBlocks - settled.config.numGpuBlocks
    expect(fewer).equal(Math.ceil((10 * bytes) / (16 * 131_072)))
  })

  it('knows the overhead between and beyond the ranks of its table', async () => {
    const shares = []
    for (const rank of [4, 8, 12, 32, 64]) {
      const {engines} = await deploy({...request, lora: {maxLoras: 1, rank}})
      shares.push(Number(engines[0]!.adapters!.overhead.toFixed(4)))
    }
    expect(shares).deep.equal([0.01, 0.02, 0.0275, 0.06, 0.11])
  })

  it('keeps the prefixes of adapters apart, and draws for those that name none', async () => {
    const trace = await readTrace([`${root}traces/chat.csv`], {limit: 50})
    const lora = {maxLoras: 2, rank: 8, adapters: 3}
    const drawn = [0, 0, 1].map((seed) => {
      const adapters = new Adapters(lora, seed)
      const {prefix} = adapters.apply(trace, 0)
      return {prefix, codes: Array.from({length: trace.length}, (_, row) => adapters.of(row))}
    })
    const [first, again, other] = drawn
    expect(first).deep.equal(again)
    expect(other!.codes).not.deep.equal(first!.codes)
    expect(new Set(first!.codes).size).equal(3)
    const {offsets, ids} = first!.prefix!
    const owner = new Map<number, number>()
    for (const [row, code] of first!.codes.entries())
      for (let i = offsets[row]!; i < offsets[row + 1]!; i++) {
        expect(owner.get(ids[i]!) ?? code).equal(code)
        owner.set(ids[i]!, code)
      }
  })

  it('gives the parts of a trace what it gives the whole', async () => {
    const trace = await readTrace([`${root}traces/chat.csv`], {limit: 50})
    const lora = {maxLoras: 2, rank: 8, adapters: 3}
    const [whole, parts] = [new Adapters(lora, 4), new Adapters(lora, 4)]
    whole.apply(trace, 0)
    for (let from = 0; from < 50; from += 10) {
      const rows = {inputTokens: trace.inputTokens.slice(from, from + 10), length: 10}
      const {prefix: _, ...plain} = trace
      parts.apply({...plain, ...rows}, from)
    }
    for (let row = 0; row < 50; row++) expect(parts.of(row)).equal(whole.of(row))
    expect(parts.of(50)).equal(-1)
  })

  it('refuses more adapters than memory holds, and another simulator’s clock', async () => {
    const large = await problemOf(() => deploy({...request, lora: {maxLoras: 5000, rank: 64}}))
    expect([large.code, large.message]).to.satisfy(
      ([code, text]: string[]) =>
        code === 'MODEL_TOO_LARGE' && text!.startsWith('--max-loras 5000'),
    )
    const lora = {maxLoras: 1, rank: 8}
    const compat = await problemOf(() => deploy({...request, lora, compat: 'llmservingsim'}))
    expect(compat.code).equal('FLAG_CONFLICT')
  })
})

describe('llmsim simulate with adapters', () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'llmsim-lora-'))
  })
  after(() => rmSync(folder, {recursive: true}))

  it('reads them from the trace; without --max-loras a note says that they are ignored', async () => {
    const path = join(folder, 'lora.csv')
    writeFileSync(
      path,
      'arrived_at,input_tokens,output_tokens,lora\n0,100,10,sql\n5,100,10,sql\n9,100,10,\n',
    )
    const call = ['simulate', path, '--hardware', 'H100', '--no-save']
    const plain = await llmsim(...call)
    expect(plain.stdout).match(/^note: the trace names LoRA adapters; without --max-loras they/m)
    const bare = join(folder, 'bare.csv')
    writeFileSync(bare, 'arrived_at,input_tokens,output_tokens\n0,100,10\n')
    const unused = [
      'simulate',
      bare,
      '--hardware',
      'H100',
      '--no-save',
      '--json',
      '--max-loras',
      '4',
    ]
    const notesOf = async (...more: string[]): Promise<string[]> =>
      JSON.parse((await llmsim(...unused, ...more)).stdout).config.notes
    expect((await notesOf()).join()).match(
      /^no request names a LoRA adapter, so --max-loras takes memory/,
    )
    expect(await notesOf('--adapters', '2')).deep.equal([])
    const {stdout} = await llmsim(...call, '--max-loras', '2', '--lora-load-ms', '250')
    expect(stdout).match(/^adapters +1 load; 50 % of requests found theirs, 1 waited 250 ms/m)
    expect(stdout).match(/^LoRA: 2 adapters of rank 16 at once, 250\.00 ms to load one, 3\.5 %/m)
  })

  for (const [says, ...flags] of [
    ['--adapters without --max-loras', '--adapters', '3'],
    ['--lora-load-ms -1: it must be', '--max-loras', '1', '--lora-load-ms=-1'],
  ] as const)
    it(`refuses ${flags.join(' ')}`, async () => {
      const chat = `${root}traces/chat.csv`
      const {error} = await llmsim('simulate', chat, '--hardware', 'H100', '--no-save', ...flags)
      expect(error?.message).include(says)
    })
})
