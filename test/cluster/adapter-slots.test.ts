/** LoRA adapters: who waits, who is loaded, who makes room. */
import {expect} from 'chai'
import fc from 'fast-check'
import {AdapterSlots} from '#llmsim/cluster/adapter-slots.js'
import {replay} from '#llmsim/cluster/replay.js'
import {routers} from '#llmsim/cluster/router.js'
import {calm} from './serve.js'

const slotsOf = (slots: number, loadNs = 100) => new AdapterSlots({slots, loadNs, overhead: 0})

describe('adapter slots', () => {
  it('load once for all who wait, and let those behind in', () => {
    const slots = slotsOf(2)
    expect([slots.admit(1, 7, 0), slots.admit(2, 7, 30)]).deep.equal([false, false])
    expect([slots.nextAt(), slots.waiting]).deep.equal([100, 2])
    expect(slots.takeLoaded(99)).deep.equal([])
    expect(slots.takeLoaded(100)).deep.equal([1, 2])
    expect(slots.admit(3, 7, 120)).equal(true)
    expect(slots.totals).deep.equal({loads: 1, hits: 1, held: 2, heldNs: 170})
    expect(slots.active).equal(1)
  })

  it('load one at a time, in order of arrival', () => {
    const slots = slotsOf(2)
    slots.admit(1, 7, 0)
    slots.admit(2, 8, 10)
    slots.takeLoaded(100)
    expect(slots.nextAt()).equal(200)
    expect(slots.takeLoaded(200)).deep.equal([2])
  })

  it('make room by use, least recent first, and not while it is used', () => {
    const slots = slotsOf(2, 0)
    slots.admit(1, 7, 0)
    slots.takeLoaded(0)
    slots.admit(2, 8, 0)
    slots.takeLoaded(0)
    slots.admit(3, 9, 5)
    // Both are in use.
    expect(slots.nextAt()).equal(Number.POSITIVE_INFINITY)
    slots.leave(2, 6)
    expect(slots.takeLoaded(6)).deep.equal([3])
    slots.leave(1, 7)
    slots.leave(3, 8)
    slots.admit(4, 7, 9)
    slots.leave(4, 10)
    // 9 was used before 7.
    slots.admit(5, 8, 11)
    slots.takeLoaded(11)
    expect([slots.admit(6, 7, 12), slots.admit(7, 9, 12)]).deep.equal([true, false])
  })

  it('forget who leaves while waiting', () => {
    const slots = slotsOf(1)
    slots.admit(1, 7, 0)
    expect([slots.forget(1), slots.forget(1)]).deep.equal([true, false])
    expect(slots.takeLoaded(100)).deep.equal([])
    slots.admit(2, 8, 110)
    expect(slots.takeLoaded(210)).deep.equal([2])
  })
})

const config = {...calm, blockSize: 16, maxNumSeqs: 64, maxNumBatchedTokens: 8192, depth: 2}

interface Row {
  readonly at: number
  readonly adapter: number
  readonly output?: number
}

const run = (rows: readonly Row[], slots: number, {loadNs = 1000, overhead = 0} = {}) =>
  replay({
    trace: {
      length: rows.length,
      arrivedAt: Float64Array.from(rows, ({at}) => at),
      inputTokens: new Int32Array(rows.length).fill(20),
      outputTokens: Int32Array.from(rows, ({output = 5}) => output),
      notes: [],
      format: 'test',
    },
    simulation: {
      replicas: [{engine: config, stepTime: () => 100, adapters: {slots, loadNs, overhead}}],
      router: routers['round-robin']!(),
      adapterOf: (row) => rows[row]!.adapter,
    },
  })

const ttft = ({outcomes}: ReturnType<typeof run>) =>
  Array.from(outcomes.firstTokenAt, (at, row) => at - outcomes.arrivedAt[row]!)

describe('requests with adapters', () => {
  it('have the load on their critical path once', () => {
    // A load of 1000 and a step of 100; the second comes when the adapter is there, the third has none.
    const rows = [
      {at: 0, adapter: 3},
      {at: 5000, adapter: 3},
      {at: 9000, adapter: -1},
    ]
    const result = run(rows, 1)
    expect(ttft(result)).deep.equal([1100, 100, 100])
    expect(result.engines[0]!.adapters).deep.equal({loads: 1, hits: 1, held: 1, heldNs: 1000})
  })

  it('do not hold up those whose adapter is there, nor the model itself', () => {
    const rows = [
      {at: 0, adapter: -1, output: 40},
      {at: 50, adapter: 1},
      {at: 60, adapter: -1},
    ]
    expect(ttft(run(rows, 1)).map((time) => time < 1000)).deep.equal([true, false, true])
  })

  it('take longer by a share for each adapter in use', () => {
    // One adapter: 110; two at once: 120.
    const alone = run([{at: 0, adapter: 1}], 2, {overhead: 0.1})
    expect(alone.engines[0]!.busyNs).equal(5 * 110)
    const both = run(
      [1, 2].map((adapter) => ({at: 0, adapter, output: 50})),
      2,
      {overhead: 0.1},
    )
    expect(both.outcomes.finishedAt[1]! - both.outcomes.firstTokenAt[1]!).within(40 * 120, 49 * 120)
  })

  it('all end, whatever they use', () => {
    const row = fc.record({
      at: fc.integer({min: 0, max: 20_000}),
      adapter: fc.integer({min: -1, max: 5}),
      output: fc.integer({min: 1, max: 30}),
    })
    fc.assert(
      fc.property(
        fc.array(row, {minLength: 1, maxLength: 30}),
        fc.integer({min: 1, max: 4}),
        fc.constantFrom(0, 1, 100, 3000),
        (unsorted, slots, loadNs) => {
          const rows = [...unsorted].sort((a, b) => a.at - b.at)
          const {outcomes, engines} = run(rows, slots, {loadNs, overhead: 0.05})
          expect([...outcomes.finishedAt].some(Number.isNaN)).equal(false)
          const users = rows.filter(({adapter}) => adapter >= 0).length
          const {hits, held, loads} = engines[0]!.adapters!
          expect(hits + held).equal(users)
          expect(loads).within(
            new Set(rows.map(({adapter}) => adapter).filter((a) => a >= 0)).size,
            users,
          )
          expect(engines[0]!.freeBlocksAtEnd).equal(1000)
        },
      ),
      {numRuns: 300},
    )
  })
})
