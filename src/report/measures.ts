/** What can be said about a set of requests from their outcomes alone: rates, latencies, goodput. */
import {Problem} from '../errors.js'
import {type Outcomes, status} from '../stats/outcomes.js'
import {type Distribution, describe} from '../stats/percentiles.js'
import type {Trace} from '../trace/trace.js'
import {type Bounds, collect, e2eOf, meets, queueOf, tpotOf, ttftOf} from './request-metrics.js'
import type {Slo} from './slo.js'

/** In the unit of its name; null where there are no samples. */
export interface Spread {
  readonly mean: number | null
  readonly p50: number | null
  readonly p90: number | null
  readonly p95: number | null
  readonly p99: number | null
  readonly max: number | null
}

export const spreadFields = ['mean', 'p50', 'p90', 'p95', 'p99', 'max'] as const

export interface RequestCounts {
  readonly submitted: number
  readonly completed: number
  readonly rejected: number
  readonly cancelled: number
  /** Events, not requests: one request can be preempted many times. */
  readonly preemptions: number
}

export interface Throughput {
  readonly requests_per_s: number | null
  readonly input_tokens_per_s: number | null
  readonly output_tokens_per_s: number | null
}

export interface Goodput {
  /** The bounds, in ms. */
  readonly slo: {readonly [metric: string]: number}
  /** Requests that completed within all bounds. */
  readonly requests: number
  /** `requests` ÷ all that count, rejected and cancelled ones too. */
  readonly attainment: number | null
  readonly requests_per_s: number | null
  readonly output_tokens_per_s: number | null
}

/** `TTFT ≤ 500 ms, TPOT ≤ 50 ms`. */
export const boundsText = ({slo}: Goodput): string =>
  Object.entries(slo)
    .map(([name, ms]) => `${name.replace('_ms', '').toUpperCase()} ≤ ${ms} ms`)
    .join(', ')

export interface Measures {
  readonly throughput: Throughput
  readonly ttft_ms: Spread
  readonly tpot_ms: Spread
  readonly e2e_ms: Spread
  readonly queue_ms: Spread
  readonly goodput?: Goodput
}

/** What reports need to know of a trace; a stored run gives it back. */
export type RequestColumns = Pick<
  Trace,
  'length' | 'inputTokens' | 'outputTokens' | 'requestId' | 'model' | 'session' | 'priority'
>

/** What was asked and what came of it; all times in ns. */
export interface RequestResults {
  readonly trace: RequestColumns
  readonly outcomes: Outcomes
  /** The largest gap between tokens of each request, where somebody recorded them; NaN: none. */
  readonly largestGap?: Float64Array | undefined
}

/** A distribution of ns in ms. */
export function spreadOfNs(distribution: Distribution | undefined): Spread {
  const spread = {} as {[field in (typeof spreadFields)[number]]: number | null}
  for (const field of spreadFields) {
    spread[field] = distribution === undefined ? null : distribution[field] / 1e6
  }
  return spread
}

export function countRequests(outcomes: Outcomes, rows: Uint32Array): RequestCounts {
  const byStatus = [0, 0, 0, 0]
  let preemptions = 0
  for (const row of rows) {
    byStatus[outcomes.status[row]!]! += 1
    preemptions += outcomes.preemptions[row]!
  }
  return {
    submitted: rows.length,
    completed: byStatus[status.completed]!,
    rejected: byStatus[status.rejected]!,
    cancelled: byStatus[status.cancelled]!,
    preemptions,
  }
}

/** First arrival → last finish of `rows`, ns. NaN where nothing finished. */
export function spanOf(outcomes: Outcomes, rows: Uint32Array): number {
  let first = Number.POSITIVE_INFINITY
  let last = Number.NEGATIVE_INFINITY
  for (const row of rows) {
    if (outcomes.arrivedAt[row]! < first) first = outcomes.arrivedAt[row]!
    if (outcomes.finishedAt[row]! > last) last = outcomes.finishedAt[row]!
  }
  return last >= first ? last - first : Number.NaN
}

const perSecond = (count: number, windowNs: number): number | null =>
  windowNs > 0 ? count / (windowNs / 1e9) : null

/** Rates over `windowNs` and latencies of `rows`. Throws FLAG_CONFLICT for an ITL bound without gaps. */
export function measure(
  run: RequestResults,
  rows: Uint32Array,
  windowNs: number,
  slo?: Slo | undefined,
): Measures {
  const {outcomes, trace} = run
  let completed = 0
  let input = 0
  let output = 0
  for (const row of rows) {
    if (outcomes.status[row] !== status.completed) continue
    completed += 1
    input += trace.inputTokens[row]!
    output += outcomes.producedTokens[row]!
  }
  const spread = (metric: typeof ttftOf): Spread =>
    spreadOfNs(describe(collect(outcomes, rows, metric)))
  return {
    throughput: {
      requests_per_s: perSecond(completed, windowNs),
      input_tokens_per_s: perSecond(input, windowNs),
      output_tokens_per_s: perSecond(output, windowNs),
    },
    ttft_ms: spread(ttftOf),
    tpot_ms: spread(tpotOf),
    e2e_ms: spread(e2eOf),
    queue_ms: spread(queueOf),
    ...(slo && {goodput: goodputOf(outcomes, rows, windowNs, {slo, largestGap: run.largestGap})}),
  }
}

function goodputOf(
  outcomes: Outcomes,
  rows: Uint32Array,
  windowNs: number,
  bounds: Bounds,
): Goodput {
  if (bounds.slo.itl !== undefined && bounds.largestGap === undefined) {
    throw new Problem(
      'FLAG_CONFLICT',
      '--slo itl=… needs the gaps of every request, which this run did not record.',
      {suggestions: ['simulate with --itl FILE', 'bound tpot instead']},
    )
  }
  let good = 0
  let tokens = 0
  for (const row of rows) {
    if (!meets(outcomes, row, bounds)) continue
    good += 1
    tokens += outcomes.producedTokens[row]!
  }
  const slo = Object.entries(bounds.slo).map(([name, ns]) => [`${name}_ms`, ns / 1e6] as const)
  return {
    slo: Object.fromEntries(slo),
    requests: good,
    attainment: rows.length > 0 ? good / rows.length : null,
    requests_per_s: perSecond(good, windowNs),
    output_tokens_per_s: perSecond(tokens, windowNs),
  }
}
