/** The batches of an engine that are planned and not ended, oldest first: one executes, the others wait for it. */
import {Batch} from './batch.js'

export class Pipeline {
  /** Number of the batch planned last. */
  sequence = 0
  readonly batches: Batch[] = []
  readonly #spare: Batch[] = []

  get size(): number {
    return this.batches.length
  }

  get oldest(): Batch {
    return this.batches[0]!
  }

  get newest(): Batch | undefined {
    return this.batches.at(-1)
  }

  /** Number of the batch that ended last. */
  get ended(): number {
    return this.sequence - this.batches.length
  }

  /**
   * Writes the first moment at which a request may leave by what is planned: the end of the first batch that holds a
   * last token, else of the newest: batches to come end later. There must be one.
   */
  tellFirstLeave(times: Float64Array, at: number): void {
    const {batches} = this
    let i = 0
    while (i < batches.length - 1 && batches[i]!.finishing.length === 0) i++
    times[at] = batches[i]!.end
  }

  /** The oldest batch ends and takes its place behind the newest, as it was: it is the next one once it is numbered. */
  rotate(): Batch {
    const {batches} = this
    const batch = batches[0]!
    for (let i = 1; i < batches.length; i++) batches[i - 1] = batches[i]!
    batches[batches.length - 1] = batch
    return batch
  }

  /** The number of the batch that is planned now. */
  advance(): number {
    return ++this.sequence
  }

  /** An empty batch, to be `add`ed or `discard`ed. */
  open(): Batch {
    const batch = this.#spare.pop() ?? new Batch()
    batch.clear(this.sequence + 1)
    return batch
  }

  add(batch: Batch): void {
    this.sequence = batch.sequence
    this.batches.push(batch)
  }

  discard(batch: Batch): void {
    this.#spare.push(batch)
  }

  /** Takes the oldest batch out; it may be read until the next `open`. */
  end(): Batch {
    const {batches} = this
    const batch = batches[0]!
    // shift() of a list of one or two costs more than the step that it ends.
    if (batches.length === 1) batches.pop()
    else if (batches.length === 2) batches[0] = batches.pop()!
    else batches.shift()
    this.#spare.push(batch)
    return batch
  }
}
