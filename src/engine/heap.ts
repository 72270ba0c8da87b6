import {enlarged} from './columns.js'

/**
 * Slots by a rank that the caller keeps in a column, smallest first: a binary heap that knows where each slot is,
 * so that any slot can leave.
 */
export class SlotHeap {
  /** Comparisons made, for the operation count. */
  work = 0
  #slots = new Int32Array(64)
  #ranks = new Float64Array(64)
  /** Place of a slot in the heap. */
  #place = new Int32Array(64)
  #size = 0

  /** Smallest rank; +Infinity when empty. */
  get top(): number {
    return this.#size > 0 ? this.#ranks[0]! : Number.POSITIVE_INFINITY
  }

  push(slot: number, rank: number): void {
    if (this.#size === this.#slots.length) {
      this.#slots = enlarged(this.#slots, this.#size * 2)
      this.#ranks = enlarged(this.#ranks, this.#size * 2)
    }
    if (slot >= this.#place.length) {
      this.#place = enlarged(this.#place, Math.max(slot + 1, this.#place.length * 2))
    }
    this.#rise(this.#size++, slot, rank)
  }

  remove(slot: number): void {
    const at = this.#place[slot]!
    const last = --this.#size
    if (at === last) return
    const moved = this.#slots[last]!
    const rank = this.#ranks[last]!
    if (at > 0 && this.#ranks[(at - 1) >> 1]! > rank) this.#rise(at, moved, rank)
    else this.#sink(at, moved, rank)
  }

  #rise(from: number, slot: number, rank: number): void {
    const slots = this.#slots
    const ranks = this.#ranks
    const place = this.#place
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = ranks[parent]!
      this.work++
      if (above <= rank) break
      ranks[at] = above
      const down = slots[parent]!
      slots[at] = down
      place[down] = at
      at = parent
    }
    ranks[at] = rank
    slots[at] = slot
    place[slot] = at
  }

  #sink(from: number, slot: number, rank: number): void {
    const slots = this.#slots
    const ranks = this.#ranks
    const place = this.#place
    const size = this.#size
    let at = from
    for (;;) {
      let child = 2 * at + 1
      if (child >= size) break
      this.work++
      if (child + 1 < size && ranks[child + 1]! < ranks[child]!) child++
      if (ranks[child]! >= rank) break
      ranks[at] = ranks[child]!
      const up = slots[child]!
      slots[at] = up
      place[up] = at
      at = child
    }
    ranks[at] = rank
    slots[at] = slot
    place[slot] = at
  }
}
