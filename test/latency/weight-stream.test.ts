/** Steps with weights outside of the device: closed forms by hand, and against steps that are played one by one. */
import {expect} from 'chai'
import fc from 'fast-check'
import {UpperEnvelope} from '#llmsim/latency/envelope.js'
import {emptyShape} from '#llmsim/latency/step-time.js'
import {
  densePasses,
  expertPasses,
  type Outside,
  streamLaw,
  streamNs,
  type WeightStream,
  withWeightStream,
} from '#llmsim/latency/weight-stream.js'
import {playedStepNs} from '../reference/weight-stream.js'

const here: Outside = {loadNs: 0, share: 0}
const away = (loadNs: number): Outside => ({loadNs, share: 1})
const stream = (given: Partial<WeightStream>): WeightStream => ({
  blocks: [here],
  head: {loadNs: 0, ownNs: 0},
  embedding: {latencyNs: 0, nsPerToken: 0},
  prefetch: 1,
  ...given,
})
const stepNs = (blocks: readonly Outside[], prefetch: WeightStream['prefetch'], blockNs: number) =>
  streamLaw(stream({blocks, prefetch})).at(blockNs, 50)

describe('weights fetched ahead', () => {
  const eight = Array.from({length: 8}, () => away(100))

  it('bound a step by the link where that is slower: bytes ÷ bandwidth', () => {
    expect(stepNs(eight, 1, 10)).equal(800)
    expect(streamNs(stream({blocks: eight}))).equal(800)
  })

  it('hide behind a step that computes for longer', () => {
    expect(stepNs(eight, 1, 100)).equal(850)
    expect(stepNs(eight, 1, 300)).equal(2450)
    expect(streamLaw(stream({blocks: eight})).hiddenBlockNs).equal(100)
  })

  it('are waited for one by one with a buffer of one block', () => {
    // What is outside of blocks runs while the first block of the next step comes.
    expect(stepNs(eight, 0, 10)).equal(8 * (100 + 10))
    expect(stepNs(eight, 0, 1000)).equal(8 * (100 + 1000))
    const law = streamLaw(stream({blocks: eight, prefetch: 0}))
    expect(law.at(10, 130)).equal(8 * (100 + 10) + 30)
    expect(law.hiddenBlockNs).equal(Number.POSITIVE_INFINITY)
  })

  it('leave the link idle while the buffer is full: blocks in a row wait, spread ones do not', () => {
    const half = [...Array.from({length: 4}, () => away(100)), here, here, here, here]
    // Two are there when the first begins. Its place takes the third; the fourth comes; the rest computes.
    expect(stepNs(half, 1, 40)).equal(40 + 2 * 100 + 40 + 4 * 40 + 50)
    // With a place for each of them, or a block that stays between two, the link never rests.
    expect(stepNs(half, 3, 40)).equal(400)
    const spread = half.map((_, i) => (i % 2 === 0 ? away(100) : here))
    expect(stepNs(spread, 1, 40)).equal(400)
  })

  it('wait for the head like for a block', () => {
    const head = stream({blocks: [here, here], head: {loadNs: 500, ownNs: 1}, prefetch: 0})
    // The only one: it is fetched again while the blocks of the next step run.
    expect(streamLaw(head).at(100, 50)).equal(500 + 50)
    expect(streamLaw(head).at(300, 50)).equal(650)
  })

  const cases = fc.record({
    blocks: fc.array(fc.oneof(fc.constant(0), fc.integer({min: 1, max: 40})), {
      minLength: 1,
      maxLength: 12,
    }),
    head: fc.oneof(fc.constant(0), fc.integer({min: 1, max: 60})),
    prefetch: fc.nat(13),
    blockNs: fc.nat(40),
    outsideNs: fc.nat(100),
  })
  const lawOf = (given: {blocks: number[]; head: number; prefetch: WeightStream['prefetch']}) =>
    streamLaw(
      stream({
        blocks: given.blocks.map((ns) => ({loadNs: ns, share: ns > 0 ? 1 : 0})),
        head: {loadNs: given.head, ownNs: 0},
        prefetch: given.prefetch,
      }),
    )

  it('take as long as steps that are played one by one', () => {
    fc.assert(
      fc.property(cases, (given) => {
        const {blocks, head, prefetch, blockNs, outsideNs} = given
        const played = playedStepNs(
          {
            compute: [...blocks.map(() => blockNs), outsideNs],
            load: [...blocks, head],
            prefetch,
          },
          400,
        )
        // What is left of the beginning after 200 steps.
        expect(lawOf(given).at(blockNs, outsideNs)).closeTo(played, 0.01 * played + 0.5)
      }),
      {numRuns: 500},
    )
  })

  it('are never faster with more outside, a slower link or a smaller buffer, nor faster than without', () => {
    fc.assert(
      fc.property(cases, fc.nat(12), fc.integer({min: 1, max: 40}), (given, at, more) => {
        const {blocks, prefetch, blockNs, outsideNs} = given
        const before = lawOf(given).at(blockNs, outsideNs)
        const changed = blocks.map((ns, i) => (i === at % blocks.length ? ns + more : ns))
        expect(lawOf({...given, blocks: changed}).at(blockNs, outsideNs)).least(before)
        expect(lawOf({...given, prefetch: prefetch + 1}).at(blockNs, outsideNs)).most(before)
        expect(before).least(blocks.length * blockNs + outsideNs)
        // A later block of a step that computes for longer.
        expect(lawOf(given).at(blockNs + more, outsideNs)).least(before)
        expect(lawOf(given).at(blockNs, outsideNs + more)).least(before)
      }),
      {numRuns: 300},
    )
  })

  it('are not waited for from that block time on', () => {
    fc.assert(
      fc.property(cases, (given) => {
        const law = lawOf(given)
        fc.pre(Number.isFinite(law.hiddenBlockNs))
        const blockNs = law.hiddenBlockNs
        const own = given.blocks.length * blockNs + given.outsideNs
        expect(law.at(blockNs, given.outsideNs)).closeTo(own, 1e-6 * own)
      }),
      {numRuns: 300},
    )
  })
})

describe('weights read in place', () => {
  it('hide behind the part of their block that needs them', () => {
    const blocks = [away(100), {loadNs: 30, share: 0.5}, here]
    // max(40, 100) + 20 + max(20, 30) + 40 + 50
    expect(stepNs(blocks, 'in place', 40)).equal(100 + 20 + 30 + 40 + 50)
    expect(stepNs(blocks, 'in place', 400)).equal(3 * 400 + 50)
    expect(streamLaw(stream({blocks, prefetch: 'in place'})).hiddenBlockNs).equal(100)
  })

  it('cross the link once for each tile of rows', () => {
    const blocks = [{loadNs: 100, share: 1, expertNs: 60}, here]
    const law = streamLaw(stream({blocks, head: {loadNs: 30, ownNs: 20}, prefetch: 'in place'}))
    // max(10, 3·40 + 2.5·60) + 10 + 50, and the head twice without what it takes anyway
    expect(law.at(10, 50, {dense: 3, experts: 2.5, head: 2})).equal(270 + 10 + 50 + 40)
    expect([1, 128, 129, 1024].map(densePasses)).deep.equal([1, 1, 2, 8])
    // Few rows for the experts that are picked at all: once; 128 for each: two full tiles and a half one.
    expect(expertPasses(0.25, 1)).equal(0.25)
    expect(expertPasses(1, 128)).equal(2.5)
  })

  it('add what the head takes longer over the link than from the memory of the device', () => {
    const head = stream({head: {loadNs: 500, ownNs: 20}, prefetch: 'in place'})
    expect(streamLaw(head).at(10, 50)).equal(10 + 50 + 480)
  })
})

describe('a step with weights outside', () => {
  const parts = {
    time: (shape: {tokens: number}) => shape.tokens + 50,
    outside: () => 50,
  }

  it('adds rows of the embedding that are read where they lie', () => {
    const embedding = {latencyNs: 1000, nsPerToken: 2}
    const time = withWeightStream(parts, stream({embedding}))
    expect(time({...emptyShape(), tokens: 100})).equal(150 + 1000 + 200)
  })

  it('is never shorter than without, nor a larger one shorter than a smaller one', () => {
    const streams = fc.record({
      loads: fc.array(fc.nat(1e6), {minLength: 1, maxLength: 8}),
      prefetch: fc.oneof(fc.constant('in place' as const), fc.nat(4)),
    })
    fc.assert(
      fc.property(streams, fc.nat(1e7), fc.nat(1e7), ({loads, prefetch}, a, b) => {
        const time = withWeightStream(parts, stream({blocks: loads.map(away), prefetch}))
        const at = (tokens: number) => time({...emptyShape(), tokens})
        expect(at(a)).least(a + 50)
        expect(at(Math.max(a, b))).least(at(Math.min(a, b)))
      }),
      {numRuns: 300},
    )
  })
})

describe('the largest of many lines', () => {
  it('is what trying them all gives', () => {
    const lines = fc.array(fc.record({slope: fc.nat(20), value: fc.nat(500)}), {minLength: 1})
    fc.assert(
      fc.property(lines, fc.nat(100), (all, at) => {
        const largest = Math.max(...all.map(({slope, value}) => slope * at + value))
        expect(new UpperEnvelope(all).at(at)).equal(largest)
      }),
      {numRuns: 500},
    )
    expect(new UpperEnvelope([]).at(1)).equal(Number.NEGATIVE_INFINITY)
  })
})
