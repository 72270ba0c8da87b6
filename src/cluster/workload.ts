/** What arrives when: the rows of a trace in order, turns that wait for the one before, clients that wait for answers. */
import type {Ns} from '../latency/step-time.js'
import type {Trace} from '../trace/trace.js'

/** Rows that will arrive, soonest first; equal times in trace order. */
export class Arrivals {
  /** Rows whose time is known from the start, in order. */
  readonly #cursorRows: Int32Array
  #cursor = 0
  readonly #arrivedAt: (row: number) => Ns
  /** Rows released since: a binary heap by (time, row). */
  readonly #rows: number[] = []
  readonly #times: Ns[] = []

  constructor(rows: Int32Array, arrivedAt: (row: number) => Ns) {
    this.#cursorRows = rows
    this.#arrivedAt = arrivedAt
  }

  /** Time of the next arrival; +Infinity when none is known. */
  nextAt(): Ns {
    return Math.min(this.#cursorAt(), this.#times[0] ?? Number.POSITIVE_INFINITY)
  }

  /** Row of the next arrival, taken. */
  take(): number {
    const cursorAt = this.#cursorAt()
    const releasedAt = this.#times[0] ?? Number.POSITIVE_INFINITY
    const row = this.#cursorRows[this.#cursor]!
    const isReleased = releasedAt < cursorAt || (releasedAt === cursorAt && this.#rows[0]! < row)
    if (isReleased) return this.#pop()
    this.#cursor++
    return row
  }

  /** A row will arrive at `at`. */
  release(row: number, at: Ns): void {
    let child = this.#rows.length
    while (child > 0) {
      const parent = (child - 1) >> 1
      if (!this.#isBefore(at, row, parent)) break
      this.#times[child] = this.#times[parent]!
      this.#rows[child] = this.#rows[parent]!
      child = parent
    }
    this.#times[child] = at
    this.#rows[child] = row
  }

  #cursorAt(): Ns {
    if (this.#cursor >= this.#cursorRows.length) return Number.POSITIVE_INFINITY
    return this.#arrivedAt(this.#cursorRows[this.#cursor]!)
  }

  #isBefore(at: Ns, row: number, other: number): boolean {
    const time = this.#times[other]!
    return at < time || (at === time && row < this.#rows[other]!)
  }

  #pop(): number {
    const first = this.#rows[0]!
    const row = this.#rows.pop()!
    const at = this.#times.pop()!
    const size = this.#rows.length
    if (size === 0) return first
    let parent = 0
    for (;;) {
      let child = 2 * parent + 1
      if (child >= size) break
      if (
        child + 1 < size &&
        this.#isBefore(this.#times[child + 1]!, this.#rows[child + 1]!, child)
      )
        child++
      if (this.#isBefore(at, row, child)) break
      this.#times[parent] = this.#times[child]!
      this.#rows[parent] = this.#rows[child]!
      parent = child
    }
    this.#times[parent] = at
    this.#rows[parent] = row
    return first
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
