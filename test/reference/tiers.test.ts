/** docs/memory-tiers.md, sentence by sentence, by hand. Blocks of 4 tokens, steps of 10 ns, loads of 7, writes of 3. */

import {expect} from 'chai'
import fc from 'fast-check'
import {buildCluster, tieredClusterSpecs} from './cluster-spec.js'
import {type ClusterObserver, runReferenceCluster} from './reference-cluster.js'
import {type PoolOf, ReferenceTiers} from './reference-tiers.js'
import {caseOf, type Row} from './scenario.js'
import {playMembers, playTiered, sevenAndThree, type TieredScenario} from './tiers-scenario.js'

const through = [{blocks: 10, write: 'through' as const}]
const onEviction = [{blocks: 10, write: 'on eviction' as const}]

/** Blocks 1 and 2 go to the tier; then somebody who leaves, and so offers nothing, takes all blocks of the device. */
const seen = (device: number): Row[] => [
  {at: 0, input: 9, output: 1, ids: [1, 2]},
  {at: 100, input: 4 * device, output: 1, leaves: 105},
]

const afterwards = (device: number, rows: readonly Row[], more: Partial<TieredScenario> = {}) =>
  playTiered({
    tiers: through,
    ...more,
    rows: [...seen(device), ...rows],
    config: {blocks: device, ...more.config},
  })

const again = {at: 200, input: 9, output: 1, ids: [1, 2]}

describe('reference tiers: what is looked up', () => {
  it('is loaded where the device lost it', () => {
    const {rows, pool, ...run} = afterwards(3, [again])
    expect(pool(0, 13)).to.equal('id 2,id 1')
    // 7 ns for 8 tokens, then a step for the last.
    expect(rows[2]).to.include({scheduledAt: 207, firstTokenAt: 217, cachedTokens: 8})
    expect([run.lookedUpTokens, run.hitTokens, run.tierHitTokens]).to.deep.equal([30, 0, [8]])
  })

  it('leaves one token to compute', () => {
    const {rows} = afterwards(3, [{...again, input: 8}])
    expect(rows[2]).to.include({scheduledAt: 207, cachedTokens: 4})
  })

  it('ends at the first block that no tier has', () => {
    const none = afterwards(3, [{...again, ids: [9, 2]}])
    expect(none.rows[2]).to.include({scheduledAt: 200, cachedTokens: 0})
    const one = afterwards(3, [{...again, ids: [1, 9]}])
    expect(one.rows[2]).to.include({scheduledAt: 207, cachedTokens: 4})
  })

  it('begins behind the blocks that the device has', () => {
    // X gives b2 b1 b0 back. Y takes b2 b1, so the device has lost 2 and still has 1.
    const rows = [
      {at: 0, input: 9, output: 1, ids: [1, 2]},
      {at: 100, input: 8, output: 1, leaves: 105},
      again,
    ]
    const run = playTiered({tiers: through, rows, config: {blocks: 3}})
    expect(run.rows[2]).to.include({scheduledAt: 207, cachedTokens: 8})
    expect([run.hitTokens, run.tierHitTokens]).to.deep.equal([4, [4]])
  })

  it('leaves a request alone whose KV another engine has', () => {
    // The second takes all blocks at 110 and leaves; the tier has what the third could load at 210.
    const gone = {at: 100, input: 12, output: 1, leaves: 115}
    const given = caseOf({rows: [{at: 0, input: 9, output: 1, ids: [1, 2]}, gone, again]})
    const member = {...given, config: {...given.config, blocks: 3, enablePrefixCaching: true}}
    const small = {...member, config: {...member.config, blocks: 100, enablePrefixCaching: false}}
    const run = playMembers(
      [
        {...member, role: 'decode'},
        {...small, role: 'prefill'},
      ],
      {of: [[{pool: 0, maxPending: 9}]], pools: through, transfer: sevenAndThree},
    )
    // KV that arrives at 30 is written then.
    expect([run.pool(0, 32), run.pool(0, 33)]).to.deep.equal(['', 'id 2,id 1'])
    expect(run.rows[2]).to.include({firstTokenAt: 240, cachedTokens: 0})
    expect(run.moments.some(({reads}) => reads > 0)).to.equal(false)
  })
})

describe('reference tiers: loading', () => {
  it('waits for a seat', () => {
    const other = {at: 200, input: 4, output: 1}
    const {rows} = afterwards(6, [other, again], {config: {maxNumSeqs: 1}})
    expect(rows[3]).to.include({scheduledAt: 217})
  })

  it('waits for the blocks of the whole prompt, whatever the length of its first chunk', () => {
    // The other holds 2 of 5 blocks until 220. A chunk of 4 tokens would have had its block.
    const rows: Row[] = [
      {at: 0, input: 9, output: 1, ids: [1, 2]},
      {at: 100, input: 18, output: 1, leaves: 115},
      {at: 200, input: 5, output: 2},
      {at: 200, input: 16, output: 1, ids: [1, 2]},
    ]
    const config = {blocks: 5, maxNumBatchedTokens: 9, reserveFullPrompt: false}
    expect(playTiered({rows, tiers: through, config}).rows[3]).to.include({scheduledAt: 227})
    expect(playTiered({rows, tiers: [], config}).rows[3]).to.include({scheduledAt: 200})
  })

  it('lets the next one go ahead, and waits for the end of a batch in flight', () => {
    const {rows, moments} = afterwards(6, [again, {at: 200, input: 4, output: 1}])
    expect(rows[3]).to.include({scheduledAt: 200})
    expect(rows[2]).to.include({scheduledAt: 210, firstTokenAt: 220})
    // It took 3 blocks, the other 1.
    expect(moments.find(({now}) => now === 200)).to.include({freeBlocks: 2, reads: 1})
  })

  it('goes before those who hold no blocks', () => {
    const later = [
      {at: 200, input: 4, output: 1},
      {at: 201, input: 4, output: 1},
    ]
    const {rows} = afterwards(6, [again, ...later], {config: {maxNumSeqs: 1}})
    expect(rows.slice(2).map(({scheduledAt}) => scheduledAt)).to.deep.equal([210, 200, 220])
  })

  it('keeps the order of arrival among its like', () => {
    // The first loads for 8 ns, the second for 4: both are there at 210.
    const some = [again, {...again, input: 8, ids: [1, 5]}, {at: 200, input: 4, output: 1}]
    const transfer: TieredScenario['transfer'] = ({direction, blocks}) =>
      direction === 'read' ? 4 * blocks : 3
    const {rows} = afterwards(8, some, {config: {maxNumSeqs: 1}, transfer})
    expect(rows.slice(2).map(({scheduledAt}) => scheduledAt)).to.deep.equal([210, 220, 200])
  })

  it('needs budget for its whole rest without chunked prefill', () => {
    const rows: Row[] = [
      {at: 0, input: 9, output: 1, ids: [1, 2]},
      {at: 100, input: 20, output: 1, leaves: 105},
      {at: 101, input: 20, output: 1, leaves: 115},
      {at: 200, input: 20, output: 1, ids: [1, 2]},
      {at: 200, input: 20, output: 1, ids: [1, 2]},
    ]
    const config = {blocks: 10, maxNumBatchedTokens: 20}
    const scheduled = (enableChunkedPrefill: boolean) => {
      const run = playTiered({rows, tiers: through, config: {...config, enableChunkedPrefill}})
      return run.rows.slice(3).map(({scheduledAt}) => scheduledAt)
    }
    // Each has 12 tokens left.
    expect(scheduled(false)).to.deep.equal([207, 217])
    expect(scheduled(true)).to.deep.equal([207, 207])
  })

  it('gives the blocks back when the client leaves, and ends the transfer', () => {
    const {rows, moments} = afterwards(3, [
      {...again, leaves: 203},
      {at: 201, input: 12, output: 1},
    ])
    expect(moments.find(({now}) => now === 200)).to.include({freeBlocks: 0, reads: 1})
    expect(moments.find(({now}) => now === 203)).to.include({freeBlocks: 0, reads: 0})
    expect(rows[2]).to.include({status: 'cancelled', cachedTokens: 8})
    expect(rows[2]?.scheduledAt).to.be.NaN
    expect(rows[3]).to.include({scheduledAt: 203})
  })

  it('brings back what a preempted request had', () => {
    // At 10 A takes the third block and B goes; at 50 A takes that of B. At 70 A ends and B loads 4 of its 5 tokens.
    const rows = [
      {at: 0, input: 4, output: 7},
      {at: 0, input: 4, output: 2},
    ]
    const run = playTiered({rows, tiers: through, config: {blocks: 3}})
    expect(run.pool(0, 13)).to.equal('own 1 0')
    expect(run.rows[1]).to.include({preemptions: 1, scheduledAt: 0, finishedAt: 87})
    // Counted when it first had a seat, and never again.
    expect(run.rows[1]).to.include({cachedTokens: 0})
    expect([run.lookedUpTokens, run.tierHitTokens]).to.deep.equal([8, [0]])
    expect(run.pool(0, 100)).to.equal('own 1 0,own 0 1,own 0 0')
  })

  it('takes from two tiers at once; the last to arrive ends it', () => {
    // Chunks of 8 and 5. Tier 1 has room for two: 2 and 1 enter at 13, 3 at 23, and 2 is pushed down.
    const rows: Row[] = [
      {at: 0, input: 13, output: 1, ids: [1, 2, 3]},
      {at: 100, input: 16, output: 1, leaves: 115},
      {at: 200, input: 13, output: 1, ids: [1, 2, 3]},
    ]
    const run = playTiered({
      rows,
      tiers: [
        {blocks: 2, write: 'through'},
        {blocks: 10, write: 'on eviction'},
      ],
      config: {blocks: 4, maxNumBatchedTokens: 8},
      transfer: ({direction, tier}) => (direction === 'write' ? 3 : 5 + 4 * tier),
    })
    expect(run.pool(0, 23)).to.equal('id 1,id 3')
    expect([run.pool(1, 25), run.pool(1, 26)]).to.deep.equal(['', 'id 2'])
    expect(run.rows[2]).to.include({scheduledAt: 209, cachedTokens: 12})
    expect(run.tierHitTokens).to.deep.equal([8, 4])
    // Used last block first; at 209 block 2 passes through tier 1 and pushes 3 down.
    expect(run.pool(0, 200)).to.equal('id 3,id 1')
    expect(run.pool(0, 209)).to.equal('id 1,id 2')
    expect([run.pool(1, 211), run.pool(1, 212)]).to.deep.equal(['id 2', 'id 2,id 3'])
  })
})

describe('reference tiers: what is offered', () => {
  it('is what a plan entered, as its batch ends, by arrival and last block first', () => {
    const rows = [
      {at: 0, input: 9, output: 2, ids: [1, 2]},
      {at: 0, input: 9, output: 2, ids: [3, 4], priority: -1},
    ]
    const {written, pool} = playTiered({rows, tiers: through, config: {policy: 'priority'}})
    expect(written).to.deep.equal([{start: 10, tier: 0, list: 'id 2,id 1,id 4,id 3'}])
    expect([pool(0, 12), pool(0, 13)]).to.deep.equal(['', 'id 2,id 1,id 4,id 3'])
  })

  it('is what only the request can find as it finishes, behind the others', () => {
    // 4 known tokens, then 9 more: the plan at 0 enters both 1 and an own block.
    const rows = [{at: 0, input: 9, output: 5, ids: [1]}]
    const {written} = playTiered({rows, tiers: through})
    expect(written).to.deep.equal([
      {start: 10, tier: 0, list: 'id 1'},
      {start: 50, tier: 0, list: 'own 0 2,own 0 1'},
    ])
    const {written: none} = playTiered({rows, tiers: through, config: {ownBlocks: false}})
    expect(none).to.have.length(1)
  })

  it('is nothing of a request that is cancelled', () => {
    const rows = [{at: 0, input: 9, output: 1, ids: [1], leaves: 5}]
    expect(playTiered({rows, tiers: through}).written).to.deep.equal([])
  })

  it('is nothing that was loaded', () => {
    const {written} = afterwards(3, [{...again, input: 13, ids: [1, 2, 3], output: 1}], {
      config: {blocks: 4},
    })
    expect(written.map(({list}) => list)).to.deep.equal(['id 2,id 1', 'id 3'])
  })

  it('is, on eviction, what the device takes for other tokens, in that order', () => {
    const {written, rows} = afterwards(3, [again], {tiers: onEviction})
    // b2 holds one token only.
    expect(written[0]).to.deep.equal({start: 100, tier: 0, list: 'id 2,id 1'})
    expect(rows[2]).to.include({scheduledAt: 207, cachedTokens: 8})
  })

  it('is not a block that the device cannot find any more', () => {
    // b0 and then b1 hold block 1. At 200 b2 and b0 are taken, at 300 b1.
    const rows = [
      {at: 0, input: 4, output: 1, ids: [1]},
      {at: 100, input: 4, output: 1, ids: [1]},
      {at: 200, input: 8, output: 1},
      {at: 300, input: 4, output: 1},
    ]
    const {written} = playTiered({rows, tiers: onEviction, config: {blocks: 3}})
    expect(written).to.deep.equal([{start: 300, tier: 0, list: 'id 1'}])
  })

  it('is a kept prompt as it finishes', () => {
    const given = caseOf({rows: [{at: 0, input: 9, output: 2}]})
    const member = {...given, config: {...given.config, enablePrefixCaching: true}}
    const run = playMembers(
      [
        {...member, role: 'prefill'},
        {...member, role: 'decode'},
      ],
      {of: [[{pool: 0, maxPending: 9}]], pools: through, transfer: sevenAndThree},
    )
    expect(run.written).to.deep.equal([{start: 10, tier: 0, list: 'own 0 1,own 0 0'}])
  })
})

describe('reference tiers: the order of an instant', () => {
  it('ends transfers before engines plan', () => {
    // What the device takes at 100 is written as its batch ends, or 1 ns later.
    const cached = (time: number) => {
      const rows: Row[] = [
        {at: 0, input: 9, output: 1, ids: [1, 2]},
        {at: 100, input: 12, output: 1},
        {...again, at: 110},
      ]
      const transfer = () => time
      const run = playTiered({rows, tiers: onEviction, config: {blocks: 3}, transfer})
      return run.rows[2]?.cachedTokens
    }
    expect([cached(10), cached(11)]).to.deep.equal([8, 0])
  })

  it('ends batches, which offer, before transfers, and starts writers behind them', () => {
    // Both compute block 1, in 10 and in 20 ns. It enters the pool of both at 20, behind the second offer.
    const rows = [
      {at: 0, input: 4, output: 1, ids: [1]},
      {at: 0, input: 4, output: 1, ids: [1]},
    ]
    const given = caseOf({rows, config: {enablePrefixCaching: true}})
    const written = (transfer: () => number) =>
      playMembers([given, {...given, stepTime: () => 20}], {
        of: [0, 1].map(() => [{pool: 0, maxPending: 9}]),
        pools: through,
        transfer,
      }).written.map(({start}) => start)
    expect(written(() => 10)).to.deep.equal([10, 20])
    expect(written(() => 9)).to.deep.equal([10])
  })
})

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
