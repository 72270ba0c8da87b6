/** When an engine executed steps without a break, in order. */
export interface Spans {
  readonly length: number
  /** ns. */
  readonly starts: Float64Array
  readonly ends: Float64Array
}

/** Grows as an engine goes to work and falls idle; a span that is open has no end yet and does not count. */
export class BusySpans implements Spans {
  length = 0
  starts = new Float64Array(64)
  ends = new Float64Array(64)
  #openSince = Number.NaN

  /** From `now` on the engine is busy, or idle; saying so again changes nothing. */
  mark(now: number, isBusy: boolean): void {
    const isOpen = !Number.isNaN(this.#openSince)
    if (isBusy === isOpen) return
    if (isBusy) {
      // Work that goes on where the last one ended, or begins before that, is the same span.
      const goesOn = this.length > 0 && this.ends[this.length - 1]! >= now
      this.#openSince = goesOn ? this.starts[--this.length]! : now
      return
    }
    if (this.length === this.starts.length) this.#grow()
    this.starts[this.length] = this.#openSince
    this.ends[this.length++] = now
    this.#openSince = Number.NaN
  }

  /** Start of the span that is open; NaN: the engine idles. */
  get openSince(): number {
    return this.#openSince
  }

  /** Busy time from `from` to `to`, the present; the span that is open counts. */
  between(from: number, to: number): number {
    let busy = Number.isNaN(this.#openSince) ? 0 : Math.max(0, to - Math.max(from, this.#openSince))
    for (let i = this.length - 1; i >= 0 && this.ends[i]! > from; i--)
      busy += Math.min(to, this.ends[i]!) - Math.max(from, this.starts[i]!)
    return busy
  }

  #grow(): void {
    for (const name of ['starts', 'ends'] as const) {
      const longer = new Float64Array(2 * this.length)
      longer.set(this[name])
      this[name] = longer
    }
  }
}
