/**
 * Numbers below 2^53 to the order in which they were first seen: an open-addressing table in typed arrays. A Map takes
 * five times as long for the millions of block ids of a trace.
 */
import {enlarged} from './columns.js'

const empty = -1

export class NumberIndex {
  /** Different numbers so far. */
  size = 0
  #keys = new Float64Array(1024)
  #places = new Int32Array(1024).fill(empty)

  /** Place of a number; a new one gets the next. */
  place(number: number): number {
    const mask = this.#places.length - 1
    let at = hash(number) & mask
    for (;;) {
      const place = this.#places[at]!
      if (place === empty) break
      if (this.#keys[at] === number) return place
      at = (at + 1) & mask
    }
    this.#keys[at] = number
    this.#places[at] = this.size
    if (2 * ++this.size > mask) this.#grow()
    return this.size - 1
  }

  #grow(): void {
    const keys = this.#keys
    const places = this.#places
    const length = places.length * 2
    this.#keys = enlarged(keys, length)
    this.#places = new Int32Array(length).fill(empty)
    for (let from = 0; from < places.length; from++) {
      if (places[from] === empty) continue
      let at = hash(keys[from]!) & (length - 1)
      while (this.#places[at] !== empty) at = (at + 1) & (length - 1)
      this.#keys[at] = keys[from]!
      this.#places[at] = places[from]!
    }
  }
}

/** Small whole numbers and hashes alike spread over the low bits. */
function hash(number: number): number {
  const mixed = Math.imul(
    (number | 0) ^ Math.imul((number / 0x1_0000_0000) | 0, 0x85ebca6b),
    0x9e3779b1,
  )
  return mixed ^ (mixed >>> 15)
}
