import {expect} from 'chai'
import fc from 'fast-check'
import {BlockPool} from '#llmsim/engine/block-pool.js'
import {type Block, BlockPool as PlainPool} from '../reference/block-pool.js'

/** Takes one block and enters it as the only one of a span, as a request does that fills it. */
const fill = (pool: BlockPool, span: number): number => {
  pool.take(1)
  return pool.index.enter(span, 0, 1)
}

const found = (pool: BlockPool, ...spans: number[]): number[] =>
  spans.filter((span) => pool.index.find(span, 0) >= 0)

describe('BlockPool', () => {
  it('counts what is free and used', () => {
    const pool = new BlockPool(10)
    pool.take(7)
    expect([pool.free, pool.used, pool.total]).deep.equal([3, 7, 10])
    pool.givePlain(0)
    pool.givePlain(7)
    expect([pool.free, pool.used]).deep.equal([10, 0])
  })

  it('without a block has nothing to give', () => {
    const pool = new BlockPool(0)
    pool.take(0)
    expect([pool.free, pool.work]).deep.equal([0, 0])
  })

  it('evicts in the order in which blocks were given back, not in that of their filling', () => {
    const pool = new BlockPool(3)
    const [a, b, c] = [fill(pool, 1), fill(pool, 2), fill(pool, 3)]
    for (const piece of [b, a, c]) pool.release(piece, 1)
    expect(found(pool, 1, 2, 3)).deep.equal([1, 2, 3])
    pool.take(1)
    expect(found(pool, 1, 2, 3)).deep.equal([1, 3])
    pool.take(1)
    expect(found(pool, 1, 2, 3)).deep.equal([3])
  })

  it('takes plain blocks that lie before a piece first', () => {
    const pool = new BlockPool(5)
    pool.release(fill(pool, 1), 1)
    pool.take(4)
    expect(found(pool, 1)).deep.equal([1])
    pool.take(1)
    expect(found(pool, 1)).deep.equal([])
  })

  it('takes plain blocks that were given back after a piece last', () => {
    const pool = new BlockPool(5)
    const piece = fill(pool, 1)
    pool.take(4)
    pool.release(piece, 1)
    pool.givePlain(4)
    pool.take(1)
    expect([found(pool, 1), pool.free]).deep.equal([[], 4])
  })

  it('lets several hold a block; it is free when the last lets go', () => {
    const pool = new BlockPool(2)
    const piece = fill(pool, 1)
    const {index} = pool
    pool.hold(piece, 1)
    pool.release(piece, 1)
    expect([index.isHeld(piece), pool.free]).deep.equal([true, 1])
    pool.release(piece, 1)
    expect([index.isHeld(piece), pool.free]).deep.equal([false, 2])
    pool.hold(piece, 1)
    expect([index.isHeld(piece), pool.free]).deep.equal([true, 1])
  })

  it('finds the newer of two copies; the older one takes its memory along, not its name', () => {
    const pool = new BlockPool(3)
    const older = fill(pool, 1)
    const newer = fill(pool, 1)
    expect(pool.index.find(1, 0)).equal(newer)
    pool.release(older, 1)
    pool.release(newer, 1)
    pool.take(2)
    expect(pool.index.find(1, 0)).equal(newer)
    pool.take(1)
    expect(pool.index.find(1, 0)).equal(-1)
  })

  it('takes from runs of all kinds at once, in their order', () => {
    const pool = new BlockPool(12)
    pool.take(12)
    const piece = pool.index.enter(1, 0, 4)
    pool.givePlain(2)
    pool.giveOwn(5, 0, 3)
    pool.release(piece, 4)
    pool.givePlain(3)
    pool.take(2 + 2)
    expect([pool.countOwn(5, 0, 99), pool.index.endOf(piece), pool.free]).deep.equal([1, 4, 8])
    pool.take(1 + 3)
    expect([pool.countOwn(5, 0, 99), pool.index.endOf(piece), pool.free]).deep.equal([0, 1, 4])
    pool.take(1 + 3)
    expect([found(pool, 1), pool.free]).deep.equal([[], 0])
  })

  describe('own blocks of a preempted request', () => {
    it('are found by it alone, from a block on, as far as asked', () => {
      const pool = new BlockPool(10)
      pool.take(8)
      pool.giveOwn(5, 2, 8)
      expect([
        pool.countOwn(5, 2, 99),
        pool.countOwn(5, 2, 4),
        pool.countOwn(5, 0, 99),
        pool.countOwn(6, 2, 99),
      ]).deep.equal([6, 2, 0, 0])
    })

    it('are none where it has no full block of its own', () => {
      const pool = new BlockPool(10)
      pool.take(4)
      pool.giveOwn(5, 3, 3)
      expect([pool.countOwn(5, 3, 99), pool.free]).deep.equal([0, 6])
    })

    it('are eaten from the last', () => {
      const pool = new BlockPool(6)
      pool.take(6)
      pool.giveOwn(5, 0, 6)
      pool.take(2)
      expect(pool.countOwn(5, 0, 99)).equal(4)
      pool.take(4)
      expect([pool.countOwn(5, 0, 99), pool.free]).deep.equal([0, 0])
    })

    it('come back to it, and what it leaves can still be eaten', () => {
      const pool = new BlockPool(6)
      pool.take(6)
      pool.giveOwn(5, 0, 6)
      pool.holdOwn(5, 0, 4)
      expect([pool.free, pool.countOwn(5, 4, 99)]).deep.equal([2, 2])
      pool.take(2)
      expect([pool.free, pool.countOwn(5, 4, 99)]).deep.equal([0, 0])
    })

    it('of two preemptions are walked as one', () => {
      const pool = new BlockPool(20)
      pool.take(20)
      pool.giveOwn(5, 0, 10)
      pool.holdOwn(5, 0, 4)
      // Four blocks, computed no further, and preempted again: the six behind them still lie there.
      pool.giveOwn(5, 0, 4)
      expect(pool.countOwn(5, 0, 99)).equal(10)
      pool.holdOwn(5, 0, 10)
      expect(pool.free).equal(0)
    })

    it('are nobody’s once it computed them anew, or left', () => {
      for (const lose of [
        (pool: BlockPool) => pool.replaceOwn(5, 6),
        (pool: BlockPool) => pool.forgetOwn(5),
      ]) {
        const pool = new BlockPool(6)
        pool.take(6)
        pool.giveOwn(5, 0, 6)
        lose(pool)
        expect([pool.countOwn(5, 0, 99), pool.free]).deep.equal([0, 6])
        pool.take(6)
        expect(pool.free).equal(0)
      }
    })
  })

  describe('watched for the blocked head of the queue', () => {
    const watched = () => {
      const pool = new BlockPool(6)
      const [first, other] = [fill(pool, 1), fill(pool, 2)]
      pool.release(first, 1)
      pool.take(3)
      pool.givePlain(2)
      pool.startWatch(5, 3)
      pool.index.watch(first)
      return {pool, first, other}
    }

    it('is quiet about what does not concern it', () => {
      const {pool, other} = watched()
      fill(pool, 4)
      pool.hold(other, 1)
      pool.release(other, 1)
      expect(pool.index.isDirty).equal(false)
    })

    const changes: Record<string, (pool: BlockPool, first: number) => void> = {
      'when a block of its match is held': (pool, first) => pool.hold(first, 1),
      'when one is evicted': (pool) => pool.take(4),
      'when one is replaced': (pool) => fill(pool, 1),
      'when the one that it missed appears': (pool) => fill(pool, 3),
    }
    for (const [when, change] of Object.entries(changes))
      it(`tells ${when}`, () => {
        const {pool, first} = watched()
        change(pool, first)
        expect(pool.index.isDirty).equal(true)
      })

    it('tells when its own blocks are eaten', () => {
      const pool = new BlockPool(4)
      pool.take(4)
      pool.giveOwn(5, 0, 4)
      pool.startWatch(6, Number.NaN)
      pool.take(1)
      expect(pool.index.isDirty).equal(false)
      pool.startWatch(5, Number.NaN)
      pool.take(1)
      expect(pool.index.isDirty).equal(true)
    })
  })

  it('is a list of blocks, for any requests that fill, share and leave', () => {
    const action = fc.record({
      owner: fc.nat(3),
      span: fc.integer({min: 1, max: 6}),
      count: fc.integer({min: 1, max: 4}),
      does: fc.constantFrom('fill', 'fill', 'take', 'share', 'leave'),
    })
    fc.assert(
      fc.property(fc.array(action, {maxLength: 150, size: 'max'}), (actions) => {
        const pool = new BlockPool(12)
        const plain = new PlainPool(12)
        const pieces = Array.from({length: 4}, (): number[] => [])
        const blocks = Array.from({length: 4}, (): Block[] => [])
        for (const {owner, span, count, does} of actions) {
          const mine = pieces[owner]!
          const own = blocks[owner]!
          const isOnlyPieces = own.length === mine.length
          if (does === 'fill' && isOnlyPieces && pool.free > 0) {
            mine.push(fill(pool, span))
            own.push(plain.take())
            plain.enter(own.at(-1)!, String(span))
          } else if (does === 'take' && pool.free >= count) {
            pool.take(count)
            for (let i = 0; i < count; i++) own.push(plain.take())
          } else if (does === 'share' && isOnlyPieces && pool.index.find(span, 0) >= 0) {
            mine.push(pool.index.find(span, 0))
            pool.hold(mine.at(-1)!, 1)
            own.push(...plain.lookUp([String(span)]))
            plain.hold(own.at(-1)!)
          } else if (does === 'leave') {
            pool.givePlain(own.length - mine.length)
            for (const piece of mine.reverse()) pool.release(piece, 1)
            plain.giveBack(own)
            pieces[owner] = []
            blocks[owner] = []
          }
          expect(pool.free).equal(plain.free.length)
          const known = [1, 2, 3, 4, 5, 6].filter((id) => plain.index.has(String(id)))
          expect(found(pool, 1, 2, 3, 4, 5, 6)).deep.equal(known)
        }
      }),
      {numRuns: 300, seed: 1},
    )
  })

  it('touches runs, not blocks', () => {
    const pool = new BlockPool(1_000_000)
    pool.take(600_000)
    pool.givePlain(300_000)
    pool.giveOwn(1, 0, 300_000)
    pool.take(999_999)
    expect(pool.work).lessThan(10)
  })
})
