/**
 * All requests of an engine that decode, one token each per step, kept so that a step costs nothing per request.
 *
 * A member's context grows by one in every step, so `offset = context − step` stands still and the sums over
 * members follow from sums over offsets. Who needs a new block, fills one, or makes its last token in a step
 * is known when it joins: blocks by offset mod block size, ends by step number.
 */
import {StampedHeap} from './heap.js'

export class Cohort {
  /** Members. */
  size = 0
  /** Number of the next step to plan. */
  step = 0
  work = 0
  readonly #blockSize: number
  #offsetSum = 0
  /** Members by offset mod block size. */
  readonly #inPhase: Int32Array
  /** Members by phase that still fill blocks with a shared identity (lazily cleaned). */
  readonly #fillers: {slot: number; stamp: number}[][]
  #offset = new Float64Array(64)
  /** Moves on when a slot joins or leaves: what heaps and fillers remember of it is stale then. */
  #stamp = new Float64Array(64)
  readonly #smallest = new StampedHeap()
  readonly #largest = new StampedHeap()
  readonly #ends = new StampedHeap()

  constructor(blockSize: number) {
    this.#blockSize = blockSize
    this.#inPhase = new Int32Array(blockSize)
    this.#fillers = Array.from({length: blockSize}, () => [])
  }

  get operations(): number {
    return this.work + this.#smallest.work + this.#largest.work + this.#ends.work
  }

  /** A member whose context is `context` at step `step`, and whose last token comes out of step `lastStep`. */
  join(slot: number, context: number, step: number, lastStep: number): void {
    if (slot >= this.#offset.length) this.#grow(slot)
    const offset = context - step
    const stamp = ++this.#stamp[slot]!
    this.#offset[slot] = offset
    this.size++
    this.#offsetSum += offset
    this.#inPhase[this.#phase(offset)]!++
    this.#smallest.push(offset, slot, stamp)
    this.#largest.push(-offset, slot, stamp)
    this.#ends.push(lastStep, slot, stamp)
    this.work++
  }

  /** The member will fill blocks that others may find. */
  fills(slot: number): void {
    this.#fillers[this.#phase(this.#offset[slot]!)]!.push({slot, stamp: this.#stamp[slot]!})
  }

  leave(slot: number): void {
    const offset = this.#offset[slot]!
    this.size--
    this.#offsetSum -= offset
    this.#inPhase[this.#phase(offset)]!--
    this.#stamp[slot]!++
    this.#smallest.trim(this.#stamp, this.size)
    this.#largest.trim(this.#stamp, this.size)
    this.#ends.trim(this.#stamp, this.size)
    this.work++
  }

  /** Context of a member at the next step. */
  context(slot: number): number {
    return this.#offset[slot]! + this.step
  }

  /** Σ, smallest and largest context of the members at the next step. */
  contextSum(): number {
    return this.#offsetSum + this.size * this.step
  }

  smallestContext(): number {
    return this.size > 0 ? this.#smallest.top(this.#stamp) + this.step : 0
  }

  largestContext(): number {
    return this.size > 0 ? this.step - this.#largest.top(this.#stamp) : 0
  }

  /** Members that need a new block in the step `ahead` steps after the next: their context ends with a block. */
  needBlock(ahead = 0): number {
    return this.#inPhase[this.#phase(-(this.step + ahead))]!
  }

  /** Members that fill a shared block in the next step, as slots; the caller may say that one has no more to fill. */
  forEachFiller(visit: (slot: number) => 'more' | 'last'): void {
    const list = this.#fillers[this.#phase(-(this.step + 1))]!
    if (list.length === 0) return
    let kept = 0
    for (const filler of list) {
      this.work++
      if (this.#stamp[filler.slot] !== filler.stamp) continue
      if (visit(filler.slot) === 'more') list[kept++] = filler
    }
    list.length = kept
  }

  /** Step that makes the next last token of a member; +Infinity when there is no member. */
  nextEnd(): number {
    return this.#ends.top(this.#stamp)
  }

  /** Takes a member whose last token comes out of `step` (as `nextEnd` said) out of the cohort. */
  takeEnd(): number {
    const slot = this.#ends.take()
    this.leave(slot)
    return slot
  }

  #phase(offset: number): number {
    const phase = offset % this.#blockSize
    return phase < 0 ? phase + this.#blockSize : phase
  }

  #grow(slot: number): void {
    const length = Math.max(slot + 1, this.#offset.length * 2)
    const offset = new Float64Array(length)
    const stamp = new Float64Array(length)
    offset.set(this.#offset)
    stamp.set(this.#stamp)
    this.#offset = offset
    this.#stamp = stamp
  }
}
