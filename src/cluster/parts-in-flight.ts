/** The parts of a trace that have requests in flight, with the outcomes of their rows as far as they are known. */
import type {Outcomes} from '../stats/outcomes.js'
import type {Trace} from '../trace/trace.js'

/** Rows of a result, writable. */
class OutcomeColumns implements Outcomes {
  readonly length: number
  readonly status: Uint8Array
  readonly instance: Int32Array
  readonly arrivedAt: Float64Array
  readonly scheduledAt: Float64Array
  readonly firstTokenAt: Float64Array
  readonly finishedAt: Float64Array
  readonly producedTokens: Int32Array
  readonly cachedTokens: Int32Array
  readonly preemptions: Int32Array
  readonly reasons = new Map<number, string>()

  /** Columns of `length` rows, in the memory of `worn` where that has room. */
  constructor(length: number, worn?: OutcomeColumns) {
    const hasRoom = worn !== undefined && worn.length >= length
    const floats = (column: Float64Array | undefined) =>
      (hasRoom ? column!.subarray(0, length) : new Float64Array(length)).fill(Number.NaN)
    const ints = (column: Int32Array | undefined, value: number) =>
      (hasRoom ? column!.subarray(0, length) : new Int32Array(length)).fill(value)
    this.length = length
    this.status = hasRoom ? worn.status.subarray(0, length).fill(0) : new Uint8Array(length)
    this.instance = ints(worn?.instance, -1)
    this.arrivedAt = floats(worn?.arrivedAt)
    this.scheduledAt = floats(worn?.scheduledAt)
    this.firstTokenAt = floats(worn?.firstTokenAt)
    this.finishedAt = floats(worn?.finishedAt)
    this.producedTokens = ints(worn?.producedTokens, 0)
    this.cachedTokens = ints(worn?.cachedTokens, 0)
    this.preemptions = ints(worn?.preemptions, 0)
  }
}

/** A class: V8 throws away the code that reads a literal when a second one is made of it. */
export class PartInFlight {
  readonly trace: Trace
  readonly outcomes: OutcomeColumns
  /** Number of its first row in the whole trace. */
  readonly base: number
  /** Rows whose requests have not left. */
  open: number

  constructor(trace: Trace, outcomes: OutcomeColumns, base: number) {
    this.trace = trace
    this.outcomes = outcomes
    this.base = base
    this.open = trace.length
  }
}

type OnPart = (part: PartInFlight) => void

export class PartsInFlight {
  /** Rows of all parts so far. */
  rows = 0
  /** Oldest first. */
  readonly #parts: PartInFlight[] = []
  readonly #onPart: OnPart | undefined
  #worn: OutcomeColumns | undefined

  constructor(onPart: OnPart | undefined) {
    this.#onPart = onPart
  }

  add(trace: Trace): void {
    const outcomes = new OutcomeColumns(trace.length, this.#worn)
    this.#worn = undefined
    this.#parts.push(new PartInFlight(trace, outcomes, this.rows))
    this.rows += trace.length
  }

  /** The part that holds a row in flight. */
  of(row: number): PartInFlight {
    const parts = this.#parts
    // The newest always counts as a step back: what is first run in the second part makes V8 compile the loop again.
    let at = parts.length
    do at--
    while (parts[at]!.base > row)
    return parts[at]!
  }

  /** Parts whose requests have all left go, in order. */
  handOnDone(): void {
    while (this.#parts[0]?.open === 0) this.#handOn()
  }

  finish(): void {
    while (this.#parts.length > 0) this.#handOn()
  }

  #handOn(): void {
    const part = this.#parts.shift()!
    this.#onPart?.(part)
    this.#worn = part.outcomes
  }
}
