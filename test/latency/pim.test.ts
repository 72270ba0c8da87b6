/** Attention in memory: by hand, against a plain assignment of pieces to channels, and by its laws. */
import {expect} from 'chai'
import fc from 'fast-check'
import {bankGbS, busGbS, macGbS, type PimSpec, pimSpecs} from '#llmsim/catalogue/pim.js'
import {type PimMemory, pimTimes, withPim} from '#llmsim/latency/pim.js'
import {emptyShape} from '#llmsim/latency/step-time.js'
import {problemOf} from '../catalogue/problem.js'
import {latent, llama8b} from './models.js'
import {decodes, shapeOf} from './shapes.js'

const specOf = (name: string): PimSpec => pimSpecs.find((spec) => spec.name.startsWith(name))!
const memoryOf = (spec: PimSpec, channels: number): PimMemory => ({
  spec,
  channels,
  link: {gbPerS: 64, latencyNs: 1000},
})
const timesOf = (spec: PimSpec, channels: number) =>
  pimTimes({model: llama8b, tp: 1, memory: memoryOf(spec, channels)})
const layers = 32

describe('attention in memory', () => {
  it('one decode at a context of 1,000, by hand', () => {
    // 8 KV heads over 64 channels: the 4 queries of a head read its 1,000 keys and values one after the other.
    const rate = (32 * 2 * 128 * 2) / 333.2538
    const piece = 4 * ((1000 * 256 * 2) / rate + (30_675.2739 * 128) / 4096)
    expect(piece).closeTo((333.2538 * 1000 + 30_675.2739) / 8, 0.01)
    // 32 queries, their results, and a key and value of 8 heads; 1 µs each way; 22 cycles until the first read.
    const link = ((32 * 128 + 32 * 128 + 8 * 256) * 2) / 64 + 2000
    const ns = timesOf(specOf('DDR4'), 64).decodes(decodes(1, 999))
    expect(ns).closeTo(layers * (piece + link + 22 * 0.63), 0.01)
  })

  for (const spec of pimSpecs) {
    it(`${spec.name}: the published line, over what its banks can read and its bus carry`, () => {
      for (const context of [1, 100, 4000]) {
        const published = (spec.line.perToken * context + spec.line.fixed) / 8
        const ns = timesOf(spec, 64).decodes(decodes(1, context - 1)) / layers
        const way = ((2 * 4096 + 2048) * 2) / Math.min(64, 64 * busGbS(spec)) + 2000
        expect(ns).closeTo(published + way + spec.timing.read, 0.01)
      }
      expect(macGbS(spec)).within(busGbS(spec), bankGbS(spec))
    })
  }

  it('grows with every generated token, whatever the prompt was', () => {
    const times = timesOf(specOf('HBM2'), 64)
    const step = times.decodes(decodes(1, 11)) - times.decodes(decodes(1, 10))
    expect(step).closeTo((layers * 242.0548) / 8, 0.01)
  })

  it('lies between the mean load and twice it, as pieces that are laid on the emptiest channel do', () => {
    const spec = specOf('LPDDR5')
    const contexts = fc.array(fc.integer({min: 0, max: 20_000}), {minLength: 1, maxLength: 40})
    fc.assert(
      fc.property(contexts, fc.integer({min: 1, max: 100}), (given, channels) => {
        const memory = memoryOf(spec, channels)
        const ns = pimTimes({model: llama8b, tp: 1, memory}).decodes(shapeOf({contexts: given}))
        const way =
          (given.length * (2 * 4096 + 2048) * 2) / Math.min(64, channels * busGbS(spec)) +
          2000 +
          spec.timing.read
        const load = ns / layers - way
        const slowest = slowestChannel(spec, given, channels)
        expect(load).most(slowest * (1 + 1e-9))
        expect(slowest).most(2 * load * (1 + 1e-9))
        // Pieces that are alike have no better place, and no worse.
        const alike = given.map(() => given[0]!)
        const same = pimTimes({model: llama8b, tp: 1, memory}).decodes(shapeOf({contexts: alike}))
        expect(same / layers - way).closeTo(slowestChannel(spec, alike, channels), 1e-3)
      }),
      {numRuns: 200},
    )
  })

  it('is no faster with more work or fewer channels', () => {
    const size = fc.integer({min: 0, max: 5000})
    fc.assert(
      fc.property(size, size, fc.integer({min: 1, max: 64}), (count, context, channels) => {
        const at = (n: number, c: number, m: number) =>
          timesOf(specOf('DDR4'), m).decodes(decodes(1 + (n % 100), c))
        const ns = at(count, context, channels)
        expect(
          timesOf(specOf('DDR4'), channels).decodes(decodes(2 + (count % 100), context)),
        ).least(ns)
        expect(at(count, context + 1, channels)).least(ns)
        expect(at(count, context, channels + 1)).most(ns)
      }),
      {numRuns: 200},
    )
  })

  it('of a sliding window ends with it', () => {
    const group = llama8b.groups[0]!
    const attention = {...group.attention, window: 500} as typeof group.attention
    const model = {...llama8b, groups: [{...group, attention}]}
    const {decodes: at} = pimTimes({model, tp: 1, memory: memoryOf(specOf('DDR4'), 64)})
    expect(at(decodes(3, 400))).below(at(decodes(3, 600)))
    expect(at(decodes(3, 600))).equal(at(decodes(3, 6000)))
  })

  it('is split over tensor-parallel ranks by heads', () => {
    const memory = memoryOf(specOf('DDR4'), 4)
    const one = pimTimes({model: llama8b, tp: 1, memory}).decodes(decodes(16, 2000))
    const two = pimTimes({model: llama8b, tp: 2, memory}).decodes(decodes(16, 2000))
    expect(one / two).within(1.9, 2)
  })

  it('hides the KV of chunks behind the accelerator, and shows what does not fit there', () => {
    const times = timesOf(specOf('DDR4'), 64)
    const shape = shapeOf({chunks: [[1000, 500]]})
    // 1,000 tokens go out and 500 come in: 128 KiB each over 64 GB/s.
    const kv = (1500 * 131_072) / 64
    const step = (own: number) => withPim(() => own, times, emptyShape())(shape)
    expect(step(5e6)).equal(5e6)
    expect(step(1e6)).equal(Math.round(kv))
  })

  it('has no heads to lay out in compressed attention', async () => {
    const memory = memoryOf(specOf('DDR4'), 64)
    const {code, message} = await problemOf(() => pimTimes({model: latent, tp: 1, memory}))
    expect(code).equal('FLAG_CONFLICT')
    expect(message).match(/MLA/)
  })
})

/** Pieces by length, each to the channel that is emptiest: ns of the fullest in the end. */
function slowestChannel(spec: PimSpec, contexts: readonly number[], channels: number): number {
  const load = new Array<number>(channels).fill(0)
  for (const context of [...contexts].sort((a, b) => b - a)) {
    for (let head = 0; head < 8; head++) {
      const emptiest = load.indexOf(Math.min(...load))
      load[emptiest]! += (spec.line.perToken * (context + 1) + spec.line.fixed) / 8
    }
  }
  return Math.max(...load)
}
