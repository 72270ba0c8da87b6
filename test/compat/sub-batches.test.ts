/** LLMServingSim's sub-batches: who is in which half, what chunks were planned, and a step by hand. */
import {expect} from 'chai'
import fc from 'fast-check'
import {pimSpecs} from '#llmsim/catalogue/pim.js'
import {readClusterFile} from '#llmsim/compat/cluster-json.js'
import {hostCopies} from '#llmsim/compat/llmservingsim.js'
import {DecodingPrompts, slowestChannel} from '#llmsim/compat/pim-attention.js'
import {balanced, PlannedChunks, subBatchStep} from '#llmsim/compat/sub-batches.js'
import {RequestPool} from '#llmsim/engine/request-pool.js'
import {noCollectives, ProfileTimes} from '#llmsim/latency/profile/profile.js'
import {problemOf} from '../catalogue/problem.js'
import {llama8b} from '../latency/models.js'
import {decodes, shapeOf} from '../latency/shapes.js'
import {clusterFile, clusterOf, instance, removeClusterFiles} from './cluster-file.js'

after(removeClusterFiles)

const row = (...ns: number[]) => ({at: [1, 100], timeUs: ns.map((one) => one / 1000)})

const stepOf = (lengths: readonly number[], kernel: readonly [number, number]) => {
  const prompts = new DecodingPrompts()
  const requests = new RequestPool()
  requests.input = Int32Array.from(lengths)
  const {tokensFrom, batchEnded} = prompts.listen(requests)
  for (const slot of lengths.keys()) tokensFrom!(slot, 1)
  batchEnded!(1, 0)
  const bundle = {
    ...{path: 'bundle/tp1', hardware: 'TestGPU', vllmVersion: '0.19.0'},
    ...{sweptTokens: 2048, sweptSequences: 256, moe: undefined, skew: undefined},
    dense: new Map([['qkv_proj', row(...kernel)]]),
    perSequence: new Map([['sampler', row(30, 30)]]),
    attention: [{prefillChunk: 16, kvPrefill: 0, decodes: 0, kvDecode: 0, timeUs: 0.05}],
  }
  const times = new ProfileTimes(
    {bundle, layers: 3, experts: undefined, ep: 1, skip: []},
    noCollectives,
  )
  const request = {
    ...{host: {spec: pimSpecs[0]!, channels: 64}, model: llama8b, layers: 3, bytesPerElement: 2},
    ...{times, copies: hostCopies({bandwidthGb: 1638.4, latencyNs: 200}, 2), prompts},
  }
  return {request, step: subBatchStep(request, new PlannedChunks())}
}

describe("LLMServingSim's sub-batches", () => {
  it('run all kernels twice, hide memory behind them, and pay for one host copy', () => {
    // 1 µs a token: two decodes each.
    const {step} = stepOf([10, 10, 10, 10], [1e6, 100e6])
    expect(step(decodes(4, 50))).equal(200 + 2 * (3 * 2e6 + 30))
  })

  it('are as long as memory works where that is longer', () => {
    const {request, step} = stepOf([4000, 4000], [10, 10])
    const memory = 2 * 3 * slowestChannel(request, [4000])
    expect(step(decodes(2, 50))).equal(200 + memory)
  })

  it('of one request are none', () => {
    const {request, step} = stepOf([10], [1e6, 1e6])
    const expected = 200 + 3 * (1e6 + slowestChannel(request, [10])) + 30 + 200
    expect(step(decodes(1, 10))).equal(expected)
  })

  it('keep every request, and differ by no more than the longest', () => {
    const tokens = fc.array(fc.integer({min: 1, max: 2000}), {minLength: 2, maxLength: 60})
    fc.assert(
      fc.property(tokens, (given) => {
        const [one, other] = balanced(given.map((n) => ({tokens: n, context: 0})))
        const sum = (half: readonly {tokens: number}[]) =>
          half.reduce((all, each) => all + each.tokens, 0)
        expect([...one, ...other].map((each) => each.tokens).sort()).deep.equal([...given].sort())
        expect(Math.abs(sum(one) - sum(other))).most(Math.max(...given))
      }),
      {numRuns: 200},
    )
  })

  it('know the chunks of a batch from the engine', () => {
    const chunks = new PlannedChunks()
    const requests = new RequestPool()
    requests.computed = Int32Array.from([100, 40])
    const {chunkPlanned, batchEnded} = chunks.listen(requests)
    chunkPlanned!(0, 0)
    batchEnded!(1, 0)
    requests.computed[0] = 150
    chunkPlanned!(0, 1)
    chunkPlanned!(1, 1)
    const shape = shapeOf({
      chunks: [
        [50, 100],
        [24, 16],
      ],
    })
    expect(chunks.of(shape)).deep.equal([
      {tokens: 50, context: 100},
      {tokens: 24, context: 16},
    ])
    // One that is computed again after a preemption is not told.
    const more = shapeOf({
      chunks: [
        [50, 100],
        [24, 16],
        [9, 0],
      ],
    })
    expect(chunks.of(more).at(-1)).deep.equal({tokens: 9, context: 0})
  })

  it('need PIM', async () => {
    const path = clusterFile(clusterOf({...instance(), enable_sub_batch_interleaving: true}))
    const {code, message} = await problemOf(() => readClusterFile(path))
    expect(code).equal('CLUSTER_BAD_FILE')
    expect(message).contain('enable_sub_batch_interleaving needs enable_attn_offloading')
  })
})
