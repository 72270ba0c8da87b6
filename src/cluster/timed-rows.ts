/** Rows of a trace by (time, row), soonest first: a binary heap. */
import type {Ns} from '../latency/step-time.js'

export class TimedRows {
  readonly #rows: number[] = []
  readonly #times: Ns[] = []
  #nextAt: Ns = Number.POSITIVE_INFINITY

  /** +Infinity when there is none. */
  nextAt(): Ns {
    return this.#nextAt
  }

  nextRow(): number {
    return this.#rows[0] ?? -1
  }

  add(row: number, at: Ns): void {
    let child = this.#rows.length
    while (child > 0) {
      const parent = (child - 1) >> 1
      if (!this.#isBefore(at, row, parent)) break
      this.#move(parent, child)
      child = parent
    }
    this.#times[child] = at
    this.#rows[child] = row
    this.#nextAt = this.#times[0]!
  }

  take(): number {
    const first = this.#rows[0]!
    const row = this.#rows.pop()!
    const at = this.#times.pop()!
    const size = this.#rows.length
    if (size === 0) {
      this.#nextAt = Number.POSITIVE_INFINITY
      return first
    }
    let parent = 0
    for (;;) {
      let child = 2 * parent + 1
      if (child >= size) break
      const right = child + 1
      if (right < size && this.#isBefore(this.#times[right]!, this.#rows[right]!, child))
        child = right
      if (this.#isBefore(at, row, child)) break
      this.#move(child, parent)
      parent = child
    }
    this.#times[parent] = at
    this.#rows[parent] = row
    this.#nextAt = this.#times[0]!
    return first
  }

  #move(from: number, to: number): void {
    this.#times[to] = this.#times[from]!
    this.#rows[to] = this.#rows[from]!
  }

  #isBefore(at: Ns, row: number, other: number): boolean {
    const time = this.#times[other]!
    return at < time || (at === time && row < this.#rows[other]!)
  }
}
