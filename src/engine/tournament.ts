import {enlarged} from './columns.js'

/** Rank of an empty seat. No rank is larger. */
const nobody = 2 ** 31 - 1

/**
 * The smallest of whole-number ranks, one per seat: a tree of matches in which each node holds the smaller of two.
 * Who comes or goes is noticed only as far up as it is the smallest: two levels on average, all of them at most. Seats
 * are small numbers, so that the tree of an engine is a few cache lines.
 */
export class Tournament {
  /** Matches looked at, for the operation count. */
  work = 0
  /** Node 1 is the root, the children of n are 2n and 2n + 1, and the last half are the seats. */
  #ranks = new Int32Array(16).fill(nobody)
  #leaves = 8

  /** Smallest rank; 2^31 − 1 when nobody has a seat. */
  get top(): number {
    return this.#ranks[1]!
  }

  /** An empty seat is taken. */
  take(seat: number, rank: number): void {
    while (seat >= this.#leaves) this.#grow()
    const ranks = this.#ranks
    let at = this.#leaves + seat
    ranks[at] = rank
    at >>= 1
    this.work++
    while (at > 0 && ranks[at]! > rank) {
      ranks[at] = rank
      at >>= 1
      this.work++
    }
  }

  /** A seat becomes empty. */
  leave(seat: number): void {
    const ranks = this.#ranks
    let at = this.#leaves + seat
    const rank = ranks[at]!
    let smallest = nobody
    ranks[at] = smallest
    this.work++
    while (at > 1) {
      const other = ranks[at ^ 1]!
      if (other < smallest) smallest = other
      at >>= 1
      // Above a match that somebody else wins, or one as small, nothing changes.
      if (ranks[at] !== rank || smallest === rank) return
      ranks[at] = smallest
      this.work++
    }
  }

  #grow(): void {
    const leaves = this.#leaves
    const old = this.#ranks
    const ranks = enlarged(old, 4 * leaves).fill(nobody)
    for (let seat = 0; seat < leaves; seat++) ranks[2 * leaves + seat] = old[leaves + seat]!
    for (let at = 2 * leaves - 1; at > 0; at--)
      ranks[at] = Math.min(ranks[2 * at]!, ranks[2 * at + 1]!)
    this.#ranks = ranks
    this.#leaves = 2 * leaves
  }
}
