/** Stale views: what routers see is as old as they say, and nothing else changes. */
import {expect} from 'chai'
import fc from 'fast-check'
import {replay} from '#llmsim/cluster/replay.js'
import {routers} from '#llmsim/cluster/router.js'
import {openLoop} from '#llmsim/cluster/workload.js'
import {calm, type Row, traceOf} from './serve.js'

interface Run {
  readonly rows: readonly Row[]
  readonly viewAgeNs: number
  readonly detail?: 'every step' | 'skipping'
  readonly coupling?: 'lockstep'
}

const instancesOf = ({rows, viewAgeNs, detail, coupling}: Run): number[] => {
  const trace = traceOf(rows)
  const workload = openLoop(trace)
  const replica = {engine: calm, stepTime: ({tokens}: {tokens: number}) => 10 + tokens}
  const {outcomes} = replay({
    trace,
    simulation: {
      replicas: [replica, replica, replica],
      router: routers['least-requests']!(),
      viewAgeNs,
      ...(detail === 'every step' ? {onStep: () => {}} : {}),
    },
    workload: coupling ? {...workload, coupling} : workload,
  })
  return [...outcomes.instance]
}

describe('stale views', () => {
  // Long requests: whoever sees the present spreads them, whoever sees the past puts them where it was empty.
  const rows = [
    {at: 5, input: 50, output: 90},
    {at: 6, input: 50, output: 90},
    {at: 105, input: 4, output: 1},
    {at: 106, input: 4, output: 1},
  ]

  it('of age 0 are the present', () => {
    expect(instancesOf({rows, viewAgeNs: 0})).deep.equal([0, 1, 2, 0])
  })

  it('show what was true at the last multiple of their age, and equals take turns', () => {
    // Before 100 all look empty; at 100 two are busy, and the third looks empty to both that come later.
    expect(instancesOf({rows, viewAgeNs: 100})).deep.equal([0, 1, 2, 2])
    expect(instancesOf({rows, viewAgeNs: 1000})).deep.equal([0, 1, 2, 0])
  })

  it('are the same whether engines run alone or together, step by step or skipping', () => {
    const row = fc.record({
      at: fc.nat(2000),
      input: fc.integer({min: 1, max: 60}),
      output: fc.integer({min: 1, max: 60}),
    })
    const given = fc.record({
      rows: fc
        .array(row, {minLength: 1, maxLength: 30})
        .map((all) => all.sort((a, b) => a.at - b.at)),
      viewAgeNs: fc.constantFrom(0, 1, 7, 100, 450),
    })
    fc.assert(
      fc.property(given, (run) => {
        const alone = instancesOf(run)
        expect(instancesOf({...run, detail: 'every step'})).deep.equal(alone)
        expect(instancesOf({...run, coupling: 'lockstep'})).deep.equal(alone)
      }),
      {numRuns: 200, seed: 1},
    )
  })
})
