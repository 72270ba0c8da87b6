/**
 * A binary heap of (rank, tag) pairs with a stamp for lazy deletion: smallest rank first. An entry is
 * stale once `stamps[tag]` has moved on; stale entries are dropped when they reach the top, or all at once
 * when they outnumber the live ones.
 */
export class StampedHeap {
  /** Comparisons made, for the operation count. */
  work = 0
  #ranks = new Float64Array(64)
  #tags = new Int32Array(64)
  #stamps = new Float64Array(64)
  #size = 0

  push(rank: number, tag: number, stamp: number): void {
    if (this.#size === this.#ranks.length) this.#grow()
    let at = this.#size++
    while (at > 0) {
      const parent = (at - 1) >> 1
      this.work++
      if (this.#ranks[parent]! <= rank) break
      this.#move(parent, at)
      at = parent
    }
    this.#set(at, rank, tag, stamp)
  }

  /** Rank of the first live entry; +Infinity when there is none. */
  top(current: Float64Array): number {
    while (this.#size > 0 && current[this.#tags[0]!] !== this.#stamps[0]) this.#pop()
    return this.#size > 0 ? this.#ranks[0]! : Number.POSITIVE_INFINITY
  }

  /** Tag of the entry that `top` just looked at, removed. */
  take(): number {
    const tag = this.#tags[0]!
    this.#pop()
    return tag
  }

  /** Drops stale entries once there are more than twice as many entries as live ones. */
  trim(current: Float64Array, live: number): void {
    if (this.#size <= 2 * live + 64) return
    const size = this.#size
    this.#size = 0
    for (let i = 0; i < size; i++) {
      const tag = this.#tags[i]!
      if (current[tag] === this.#stamps[i]) this.push(this.#ranks[i]!, tag, this.#stamps[i]!)
    }
    this.work += size
  }

  #pop(): void {
    const last = --this.#size
    if (last === 0) return
    const rank = this.#ranks[last]!
    const tag = this.#tags[last]!
    const stamp = this.#stamps[last]!
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= last) break
      this.work++
      if (child + 1 < last && this.#ranks[child + 1]! < this.#ranks[child]!) child++
      if (this.#ranks[child]! >= rank) break
      this.#move(child, at)
      at = child
    }
    this.#set(at, rank, tag, stamp)
  }

  #move(from: number, to: number): void {
    this.#set(to, this.#ranks[from]!, this.#tags[from]!, this.#stamps[from]!)
  }

  #set(at: number, rank: number, tag: number, stamp: number): void {
    this.#ranks[at] = rank
    this.#tags[at] = tag
    this.#stamps[at] = stamp
  }

  #grow(): void {
    const capacity = this.#ranks.length * 2
    const ranks = new Float64Array(capacity)
    const tags = new Int32Array(capacity)
    const stamps = new Float64Array(capacity)
    ranks.set(this.#ranks)
    tags.set(this.#tags)
    stamps.set(this.#stamps)
    this.#ranks = ranks
    this.#tags = tags
    this.#stamps = stamps
  }
}
