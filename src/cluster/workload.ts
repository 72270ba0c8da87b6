/** What arrives when: the rows of a trace in order, turns that wait for the one before, clients that wait for answers. */
import type {Ns} from '../latency/step-time.js'
import type {Trace} from '../trace/trace.js'
import {TimedRows} from './timed-rows.js'

/**
 * Arrivals whose times are known from the start, in order, and which rows they are: those from `base` on, unless they
 * are named. Columns of a class, as V8 would throw away what it compiled for the functions, or the literal, of one part
 * when those of the next come.
 */
class Scheduled {
  readonly times: Float64Array
  readonly base: number
  readonly rows: Int32Array | undefined

  constructor(times: Float64Array, base: number, rows: Int32Array | undefined) {
    this.times = times
    this.base = base
    this.rows = rows
  }
}

/** Rows that will arrive, soonest first; equal times in trace order. */
export class Arrivals {
  #scheduled: Scheduled
  /** What comes behind it. */
  readonly #further: Scheduled[] = []
  #cursor = 0
  #nextScheduled: Ns
  readonly #released = new TimedRows()

  constructor(times: Float64Array, rows?: Int32Array) {
    this.#scheduled = new Scheduled(times, 0, rows)
    this.#nextScheduled = this.#scheduledAt()
  }

  /** More arrivals, of the rows from `base` on, none of them earlier than those that are scheduled. */
  extend(times: Float64Array, base: number): void {
    this.#further.push(new Scheduled(times, base, undefined))
    this.#nextScheduled = this.#scheduledAt()
  }

  /** Time of the next arrival; +Infinity when none is known. */
  nextAt(): Ns {
    const released = this.#released.nextAt()
    return released < this.#nextScheduled ? released : this.#nextScheduled
  }

  /** Row of the next arrival, taken. */
  take(): number {
    const releasedAt = this.#released.nextAt()
    const scheduledAt = this.#nextScheduled
    const row = scheduledAt < releasedAt ? -1 : this.#released.nextRow()
    const isReleased = row >= 0 && (releasedAt < scheduledAt || row < this.#scheduledRow())
    if (isReleased) return this.#released.take()
    const scheduled = this.#scheduledRow()
    this.#cursor++
    this.#nextScheduled = this.#scheduledAt()
    return scheduled
  }

  /** A row will arrive at `at`. */
  release(row: number, at: Ns): void {
    this.#released.add(row, at)
  }

  #scheduledRow(): number {
    const {base, rows} = this.#scheduled
    return rows === undefined ? base + this.#cursor : rows[this.#cursor]!
  }

  #scheduledAt(): Ns {
    if (this.#cursor === this.#scheduled.times.length) this.#goOn()
    const {times} = this.#scheduled
    return this.#cursor < times.length ? times[this.#cursor]! : Number.POSITIVE_INFINITY
  }

  #goOn(): void {
    while (this.#cursor === this.#scheduled.times.length && this.#further.length > 0) {
      this.#scheduled = this.#further.shift()!
      this.#cursor = 0
    }
  }
}

/** Decides which rows arrive on their own and which are released by the end of another. */
export interface Workload {
  readonly arrivals: Arrivals
  /** Whether the end of a request may release another. */
  readonly coupling: 'independent' | 'lockstep'
  /** A row ended (in any way) at `now`; returns whether that released somebody. */
  ended(row: number, now: Ns): boolean
  /** The next part of a trace, whose first row is number `base`. Only of rows that arrive on their own. */
  more(trace: Trace, base: number): void
}

const noMore = (): never => {
  throw new Error('what others release cannot come in parts')
}

/** Open loop: rows arrive as the trace says; later turns of a session after the previous one and its think time. */
export function openLoop(trace: Trace): Workload {
  const {thinkTime, session, arrivedAt} = trace
  if (thinkTime === undefined || session === undefined) {
    const arrivals = new Arrivals(arrivedAt)
    return {
      arrivals,
      coupling: 'independent',
      ended: () => false,
      more: ({arrivedAt: times}, base) => arrivals.extend(times, base),
    }
  }
  const next = new Map<number, number>()
  const own: number[] = []
  const latest = new Map<number, number>()
  for (let row = 0; row < trace.length; row++) {
    const code = session.codes[row]!
    const previous = code < 0 ? undefined : latest.get(code)
    if (code >= 0) latest.set(code, row)
    if (previous !== undefined && !Number.isNaN(thinkTime[row]!)) next.set(previous, row)
    else own.push(row)
  }
  const times = Float64Array.from(own, (row) => arrivedAt[row]!)
  const arrivals = new Arrivals(times, Int32Array.from(own))
  return {
    arrivals,
    coupling: next.size > 0 ? 'lockstep' : 'independent',
    ended(row, now) {
      const turn = next.get(row)
      if (turn === undefined) return false
      arrivals.release(turn, now + thinkTime[turn]!)
      return true
    },
    more: noMore,
  }
}

/** Closed loop: `clients` clients take the rows in order, the next as soon as the last one ended. */
export function closedLoop(trace: Trace, clients: number): Workload {
  const first = Math.min(clients, trace.length)
  const arrivals = new Arrivals(new Float64Array(first))
  let next = first
  return {
    arrivals,
    coupling: 'lockstep',
    ended(_row, now) {
      if (next >= trace.length) return false
      arrivals.release(next++, now)
      return true
    },
    more: noMore,
  }
}
