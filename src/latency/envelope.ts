/** The largest of many lines, for arguments from 0 up. */

export interface Line {
  readonly slope: number
  /** At 0. */
  readonly value: number
}

/** Lines that are nowhere the largest are dropped; a look-up is a binary search. Empty: −∞. */
export class UpperEnvelope {
  readonly #lines: readonly Line[]
  /** Where line i + 1 overtakes line i. */
  readonly #from: readonly number[]

  constructor(lines: readonly Line[]) {
    const kept: Line[] = []
    const from: number[] = []
    const ordered = [...lines].sort((a, b) => a.slope - b.slope || b.value - a.value)
    for (const line of ordered) {
      if (kept.at(-1)?.slope === line.slope) continue
      let start = 0
      while (kept.length > 0) {
        const last = kept.at(-1)!
        start = Math.max(0, (last.value - line.value) / (line.slope - last.slope))
        if (start > (from.at(-1) ?? 0) || (kept.length === 1 && start > 0)) break
        kept.pop()
        from.pop()
      }
      if (kept.length > 0) from.push(start)
      kept.push(line)
    }
    this.#lines = kept
    this.#from = from
  }

  at(argument: number): number {
    if (this.#lines.length === 0) return Number.NEGATIVE_INFINITY
    let low = 0
    let high = this.#from.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#from[middle]! <= argument) low = middle + 1
      else high = middle
    }
    const {slope, value} = this.#lines[low]!
    return slope * argument + value
  }
}
