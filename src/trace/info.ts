/** What a trace is like: counts, rates, lengths, and how much of its prompts was seen before. */
import {type Distribution, describe} from '../stats/percentiles.js'
import {type ReuseInfo, reuseOf} from './reuse.js'
import type {Labels, Trace} from './trace.js'
import {meanRate} from './transform.js'

export interface TraceInfo {
  readonly format: string
  readonly requests: number
  /** s from the first to the last arrival. */
  readonly span_s: number
  readonly rate: {
    /** Requests per second; null when all arrive at once. */
    readonly mean: number | null
    /** The same of the requests with a time of their own, of which the peaks are: not of turns that wait for others. */
    readonly timed_mean: number | null
    /** In the busiest second, and in the busiest minute; null: the trace is shorter. */
    readonly peak_1s: number | null
    readonly peak_60s: number | null
    /** Coefficient of variation of the gaps between arrivals: 1 for Poisson. */
    readonly burstiness_cv: number | null
  }
  readonly input_tokens: LengthInfo
  readonly output_tokens: LengthInfo
  readonly sessions: {readonly count: number; readonly turns_mean: number} | null
  /** Requests per model. */
  readonly models: Readonly<Record<string, number>> | null
  readonly cancelled: number
  readonly reuse: ReuseInfo | null
  readonly notes: readonly string[]
}

export interface LengthInfo extends Omit<Distribution, 'count'> {
  readonly total: number
  readonly min: number
}

export function traceInfo(trace: Trace): TraceInfo {
  const arrivals = trace.arrivedAt.filter((time) => !Number.isNaN(time))
  return {
    format: trace.format,
    requests: trace.length,
    span_s: arrivals.length === 0 ? 0 : (arrivals.at(-1)! - arrivals[0]!) / 1e9,
    rate: {
      mean: meanRate(trace) ?? null,
      timed_mean: meanRate({...trace, arrivedAt: arrivals, length: arrivals.length}) ?? null,
      peak_1s: peakRate(arrivals, 1),
      peak_60s: peakRate(arrivals, 60),
      burstiness_cv: gapVariation(arrivals),
    },
    input_tokens: lengths(trace.inputTokens),
    output_tokens: lengths(trace.outputTokens),
    sessions: trace.session ? sessionsOf(trace.session) : null,
    models: trace.model ? countsOf(trace.model) : null,
    cancelled: trace.cancelledAt?.filter((time) => !Number.isNaN(time)).length ?? 0,
    reuse: reuseOf(trace),
    notes: trace.notes,
  }
}

/** Most arrivals per second within a sliding window of `seconds`; null where it would reach beyond the trace. */
function peakRate(arrivals: Float64Array, seconds: number): number | null {
  const width = seconds * 1e9
  if (!(arrivals.at(-1)! - arrivals[0]! >= width)) return null
  let most = 0
  for (let first = 0, last = 0; last < arrivals.length; last++) {
    while (arrivals[last]! - arrivals[first]! >= width) first++
    most = Math.max(most, last - first + 1)
  }
  return most / seconds
}

function gapVariation(arrivals: Float64Array): number | null {
  const gaps = arrivals.length - 1
  if (gaps < 2 || arrivals.at(-1) === arrivals[0]) return null
  const mean = (arrivals[gaps]! - arrivals[0]!) / gaps
  let squares = 0
  for (let i = 0; i < gaps; i++) squares += (arrivals[i + 1]! - arrivals[i]! - mean) ** 2
  return Math.sqrt(squares / gaps) / mean
}

function lengths(column: Int32Array): LengthInfo {
  const {count, ...rest} = describe(Float64Array.from(column))!
  let total = 0
  let min = Number.POSITIVE_INFINITY
  for (const value of column) {
    total += value
    if (value < min) min = value
  }
  return {total, min, ...rest}
}

function sessionsOf({codes, names}: Labels): {count: number; turns_mean: number} {
  const seen = new Uint8Array(names.length)
  let rows = 0
  for (const code of codes) {
    if (code < 0) continue
    rows++
    seen[code] = 1
  }
  const count = seen.reduce((sum, one) => sum + one, 0)
  return {count, turns_mean: count === 0 ? 0 : rows / count}
}

function countsOf({codes, names}: Labels): Record<string, number> {
  const counts = new Float64Array(names.length)
  for (const code of codes) if (code >= 0) counts[code]!++
  return Object.fromEntries(
    [...names.entries()].filter(([i]) => counts[i]! > 0).map(([i, name]) => [name, counts[i]!]),
  )
}
