/**
 * The prefix cache: which blocks of which spans are in memory. A span is a stretch of tokens with one identity
 * (docs/traces.md); its blocks are usually together, so the index holds *pieces*, runs of blocks of one span that
 * are held by the same requests:
 *
 *     span 17 → [0, 20) held by 2 → [20, 32) in the free list
 *
 * A piece is split when a request takes a part of it, or when newer blocks replace a part of it. Requests remember
 * the piece that they took first and where they stop; pieces split off later hang on `upper`.
 */
import {enlarged} from './columns.js'
import {type FreeList, kind, none} from './free-list.js'
import {SpanTable} from './span-table.js'

export class PrefixIndex {
  work = 0
  readonly #list: FreeList
  /** Span → its lowest piece that can be found. */
  readonly #spans = new SpanTable()
  #span = new Float64Array(64)
  /** Next piece of the same span that can be found, in order of blocks. */
  #following = new Int32Array(64)
  /** Piece that was split off the upper side last, for those who hold both. */
  #upper = new Int32Array(64)
  #holders = new Int32Array(64)
  #isFindable = new Uint8Array(64)
  /** Number of the watch that remembers a piece; a piece that is watched now goes, or is split, only with a touch. */
  #watchedBy = new Int32Array(64)
  #watchNumber = 1
  #watchedSpan = Number.NaN
  /** Told of blocks [low, top) of a span that are evicted, last first. */
  onEvicted: ((span: number, low: number, top: number) => void) | undefined = undefined
  /** True once a remembered look-up may no longer hold. */
  isDirty = true

  constructor(list: FreeList) {
    this.#list = list
    list.grown.push((capacity) => {
      this.#span = enlarged(this.#span, capacity)
      this.#following = enlarged(this.#following, capacity)
      this.#upper = enlarged(this.#upper, capacity)
      this.#holders = enlarged(this.#holders, capacity)
      this.#isFindable = enlarged(this.#isFindable, capacity)
      this.#watchedBy = enlarged(this.#watchedBy, capacity)
    })
  }

  /** Piece that holds block `block` of a span, or −1. */
  find(span: number, block: number): number {
    this.work++
    let piece = this.#spans.get(span)
    while (piece !== none && this.#list.top[piece]! <= block) piece = this.#following[piece]!
    return piece !== none && this.#list.low[piece]! <= block ? piece : none
  }

  /** First block behind a piece. */
  endOf(piece: number): number {
    return this.#list.top[piece]!
  }

  isHeld(piece: number): boolean {
    return this.#holders[piece]! > 0
  }

  /** Blocks [low, top) of a span, which the caller holds, become the ones to find. Returns their piece. */
  enter(span: number, low: number, top: number): number {
    this.work++
    this.#makeWay(span, low, top)
    const piece = this.#list.create(kind.shared, low, top, 0)
    this.#span[piece] = span
    this.#holders[piece] = 1
    this.#chain(piece)
    return piece
  }

  /**
   * Blocks [low, top) of the span of `piece`, which the caller holds up to `low`, become part of it, if it was not split
   * and can be found, and nobody else holds it. Returns whether.
   */
  extend(piece: number, low: number, top: number): boolean {
    const list = this.#list
    const isWhole = list.top[piece] === low
    if (!isWhole || this.#holders[piece] !== 1 || this.#isFindable[piece] === 0) return false
    this.work++
    this.#makeWay(this.#span[piece]!, low, top)
    list.top[piece] = top
    return true
  }

  /** Holds the blocks of a piece below `end`. Returns how many left the free list for it. */
  hold(piece: number, end: number): number {
    this.work++
    if (end < this.#list.top[piece]!) this.#split(piece, end)
    if (this.#holders[piece]!++ > 0) return 0
    this.#touch(piece)
    this.#list.unlink(piece)
    return this.#list.size(piece)
  }

  /** Gives back what was held from `piece` on, up to `end`, last block first. Returns how many blocks became free. */
  release(piece: number, end: number): number {
    const above = this.#list.top[piece]!
    const freed = above < end ? this.release(this.#upper[piece]!, end) : 0
    this.work++
    if (--this.#holders[piece]! > 0) return freed
    this.#touch(piece)
    const list = this.#list
    const size = list.size(piece)
    if (this.#isFindable[piece] === 0) this.#makePlain(piece)
    list.append(piece)
    return freed + size
  }

  /** Evicts `count` blocks of a piece at the head of the free list. */
  evict(piece: number, count: number): void {
    const list = this.#list
    this.#touch(piece)
    list.top[piece]! -= count
    if (this.onEvicted)
      this.onEvicted(this.#span[piece]!, list.top[piece]!, list.top[piece]! + count)
    if (list.top[piece]! > list.low[piece]!) return
    this.#unchain(piece)
    list.unlink(piece)
    list.recycle(piece)
  }

  /** Starts to remember a look-up that ended because blocks of `missing` are not there (NaN: it did not). */
  startWatch(missing: number): void {
    this.#watchNumber++
    this.#watchedSpan = missing
    this.isDirty = false
  }

  watch(piece: number): void {
    this.#watchedBy[piece] = this.#watchNumber
  }

  #touch(piece: number): void {
    if (this.#watchedBy[piece] === this.#watchNumber) this.isDirty = true
  }

  /** Blocks [low, top) of a span are new: older ones keep their place but cannot be found any more. */
  #makeWay(span: number, low: number, top: number): void {
    if (span === this.#watchedSpan) this.isDirty = true
    let piece = this.#spans.get(span)
    while (piece !== none && this.#list.low[piece]! < top) {
      const next = this.#following[piece]!
      if (this.#list.top[piece]! > low) this.#kill(piece, low, top)
      piece = next
    }
  }

  #kill(piece: number, low: number, top: number): void {
    this.#touch(piece)
    if (this.#list.top[piece]! > top) this.#split(piece, top)
    const dead = this.#list.low[piece]! < low ? this.#split(piece, low) : piece
    this.#unchain(dead)
    this.#isFindable[dead] = 0
    // A free one is like any other free block now; a held one becomes so when it is released.
    if (this.#holders[dead] === 0) this.#makePlain(dead)
  }

  #makePlain(piece: number): void {
    const list = this.#list
    list.kind[piece] = kind.plain
    list.dead[piece] = list.top[piece]! - list.low[piece]!
    list.low[piece] = 0
    list.top[piece] = 0
  }

  /** Cuts a piece at `at`: it keeps the blocks below, the returned one has those above. */
  #split(piece: number, at: number): number {
    const list = this.#list
    this.#touch(piece)
    const upper = list.create(kind.shared, at, list.top[piece]!, 0)
    list.top[piece] = at
    this.#span[upper] = this.#span[piece]!
    this.#holders[upper] = this.#holders[piece]!
    // Nobody looks for a part of what cannot be found.
    this.#isFindable[upper] = 1
    this.#upper[upper] = this.#upper[piece]!
    this.#upper[piece] = upper
    this.#following[upper] = this.#following[piece]!
    this.#following[piece] = upper
    if (this.#holders[piece] === 0) list.insertBefore(upper, piece)
    this.work++
    return upper
  }

  #chain(piece: number): void {
    const span = this.#span[piece]!
    const low = this.#list.low[piece]!
    const first = this.#spans.get(span)
    this.#isFindable[piece] = 1
    if (first === none || this.#list.low[first]! > low) {
      this.#following[piece] = first
      this.#spans.set(span, piece)
      return
    }
    let before = first
    for (let next = this.#following[before]!; next !== none; next = this.#following[before]!) {
      if (this.#list.low[next]! > low) break
      before = next
    }
    this.#following[piece] = this.#following[before]!
    this.#following[before] = piece
  }

  #unchain(piece: number): void {
    const span = this.#span[piece]!
    const next = this.#following[piece]!
    let before = this.#spans.get(span)
    if (before === piece) {
      if (next === none) this.#spans.delete(span)
      else this.#spans.set(span, next)
      return
    }
    while (before !== none && this.#following[before] !== piece) before = this.#following[before]!
    // Better a stop than a search without end, should a caller ever hold what it did not find.
    if (before === none) throw new Error(`a piece of span ${span} is not in its chain`)
    this.#following[before] = next
  }
}
