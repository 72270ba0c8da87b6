/** The batches of an engine that are planned and not ended, oldest first: one executes, the others wait for it. */
import {Batch} from './batch.js'

export class Pipeline {
  /** Number of the batch planned last. */
  sequence = 0
  /** Batches planned and not ended. */
  size = 0
  /**
   * A ring of all batches, a power of two of them: those in flight from `#first` on, then the spare ones. Pushing and
   * popping batches would be a call of V8's runtime each.
   */
  #ring: Batch[] = [new Batch()]
  #mask = 0
  #first = 0

  get oldest(): Batch {
    return this.#ring[this.#first]!
  }

  get newest(): Batch | undefined {
    return this.size > 0 ? this.at(this.size - 1) : undefined
  }

  /** A batch in flight by its place, 0 for the oldest; the place behind the newest has a spare one. */
  at(place: number): Batch {
    return this.#ring[(this.#first + place) & this.#mask]!
  }

  /** Number of the batch that ended last. */
  get ended(): number {
    return this.sequence - this.size
  }

  /**
   * Writes the first moment at which a request may leave by what is planned: the end of the first batch that holds a
   * last token, else of the newest: batches to come end later. There must be one.
   */
  tellFirstLeave(times: Float64Array, at: number): void {
    let place = 0
    while (place < this.size - 1 && this.at(place).finishing.length === 0) place++
    times[at] = this.at(place).end
  }

  /** The oldest batch ends and takes its place behind the newest, as it was: it is the next one once it is numbered. */
  rotate(): Batch {
    const ring = this.#ring
    const batch = ring[this.#first]!
    const behind = (this.#first + this.size) & this.#mask
    ring[this.#first] = ring[behind]!
    ring[behind] = batch
    this.#first = (this.#first + 1) & this.#mask
    return batch
  }

  /** The number of the batch that is planned now. */
  advance(): number {
    return ++this.sequence
  }

  /** A batch to be `add`ed, or left alone. It holds what it held when it ended: what is planned first empties it. */
  open(): Batch {
    if (this.size === this.#ring.length) this.#grow()
    const batch = this.at(this.size)
    batch.sequence = this.sequence + 1
    batch.preempted = 0
    batch.end = Number.POSITIVE_INFINITY
    return batch
  }

  #grow(): void {
    const ring = this.#ring
    const spare = ring.map(() => new Batch())
    this.#ring = [...ring.slice(this.#first), ...ring.slice(0, this.#first), ...spare]
    this.#mask = this.#ring.length - 1
    this.#first = 0
  }

  /** The batch that was opened is in flight. */
  add(batch: Batch): void {
    this.sequence = batch.sequence
    this.size++
  }

  /** Takes the oldest batch out; it may be read until the next `open`. */
  end(): Batch {
    const batch = this.oldest
    this.#first = (this.#first + 1) & this.#mask
    this.size--
    return batch
  }
}
