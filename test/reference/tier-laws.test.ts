/** What holds for every cluster with memory below its devices, and proof that the random ones go everywhere. */

import {expect} from 'chai'
import fc from 'fast-check'
import {buildCluster, tieredClusterSpecs} from './cluster-spec.js'
import {type ClusterObserver, runReferenceCluster} from './reference-cluster.js'

describe('reference tiers: laws', () => {
  it('nobody is lost, no block leaks, no pool is too full or has a block twice, and loads are of what was there', () =>
    fc.assert(
      fc.property(tieredClusterSpecs, (spec) => {
        const given = buildCluster(spec)
        const look: ClusterObserver = (now, {pools, writers, transfers}) => {
          for (const {identities, blocks} of pools) {
            if (identities.length > blocks) throw new Error('a pool has more than it has room for')
            if (new Set(identities).size < identities.length)
              throw new Error('a block is there twice')
          }
          for (const writer of writers.flat()) {
            if (writer.waiting.length > writer.maxWaiting) throw new Error('too many wait')
            // At the end of an instant nobody is idle who has something to do.
            if (!writer.isWriting && writer.waiting.length > 0) throw new Error('a writer sleeps')
          }
          for (const {of, start, tier, identities} of transfers) {
            if (!('load' in of) || start < now) continue
            const {pool} = writers[of.load.instance]![tier]!
            if (!identities.every((identity) => pool.identities.includes(identity)))
              throw new Error('what is loaded is not there')
          }
        }
        const result = runReferenceCluster(given, look)
        const {outputTokens, inputTokens} = given.trace
        for (const [row, outcome] of result.rows.entries()) {
          if (outcome === undefined) throw new Error(`row ${row} never ends`)
          if (outcome.status !== 'completed') continue
          const isWhole = outcome.producedTokens === outputTokens[row]
          if (!isWhole || outcome.cachedTokens >= inputTokens[row]!)
            throw new Error(`row ${row} ends before it is done`)
        }
        const blocks = given.members.map(({config}) => config.blocks)
        expect(result.freeBlocksAtEnd).to.deep.equal(blocks)
      }),
      {numRuns: 200, seed: 2},
    ))

  it('visit every corner', () => {
    const visits = new Map<string, number>()
    for (const spec of fc.sample(tieredClusterSpecs, {numRuns: 300, seed: 1}))
      for (const corner of runReferenceCluster(buildCluster(spec)).corners)
        visits.set(corner, (visits.get(corner) ?? 0) + 1)
    for (const [corner, least] of Object.entries({
      loaded: 100,
      'loaded from two tiers': 5,
      'load of a preempted request': 20,
      'load of own blocks': 10,
      'load blocked by blocks': 20,
      'loaded, but seats full': 1,
      'cancelled: loading': 1,
      promoted: 10,
      dropped: 50,
      'written through': 50,
      'written on eviction': 50,
      'written through to a further tier': 50,
      'pushed down': 20,
      'hit in device and tier': 50,
      'load of a kept prompt': 10,
    }))
      expect(visits.get(corner) ?? 0, corner).to.be.at.least(least)
  })
})
