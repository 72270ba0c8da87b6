import {expect} from 'chai'
import {BlockPool} from '#llmsim/engine/block-pool.js'
import type {PrefixIdentity} from '#llmsim/engine/prefix-identity.js'
import {RequestBlocks} from '#llmsim/engine/request-blocks.js'
import {RequestPool} from '#llmsim/engine/request-pool.js'

/** Rows below 10 share everything, as far as 3 blocks of 4 are known. */
const identity: PrefixIdentity = {
  knownBlocks: () => 3,
  blockId: (row, block) => (row < 10 ? 100 + block : 1000 * row + block),
}

const setUp = (rules: {ownBlocks?: boolean; enablePrefixCaching?: boolean} = {}) => {
  const requests = new RequestPool()
  const pool = new BlockPool(20)
  const blocks = new RequestBlocks(pool, requests, identity, {
    blockSize: 4,
    enablePrefixCaching: true,
    ownBlocks: true,
    ...rules,
  })
  const arrive = (row: number, reached: number): number => {
    const slot = requests.take()
    requests.row[slot] = row
    requests.reached[slot] = reached
    requests.shareable[slot] = blocks.shareable(row)
    return slot
  }
  return {requests, pool, blocks, arrive}
}

describe('RequestBlocks', () => {
  it('needs a block for each begun size, less those it has', () => {
    const {blocks} = setUp()
    expect([0, 1, 4, 5, 8].map((tokens) => blocks.count(tokens))).deep.equal([0, 1, 1, 2, 2])
    expect([blocks.needed(0, 9), blocks.needed(4, 5), blocks.needed(5, 8)]).deep.equal([3, 1, 0])
  })

  it('enters full blocks, once, as far as they are known', () => {
    const {blocks, pool, arrive, requests} = setUp()
    const slot = arrive(0, 30)
    blocks.extend(slot, 0, 7)
    expect(requests.entries[slot]).lengthOf(1)
    blocks.extend(slot, 7, 8)
    const two = requests.entries[slot]!.slice()
    blocks.extend(slot, 8, 22)
    expect(requests.entries[slot]!.slice(0, 2)).deep.equal(two)
    expect(requests.entries[slot]).lengthOf(3)
    expect(pool.used).equal(6)
  })

  it('finds at most what leaves one token to compute', () => {
    const {blocks, arrive} = setUp()
    blocks.extend(arrive(0, 30), 0, 12)
    const hits = [4, 5, 8, 9, 12, 13, 99].map((reached) => blocks.match(arrive(1, reached)).tokens)
    expect(hits).deep.equal([0, 4, 4, 8, 8, 12, 12])
  })

  it('counts hits that nobody holds, as they take free blocks', () => {
    const {blocks, arrive} = setUp()
    const first = arrive(0, 30)
    blocks.extend(first, 0, 12)
    const second = arrive(1, 30)
    expect(blocks.match(second).unheld).equal(0)
    blocks.leave(first, 12)
    expect(blocks.match(second)).include({tokens: 12, unheld: 3})
  })

  it('adopts what it found', () => {
    const {blocks, pool, arrive} = setUp()
    const first = arrive(0, 30)
    blocks.extend(first, 0, 12)
    blocks.leave(first, 12)
    expect(pool.used).equal(0)
    const second = arrive(1, 30)
    blocks.adopt(second, blocks.match(second))
    expect(pool.used).equal(3)
    blocks.leave(second, 12)
    expect(pool.used).equal(0)
  })

  it('lets a preempted request find its own full blocks behind shared ones', () => {
    const {blocks, pool, arrive} = setUp()
    const slot = arrive(0, 30)
    blocks.extend(slot, 0, 23)
    blocks.giveBack(slot, 23)
    expect(pool.used).equal(0)
    expect(blocks.match(slot)).include({tokens: 20, own: 2, unheld: 5})
    expect(blocks.match(arrive(1, 30))).include({tokens: 12, own: 0})
  })

  it('finds no own blocks behind a shared one that is gone', () => {
    const {blocks, pool, arrive} = setUp()
    const slot = arrive(0, 30)
    blocks.extend(slot, 0, 23)
    blocks.giveBack(slot, 23)
    // 14 blocks that were never used, the torn one, two own ones, and the last shared.
    pool.take(14 + 1 + 2 + 1)
    expect(blocks.match(slot)).include({tokens: 8, own: 0})
  })

  it('has no own blocks where they are switched off, and no hits without a cache', () => {
    for (const [rules, tokens] of [
      [{ownBlocks: false}, 12],
      [{enablePrefixCaching: false}, 0],
    ] as const) {
      const {blocks, pool, arrive} = setUp(rules)
      const slot = arrive(0, 30)
      blocks.extend(slot, 0, 23)
      blocks.giveBack(slot, 23)
      expect(blocks.match(slot).tokens).equal(tokens)
      expect(pool.used).equal(0)
    }
  })

  it('remembers a look-up until it may be wrong', () => {
    const {blocks, pool, arrive} = setUp()
    const first = arrive(0, 30)
    blocks.extend(first, 0, 8)
    const second = arrive(1, 30)
    expect(blocks.match(second).tokens).equal(8)
    const {work} = pool
    blocks.match(second)
    expect(pool.work).equal(work)
    blocks.extend(first, 8, 12)
    expect(blocks.match(second).tokens).equal(12)
  })
})
