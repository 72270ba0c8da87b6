/** Engines that are left behind until a router must see them: nobody can tell. */
import {expect} from 'chai'
import fc from 'fast-check'
import {type Replay, replay} from '#llmsim/cluster/replay.js'
import {plainSeams, type Router, routers} from '#llmsim/cluster/router.js'
import {openLoop} from '#llmsim/cluster/workload.js'
import {calm, type Row, traceOf} from './serve.js'

interface Run {
  readonly rows: readonly Row[]
  readonly router: Router
  readonly depth: number
  readonly blocks: number
  readonly coupling: 'independent' | 'lockstep'
}

const run = ({rows, router, depth, blocks, coupling}: Run): Replay => {
  const trace = traceOf(rows)
  const engine = {...calm, depth, numGpuBlocks: blocks, maxNumSeqs: 6, maxModelLen: 100}
  const replica = {
    engine,
    stepTime: ({tokens}: {tokens: number}) => 10 + tokens,
    frontEnd: {delayNs: 7, perTokenNs: 0.25, afterNs: 0},
  }
  return replay({
    trace,
    simulation: {replicas: [replica, replica, replica, replica], router},
    // Engines that advance together happen up to every arrival.
    workload: {...openLoop(trace), coupling},
  })
}

const result = ({outcomes, engines}: Replay) => ({
  instance: [...outcomes.instance],
  status: [...outcomes.status],
  firstTokenAt: [...outcomes.firstTokenAt],
  finishedAt: [...outcomes.finishedAt],
  steps: engines.map(({steps, busyNs, waitingNs}) => [steps, busyNs, waitingNs]),
})

/** A few keys, so that their engines fill up; and requests that nobody knows the beginning of. */
const prefixOf = (row: number): number | undefined => (row % 2 === 0 ? undefined : (row % 7) % 3)
const sessionOf = (row: number): number | undefined => (row % 3 === 0 ? undefined : row % 5)

const row = fc.record({
  at: fc.nat(600),
  input: fc.integer({min: 1, max: 60}),
  // Some are too long for the model, and turned away once they leave the front end.
  output: fc.oneof(fc.integer({min: 1, max: 4}), fc.integer({min: 1, max: 60})),
})
const given = fc.record({
  rows: fc
    .array(row, {minLength: 1, maxLength: 60, size: 'max'})
    .map((rows) => rows.sort((a, b) => a.at - b.at)),
  depth: fc.constantFrom(1, 2),
  blocks: fc.constantFrom(30, 1000),
})

describe('engines that are left behind until a router must see them', () => {
  for (const [name, make] of Object.entries(routers))
    it(`${name} picks as if they were not`, () => {
      const router = () => make({...plainSeams, seed: 3, prefixOf, sessionOf})
      fc.assert(
        fc.property(given, (case_) => {
          const behind = run({...case_, router: router(), coupling: 'independent'})
          const together = run({...case_, router: router(), coupling: 'lockstep'})
          expect(result(behind)).deep.equal(result(together))
        }),
        {numRuns: 60, seed: 1},
      )
    })

  it('the cases hold requests that are turned away, and preemptions', () => {
    let refused = 0
    let preempted = 0
    for (const case_ of fc.sample(given, {numRuns: 60, seed: 1})) {
      const {outcomes, engines} = run({
        ...case_,
        router: routers['prefix-affinity']!({...plainSeams, prefixOf}),
        coupling: 'independent',
      })
      refused += outcomes.reasons.size
      for (const {preemptions} of engines) preempted += preemptions
    }
    expect(refused).greaterThan(30)
    expect(preempted).greaterThan(10)
  })
})
