/** What arrives when: the rows of a trace in order, turns that wait for the one before, clients that wait for answers. */
import type {Ns} from '../latency/step-time.js'
import type {Trace} from '../trace/trace.js'
import {TimedRows} from './timed-rows.js'

/** Rows that will arrive, soonest first; equal times in trace order. */
export class Arrivals {
  /** Rows whose time is known from the start, in order. */
  readonly #scheduled: Int32Array
  #cursor = 0
  readonly #arrivedAt: (row: number) => Ns
  readonly #released = new TimedRows()

  constructor(rows: Int32Array, arrivedAt: (row: number) => Ns) {
    this.#scheduled = rows
    this.#arrivedAt = arrivedAt
  }

  /** Time of the next arrival; +Infinity when none is known. */
  nextAt(): Ns {
    return Math.min(this.#scheduledAt(), this.#released.nextAt())
  }

  /** Row of the next arrival, taken. */
  take(): number {
    const scheduledAt = this.#scheduledAt()
    const releasedAt = this.#released.nextAt()
    const row = this.#scheduled[this.#cursor]!
    const isReleased =
      releasedAt < scheduledAt || (releasedAt === scheduledAt && this.#released.nextRow() < row)
    if (isReleased) return this.#released.take()
    this.#cursor++
    return row
  }

  /** A row will arrive at `at`. */
  release(row: number, at: Ns): void {
    this.#released.add(row, at)
  }

  #scheduledAt(): Ns {
    if (this.#cursor >= this.#scheduled.length) return Number.POSITIVE_INFINITY
    return this.#arrivedAt(this.#scheduled[this.#cursor]!)
  }
}

/** Decides which rows arrive on their own and which are released by the end of another. */
export interface Workload {
  readonly arrivals: Arrivals
  /** Whether the end of a request may release another. */
  readonly coupling: 'independent' | 'lockstep'
  /** A row ended (in any way) at `now`; returns whether that released somebody. */
  ended(row: number, now: Ns): boolean
}

/** Open loop: rows arrive as the trace says; later turns of a session after the previous one and its think time. */
export function openLoop(trace: Trace): Workload {
  const {thinkTime, session, arrivedAt} = trace
  const follows = (row: number) => thinkTime !== undefined && !Number.isNaN(thinkTime[row]!)
  const next = new Map<number, number>()
  const own: number[] = []
  const latest = new Map<number, number>()
  for (let row = 0; row < trace.length; row++) {
    const code = session?.codes[row] ?? -1
    const previous = code < 0 ? undefined : latest.get(code)
    if (code >= 0) latest.set(code, row)
    if (follows(row) && previous !== undefined) next.set(previous, row)
    else own.push(row)
  }
  const arrivals = new Arrivals(Int32Array.from(own), (row) => arrivedAt[row]!)
  return {
    arrivals,
    coupling: next.size > 0 ? 'lockstep' : 'independent',
    ended(row, now) {
      const turn = next.get(row)
      if (turn === undefined) return false
      arrivals.release(turn, now + thinkTime![turn]!)
      return true
    },
  }
}

/** Closed loop: `clients` clients take the rows in order, the next as soon as the last one ended. */
export function closedLoop(trace: Trace, clients: number): Workload {
  const first = Math.min(clients, trace.length)
  const arrivals = new Arrivals(
    Int32Array.from({length: first}, (_, row) => row),
    () => 0,
  )
  let next = first
  return {
    arrivals,
    coupling: 'lockstep',
    ended(_row, now) {
      if (next >= trace.length) return false
      arrivals.release(next++, now)
      return true
    },
  }
}
