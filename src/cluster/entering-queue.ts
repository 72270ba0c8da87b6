/** Requests in a front end and when they leave it, in that order: a ring in typed arrays, without an object for each. */
import type {Ns} from '../latency/step-time.js'

/** A ring walks through all of its memory: with few on their way, few cache lines. A power of two. */
const firstCapacity = 8

export class EnteringQueue {
  size = 0
  /** When the first one leaves; +Infinity when there is none. One value: a number that a call returns is an object. */
  readonly next = new Float64Array(1).fill(Number.POSITIVE_INFINITY)
  #slots = new Int32Array(0)
  #times = new Float64Array(0)
  #first = 0

  constructor() {
    // Written twice, so that V8 does not take them for constants.
    this.#slots = new Int32Array(firstCapacity)
    this.#times = new Float64Array(firstCapacity)
  }

  /** When the first one leaves; +Infinity when there is none. */
  nextAt(): Ns {
    return this.next[0]!
  }

  /** `times[at]` becomes the time of the first one, where that is earlier: a number that a call returns is an object. */
  lower(times: Float64Array, at: number): void {
    const first = this.next[0]!
    if (first < times[at]!) times[at] = first
  }

  /** It leaves at `at`, after all before it. */
  push(slot: number, at: Ns): void {
    if (this.size === this.#slots.length) this.#grow()
    const place = this.#placeOf(this.size++)
    this.#slots[place] = slot
    this.#times[place] = at
    if (this.size === 1) this.next[0] = at
  }

  /** Takes the first one out. */
  take(): number {
    const slot = this.#slots[this.#first]!
    this.#first = this.#placeOf(1)
    this.size--
    this.#settle()
    return slot
  }

  /** Takes one out wherever it is. Returns whether it was there. */
  remove(slot: number): boolean {
    for (let i = 0; i < this.size; i++) {
      if (this.#slots[this.#placeOf(i)] !== slot) continue
      for (let k = i + 1; k < this.size; k++) {
        this.#slots[this.#placeOf(k - 1)] = this.#slots[this.#placeOf(k)]!
        this.#times[this.#placeOf(k - 1)] = this.#times[this.#placeOf(k)]!
      }
      this.size--
      this.#settle()
      return true
    }
    return false
  }

  #settle(): void {
    this.next[0] = this.size > 0 ? this.#times[this.#first]! : Number.POSITIVE_INFINITY
  }

  #placeOf(index: number): number {
    return (this.#first + index) & (this.#slots.length - 1)
  }

  #grow(): void {
    const slots = new Int32Array(this.size * 2)
    const times = new Float64Array(this.size * 2)
    for (let i = 0; i < this.size; i++) {
      slots[i] = this.#slots[this.#placeOf(i)]!
      times[i] = this.#times[this.#placeOf(i)]!
    }
    this.#slots = slots
    this.#times = times
    this.#first = 0
  }
}
