/** The cluster of src/ held to the plain one of test/reference, on random topologies. */
import {expect} from 'chai'
import fc from 'fast-check'
import {
  buildCluster,
  clusterSpecs,
  tieredClusterSpecs,
  wiredClusterSpecs,
} from '../reference/cluster-spec.js'
import {runReferenceCluster} from '../reference/reference-cluster.js'
import {differenceIn} from './difference.js'

const soak = process.env.LLMSIM_SOAK === '1'
const numRuns = soak ? 10_000 : 300
const seed = soak ? Number(process.env.LLMSIM_SEED ?? Date.now() % 2 ** 31) : 1

describe('the cluster is the reference cluster', function () {
  this.timeout(soak ? 3_600_000 : 60_000)

  for (const detail of ['every step', 'skipping'] as const)
    it(`${detail}, with memory tiers: the same (seed ${seed})`, () => {
      const property = fc.property(tieredClusterSpecs, (spec) => {
        const difference = differenceIn(buildCluster(spec), detail)
        if (difference !== undefined) throw new Error(difference)
      })
      fc.assert(property, {numRuns, seed})
    })

  for (const detail of ['every step', 'skipping'] as const)
    it(`${detail}, with tiers and hand-offs over the same links: the same (seed ${seed})`, () => {
      const property = fc.property(wiredClusterSpecs, (spec) => {
        const difference = differenceIn(buildCluster(spec), detail)
        if (difference !== undefined) throw new Error(difference)
      })
      fc.assert(property, {numRuns, seed})
    })

  it('looks at loads that end sooner because the client of another one left', () => {
    const property = fc.property(wiredClusterSpecs, (spec) => {
      expect(differenceIn(buildCluster(spec), 'every step')).equal(undefined)
    })
    // The only one of some 50,000 random cases in which a request then began before it had come.
    fc.assert(property, {seed: 553_098_475, path: '213', numRuns: 1})
  })

  for (const detail of ['every step', 'skipping'] as const)
    it(`${detail}: no request is lost, no block leaks, nobody waits for ever (seed ${seed})`, () => {
      const property = fc.property(clusterSpecs, (spec) => {
        const difference = differenceIn(buildCluster(spec), detail)
        if (difference !== undefined) throw new Error(difference)
      })
      fc.assert(property, {numRuns, seed})
    })

  it('visits the corners of links', () => {
    const corners = new Set<string>()
    for (const spec of fc.sample(wiredClusterSpecs, {numRuns: 300, seed: 1}))
      for (const corner of runReferenceCluster(buildCluster(spec)).corners) corners.add(corner)
    // Loads with KV of other engines, and writes with KV for them.
    for (const shared of ['up', 'down']) expect(corners).include(`two kinds share: ${shared}`)
    expect(corners).include('step while KV comes')
  })

  it('visits every corner', () => {
    const visits = new Map<string, number>()
    for (const spec of fc.sample(clusterSpecs, {numRuns: 300, seed: 1}))
      for (const corner of runReferenceCluster(buildCluster(spec)).corners)
        visits.set(corner, (visits.get(corner) ?? 0) + 1)
    for (const corner of [
      'transfer',
      'transfer of a part',
      'stays',
      'nothing kept',
      'cancelled in prefill',
      'cancelled in queue',
      'cancelled in transfer',
      'cancelled in decode',
      'pass of all',
      'pass with an idle rank',
      'pass through stages',
      'drafts behind KV from elsewhere',
      'drafts of tied ranks',
      'pass of a rank that idles in another',
    ])
      expect(visits.get(corner) ?? 0, corner).at.least(1)
  })
})
