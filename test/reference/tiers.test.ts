/** docs/memory-tiers.md, sentence by sentence, by hand. Blocks of 4 tokens, steps of 10 ns, loads of 7, writes of 3. */

import {expect} from 'chai'
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
    expect(rows[2]).to.include({status: 'cancelled', cachedTokens: 0})
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

  it('lets an engine with nothing in flight look again as what a pool holds changes', () => {
    // 2 of 5 blocks are kept from 210 to 230. The last would load 1 and 2, for which it needs 4 blocks. At 213 the kept
    // ones have pushed both out of the tier, and 8 tokens, which need 2 blocks, are computed.
    const rows: Row[] = [
      {at: 0, input: 9, output: 2, ids: [1, 2]},
      {at: 100, input: 20, output: 2, leaves: 125},
      {at: 200, input: 8, output: 2},
      {at: 200, input: 16, output: 2, ids: [1, 2]},
    ]
    const given = caseOf({rows, config: {enablePrefixCaching: true}})
    const small = {blocks: 5, maxNumBatchedTokens: 8, reserveFullPrompt: false}
    const run = playMembers(
      [
        {...given, config: {...given.config, ...small}, role: 'prefill'},
        {...given, role: 'decode'},
      ],
      {
        of: [[{pool: 0, maxPending: 9}]],
        pools: [{blocks: 2, write: 'through'}],
        transfer: sevenAndThree,
      },
    )
    expect([run.pool(0, 212), run.pool(0, 213)]).to.deep.equal(['id 2,id 1', 'own 2 1,own 2 0'])
    expect(run.rows[3]).to.include({scheduledAt: 213, cachedTokens: 0})
  })
})
