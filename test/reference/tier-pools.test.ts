/** Pools and writers of docs/memory-tiers.md by hand, without an engine. */

import {expect} from 'chai'
import {type PoolOf, ReferenceTiers} from './reference-tiers.js'
import {sevenAndThree} from './tiers-scenario.js'

/** Tiers of one engine, without it: 3 ns for a write, 7 for a read. */
const tiersOf = (pools: readonly (PoolOf & {maxPending?: number})[], engines = 1) => {
  const writers = pools.map(({maxPending = 9}, pool) => ({pool, maxPending}))
  const of = Array.from({length: engines}, () => writers)
  return new ReferenceTiers({of, pools, transfer: sevenAndThree})
}

/** Everything that is offered and pushed down, written until nothing is left to write. */
const settle = (tiers: ReferenceTiers, from: number): number => {
  let now = from
  for (tiers.startWriters(now); tiers.next() < Number.POSITIVE_INFINITY; tiers.startWriters(now)) {
    now = tiers.next()
    tiers.end(now)
  }
  return now
}

const held = ({pools}: ReferenceTiers) => pools.map(({identities}) => identities.join(''))
const dropped = ({writers}: ReferenceTiers) => writers.flat().map((writer) => writer.dropped)

describe('reference tiers: pools and writers', () => {
  it('make a list the youngest, in its order, and the oldest goes', () => {
    const tiers = tiersOf([{blocks: 3, write: 'through'}])
    tiers.of(0)!.offerComputed(['a', 'b', 'c'])
    const now = settle(tiers, 0)
    tiers.of(0)!.offerComputed(['d', 'e'])
    settle(tiers, now)
    expect(held(tiers)).to.deep.equal(['cde'])
  })

  it('make the youngest what is used, in every tier that has it', () => {
    const tiers = tiersOf([
      {blocks: 3, write: 'through'},
      {blocks: 2, write: 'through'},
    ])
    tiers.of(0)!.offerComputed(['a', 'b', 'c'])
    settle(tiers, 0)
    // The writer of tier 2 keeps no more than the tier has room for.
    expect(held(tiers)).to.deep.equal(['abc', 'ab'])
    expect(dropped(tiers)).to.deep.equal([0, 1])
    tiers.of(0)!.use(['x', 'b', 'a'])
    expect(held(tiers)).to.deep.equal(['cba', 'ba'])
  })

  it('write all that waits as one transfer, one at a time', () => {
    const tiers = tiersOf([{blocks: 9, write: 'through'}])
    const nearest = tiers.of(0)!
    nearest.offerComputed(['a'])
    tiers.startWriters(0)
    nearest.offerComputed(['b'])
    tiers.startWriters(1)
    nearest.offerComputed(['c'])
    tiers.end(3)
    tiers.startWriters(3)
    expect(
      tiers.transfers.map(({start, identities}) => [start, identities.join('')]),
    ).to.deep.equal([[3, 'bc']])
  })

  it('drop what finds as many waiting as may, and know nothing of what is under way', () => {
    const tiers = tiersOf([{blocks: 9, write: 'through', maxPending: 2}])
    const nearest = tiers.of(0)!
    nearest.offerComputed(['a', 'b', 'c'])
    expect(dropped(tiers)).to.deep.equal([1])
    tiers.startWriters(0)
    nearest.offerComputed(['d', 'a'])
    expect(dropped(tiers)).to.deep.equal([1])
    settle(tiers, 0)
    expect(held(tiers)).to.deep.equal(['bda'])
    // Nothing happens to what is there, nor does it become younger.
    nearest.offerComputed(['b'])
    expect(settle(tiers, 9)).to.equal(9)
    expect(held(tiers)).to.deep.equal(['bda'])
  })

  it('take only what their way of writing gives them', () => {
    const lazy = tiersOf([{blocks: 9, write: 'on eviction'}])
    lazy.of(0)!.offerComputed(['a'])
    lazy.of(0)!.offerEvicted('b')
    const eager = tiersOf([{blocks: 9, write: 'through'}])
    eager.of(0)!.offerComputed(['a'])
    eager.of(0)!.offerEvicted('b')
    settle(lazy, 0)
    settle(eager, 0)
    expect([...held(lazy), ...held(eager)]).to.deep.equal(['b', 'a'])
  })

  it('hand a list on through, as it ends, and on eviction what it pushes out', () => {
    const written = (write: PoolOf['write']) => {
      const tiers = tiersOf([
        {blocks: 2, write: 'through'},
        {blocks: 9, write},
      ])
      tiers.of(0)!.offerComputed(['a', 'b'])
      expect(settle(tiers, 0)).to.equal(write === 'through' ? 6 : 3)
      tiers.of(0)!.offerComputed(['c'])
      settle(tiers, 6)
      return held(tiers)
    }
    expect(written('through')).to.deep.equal(['bc', 'abc'])
    expect(written('on eviction')).to.deep.equal(['bc', 'a'])
  })

  it('push down by the writer of the engine whose list entered', () => {
    const tiers = tiersOf(
      [
        {blocks: 1, write: 'through'},
        {blocks: 9, write: 'on eviction'},
      ],
      2,
    )
    tiers.of(0)!.offerComputed(['a'])
    tiers.startWriters(0)
    tiers.end(3)
    tiers.of(1)!.offerComputed(['b'])
    tiers.startWriters(3)
    tiers.end(6)
    expect(tiers.writers.map(([, second]) => second!.waiting.join())).to.deep.equal(['', 'a'])
  })

  it('let loaded blocks into the tiers between that are written through, the last block first', () => {
    const tiers = tiersOf([
      {blocks: 2, write: 'through'},
      {blocks: 9, write: 'on eviction'},
      {blocks: 9, write: 'through'},
    ])
    const blocks = ['p', 'q', 'r'].map((identity, k) => ({k, identity, tier: k === 1 ? 1 : 2}))
    tiers.startLoad({instance: 0, row: 0, blocks}, 0)
    expect(tiers.transfers.map(({tier, identities}) => [tier, identities.join('')])).to.deep.equal([
      [1, 'q'],
      [2, 'pr'],
    ])
    expect(tiers.end(7)).to.have.length(1)
    // r came first and went first: tier 2 takes it as it takes whatever goes.
    expect(held(tiers)).to.deep.equal(['qp', '', ''])
    expect(tiers.writers[0]!.map(({waiting}) => waiting.join())).to.deep.equal(['', 'r', ''])
  })
})
