/** Traces from traces: a window of time, the first rows, another pace. Sessions are never cut. */
import {Problem} from '../errors.js'
import {inexactTimes} from './builder.js'
import {selectRows} from './select.js'
import type {Trace} from './trace.js'

/** Applied in this order: from/to, limit, timeScale, rate. */
export interface TransformOptions {
  /** s from the start of the trace; times count from it afterwards. */
  readonly from?: number
  /** s from the start of the trace; a request that arrives then is out. */
  readonly to?: number
  /** Most requests; the session that reaches it is kept whole. */
  readonly limit?: number
  /** Factor on arrival times: 0.5 is twice as fast. Think times stay. */
  readonly timeScale?: number
  /** Mean requests per second to stretch or squeeze arrival times to. */
  readonly rate?: number
}

/** Whether anything is asked for. */
export const isTransformed = ({from, to, limit, timeScale, rate}: TransformOptions): boolean =>
  [from, to, limit, timeScale, rate].some((value) => value !== undefined)

/** Values that would do. */
const examples = {from: 60, to: 600, limit: 1000, 'time-scale': 0.5, rate: 4} as const

const check = (
  flag: keyof typeof examples,
  value: number | undefined,
  zero: 'may-be-zero' | 'positive',
): void => {
  if (value === undefined) return
  if (Number.isFinite(value) && (value > 0 || (zero === 'may-be-zero' && value === 0))) return
  throw new Problem(
    'FLAG_BAD_VALUE',
    `--${flag}: ${value} is not a number ${zero === 'positive' ? 'above 0' : 'of at least 0'}.`,
    {suggestions: [`--${flag} ${examples[flag]}, or leave it out`]},
  )
}

/** The trace under all of `options`; TRACE_EMPTY when a window holds no request. */
export function transformTrace(trace: Trace, options: TransformOptions): Trace {
  const {from, to, limit, timeScale, rate} = options
  check('from', from, 'may-be-zero')
  check('to', to, 'positive')
  check('limit', limit, 'positive')
  if (limit !== undefined && !Number.isInteger(limit))
    throw new Problem('FLAG_BAD_VALUE', `--limit: ${limit} is not a whole number.`, {
      suggestions: [`--limit ${Math.ceil(limit)}`],
    })
  check('time-scale', timeScale, 'positive')
  check('rate', rate, 'positive')
  if (rate !== undefined && rate > 1e9)
    throw new Problem('FLAG_BAD_VALUE', `--rate: ${rate} is more than a request per nanosecond.`, {
      suggestions: ['--concurrency N sends requests as fast as they are answered'],
    })
  if (from !== undefined && to !== undefined && to <= from)
    throw new Problem('FLAG_CONFLICT', `--to ${to} must be later than --from ${from}.`, {
      suggestions: [`--from ${to} --to ${from}`],
    })
  let out = trace
  if (from !== undefined || to !== undefined)
    out = window(out, from ?? 0, to ?? Number.POSITIVE_INFINITY)
  if (limit !== undefined) out = firstRequests(out, limit)
  if (timeScale !== undefined)
    out = withinTime(scaleTime(out, timeScale), `--time-scale ${timeScale}`)
  if (rate !== undefined) out = withinTime(toRate(out, rate), `--rate ${rate}`)
  return out
}

/** s, 3,170 years: readers refuse later times, too. */
export const latest = 1e11

/** @throws Problem FLAG_BAD_VALUE where the pace leaves the time that there is */
function withinTime(trace: Trace, flag: string): Trace {
  const {arrivedAt, notes} = trace
  const last = arrivedAt.reduce((most, ns) => (ns > most ? ns : most), 0)
  if (last >= latest * 1e9)
    throw new Problem(
      'FLAG_BAD_VALUE',
      `${flag}: the last request would come more than ${latest} s after the start, where times end.`,
      {
        suggestions: [
          '--rate is in requests per second, --time-scale a factor: 0.5 is twice as fast',
        ],
      },
    )
  if (last <= Number.MAX_SAFE_INTEGER || notes.includes(inexactTimes)) return trace
  return {...trace, notes: [...notes, inexactTimes]}
}

const spanText = (from: number, to: number): string =>
  to === Number.POSITIVE_INFINITY
    ? `at --from ${from} s or later`
    : `between --from ${from} and --to ${to} s`

/** The first row of the session of every row; its own number where it has none. */
function firstRows(trace: Trace): Float64Array {
  const {session} = trace
  const first = new Float64Array(session?.names.length ?? 0).fill(-1)
  return Float64Array.from({length: trace.length}, (_, row) => {
    const code = session?.codes[row] ?? -1
    if (code < 0) return row
    if (first[code] === -1) first[code] = row
    return first[code]!
  })
}

/** Requests, and whole sessions, that begin at `from` … `to` (s); times count from `from`. */
export function window(trace: Trace, from: number, to: number): Trace {
  const start = Math.round(from * 1e9)
  const end = to * 1e9
  const firsts = firstRows(trace)
  const rows: number[] = []
  for (let row = 0; row < trace.length; row++) {
    const time = trace.arrivedAt[firsts[row]!]!
    if (time >= start && time < end) rows.push(row)
  }
  if (rows.length === 0) {
    const last = trace.arrivedAt.findLast((time) => !Number.isNaN(time)) ?? 0
    throw new Problem(
      'TRACE_EMPTY',
      `No request arrives ${spanText(from, to)}; the trace reaches from ${trace.arrivedAt[0]! / 1e9} to ${last / 1e9} s.`,
    )
  }
  return mapTimes(selectRows(trace, rows), (ns) => ns - start)
}

/** The first `count` requests; sessions that begin among them are kept whole. */
export function firstRequests(trace: Trace, count: number): Trace {
  if (count >= trace.length) return trace
  const firsts = firstRows(trace)
  const sizes = new Float64Array(trace.length)
  for (const first of firsts) sizes[first] = sizes[first]! + 1
  let taken = 0
  let end = 0
  for (; end < trace.length && taken < count; end++) taken += sizes[end]!
  const rows: number[] = []
  for (let row = 0; row < trace.length; row++) if (firsts[row]! < end) rows.push(row)
  const picked = selectRows(trace, rows)
  if (taken <= count) return picked
  const note = `--limit ${count} took ${taken} requests: sessions are kept whole.`
  return {...picked, notes: [...picked.notes, note]}
}

/** Arrivals at `factor` times their time from the start; cancellations keep their distance to them. */
export function scaleTime(trace: Trace, factor: number): Trace {
  return mapTimes(trace, (ns) => Math.round(ns * factor))
}

/**
 * Requests per second: those with a time of their own, less one, over the time between the first and
 * the last of them; the turns that others release count in proportion. Undefined without a span.
 */
export function meanRate(trace: Trace): number | undefined {
  let timed = 0
  let first = Number.NaN
  let last = Number.NaN
  for (const time of trace.arrivedAt) {
    if (Number.isNaN(time)) continue
    if (timed++ === 0) first = time
    last = time
  }
  if (timed < 2 || last === first) return undefined
  return (((timed - 1) / (last - first)) * 1e9 * trace.length) / timed
}

/** The same arrivals at another mean rate (requests per second). */
export function toRate(trace: Trace, rate: number): Trace {
  const now = meanRate(trace)
  if (now !== undefined) {
    const first = trace.arrivedAt[0]!
    return mapTimes(trace, (ns) => first + Math.round(((ns - first) * now) / rate))
  }
  throw new Problem(
    'FLAG_CONFLICT',
    `--rate ${rate} cannot be reached: all requests of the trace arrive at one time.`,
    {suggestions: ['generate arrivals: llmsim trace generate --input empirical:FILE']},
  )
}

function mapTimes(trace: Trace, to: (ns: number) => number): Trace {
  const arrivedAt = trace.arrivedAt.map(to)
  if (!trace.cancelledAt) return {...trace, arrivedAt}
  // A client's patience is its own: it does not stretch with the trace.
  const cancelledAt = trace.cancelledAt.map((ns, row) => {
    const patience = ns - trace.arrivedAt[row]!
    return Number.isNaN(patience) ? to(ns) : arrivedAt[row]! + patience
  })
  return {...trace, arrivedAt, cancelledAt}
}
