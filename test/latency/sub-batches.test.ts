/** Two sub-batches against a plain run of two machines, and a step against one that is not cut. */
import {expect} from 'chai'
import fc from 'fast-check'
import {pimSpecs} from '#llmsim/catalogue/pim.js'
import {pimTimes, withPim} from '#llmsim/latency/pim.js'
import {type BatchShape, emptyShape} from '#llmsim/latency/step-time.js'
import {alternating, besideChunks, withSubBatches} from '#llmsim/latency/sub-batches.js'
import {llama8b} from './models.js'
import {decodes, shapeOf} from './shapes.js'

const ns = fc.integer({min: 0, max: 1000})
const layerCounts = fc.integer({min: 1, max: 40})

describe('sub-batches that alternate', () => {
  it('two halves take what two machines do', () => {
    fc.assert(
      fc.property(layerCounts, ns, ns, (layers, x, p) => {
        expect(alternating(layers, x, p)).equal(twoMachines(layers, {x, p}, {x, p}))
      }),
      {numRuns: 500},
    )
  })

  it('chunks and decodes take what two machines do', () => {
    fc.assert(
      fc.property(layerCounts, ns, ns, ns, (layers, chunks, x, p) => {
        const expected = twoMachines(layers, {x: chunks, p: 0}, {x, p})
        expect(besideChunks(layers, chunks, {x, p})).equal(expected)
      }),
      {numRuns: 500},
    )
  })

  const pim = pimTimes({
    model: llama8b,
    tp: 1,
    memory: {spec: pimSpecs[0]!, channels: 64, link: {gbPerS: 64, latencyNs: 1000}},
  })
  /** `weights` ns whatever the batch, `row` for each token: an accelerator between waiting and multiplying. */
  const stepsOf = (weights: number, row: number) => {
    const time = (shape: BatchShape) => 50_000 + weights + row * shape.paddedTokens
    const outside = () => 50_000
    return {
      whole: withPim(time, pim, emptyShape()),
      cut: withSubBatches({time, outside, layers: 32, pim}),
    }
  }

  it('are never slower than a step in one piece, and equal to it where one is empty', () => {
    const batch = fc.record({
      chunks: fc.array(fc.tuple(fc.integer({min: 2, max: 2000}), fc.nat(3000)), {maxLength: 3}),
      contexts: fc.array(fc.nat(20_000), {maxLength: 200}),
    })
    const figures = fc.tuple(fc.nat(2e7), fc.nat(200_000))
    fc.assert(
      fc.property(batch, figures, ({chunks, contexts}, [weights, row]) => {
        const {whole, cut} = stepsOf(weights, row)
        const shape = shapeOf({chunks, contexts})
        if (shape.tokens === 0) return
        const before = {...shape}
        expect(cut(shape)).most(whole(shape))
        expect(shape).deep.equal(before)
        const alone = shapeOf({chunks, contexts: []})
        if (alone.tokens > 0) expect(cut(alone)).equal(whole(alone))
        const one = shapeOf({contexts: contexts.slice(0, 1)})
        if (one.tokens > 0) expect(cut(one)).equal(whole(one))
      }),
      {numRuns: 300},
    )
  })

  it('are no faster with more decodes or longer contexts', () => {
    const count = fc.integer({min: 1, max: 300})
    fc.assert(
      fc.property(count, fc.nat(20_000), fc.nat(2000), fc.nat(200_000), (n, c, chunk, perRow) => {
        const {cut} = stepsOf(1e6, perRow)
        const chunks = chunk > 1 ? ([[chunk, 0]] as const) : []
        const shape = shapeOf({chunks, contexts: new Array<number>(n).fill(c)})
        const ns = cut(shape)
        const {tokens, sequences, decodes, paddedTokens, decodeContext, decodeContextMax} = shape
        const more = {
          ...{tokens: tokens + 1, sequences: sequences + 1, decodes: decodes + 1},
          paddedTokens: paddedTokens + 1,
        }
        expect(cut({...shape, ...more})).least(ns)
        expect(cut({...shape, decodeContext: decodeContext + 50})).least(ns)
        expect(cut({...shape, decodeContextMax: decodeContextMax + 50})).least(ns)
      }),
      {numRuns: 300},
    )
  })

  it('hide the shorter of the two where rows cost more than weights', () => {
    const {whole, cut} = stepsOf(0, 100_000)
    const shape = decodes(256, 400)
    // Of 256 · 400 tokens of context a half has at most one half, and half of the longest.
    const half = {...decodes(128, 400), decodeContext: 128 * 400 + 200}
    const attention = pim.decodes(half) / 32
    const multiply = (100_000 * 128) / 32
    const expected = 50_000 + alternating(32, multiply, attention)
    expect(cut(shape)).equal(Math.round(expected))
    expect(cut(shape)).below(0.8 * whole(shape))
  })

  it('are not cut where weights are all there is', () => {
    const {whole, cut} = stepsOf(2e7, 0)
    expect(cut(decodes(256, 100))).equal(whole(decodes(256, 100)))
  })
})

interface Half {
  readonly x: number
  readonly p: number
}

/** One accelerator and one memory, each serving the halves in turn; a half needs both in every layer. */
function twoMachines(layers: number, first: Half, second: Half): number {
  let accelerator = 0
  let memory = 0
  const ready = [0, 0]
  for (let layer = 0; layer < layers; layer++)
    for (const [at, {x, p}] of [first, second].entries()) {
      accelerator = Math.max(accelerator, ready[at]!) + x
      ready[at] = accelerator
      if (p === 0) continue
      memory = Math.max(memory, accelerator) + p
      ready[at] = memory
    }
  return Math.max(...ready)
}
