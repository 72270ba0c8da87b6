/** The span of a row that holds a block, kept for the next blocks: most are asked for one behind the other. */
import type {PrefixIdentity} from './prefix-identity.js'

export class SpanPlace {
  /** The number of the span. */
  id = 0
  /** Its first block, and the first behind it. */
  start = 0
  end = 0
  readonly #identity: PrefixIdentity
  #row = -1

  constructor(identity: PrefixIdentity) {
    this.#identity = identity
  }

  /** Goes to the span of a known block. */
  seek(row: number, block: number): void {
    if (row === this.#row && this.start <= block && block < this.end) return
    const identity = this.#identity
    const span = identity.spanAt(row, block)
    this.#row = row
    this.id = identity.spanId(row, span)
    this.start = identity.spanStart(row, span)
    this.end = identity.spanEnd(row, span)
  }
}
