/**
 * All requests of an engine that decode, one token each per step, kept so that a step costs nothing per request.
 *
 * A member's context grows by one in every step, so `offset = context − step` stands still and the sums over
 * members follow from sums over offsets. Who needs a new block, fills one, or makes its last token in a step
 * is known when it joins: blocks by offset mod block size, ends by step number.
 */
import type {Batch} from './batch.js'
import {asDouble, empty, enlarged} from './columns.js'
import {SlotHeap} from './heap.js'

const none = -1
/**
 * Ends lie in buckets by step number; one further away than this shares a bucket with earlier ones, and is walked
 * past once in as many steps.
 */
const endBuckets = 4096
const bucketOf = (step: number): number => step & (endBuckets - 1)

export class Cohort {
  /** Members. */
  size = 0
  /** Number of the next step to plan. */
  step = 0
  /** When its last batch ended. */
  lastEnd = asDouble
  /** The batch in flight that holds its members, where a pipeline gives each batch a cohort of its own. */
  inFlight: Batch | undefined
  readonly lane: number
  work = 0
  readonly #blockSize: number
  /** step mod block size. */
  #stepPhase = 0
  #offsetSum = asDouble
  /** Members by offset mod block size. */
  readonly #inPhase: Int32Array
  /** Members by phase that still fill blocks with a shared identity (lazily cleaned). */
  readonly #fillers: {slot: number; stamp: number}[][]
  /** Offset, its phase, and the step of the last token, by slot. */
  #offset = new Int32Array(64)
  #phase = new Int32Array(64)
  #lastStep = new Int32Array(64)
  /** Neighbours in the bucket of the last step. */
  #previous = new Int32Array(64)
  #next = new Int32Array(64)
  readonly #bucket = new Int32Array(endBuckets).fill(none)
  readonly #ended: number[] = []
  /** Moves on when a slot joins or leaves: what fillers remember of it is stale then. */
  #stamp = new Int32Array(64)
  readonly #smallest = new SlotHeap()
  readonly #largest = new SlotHeap()

  constructor(blockSize: number, lane = 0) {
    this.lane = lane
    this.#blockSize = blockSize
    this.#offsetSum = 0
    this.lastEnd = 0
    this.#inPhase = new Int32Array(blockSize)
    this.#fillers = Array.from({length: blockSize}, () => [])
  }

  get #fillersNow(): {slot: number; stamp: number}[] {
    return this.#fillers[this.#blockSize - 1 - this.#stepPhase]!
  }

  get operations(): number {
    return this.work + this.#smallest.work + this.#largest.work
  }

  /** A member whose context is `context` at step `step`, and whose last token comes out of step `lastStep`. */
  join(slot: number, context: number, step: number, lastStep: number): void {
    if (slot >= this.#offset.length) this.#grow(slot)
    const offset = context - step
    const rest = offset % this.#blockSize
    const phase = rest < 0 ? rest + this.#blockSize : rest
    this.#stamp[slot]!++
    this.#offset[slot] = offset
    this.#phase[slot] = phase
    this.size++
    this.#offsetSum += offset
    this.#inPhase[phase]!++
    this.#smallest.push(slot, offset)
    this.#largest.push(slot, -offset)
    this.#lastStep[slot] = lastStep
    const bucket = bucketOf(lastStep)
    const first = this.#bucket[bucket]!
    this.#previous[slot] = none
    this.#next[slot] = first
    if (first !== none) this.#previous[first] = slot
    this.#bucket[bucket] = slot
    this.work++
  }

  /** The member will fill blocks that others may find. */
  fills(slot: number): void {
    this.#fillers[this.#phase[slot]!]!.push({slot, stamp: this.#stamp[slot]!})
  }

  leave(slot: number): void {
    const offset = this.#offset[slot]!
    this.size--
    this.#offsetSum -= offset
    this.#inPhase[this.#phase[slot]!]!--
    this.#stamp[slot]!++
    this.#smallest.remove(slot)
    this.#largest.remove(slot)
    const previous = this.#previous[slot]!
    const next = this.#next[slot]!
    if (next !== none) this.#previous[next] = previous
    if (previous !== none) this.#next[previous] = next
    else this.#bucket[bucketOf(this.#lastStep[slot]!)] = next
    this.work++
  }

  /** The planned step counts: contexts are one longer. */
  advance(): void {
    this.step++
    this.#stepPhase = this.#stepPhase + 1 === this.#blockSize ? 0 : this.#stepPhase + 1
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
    return this.size > 0 ? this.#smallest.top + this.step : 0
  }

  largestContext(): number {
    return this.size > 0 ? this.step - this.#largest.top : 0
  }

  /** Members that need a new block in the next step: their context ends with a block. */
  needBlock(): number {
    return this.#inPhase[this.#stepPhase === 0 ? 0 : this.#blockSize - this.#stepPhase]!
  }

  /** Whether the next step takes blocks, or may fill shared ones. */
  touchesBlocks(): boolean {
    return this.needBlock() > 0 || this.hasFillers()
  }

  /** Members that fill a shared block in the next step, as slots; the caller says whether one has more to fill. */
  forEachFiller(visit: (slot: number) => 'more' | 'last'): void {
    const list = this.#fillersNow
    let kept = 0
    for (const filler of list) {
      this.work++
      if (this.#stamp[filler.slot] !== filler.stamp) continue
      if (visit(filler.slot) === 'more') list[kept++] = filler
    }
    list.length = kept
  }

  /** Whether a member fills a shared block in the next step, or did when it was a member. */
  hasFillers(): boolean {
    return this.#fillersNow.length > 0
  }

  /** Whether the last token of a member comes out of the next step. */
  hasEnding(): boolean {
    let slot = this.#bucket[bucketOf(this.step)]!
    while (slot !== none && this.#lastStep[slot] !== this.step) {
      this.work++
      slot = this.#next[slot]!
    }
    return slot !== none
  }

  /** Takes out the members whose last token comes out of the next step. The list is reused. */
  takeEnding(): readonly number[] {
    const ended = this.#ended
    empty(ended)
    let slot = this.#bucket[bucketOf(this.step)]!
    while (slot !== none) {
      const next = this.#next[slot]!
      this.work++
      if (this.#lastStep[slot] === this.step) {
        this.leave(slot)
        ended.push(slot)
      }
      slot = next
    }
    return ended
  }

  #grow(slot: number): void {
    const length = Math.max(slot + 1, this.#offset.length * 2)
    this.#offset = enlarged(this.#offset, length)
    this.#phase = enlarged(this.#phase, length)
    this.#lastStep = enlarged(this.#lastStep, length)
    this.#previous = enlarged(this.#previous, length)
    this.#next = enlarged(this.#next, length)
    this.#stamp = enlarged(this.#stamp, length)
  }
}
