import {expect} from 'chai'
import fc from 'fast-check'
import {BlockPool} from '#llmsim/engine/block-pool.js'
import {type Block, BlockPool as PlainPool} from '../reference/block-pool.js'

/** Takes blocks [low, top) of a span, and enters them as a request does that fills them. */
const fill = (pool: BlockPool, span: number, low: number, top: number): number => {
  pool.take(top - low)
  return pool.index.enter(span, low, top)
}

/** Pieces of a span that can be found, as `low-top`; `low-top!` where somebody holds it. */
const pieces = ({index}: BlockPool, span: number, blocks = 32): string => {
  const names: string[] = []
  let before = -1
  for (let block = 0; block < blocks; block++) {
    const piece = index.find(span, block)
    if (piece >= 0 && piece !== before)
      names.push(`${block}-${index.endOf(piece)}${index.isHeld(piece) ? '!' : ''}`)
    before = piece
  }
  return names.join(' ')
}

/** A pool of which [0, 12) of span 7 is all, so that every block that is taken is one of them. */
const whole = () => {
  const pool = new BlockPool(12)
  return {pool, piece: fill(pool, 7, 0, 12)}
}

describe('PrefixIndex', () => {
  it('finds the piece that holds a block of a span, and no other', () => {
    const pool = new BlockPool(20)
    const piece = fill(pool, 7, 2, 5)
    const {index} = pool
    expect([1, 2, 4, 5].map((block) => index.find(7, block))).deep.equal([-1, piece, piece, -1])
    expect(index.find(8, 2)).equal(-1)
    expect(index.endOf(piece)).equal(5)
  })

  it('chains the pieces of a span in order of blocks, whatever order they came in', () => {
    const pool = new BlockPool(40)
    for (const low of [8, 2, 20, 14, 5]) fill(pool, 7, low, low + 2)
    fill(pool, 6, 11, 12)
    expect(pieces(pool, 7)).equal('2-4! 5-7! 8-10! 14-16! 20-22!')
  })

  describe('holding a part', () => {
    it('of a free piece leaves the rest in the free list, in its place', () => {
      const {pool, piece} = whole()
      pool.release(piece, 12)
      pool.hold(piece, 5)
      expect(pieces(pool, 7)).equal('0-5! 5-12')
      expect(pool.free).equal(7)
      pool.release(piece, 5)
      // The rest lay there before it: the last blocks go first, down to the fifth, then the others.
      pool.take(7)
      expect(pieces(pool, 7)).equal('0-5')
      pool.take(2)
      expect(pieces(pool, 7)).equal('0-3')
    })

    it('of a held piece splits it for those who hold all of it, too', () => {
      const {pool, piece} = whole()
      pool.hold(piece, 5)
      expect([pieces(pool, 7), pool.free]).deep.equal(['0-5! 5-12!', 0])
      pool.release(piece, 12)
      expect([pieces(pool, 7), pool.free]).deep.equal(['0-5! 5-12', 7])
      pool.release(piece, 5)
      expect([pieces(pool, 7), pool.free]).deep.equal(['0-5 5-12', 12])
    })

    it('splits nothing where it ends with a piece', () => {
      const {pool, piece} = whole()
      pool.hold(piece, 12)
      expect(pieces(pool, 7)).equal('0-12!')
    })

    it('can be done again and again, by ever less', () => {
      const {pool, piece} = whole()
      for (const end of [9, 6, 3]) pool.hold(piece, end)
      expect(pieces(pool, 7)).equal('0-3! 3-6! 6-9! 9-12!')
      const freed = [12, 6, 9, 3].map((end) => {
        pool.release(piece, end)
        return pool.free
      })
      expect(freed).deep.equal([3, 3, 9, 12])
      pool.take(9)
      expect(pieces(pool, 7)).equal('0-3')
    })

    it('keeps the parts of a split piece apart, though their first holder left and others came', () => {
      const {pool, piece} = whole()
      pool.hold(piece, 8)
      pool.release(piece, 12)
      pool.release(piece, 8)
      pool.hold(piece, 8)
      pool.hold(piece, 4)
      pool.release(piece, 8)
      expect([pieces(pool, 7), pool.free]).deep.equal(['0-4! 4-8 8-12', 8])
    })
  })

  describe('released pieces', () => {
    it('are evicted from the top', () => {
      const {pool, piece} = whole()
      pool.release(piece, 12)
      pool.take(5)
      expect(pieces(pool, 7)).equal('0-7')
      pool.take(7)
      expect([pieces(pool, 7), pool.free]).deep.equal(['', 0])
    })

    it('leave the other pieces of their span as they are, wherever they stood', () => {
      for (const [gone, left] of [
        [0, '4-8! 8-12!'],
        [1, '0-4! 8-12!'],
        [2, '0-4! 4-8!'],
      ] as const) {
        const pool = new BlockPool(12)
        const parts = [0, 4, 8].map((low) => fill(pool, 7, low, low + 4))
        pool.release(parts[gone]!, 4 * gone + 4)
        pool.take(4)
        expect(pieces(pool, 7)).equal(left)
      }
    })

    it('of several holders become free when the last lets go, part by part', () => {
      const {pool, piece} = whole()
      pool.hold(piece, 10)
      pool.hold(piece, 4)
      pool.release(piece, 10)
      expect(pool.free).equal(0)
      pool.release(piece, 12)
      expect([pieces(pool, 7), pool.free]).deep.equal(['0-4! 4-10 10-12', 8])
    })
  })

  describe('blocks that newer ones replace', () => {
    const parts: Record<string, {low: number; top: number; free: string; held: string}> = {
      'at the head': {low: 0, top: 4, free: '0-4! 4-12', held: '0-4! 4-12!'},
      'in the middle': {low: 4, top: 8, free: '0-4 4-8! 8-12', held: '0-4! 4-8! 8-12!'},
      'at the tail': {low: 8, top: 12, free: '0-8 8-12!', held: '0-8! 8-12!'},
      'at the tail and behind it': {low: 8, top: 14, free: '0-8 8-14!', held: '0-8! 8-14!'},
      'all of them': {low: 0, top: 12, free: '0-12!', held: '0-12!'},
    }
    for (const [where, {low, top, free, held}] of Object.entries(parts)) {
      it(`${where}, free ones: they are like any other free block, in their place`, () => {
        const pool = new BlockPool(12 + top - low)
        const older = fill(pool, 7, 0, 12)
        pool.take(top - low)
        pool.release(older, 12)
        pool.index.enter(7, low, top)
        expect([pieces(pool, 7), pool.free]).deep.equal([free, 12])
        // The tail side of the list is the head of the span.
        pool.take(12 - Math.min(low, 11))
        expect(pieces(pool, 7)).equal(low === 0 ? `0-${top}!` : `0-${low} ${low}-${top}!`)
        pool.take(pool.free)
        expect(pieces(pool, 7)).equal(`${low}-${top}!`)
      })

      it(`${where}, held ones: they become so when they are released`, () => {
        const pool = new BlockPool(12 + top - low)
        const older = fill(pool, 7, 0, 12)
        const newer = fill(pool, 7, low, top)
        expect([pieces(pool, 7), pool.free]).deep.equal([held, 0])
        pool.release(older, 12)
        expect([pieces(pool, 7), pool.free]).deep.equal([free, 12])
        pool.release(newer, top)
        pool.take(12)
        expect(pieces(pool, 7)).equal(`${low}-${top}`)
      })
    }

    it('over several pieces', () => {
      const pool = new BlockPool(30)
      for (const low of [0, 4, 8, 12]) fill(pool, 7, low, low + 4)
      fill(pool, 7, 2, 14)
      expect(pieces(pool, 7)).equal('0-2! 2-14! 14-16!')
    })

    it('count down with all who hold them', () => {
      const pool = new BlockPool(16)
      const older = fill(pool, 7, 0, 12)
      pool.hold(older, 8)
      fill(pool, 7, 4, 8)
      pool.release(older, 12)
      expect(pool.free).equal(4)
      pool.release(older, 8)
      expect([pieces(pool, 7), pool.free]).deep.equal(['0-4 4-8! 8-12', 12])
    })
  })

  describe('extending a piece', () => {
    it('makes the next blocks of its only holder part of it', () => {
      const pool = new BlockPool(20)
      const piece = fill(pool, 7, 0, 4)
      pool.take(3)
      expect(pool.index.extend(piece, 4, 7)).equal(true)
      expect(pieces(pool, 7)).equal('0-7!')
      pool.release(piece, 7)
      expect(pool.free).equal(20)
    })

    it('replaces older blocks', () => {
      const pool = new BlockPool(20)
      const older = fill(pool, 7, 0, 8)
      const piece = fill(pool, 7, 0, 4)
      pool.take(2)
      expect(pool.index.extend(piece, 4, 6)).equal(true)
      expect(pieces(pool, 7)).equal('0-6! 6-8!')
      pool.release(older, 8)
      expect([pieces(pool, 7), pool.free]).deep.equal(['0-6! 6-8', 14])
    })

    const refusals: Record<string, (pool: BlockPool, piece: number) => boolean> = {
      'blocks that do not follow': ({index}, piece) => index.extend(piece, 5, 6),
      'a piece that others hold as well': (pool, piece) => {
        pool.hold(piece, 4)
        return pool.index.extend(piece, 4, 5)
      },
      'a piece that was split': (pool, piece) => {
        pool.hold(piece, 2)
        pool.release(piece, 2)
        return pool.index.extend(piece, 4, 5)
      },
      'a piece that newer blocks replaced': (pool, piece) => {
        fill(pool, 7, 0, 4)
        return pool.index.extend(piece, 4, 5)
      },
    }
    for (const [what, tryIt] of Object.entries(refusals))
      it(`is refused for ${what}`, () => {
        const pool = new BlockPool(20)
        const piece = fill(pool, 7, 0, 4)
        expect(tryIt(pool, piece)).equal(false)
        expect(pool.index.find(7, 4)).equal(-1)
      })
  })

  describe('watched', () => {
    /** A look-up that found [0, 4) of span 7, held, and [4, 8), free, and missed [8, …). */
    const watched = () => {
      const pool = new BlockPool(30)
      const held = fill(pool, 7, 0, 4)
      const free = fill(pool, 7, 4, 8)
      const other = fill(pool, 6, 0, 4)
      pool.release(free, 8)
      pool.index.startWatch(7)
      pool.index.watch(held)
      pool.index.watch(free)
      return {pool, held, free, other}
    }
    type Watched = ReturnType<typeof watched>

    const quiet: Record<string, (watched: Watched) => void> = {
      'another span grows': ({pool}) => fill(pool, 8, 0, 3),
      'another piece is held, released and evicted': ({pool, other}) => {
        pool.hold(other, 2)
        pool.release(other, 4)
        pool.release(other, 2)
        pool.take(18)
      },
      'a piece that is held anyway gets one more holder': ({pool, held}) => {
        pool.hold(held, 4)
        pool.release(held, 4)
      },
    }
    for (const [when, change] of Object.entries(quiet))
      it(`is quiet when ${when}`, () => {
        const all = watched()
        change(all)
        expect(all.pool.index.isDirty).equal(false)
      })

    const news: Record<string, (watched: Watched) => void> = {
      'a free piece is held': ({pool, free}) => pool.hold(free, 8),
      'a part of a held piece is held: it is two now': ({pool, held}) => pool.hold(held, 2),
      'a held piece becomes free': ({pool, held}) => pool.release(held, 4),
      'a piece is evicted in part': ({pool}) => pool.take(30 - 12 + 1),
      'newer blocks replace a free one': ({pool}) => fill(pool, 7, 5, 6),
      'newer blocks replace a held one': ({pool}) => fill(pool, 7, 0, 1),
      'the missing span gets blocks': ({pool}) => fill(pool, 7, 8, 9),
      'a piece of the missing span gets longer': ({pool, free}) => {
        pool.hold(free, 8)
        pool.index.startWatch(7)
        pool.take(1)
        expect(pool.index.extend(free, 8, 9)).equal(true)
      },
    }
    for (const [when, change] of Object.entries(news))
      it(`tells when ${when}`, () => {
        const all = watched()
        change(all)
        expect(all.pool.index.isDirty).equal(true)
      })

    it('forgets the last look-up when the next begins', () => {
      const {pool, held, other} = watched()
      pool.index.startWatch(Number.NaN)
      pool.index.watch(other)
      pool.release(held, 4)
      fill(pool, 7, 8, 9)
      expect(pool.index.isDirty).equal(false)
      pool.release(other, 4)
      expect(pool.index.isDirty).equal(true)
    })

    it('is not fooled by a node that is used again', () => {
      const pool = new BlockPool(4)
      const gone = fill(pool, 7, 0, 4)
      pool.index.startWatch(Number.NaN)
      pool.index.watch(gone)
      pool.release(gone, 4)
      pool.take(4)
      pool.givePlain(4)
      pool.index.startWatch(Number.NaN)
      const again = fill(pool, 8, 0, 4)
      pool.release(again, 4)
      expect(pool.index.isDirty).equal(false)
    })
  })

  it('costs as many pieces as there are, however long they are', () => {
    const pool = new BlockPool(3_000_000)
    const piece = fill(pool, 7, 0, 1_000_000)
    pool.hold(piece, 500_000)
    pool.release(piece, 1_000_000)
    fill(pool, 7, 250_000, 750_000)
    pool.release(piece, 500_000)
    pool.take(pool.free)
    expect(pool.work).lessThan(30)
  })

  it('keeps what it knows when the list grows', () => {
    const pool = new BlockPool(1000)
    const all = Array.from({length: 150}, (_, i) =>
      fill(pool, i >> 1, 3 * (i % 2), 3 * (i % 2) + 2),
    )
    for (let span = 0; span < 75; span++) expect(pieces(pool, span)).equal('0-2! 3-5!')
    for (const [i, piece] of all.entries()) if (i % 2 === 0) pool.release(piece, 2)
    for (let span = 0; span < 75; span++) expect(pieces(pool, span)).equal('0-2 3-5!')
  })
})

/** Index, free list and holders as lists of blocks, and the pool under test beside them. */
class Twins {
  static readonly spans = 3
  static readonly blocks = 8
  readonly fast = new BlockPool(24)
  readonly plain = new PlainPool(24)
  /** What is held: a first piece and where it ends, as requests remember it, and the blocks that should be meant. */
  readonly holdings: {piece: number; end: number; span: number; blocks: Block[]}[] = []
  readonly others: Block[] = []

  #name = (span: number, block: number) => `${span}:${block}`

  enter(span: number, low: number, count: number): void {
    const top = Math.min(low + count, Twins.blocks)
    const blocks = this.#take(span, low, top)
    if (blocks === undefined) return
    const piece = this.fast.index.enter(span, low, top)
    this.holdings.push({piece, end: top, span, blocks})
  }

  /** Takes blocks and says what they hold; the fast index is told by the caller. */
  #take(span: number, low: number, top: number): Block[] | undefined {
    if (top <= low || this.fast.free < top - low) return undefined
    this.fast.take(top - low)
    return Array.from({length: top - low}, (_, i) => {
      const block = this.plain.take()
      this.plain.enter(block, this.#name(span, low + i))
      return block
    })
  }

  /** More blocks for what is held already, as a request that fills them one by one. */
  extend(which: number, count: number): void {
    const holding = this.#pick(which)
    if (!holding) return
    const {span, piece, end} = holding
    const top = Math.min(end + count, Twins.blocks)
    const blocks = this.#take(span, end, top)
    if (blocks === undefined) return
    if (this.fast.index.extend(piece, end, top)) {
      holding.end = top
      holding.blocks.push(...blocks)
    } else
      this.holdings.push({piece: this.fast.index.enter(span, end, top), end: top, span, blocks})
  }

  hold(span: number, block: number, count: number): void {
    const piece = this.fast.index.find(span, block)
    if (piece < 0) return
    let low = block
    while (low > 0 && this.fast.index.find(span, low - 1) === piece) low--
    const end = Math.min(low + count, this.fast.index.endOf(piece))
    const names = Array.from({length: end - low}, (_, i) => this.#name(span, low + i))
    const blocks = this.plain.lookUp(names)
    expect(blocks).lengthOf(names.length)
    this.fast.hold(piece, end)
    for (const one of blocks) this.plain.hold(one)
    this.holdings.push({piece, end, span, blocks})
  }

  release(which: number): void {
    const holding = this.#pick(which)
    if (!holding) return
    this.holdings.splice(this.holdings.indexOf(holding), 1)
    this.fast.release(holding.piece, holding.end)
    this.plain.giveBack(holding.blocks)
  }

  take(count: number): void {
    if (this.fast.free < count) {
      this.fast.givePlain(this.others.length)
      this.plain.giveBack(this.others.splice(0))
      return
    }
    this.fast.take(count)
    for (let i = 0; i < count; i++) this.others.push(this.plain.take())
  }

  #pick(which: number) {
    return this.holdings[which % Math.max(1, this.holdings.length)]
  }

  /** A look-up as requests make it: pieces and ends, hits, those that nobody holds, and whether a block is missing. */
  lookUp(span: number, limit: number) {
    const {index} = this.fast
    const found: number[] = []
    let block = 0
    let unheld = 0
    for (let piece = 0; block < limit; ) {
      piece = index.find(span, block)
      if (piece < 0) break
      const end = Math.min(limit, index.endOf(piece))
      found.push(piece, end)
      if (!index.isHeld(piece)) unheld += end - block
      block = end
    }
    return {found, block, unheld, isMissing: block < limit}
  }

  watch(span: number, limit: number) {
    const {index} = this.fast
    const result = this.lookUp(span, limit)
    index.startWatch(result.isMissing ? span : Number.NaN)
    for (let i = 0; i < result.found.length; i += 2) index.watch(result.found[i]!)
    return result
  }

  check(): void {
    const {index} = this.fast
    expect(this.fast.free).equal(this.plain.free.length)
    for (let span = 0; span < Twins.spans; span++)
      for (let block = 0; block < Twins.blocks; block++) {
        const piece = index.find(span, block)
        const wanted = this.plain.index.get(this.#name(span, block))
        expect(piece >= 0, `block ${block} of span ${span}`).equal(wanted !== undefined)
        if (!wanted) continue
        expect(index.isHeld(piece)).equal(wanted.holders > 0)
        expect(index.endOf(piece)).greaterThan(block)
        expect(index.find(span, index.endOf(piece) - 1)).equal(piece)
      }
  }

  /** Everything goes back, and is evicted block by block in the same order. */
  runDry(): void {
    while (this.holdings.length > 0) this.release(0)
    for (let left = this.fast.free; left > 0; left--) {
      this.fast.take(1)
      this.others.push(this.plain.take())
      this.check()
    }
  }
}

describe('PrefixIndex beside blocks in lists', () => {
  const action = fc.record({
    span: fc.nat(Twins.spans - 1),
    block: fc.nat(Twins.blocks - 1),
    count: fc.integer({min: 1, max: 6}),
    which: fc.nat(30),
    does: fc.constantFrom(
      'enter',
      'enter',
      'extend',
      'extend',
      'hold',
      'hold',
      'release',
      'release',
      'take',
    ),
  })
  type Action = typeof action extends fc.Arbitrary<infer One> ? One : never

  const act = (twins: Twins, {span, block, count, which, does}: Action): void => {
    if (does === 'enter') twins.enter(span, block, count)
    else if (does === 'extend') twins.extend(which, count)
    else if (does === 'hold') twins.hold(span, block, count)
    else if (does === 'release') twins.release(which)
    else twins.take(count)
  }

  it('finds, frees and evicts the same, for any requests that fill, share, replace and leave', () => {
    fc.assert(
      fc.property(fc.array(action, {maxLength: 120, size: 'max'}), (actions) => {
        const twins = new Twins()
        for (const one of actions) {
          act(twins, one)
          twins.check()
        }
        twins.runDry()
      }),
      {numRuns: 200, seed: 1},
    )
  })

  it('tells whenever a look-up that it watches would have another result', () => {
    const watch = fc.record({span: fc.nat(Twins.spans - 1), limit: fc.integer({min: 1, max: 8})})
    let told = 0
    let quiet = 0
    fc.assert(
      fc.property(fc.array(fc.tuple(action, watch), {maxLength: 120, size: 'max'}), (actions) => {
        const twins = new Twins()
        let at = {span: 0, limit: 8}
        let known = twins.watch(at.span, at.limit)
        for (const [one, next] of actions) {
          act(twins, one)
          if (!twins.fast.index.isDirty) {
            expect(twins.lookUp(at.span, at.limit)).deep.equal(known)
            quiet++
            continue
          }
          told++
          at = next
          known = twins.watch(at.span, at.limit)
        }
      }),
      {numRuns: 300, seed: 1},
    )
    // It would also hold if it told all the time.
    expect(told).greaterThan(1000)
    expect(quiet).greaterThan(told)
  })
})
