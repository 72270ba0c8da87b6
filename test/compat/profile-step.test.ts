/** A step as LLMServingSim runs it: how long, and the moments inside it at which idle engines look for work. */
import {expect} from 'chai'
import type {ProfileBundle} from '#llmsim/catalogue/profile-bundle.js'
import {replay} from '#llmsim/cluster/replay.js'
import {routers} from '#llmsim/cluster/router.js'
import {hostCopies, pollingClock} from '#llmsim/compat/llmservingsim.js'
import {profileStep} from '#llmsim/compat/profile-step.js'
import {policies} from '#llmsim/engine/policy.js'
import {noCollectives, ProfileTimes} from '#llmsim/latency/profile/profile.js'
import {decodes, shapeOf} from '../latency/shapes.js'

const flat = (ns: number) => ({at: [1], timeUs: [ns / 1000]})

const bundle: ProfileBundle = {
  path: 'bundle/tp1',
  hardware: 'TestGPU',
  vllmVersion: '0.19.0',
  sweptTokens: 2048,
  sweptSequences: 256,
  dense: new Map(
    Object.entries({
      embedding: flat(1000),
      layernorm: flat(10),
      qkv_proj: flat(100),
      rotary_emb: flat(1),
      o_proj: flat(200),
      gate_up_proj: flat(400),
      act_fn: flat(5),
      down_proj: flat(800),
      final_layernorm: flat(2000),
    }),
  ),
  perSequence: new Map(Object.entries({lm_head: flat(3000), sampler: flat(30)})),
  attention: [{prefillChunk: 0, kvPrefill: 0, decodes: 1, kvDecode: 16, timeUs: 50}],
  moe: undefined,
  skew: undefined,
}

const layers = 3
const collectives = {...noCollectives, allReduce: () => 7}
const times = new ProfileTimes({bundle, layers, experts: undefined, ep: 1, skip: []}, collectives)
/** 100 ns each way: the latency alone. */
const copies = hostCopies({bandwidthGb: 256, latencyNs: 100}, 2)

// Norm, qkv, rotary, attention, o, all-reduce, norm, MLP, all-reduce.
const block = [10, 100, 1, 50_000, 200, 7, 10, 400, 5, 800, 7]
const blockNs = block.reduce((sum, node) => sum + node, 0)

/** Every end of a node, one after the other. */
const endsOf = (tp: number): number[] => {
  const nodes = [
    ...new Array<number>(tp).fill(100),
    1000,
    ...Array.from({length: layers}, () => block).flat(),
    2000,
    3000,
    30,
    100,
  ]
  let end = 0
  return nodes.map((node) => {
    end += node
    return end
  })
}

describe('a step on the polling clock', () => {
  const shape = decodes(1, 16)

  it('lasts as long as its nodes, with a load for every rank and one store', () => {
    for (const tp of [1, 2, 4])
      expect(profileStep(times, copies, tp).stepTime(shape)).equal(endsOf(tp).at(-1))
  })

  it('has parts that add up to it, for dense layers and for experts', () => {
    const moe = [{tokens: 1, activatedExperts: 8, timeUs: 5}]
    const sparse = new ProfileTimes(
      {bundle: {...bundle, moe}, layers, experts: {count: 8, perToken: 2}, ep: 2, skip: []},
      {allReduce: () => 7, dispatch: () => 11, combine: () => 13},
    )
    for (const model of [times, sparse]) {
      for (const batch of [shape, shapeOf({chunks: [[64, 10]], contexts: [5, 90]})]) {
        const {before, block: nodes, layers: count, after} = model.nodes(batch)
        const sum = (list: readonly number[]) => list.reduce((total, node) => total + node, 0)
        expect(sum(before) + count * sum(nodes) + sum(after)).equal(model.at(batch))
      }
    }
  })

  it('shows the end of every node of every layer, and nothing between', () => {
    for (const tp of [1, 2]) {
      const {nodeEnds} = profileStep(times, copies, tp)
      const ends = endsOf(tp)
      for (const [i, end] of ends.entries()) {
        const before = ends[i - 1] ?? 0
        expect(nodeEnds(shape, end), `at the end of node ${i}`).equal(end)
        expect(nodeEnds(shape, before + 1), `just after node ${i - 1}`).equal(end)
        expect(nodeEnds(shape, end - 0.5), `just before the end of node ${i}`).equal(end)
      }
      expect(nodeEnds(shape, 0)).equal(ends[0])
    }
  })
})

describe('idle engines in a cluster on the polling clock', () => {
  const {stepTime, nodeEnds} = profileStep(times, copies, 1)
  const ends = endsOf(1)
  const stepNs = ends.at(-1)!
  const engine = {
    numGpuBlocks: 1000,
    blockSize: 16,
    maxNumSeqs: 8,
    maxNumBatchedTokens: 64,
    longPrefillTokenThreshold: 0,
    enableChunkedPrefill: true,
    enablePrefixCaching: false,
    reserveFullPrompt: true,
    ownBlocks: false,
    maxModelLen: Number.MAX_SAFE_INTEGER,
    depth: 1,
    policy: policies.find(({name}) => name === 'fcfs')!,
  }
  const scheduled = (rows: readonly (readonly [arrivedAt: number, output: number])[]) => {
    const {outcomes} = replay({
      trace: {
        length: rows.length,
        arrivedAt: Float64Array.from(rows, ([at]) => at),
        // A prompt of one token is a decode to every kernel: all steps are alike.
        inputTokens: Int32Array.from(rows, () => 1),
        outputTokens: Int32Array.from(rows, ([, output]) => output),
        notes: [],
        format: 'made by hand',
      },
      simulation: {
        replicas: [0, 1].map(() => ({engine, stepTime, nodeEnds})),
        router: routers['least-requests']!(),
        clock: pollingClock(1e9),
      },
    })
    return {at: [...outcomes.scheduledAt], instance: [...outcomes.instance]}
  }

  it('see what arrives as soon as a node ends elsewhere', () => {
    // The first keeps engine 0 busy; the second comes in the middle of the second layer's attention.
    const arrival = 1100 + blockNs + 5000
    const {at, instance} = scheduled([
      [0, 3],
      [arrival, 1],
    ])
    expect(instance).deep.equal([0, 1])
    expect(at).deep.equal([0, 1100 + blockNs + 111 + 50_000])
  })

  it('see it in a later step as well, where decodes were skipped over', () => {
    const {at} = scheduled([
      [0, 50],
      [40 * stepNs + 1099, 1],
    ])
    expect(at[1]).equal(40 * stepNs + 1100)
  })

  it('wait for a tick from the last event of any engine when all are idle', () => {
    // Engine 1 is next in turn and never ran; engine 0 idles since the end of its only step.
    const {at, instance} = scheduled([
      [0, 1],
      [stepNs + 10, 1],
    ])
    expect(instance).deep.equal([0, 1])
    expect(at[1]).equal(stepNs + 1_000_000)
  })
})
