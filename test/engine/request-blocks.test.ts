import {expect} from 'chai'
import {BlockPool} from '#llmsim/engine/block-pool.js'
import {evenSpans, type PrefixIdentity} from '#llmsim/engine/prefix-identity.js'
import {RequestBlocks} from '#llmsim/engine/request-blocks.js'
import {RequestPool} from '#llmsim/engine/request-pool.js'

/** Rows below 10 share everything, as far as 3 blocks of 4 are known. */
const identity = evenSpans({
  knownBlocks: () => 3,
  spanBlocks: 1,
  spanId: (row, span) => (row < 10 ? 100 + span : 1000 * row + span),
})

/** Rows below 10 are alike in 11 blocks: two whole spans of 4 blocks and 3 of a third. The others have their own. */
const inSpans = evenSpans({
  knownBlocks: () => 11,
  spanBlocks: 4,
  spanId: (row, span) => (row < 10 ? 100 + span : 1000 * row + span),
})

interface Setting {
  ownBlocks?: boolean
  enablePrefixCaching?: boolean
  identity?: PrefixIdentity
}

/** Pieces of a request in order of blocks: piece, block behind it, … */
const piecesOf = ({piece, pieceEnd, furtherPieces}: RequestPool, slot: number): number[] =>
  piece[slot] === -1 ? [] : [piece[slot]!, pieceEnd[slot]!, ...(furtherPieces.get(slot) ?? [])]

const setUp = ({identity: known = identity, ...rules}: Setting = {}) => {
  const requests = new RequestPool()
  const pool = new BlockPool(20)
  const blocks = new RequestBlocks({
    pool,
    requests,
    identity: known,
    rules: {
      blockSize: 4,
      enablePrefixCaching: true,
      ownBlocks: true,
      ...rules,
    },
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
    expect([requests.entered[slot], piecesOf(requests, slot).length]).deep.equal([1, 2])
    blocks.extend(slot, 7, 8)
    const two = piecesOf(requests, slot).slice()
    blocks.extend(slot, 8, 22)
    expect(piecesOf(requests, slot).slice(0, 4)).deep.equal(two)
    expect([requests.entered[slot], piecesOf(requests, slot).length]).deep.equal([3, 6])
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

  it('finds what is left of an older preemption behind what it computed since', () => {
    const {blocks, arrive, requests} = setUp()
    const slot = arrive(0, 41)
    blocks.extend(slot, 0, 40)
    blocks.giveBack(slot, 40)
    // It takes 4 of its 10 blocks, computes two anew, and is preempted again.
    requests.reached[slot] = 17
    blocks.adopt(slot, blocks.match(slot))
    blocks.extend(slot, 16, 24)
    blocks.giveBack(slot, 24)
    requests.reached[slot] = 41
    expect(blocks.match(slot)).include({tokens: 40, own: 7, unheld: 10})
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

  describe('where several blocks are a span', () => {
    const ends = (pieces: readonly number[]) => pieces.filter((_, i) => i % 2 === 1)

    it('enters them as one piece of each span, however many steps they took', () => {
      const {blocks, arrive, requests, pool} = setUp({identity: inSpans})
      const slot = arrive(0, 60)
      for (let tokens = 0; tokens < 60; tokens += 3) blocks.extend(slot, tokens, tokens + 3)
      expect(requests.entered[slot]).equal(11)
      expect(ends(piecesOf(requests, slot))).deep.equal([4, 4, 3])
      expect([0, 1, 2].map((span) => pool.index.find(100 + span, 0))).deep.equal(
        piecesOf(requests, slot).filter((_, i) => i % 2 === 0),
      )
    })

    it('finds a part of a span, and lets go of it alone', () => {
      const {blocks, arrive, pool} = setUp({identity: inSpans})
      const first = arrive(0, 60)
      blocks.extend(first, 0, 44)
      // 26 tokens: 6 blocks leave two tokens to compute.
      const second = arrive(1, 26)
      const match = blocks.match(second)
      expect(match).include({tokens: 24, shared: 6, own: 0, unheld: 0})
      expect(ends(match.pieces)).deep.equal([4, 2])
      blocks.adopt(second, match)
      expect(pool.used).equal(11)
      blocks.leave(first, 44)
      expect(pool.used).equal(6)
      blocks.leave(second, 24)
      expect(pool.used).equal(0)
    })

    it('counts hits that nobody holds block by block', () => {
      const {blocks, arrive} = setUp({identity: inSpans})
      const [first, second] = [arrive(0, 60), arrive(1, 60)]
      blocks.extend(first, 0, 44)
      const sharer = arrive(2, 21)
      blocks.adopt(sharer, blocks.match(sharer))
      blocks.leave(first, 44)
      // 5 of 11 are held by the one that is left.
      expect(blocks.match(second)).include({tokens: 44, unheld: 6})
    })

    it('begins a piece of its own behind blocks that others hold as well', () => {
      const {blocks, arrive, requests, pool} = setUp({identity: inSpans})
      const first = arrive(0, 60)
      blocks.extend(first, 0, 8)
      const second = arrive(1, 60)
      blocks.adopt(second, blocks.match(second))
      blocks.extend(second, 8, 16)
      expect(ends(piecesOf(requests, second))).deep.equal([2, 4])
      blocks.leave(second, 16)
      // The first has its two, and the others can be found behind them.
      expect(pool.used).equal(2)
      expect(blocks.match(arrive(2, 60))).include({tokens: 16, unheld: 2})
    })

    it('goes on after a preemption where it finds them, own blocks included', () => {
      const {blocks, arrive, requests, pool} = setUp({identity: inSpans})
      const slot = arrive(0, 60)
      blocks.extend(slot, 0, 55)
      blocks.giveBack(slot, 55)
      expect([pool.used, requests.entered[slot], piecesOf(requests, slot)]).deep.equal([0, 0, []])
      const match = blocks.match(slot)
      expect(match).include({tokens: 52, shared: 11, own: 2, unheld: 13})
      blocks.adopt(slot, match)
      expect([pool.used, requests.entered[slot]]).deep.equal([13, 11])
      blocks.extend(slot, 52, 60)
      blocks.leave(slot, 60)
      expect(pool.used).equal(0)
    })

    it('is evicted from the end of its last span', () => {
      const {blocks, arrive, pool} = setUp({identity: inSpans})
      const slot = arrive(0, 60)
      blocks.extend(slot, 0, 44)
      blocks.leave(slot, 44)
      pool.take(9 + 4)
      expect(blocks.match(arrive(1, 60)).tokens).equal(28)
    })
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
