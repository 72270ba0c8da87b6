/**
 * What engines did over time, in equal intervals. How long a run will be is not known when it starts: intervals begin
 * at a millisecond, and whenever there are too many of them two become one. Counters only grow, so nothing is lost by it.
 */
import type {EngineTotals} from './outcomes.js'

/** An engine at one moment: what it holds, and what it has done since the start. */
export interface EngineMoment {
  readonly running: number
  readonly waiting: number
  readonly usedBlocks: number
  readonly totals: SeriesCounters
}

export type SeriesCounters = Pick<
  EngineTotals,
  'prefillTokens' | 'decodeTokens' | 'lookedUpTokens' | 'hitTokens' | 'preemptions'
>

/** All engines at the end of an interval, in the order of instances. */
export interface Moment {
  /** ns */
  readonly at: number
  readonly engines: readonly EngineMoment[]
}

export const firstIntervalNs = 1_000_000
/** Between half as many and so many are kept. */
export const mostIntervals = 400

export class Series {
  // A double from the start: when V8 finds that it is no small whole number any more it throws away the loop of a replay.
  #intervalNs = Number.NaN
  #moments: Moment[] = []
  #number = 1

  constructor() {
    this.#intervalNs = firstIntervalNs
  }

  /** End of the interval that is under way, ns. */
  nextAt(): number {
    return this.#number * this.#intervalNs
  }

  get intervalNs(): number {
    return this.#intervalNs
  }

  /** In order of time; the last may end before its interval does. */
  get moments(): readonly Moment[] {
    return this.#moments
  }

  /** The interval ends as `engines` are. */
  add(engines: readonly EngineMoment[]): void {
    this.#moments.push({at: this.nextAt(), engines})
    this.#number++
    if (this.#moments.length < mostIntervals) return
    // Every second one stands at a multiple of twice the interval.
    this.#moments = this.#moments.filter((_, i) => i % 2 === 1)
    this.#intervalNs *= 2
    this.#number = this.#moments.length + 1
  }

  /** The run ends at `at`, inside of an interval. */
  close(at: number, engines: readonly EngineMoment[]): void {
    const last = this.#moments.at(-1)?.at ?? 0
    if (at > last) this.#moments.push({at, engines})
  }
}
