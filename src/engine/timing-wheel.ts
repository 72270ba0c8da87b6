import {enlarged} from './columns.js'

const none = -1
/** A row of a seat: the next and the previous one in its bucket, its bucket, and when it is due. */
const previousOf = 1
const bucketOf = 2
const dueOf = 3
const rowLength = 4

/** Buckets of a wheel: bits of the step number. */
const bits = 8
const size = 2 ** bits
const wheels = 4

/**
 * Seats by the step in which something is due, kept so that who comes and who leaves costs the same however many there
 * are: a hierarchy of timing wheels (Varghese and Lauck, 1987). The first wheel has a bucket for each step of the
 * present 256, the second one for each 256 steps of the present 65,536, and so on; when a bucket of a larger wheel has
 * its turn, its seats go to smaller ones, so that each seat moves three times at most.
 */
export class TimingWheel {
  /** The present step. */
  now = 0
  /** Seats put into buckets, for the operation count. */
  work = 0
  readonly #buckets = new Int32Array(wheels * size).fill(none)
  #rows = new Int32Array(64 * rowLength)

  /** A seat is due in step `step`, which is not past and below 2^31. */
  add(seat: number, step: number): void {
    if (seat * rowLength >= this.#rows.length)
      this.#rows = enlarged(this.#rows, 2 * seat * rowLength)
    this.#rows[seat * rowLength + dueOf] = step
    this.#put(seat, step)
  }

  #put(seat: number, step: number): void {
    const rows = this.#rows
    const apart = step ^ this.now
    // Wheels turn together: which one is told by the highest digit in which the step is not the present one.
    let bucket = step & (size - 1)
    if (apart >= size) bucket = bucketAbove(step, apart)
    const row = seat * rowLength
    const next = this.#buckets[bucket]!
    rows[row] = next
    rows[row + previousOf] = none
    rows[row + bucketOf] = bucket
    if (next !== none) rows[next * rowLength + previousOf] = seat
    this.#buckets[bucket] = seat
    this.work++
  }

  /** A seat that was added is not due any more. */
  remove(seat: number): void {
    const rows = this.#rows
    const row = seat * rowLength
    const next = rows[row]!
    const previous = rows[row + previousOf]!
    if (previous === none) this.#buckets[rows[row + bucketOf]!] = next
    else rows[previous * rowLength] = next
    if (next !== none) rows[next * rowLength + previousOf] = previous
  }

  /** A seat that is due now; −1: none is. */
  due(): number {
    return this.#buckets[this.now & (size - 1)]!
  }

  /** The same, taken out. */
  take(): number {
    const rows = this.#rows
    const seat = this.due()
    if (seat === none) return none
    const next = rows[seat * rowLength]!
    this.#buckets[this.now & (size - 1)] = next
    if (next !== none) rows[next * rowLength + previousOf] = none
    return seat
  }

  /** The next step. Nobody may be due in the present one. */
  advance(): void {
    this.now++
    if ((this.now & (size - 1)) === 0) this.#turn()
  }

  /** Larger wheels have come to a new bucket. */
  #turn(): void {
    const {now} = this
    // As many wheels as the step number ends with digits of 0.
    for (let wheel = wheelOfBit(31 - Math.clz32(now & -now)); wheel > 0; wheel--) {
      const bucket = wheel * size + ((now >>> (bits * wheel)) & (size - 1))
      let seat = this.#buckets[bucket]!
      this.#buckets[bucket] = none
      while (seat !== none) {
        const next = this.#rows[seat * rowLength]!
        this.#put(seat, this.#rows[seat * rowLength + dueOf]!)
        seat = next
      }
    }
  }
}

/** Counted, and not found in a loop: what is hardly ever run in a loop makes V8 throw compiled code away when it is. */
const wheelOfBit = (bit: number): number => Math.min(wheels - 1, Math.floor(bit / bits))

const bucketAbove = (step: number, apart: number): number => {
  const wheel = wheelOfBit(31 - Math.clz32(apart))
  return wheel * size + ((step >>> (bits * wheel)) & (size - 1))
}
