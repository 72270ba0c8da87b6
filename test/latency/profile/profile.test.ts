/** A whole step from a bundle: every layer as often as the model has it, collectives where they belong. */
import {expect} from 'chai'
import type {LayerSamples, ProfileBundle} from '#llmsim/catalogue/profile-bundle.js'
import {
  type Collectives,
  noCollectives,
  type ProfileRequest,
  ProfileTimes,
} from '#llmsim/latency/profile/profile.js'
import {decodes, shapeOf} from '../shapes.js'

/** Flat in its coordinate, so that a sum shows who is in it: ns of one layer. */
const flat = (ns: number): LayerSamples => ({at: [1], timeUs: [ns / 1000]})
/** ns per token. */
const steep = (ns: number): LayerSamples => ({at: [1, 2], timeUs: [ns / 1000, (2 * ns) / 1000]})

const layersOf = (entries: Readonly<Record<string, LayerSamples>>) =>
  new Map(Object.entries(entries))

const llamaLayers = {
  embedding: flat(1_000_000),
  layernorm: flat(10),
  qkv_proj: flat(100),
  rotary_emb: flat(1),
  o_proj: flat(200),
  gate_up_proj: flat(400),
  act_fn: flat(5),
  down_proj: flat(800),
  final_layernorm: flat(2_000_000),
}

const bundleOf = (over: Partial<ProfileBundle> = {}): ProfileBundle => ({
  path: 'bundle/tp1',
  hardware: 'TestGPU',
  vllmVersion: '0.19.0',
  sweptTokens: 2048,
  sweptSequences: 256,
  dense: layersOf(llamaLayers),
  perSequence: layersOf({lm_head: steep(1000), sampler: flat(30)}),
  attention: [
    {prefillChunk: 0, kvPrefill: 0, decodes: 1, kvDecode: 16, timeUs: 50},
    {prefillChunk: 0, kvPrefill: 0, decodes: 1, kvDecode: 32, timeUs: 60},
    {prefillChunk: 0, kvPrefill: 0, decodes: 2, kvDecode: 16, timeUs: 50},
    {prefillChunk: 0, kvPrefill: 0, decodes: 2, kvDecode: 32, timeUs: 60},
  ],
  moe: undefined,
  skew: undefined,
  ...over,
})

const timesOf = (over: Partial<ProfileRequest> = {}, collectives: Collectives = noCollectives) =>
  new ProfileTimes(
    {bundle: bundleOf(), layers: 3, experts: undefined, ep: 1, skip: [], ...over},
    collectives,
  )

// Two norms, qkv, rotary, o, MLP.
const block = 2 * 10 + 100 + 1 + 200 + 400 + 5 + 800
const outside = 1_000_000 + 2_000_000

describe('step time from a profile', () => {
  it('is once what stands outside the layers, and so often a layer as there are', () => {
    expect(timesOf().at(decodes(1, 16))).equal(outside + 3 * (block + 50_000) + 1000 + 30)
    expect(timesOf({layers: 1}).at(decodes(1, 16))).equal(outside + block + 50_000 + 1030)
  })

  it('pays for logits by sequence, for layers by token', () => {
    const bundle = bundleOf({dense: layersOf({...llamaLayers, qkv_proj: steep(100)})})
    const one = timesOf({bundle, layers: 1})
    const chunk = shapeOf({chunks: [[64, 0]]})
    expect(one.at(chunk) - one.at({...chunk, sequences: 3})).equal(-2000)
    expect(one.at({...chunk, paddedTokens: 80}) - one.at(chunk)).equal(16 * 100)
  })

  it('looks attention up at the floored mean context', () => {
    const two = timesOf({layers: 1})
    // Mean 24.5 → 24: 55 µs.
    expect(two.at(shapeOf({contexts: [17, 32]}))).equal(outside + block + 55_000 + 2000 + 30)
  })

  it('has no attention in a batch without tokens', () => {
    const times = timesOf({layers: 1})
    const empty = {...decodes(0, 0), paddedTokens: 1, sequences: 1}
    expect(times.at(empty)).equal(outside + block + 1030)
  })

  it('corrects for unequal contexts once per layer', () => {
    const whole = (label: string) => ({edges: [-1, 1e9], labels: [label]})
    const skew = {
      decodes: whole('n'),
      skewRate: whole('sr'),
      largestContext: whole('big'),
      prefillContext: whole('kp'),
      alphaDefault: 0.5,
      rows: [],
    }
    const times = timesOf({bundle: bundleOf({skew})})
    // 55 µs at 24, 60 µs at 32.
    expect(times.at(shapeOf({contexts: [16, 32]}))).equal(
      outside + 3 * (block + 57_500) + 2000 + 30,
    )
  })

  it('answers the same when asked again', () => {
    const times = timesOf()
    const batch = shapeOf({chunks: [[64, 32]], contexts: [10, 40]})
    expect(times.at(batch)).equal(times.at(batch))
  })

  it('reduces twice in a dense layer, after o_proj and after down_proj', () => {
    const asked: number[] = []
    const collectives: Collectives = {
      ...noCollectives,
      allReduce: (tokens) => {
        asked.push(tokens)
        return 7
      },
    }
    const times = timesOf({}, collectives)
    expect(times.at(decodes(1, 16))).equal(outside + 3 * (block + 14 + 50_000) + 1030)
    expect(asked).deep.equal([1, 1])
  })
})

describe('layers that a bundle lacks', () => {
  it('cost nothing and are named', () => {
    const {act_fn: _, ...dense} = llamaLayers
    const times = timesOf({
      bundle: bundleOf({dense: layersOf(dense), perSequence: layersOf({lm_head: flat(9)})}),
      layers: 1,
    })
    expect(times.missing).deep.equal(['act_fn', 'sampler'])
    expect(times.at(decodes(1, 16))).equal(outside + block - 5 + 50_000 + 9)
  })

  it('are not missed where a model need not have them', () => {
    expect(timesOf().missing).deep.equal([])
    const bundle = bundleOf({dense: layersOf({...llamaLayers, qk_norm: flat(3)})})
    expect(timesOf({bundle, layers: 1}).at(decodes(1, 16))).equal(
      outside + block + 3 + 50_000 + 1030,
    )
  })

  it('may be left out for a kind of hardware', () => {
    const {rotary_emb: _, ...dense} = llamaLayers
    const times = timesOf({bundle: bundleOf({dense: layersOf(dense)}), skip: ['rotary_emb']})
    expect(times.missing).deep.equal([])
    const skipped = timesOf({skip: ['rotary_emb'], layers: 1})
    expect(skipped.at(decodes(1, 16))).equal(outside + block - 1 + 50_000 + 1030)
  })

  it('include the experts of a model that has some', () => {
    const times = timesOf({experts: {count: 8, perToken: 2}, layers: 1})
    expect(times.missing).deep.equal(['moe'])
    expect(times.at(decodes(1, 16))).equal(outside + block - 1205 + 50_000 + 1030)
  })
})

describe('experts', () => {
  // 1 ns per token and 1000 ns per activated expert: a sum tells how many of each there were.
  const moe = [1, 2].flatMap((tokens) =>
    [1, 2].map((activatedExperts) => ({
      tokens,
      activatedExperts,
      timeUs: (tokens + 1000 * activatedExperts) / 1000,
    })),
  )
  const {gate_up_proj: _g, act_fn: _a, down_proj: _d, ...attentionLayers} = llamaLayers
  const bundle = bundleOf({dense: layersOf(attentionLayers), moe})
  const around = outside + block - 1205

  const expertsAt = (
    tokens: number,
    spread: {ep: number; perToken: number; count?: number; members?: number},
    collectives = noCollectives,
  ) => {
    const {ep, perToken, count = 64, members = 1} = spread
    const experts = {count, perToken}
    const times = timesOf({bundle, layers: 1, ep, experts, members}, collectives)
    const chunk = {...decodes(1, 16), paddedTokens: tokens}
    return times.at(chunk) - around - 50_000 - 1030
  }

  it('run where they are: all tokens, and as many experts as they can reach', () => {
    expect(expertsAt(3, {ep: 1, perToken: 2})).equal(3 + 6000)
    expect(expertsAt(100, {ep: 1, perToken: 2})).equal(100 + 64_000)
  })

  it('are shared out evenly over expert-parallel ranks', () => {
    // 10 tokens: 10·(1 − ½²) = 7.5 → 8 meet this rank; 10·2/2 = 10 experts.
    expect(expertsAt(10, {ep: 2, perToken: 2})).equal(8 + 10_000)
    // No more than a rank has.
    expect(expertsAt(100, {ep: 2, perToken: 2})).equal(75 + 32_000)
  })

  it('see the tokens of all data-parallel ranks', () => {
    expect(expertsAt(5, {ep: 2, perToken: 2, members: 2})).equal(
      expertsAt(10, {ep: 2, perToken: 2}),
    )
  })

  it('round halves to even, and one expert runs at least', () => {
    // 3·1/2 = 1.5 → 2 tokens and 2 experts; 5·½ = 2.5 → 2 of both.
    expect(expertsAt(3, {ep: 2, perToken: 1})).equal(2 + 2000)
    expect(expertsAt(5, {ep: 2, perToken: 1})).equal(2 + 2000)
    // ½ a token → 0, taken at the first point of the table; ½ an expert → 0 → 1.
    expect(expertsAt(1, {ep: 2, perToken: 1})).equal(1 + 1000)
  })

  it('gather before and scatter after, only when spread; they are not reduced again', () => {
    const collectives: Collectives = {
      allReduce: () => 10_000_000,
      dispatch: (tokens) => tokens * 100_000,
      combine: (tokens) => tokens * 1_000_000_000,
    }
    expect(expertsAt(10, {ep: 2, perToken: 2}, collectives)).equal(
      8 + 10_000 + 10_000_000 + 1_000_000 + 10_000_000_000,
    )
    expect(expertsAt(10, {ep: 1, perToken: 2}, collectives)).equal(10 + 20_000 + 10_000_000)
  })
})
