/** Autoscaling: when instances come, when they go, and that nobody sees one that is not ready. */
import {expect} from 'chai'
import fc from 'fast-check'
import type {AutoscaleConfig} from '#llmsim/cluster/autoscaler.js'
import {type Replay, replay} from '#llmsim/cluster/replay.js'
import {routers} from '#llmsim/cluster/router.js'
import {calm} from './serve.js'

const engine = {
  ...calm,
  numGpuBlocks: 64,
  blockSize: 16,
  maxNumSeqs: 1,
  maxNumBatchedTokens: 8192,
}

const config: AutoscaleConfig = {
  signal: 'queue',
  target: 2,
  windowNs: 100,
  provisionNs: 70,
  coldStartNs: 30,
  stabilisationNs: 200,
  minInstances: 1,
}

interface Row {
  readonly at: number
  readonly output?: number
}

/** Steps of 10 ns, one request at a time. */
const run = (rows: readonly Row[], change: Partial<AutoscaleConfig> = {}, instances = 4): Replay =>
  replay({
    trace: {
      length: rows.length,
      arrivedAt: Float64Array.from(rows, ({at}) => at),
      inputTokens: new Int32Array(rows.length).fill(20),
      outputTokens: Int32Array.from(rows, ({output = 1}) => output),
      notes: [],
      format: 'test',
    },
    simulation: {
      replicas: Array.from({length: instances}, () => ({engine, stepTime: () => 10})),
      router: routers['round-robin']!(),
      autoscale: {...config, ...change},
    },
  })

const changes = ({fleet}: Replay) =>
  fleet!.changes.map(({at, ready, starting, draining}) => [at, ready, starting, draining])

/** Every 20 ns one that takes 100 ns, from `from` to `to`. */
const load = (from: number, to: number): Row[] =>
  Array.from({length: (to - from) / 20}, (_, i) => ({at: from + 20 * i, output: 10}))

describe('autoscaling', () => {
  it('has a new instance ready a window, a provisioning and a cold start after the load came', () => {
    // The first window ends at 5 + 100. Arrivals until 105 are 5, 25, … 105; one is served, four wait: ⌈1 · 4/2⌉ = 2.
    const result = run(load(5, 1005), {target: 2.5})
    const [first, asked, ready] = changes(result)
    expect(first).deep.equal([5, 1, 0, 0])
    expect(asked!.slice(0, 3)).deep.equal([105, 1, 1])
    expect(ready![0]).equal(5 + 100 + 70 + 30)
    expect(ready![1]).equal(2)
    // The first request that the new instance serves comes at that moment or after it.
    const {instance, arrivedAt} = result.outcomes
    const served = [...arrivedAt].filter((_, row) => instance[row] === 1)
    expect(Math.min(...served)).equal(205)
  })

  it('asks for ⌈ready × value ÷ target⌉, and for no more than there are', () => {
    const asked = ({fleet}: Replay) => fleet!.changes[1]!.starting
    // Ten wait behind the one that runs.
    const crowd = Array.from({length: 11}, () => ({at: 0, output: 50}))
    expect([5, 4, 3].map((target) => asked(run(crowd, {target}, 8)))).deep.equal([1, 2, 3])
    expect(asked(run(crowd, {target: 1}, 4))).equal(3)
  })

  it('changes nothing within 10 % of the target', () => {
    const crowd = Array.from({length: 12}, () => ({at: 0, output: 20}))
    expect(changes(run(crowd, {target: 10.1, stabilisationNs: 1e6}))).deep.equal([[0, 1, 0, 0]])
  })

  it('knows how busy instances were, and how full', () => {
    // Busy half of the time: ⌈1 · 0.5/0.2⌉ = 3.
    const half = Array.from({length: 50}, (_, i) => ({at: 200 * i, output: 10}))
    const busy = run(half, {signal: 'utilisation', target: 0.2, windowNs: 400})
    expect(changes(busy)[1]).deep.equal([400, 1, 2, 0])
    const calm = run(half, {signal: 'utilisation', target: 0.5, windowNs: 400})
    expect(changes(calm)).length(1)
    // 20 + 9 tokens lie in 2 of 64 blocks: ⌈1 · 0.031/0.02⌉ = 2.
    const full = run([{at: 0, output: 50}], {signal: 'kv', target: 0.02})
    expect(changes(full)[1]).deep.equal([100, 1, 1, 0])
  })

  it('lets instances go when nobody asked for them long enough, after what they have', () => {
    // The crowd is gone by about 1000; a straggler keeps the run alive.
    const rows = [...load(0, 400), {at: 3000, output: 1}]
    const {fleet, outcomes} = run(rows)
    const last = fleet!.changes.at(-1)!
    expect([last.ready, last.starting, last.draining]).deep.equal([1, 0, 0])
    expect(fleet!.scaleIns).greaterThan(0)
    expect([...outcomes.finishedAt].some(Number.isNaN)).equal(false)
    // Instance 0 was there all the time; the others until they had nothing left, or were let go.
    const {starts, ends, length} = fleet!.on[0]!
    expect([length, starts[0], ends[0]]).deep.equal([1, 0, 3010])
    expect(fleet!.on[1]!.starts[0]).equal(100 + 70)
    expect(fleet!.on[1]!.ends[0]).lessThan(3000)
  })

  it('ends with its requests, and serves all of them whatever is asked', () => {
    const row = fc.record({
      at: fc.integer({min: 0, max: 5000}),
      output: fc.integer({min: 1, max: 40}),
    })
    fc.assert(
      fc.property(
        fc.array(row, {minLength: 1, maxLength: 60}),
        fc.record({
          signal: fc.constantFrom('queue' as const, 'utilisation' as const, 'kv' as const),
          target: fc.constantFrom(0.01, 0.3, 0.9),
          windowNs: fc.integer({min: 1, max: 500}),
          provisionNs: fc.integer({min: 0, max: 300}),
          coldStartNs: fc.integer({min: 0, max: 300}),
          stabilisationNs: fc.integer({min: 0, max: 800}),
          minInstances: fc.integer({min: 1, max: 3}),
        }),
        (unsorted, change) => {
          const rows = [...unsorted].sort((a, b) => a.at - b.at)
          const {outcomes, fleet, busy} = run(rows, change)
          expect([...outcomes.finishedAt].some(Number.isNaN)).equal(false)
          for (const {ready, starting, draining} of fleet!.changes) {
            expect(ready).gte(change.minInstances)
            expect(ready + starting + draining).lte(4)
          }
          // Nobody works without being there.
          for (const [i, {length, starts, ends}] of busy.entries())
            for (let k = 0; k < length; k++) {
              const on = fleet!.on[i]!
              const there = Array.from({length: on.length}, (_, m) => m).some(
                (m) => on.starts[m]! <= starts[k]! && ends[k]! <= on.ends[m]!,
              )
              expect(there, `instance ${i}, ${starts[k]}–${ends[k]}`).equal(true)
            }
        },
      ),
      {numRuns: 300},
    )
  })
})
