/**
 * Requests of a run by which its course is judged: all of a short run, every second, fourth, … of a long one, so that
 * memory stays bounded.
 */
import type {OpenRequests} from './steady-state.js'

/** Most requests that are kept; at least half as many of a run that has more. */
export const mostSampled = 2 ** 16

export class RequestSample implements OpenRequests {
  /** Each request stands for so many. */
  weight = 1
  readonly trace = {length: 0, inputTokens: new Int32Array(0), outputTokens: new Int32Array(0)}
  readonly outcomes = {
    length: 0,
    status: new Uint8Array(0),
    instance: new Int32Array(0),
    arrivedAt: new Float64Array(0),
    scheduledAt: new Float64Array(0),
    firstTokenAt: new Float64Array(0),
    finishedAt: new Float64Array(0),
    producedTokens: new Int32Array(0),
    cachedTokens: new Int32Array(0),
    preemptions: new Int32Array(0),
    reasons: new Map<number, string>(),
  }
  #isOpen = new Uint8Array(0)
  /** Rows of all parts so far. */
  #rows = 0

  readonly isOpen = (row: number): boolean => this.#isOpen[row] === 1

  /** Takes its share of the next part. */
  add(part: OpenRequests): void {
    const {length} = part.outcomes
    if (this.weight === 1 && this.outcomes.length + length <= mostSampled) {
      this.#keepAll(part)
      this.#rows += length
      return
    }
    for (let row = 0; row < length; row++) {
      if (this.#rows++ % this.weight !== 0) continue
      if (this.outcomes.length === mostSampled) {
        this.#thin()
        if ((this.#rows - 1) % this.weight !== 0) continue
      }
      this.#keep(part, row)
    }
  }

  #keepAll({trace, outcomes, isOpen}: OpenRequests): void {
    const own = this.outcomes
    const at = own.length
    const {length} = outcomes
    this.#reserve(at + length)
    const copy = <T extends Int32Array | Float64Array>(to: T, from: T): void =>
      to.set(from.subarray(0, length), at)
    copy(this.trace.inputTokens, trace.inputTokens)
    copy(this.trace.outputTokens, trace.outputTokens)
    copy(own.arrivedAt, outcomes.arrivedAt)
    copy(own.scheduledAt, outcomes.scheduledAt)
    copy(own.firstTokenAt, outcomes.firstTokenAt)
    copy(own.finishedAt, outcomes.finishedAt)
    copy(own.producedTokens, outcomes.producedTokens)
    for (const [row, reason] of outcomes.reasons) own.reasons.set(at + row, reason)
    if (isOpen === undefined) this.#isOpen.fill(1, at, at + length)
    else for (let row = 0; row < length; row++) this.#isOpen[at + row] = isOpen(row) ? 1 : 0
    own.length = this.trace.length = at + length
  }

  #keep({trace, outcomes, isOpen}: OpenRequests, row: number): void {
    const own = this.outcomes
    const at = own.length
    this.#reserve(at + 1)
    this.trace.inputTokens[at] = trace.inputTokens[row]!
    this.trace.outputTokens[at] = trace.outputTokens[row]!
    own.arrivedAt[at] = outcomes.arrivedAt[row]!
    own.scheduledAt[at] = outcomes.scheduledAt[row]!
    own.firstTokenAt[at] = outcomes.firstTokenAt[row]!
    own.finishedAt[at] = outcomes.finishedAt[row]!
    own.producedTokens[at] = outcomes.producedTokens[row]!
    const reason = outcomes.reasons.get(row)
    if (reason !== undefined) own.reasons.set(at, reason)
    this.#isOpen[at] = isOpen === undefined || isOpen(row) ? 1 : 0
    own.length = this.trace.length = at + 1
  }

  /** Lets every second go. */
  #thin(): void {
    const own = this.outcomes
    const {trace} = this
    const columns = [
      trace.inputTokens,
      trace.outputTokens,
      own.arrivedAt,
      own.scheduledAt,
      own.firstTokenAt,
      own.finishedAt,
      own.producedTokens,
      this.#isOpen,
    ]
    const reasons = [...own.reasons].filter(([row]) => row % 2 === 0)
    own.reasons.clear()
    for (const [row, reason] of reasons) own.reasons.set(row / 2, reason)
    const half = own.length / 2
    for (const column of columns) for (let i = 1; i < half; i++) column[i] = column[2 * i]!
    own.length = trace.length = half
    this.weight *= 2
  }

  #reserve(length: number): void {
    const own = this.outcomes
    if (length <= own.arrivedAt.length) return
    const capacity = Math.max(256, length, 2 * own.length)
    const {trace} = this
    const wider = <T extends Uint8Array | Int32Array | Float64Array>(column: T): T => {
      const grown = new (column.constructor as new (length: number) => T)(capacity)
      grown.set(column)
      return grown
    }
    trace.inputTokens = wider(trace.inputTokens)
    trace.outputTokens = wider(trace.outputTokens)
    own.arrivedAt = wider(own.arrivedAt)
    own.scheduledAt = wider(own.scheduledAt)
    own.firstTokenAt = wider(own.firstTokenAt)
    own.finishedAt = wider(own.finishedAt)
    own.producedTokens = wider(own.producedTokens)
    this.#isOpen = wider(this.#isOpen)
  }
}
