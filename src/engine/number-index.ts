/**
 * Numbers below 2^53 to the order in which they were first seen: an open-addressing table in typed arrays. A Map takes
 * five times as long for the millions of block ids of a trace. The table holds places only, so that it is small, and
 * the numbers lie in order: most of them are new, and need one look into the table.
 */
import {enlarged} from './columns.js'

const empty = -1

export class NumberIndex {
  /** Different numbers so far. */
  size = 0
  #numbers = new Float64Array(512)
  #places = new Int32Array(1024).fill(empty)

  /** Place of a number; a new one gets the next. */
  place(number: number): number {
    const places = this.#places
    const numbers = this.#numbers
    const mask = places.length - 1
    let at = hashOf(number) & mask
    for (let place = places[at]!; place !== empty; place = places[at]!) {
      if (numbers[place] === number) return place
      at = (at + 1) & mask
    }
    if (this.size === numbers.length) {
      this.#grow()
      return this.place(number)
    }
    places[at] = this.size
    numbers[this.size] = number
    return this.size++
  }

  /** The number at a place. */
  at(place: number): number {
    return this.#numbers[place]!
  }

  /** Four times the room: numbers are moved less often, and half of the table is always free. */
  #grow(): void {
    const numbers = enlarged(this.#numbers, this.#numbers.length * 4)
    const places = new Int32Array(numbers.length * 2).fill(empty)
    const mask = places.length - 1
    for (let place = 0; place < this.size; place++) {
      let at = hashOf(numbers[place]!) & mask
      while (places[at] !== empty) at = (at + 1) & mask
      places[at] = place
    }
    this.#numbers = numbers
    this.#places = places
  }
}

/** Small whole numbers and hashes alike spread over the low bits. */
export function hashOf(number: number): number {
  const mixed = Math.imul(
    (number | 0) ^ Math.imul((number / 0x1_0000_0000) | 0, 0x85ebca6b),
    0x9e3779b1,
  )
  return mixed ^ (mixed >>> 15)
}
