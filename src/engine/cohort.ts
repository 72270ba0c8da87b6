/**
 * All requests of an engine that decode, one token each per step, kept so that a step costs nothing per request.
 *
 * A member's context grows by one in every step, so `offset = context − step` stands still and the sums over
 * members follow from sums over offsets. Who needs a new block, fills one, or makes its last token in a step
 * is known when it joins: blocks by offset mod block size, ends by step number.
 *
 * Members have seats, numbered from 0 and used again: what is kept of them lies together, and not scattered over
 * columns by slot, which engines share. Of many engines only such memory stays in the caches.
 */
import type {Batch} from './batch.js'
import {asDouble, enlarged} from './columns.js'
import {Extremes} from './extremes.js'
import {TimingWheel} from './timing-wheel.js'

const none = -1
/** A row of a seat: slot (of an empty one: the next empty one), offset, stamp, and offset mod block size. */
const offsetOf = 1
const stampOf = 2
const phaseOf = 3
const rowLength = 4
const rowOf = (seat: number): number => rowLength * seat

/** The seat of a slot, in a column that all cohorts share: a slot is in one at a time. */
export interface SeatColumn {
  readonly seat: Int32Array
}

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
  readonly #column: SeatColumn
  /** step mod block size. */
  #stepPhase = 0
  #offsetSum = asDouble
  /** Members by offset mod block size. */
  readonly #inPhase: Int32Array
  /** By phase: seats of members that still fill blocks with a shared identity, each with its stamp (lazily cleaned). */
  readonly #fillers: number[][]
  /** Rows by seat; a stamp moves on when somebody joins or leaves: what fillers remember is stale then. */
  #rows = new Int32Array(64 * rowLength)
  /** Seats that were used, and the first that is empty among them. */
  #seats = 0
  #vacant = none
  /** Of the offsets. */
  readonly #extremes = new Extremes()
  /** By the step of the last token. */
  readonly #ends = new TimingWheel()

  constructor(blockSize: number, column: SeatColumn, lane = 0) {
    this.lane = lane
    this.#blockSize = blockSize
    this.#column = column
    this.#offsetSum = 0
    this.lastEnd = 0
    this.#inPhase = new Int32Array(blockSize)
    this.#fillers = Array.from({length: blockSize}, () => [])
  }

  #fillersNow(): number[] {
    return this.#fillers[this.#blockSize - 1 - this.#stepPhase]!
  }

  get operations(): number {
    return this.work + this.#extremes.work + this.#ends.work
  }

  /** A member whose context is `context` at step `step`, and whose last token comes out of step `lastStep`. */
  join(slot: number, context: number, step: number, lastStep: number): void {
    const seat = this.#takeSeat(slot)
    const offset = context - step
    const rows = this.#rows
    const row = rowOf(seat)
    rows[row + offsetOf] = offset
    const phase = this.#phaseOf(context, step)
    rows[row + phaseOf] = phase
    this.size++
    this.#offsetSum += offset
    this.#inPhase[phase]!++
    this.#extremes.take(seat, offset)
    this.#ends.add(seat, lastStep)
    this.work++
  }

  /**
   * (context − step) mod block size, for the present step or the next one. To the compiler the remainder of a number
   * that may be negative is one of doubles, which takes as long as all else of a join.
   */
  #phaseOf(context: number, step: number): number {
    const phase = (context % this.#blockSize) - this.#stepPhase - (step - this.step)
    return phase < 0 ? phase + this.#blockSize : phase
  }

  #takeSeat(slot: number): number {
    let seat = this.#vacant
    if (seat === none) {
      seat = this.#seats++
      if (rowOf(seat) === this.#rows.length) this.#rows = enlarged(this.#rows, 2 * rowOf(seat))
    } else this.#vacant = this.#rows[rowOf(seat)]!
    this.#rows[rowOf(seat)] = slot
    this.#rows[rowOf(seat) + stampOf]!++
    this.#column.seat[slot] = seat
    return seat
  }

  /** The member will fill blocks that others may find. */
  fills(slot: number): void {
    const seat = this.#column.seat[slot]!
    const row = rowOf(seat)
    this.#fillers[this.#rows[row + phaseOf]!]!.push(seat, this.#rows[row + stampOf]!)
  }

  leave(slot: number): void {
    const seat = this.#column.seat[slot]!
    this.#ends.remove(seat)
    this.#leaveSeat(seat)
  }

  #leaveSeat(seat: number): void {
    const rows = this.#rows
    const row = rowOf(seat)
    const offset = rows[row + offsetOf]!
    this.size--
    this.#offsetSum -= offset
    this.#inPhase[rows[row + phaseOf]!]!--
    this.#extremes.leave(seat)
    rows[row + stampOf]!++
    rows[row] = this.#vacant
    this.#vacant = seat
    this.work++
  }

  /** The planned step counts: contexts are one longer. */
  advance(): void {
    this.step++
    this.#ends.advance()
    this.#stepPhase = this.#stepPhase + 1 === this.#blockSize ? 0 : this.#stepPhase + 1
  }

  /** Context of a member at the next step. */
  context(slot: number): number {
    return this.#rows[rowOf(this.#column.seat[slot]!) + offsetOf]! + this.step
  }

  /** Σ, smallest and largest context of the members at the next step. */
  contextSum(): number {
    return this.#offsetSum + this.size * this.step
  }

  smallestContext(): number {
    return this.size > 0 ? this.#extremes.smallest + this.step : 0
  }

  largestContext(): number {
    return this.size > 0 ? this.#extremes.largest + this.step : 0
  }

  /** Members that need a new block in the next step: their context ends with a block. */
  needBlock(): number {
    return this.#inPhase[this.#stepPhase === 0 ? 0 : this.#blockSize - this.#stepPhase]!
  }

  /** Members that fill a shared block in the next step, as slots; the caller says whether one has more to fill. */
  forEachFiller(visit: (slot: number) => 'more' | 'last'): void {
    const list = this.#fillersNow()
    let kept = 0
    for (let at = 0; at < list.length; at += 2) {
      const seat = list[at]!
      const stamp = list[at + 1]!
      this.work++
      if (this.#rows[rowOf(seat) + stampOf] !== stamp) continue
      if (visit(this.#rows[rowOf(seat)]!) === 'last') continue
      list[kept++] = seat
      list[kept++] = stamp
    }
    list.length = kept
  }

  /** Whether a member fills a shared block in the next step, or did when it was a member. */
  hasFillers(): boolean {
    return this.#fillersNow().length > 0
  }

  /** Whether the last token of a member comes out of the next step. */
  hasEnding(): boolean {
    return this.#ends.due() !== none
  }

  /** Takes out a member whose last token comes out of the next step. Returns its slot; −1: there is none. */
  takeEnding(): number {
    const seat = this.#ends.take()
    if (seat === none) return none
    const slot = this.#rows[rowOf(seat)]!
    this.work++
    this.#leaveSeat(seat)
    return slot
  }
}
