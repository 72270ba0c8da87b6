/** What can be said about a set of requests from their outcomes alone: rates, latencies, goodput. */
import {Problem} from '../errors.js'
import {type Outcomes, status} from '../stats/outcomes.js'
import type {Distribution} from '../stats/percentiles.js'
import {SampleColumns} from '../stats/sample-columns.js'
import type {Trace} from '../trace/trace.js'
import {collect, e2eOf, meets, queueOf, tpotOf, ttftOf} from './request-metrics.js'
import type {Slo} from './slo.js'

/** In the unit of its name; null where there are no samples. */
export interface Spread {
  readonly mean: number | null
  readonly p50: number | null
  readonly p90: number | null
  readonly p95: number | null
  readonly p99: number | null
  readonly max: number | null
  /** How far p50 … p99 may lie from the exact ones, relative to them; absent: they are exact. */
  readonly relative_error?: number
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
  return distribution && distribution.relativeError > 0
    ? {...spread, relative_error: distribution.relativeError}
    : spread
}

export function countRequests(outcomes: Outcomes, rows: Uint32Array): RequestCounts {
  const byStatus = [0, 0, 0, 0]
  let preemptions = 0
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!
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

/** First arrival → last finish, added up part by part. */
export class Span {
  #first = Number.POSITIVE_INFINITY
  #last = Number.NEGATIVE_INFINITY

  add({arrivedAt, finishedAt}: Outcomes, rows: Uint32Array): void {
    let [first, last] = [this.#first, this.#last]
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i]!
      if (arrivedAt[row]! < first) first = arrivedAt[row]!
      if (finishedAt[row]! > last) last = finishedAt[row]!
    }
    this.#first = first
    this.#last = last
  }

  /** NaN where nothing finished. */
  get ns(): number {
    return this.#last >= this.#first ? this.#last - this.#first : Number.NaN
  }
}

/** First arrival → last finish of `rows`, ns. NaN where nothing finished. */
export function spanOf(outcomes: Outcomes, rows: Uint32Array): number {
  const span = new Span()
  span.add(outcomes, rows)
  return span.ns
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
  const measures = new RequestMeasures(slo)
  measures.add(run, rows)
  return measures.finish(windowNs)
}

/** What requests took, added up part by part. Percentiles are exact up to `mostExactSamples` requests. */
export class RequestMeasures {
  readonly #slo: Slo | undefined
  readonly #ttft = new SampleColumns()
  readonly #tpot = new SampleColumns()
  readonly #e2e = new SampleColumns()
  readonly #queue = new SampleColumns()
  #counted = 0
  #completed = 0
  #input = 0
  #output = 0
  #good = 0
  #goodTokens = 0

  constructor(slo?: Slo | undefined) {
    this.#slo = slo
  }

  /** Throws FLAG_CONFLICT for an ITL bound without gaps. */
  add(run: RequestResults, rows: Uint32Array): void {
    const {outcomes, trace} = run
    this.#counted += rows.length
    this.#addTokens(trace, outcomes, rows)
    this.#ttft.add(collect(outcomes, rows, ttftOf))
    this.#tpot.add(collect(outcomes, rows, tpotOf))
    this.#e2e.add(collect(outcomes, rows, e2eOf))
    this.#queue.add(collect(outcomes, rows, queueOf))
    if (this.#slo !== undefined) this.#score(run, rows, this.#slo)
  }

  #addTokens({inputTokens}: RequestColumns, outcomes: Outcomes, rows: Uint32Array): void {
    const {status: became, producedTokens} = outcomes
    let [completed, input, output] = [0, 0, 0]
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i]!
      if (became[row] !== status.completed) continue
      completed += 1
      input += inputTokens[row]!
      output += producedTokens[row]!
    }
    this.#completed += completed
    this.#input += input
    this.#output += output
  }

  #score({outcomes, largestGap}: RequestResults, rows: Uint32Array, slo: Slo): void {
    if (slo.itl !== undefined && largestGap === undefined) {
      throw new Problem(
        'FLAG_CONFLICT',
        '--slo itl=… needs the gaps of every request, which this run did not record.',
        {suggestions: ['bound tpot instead', 'simulate again with this --slo']},
      )
    }
    for (const row of rows) {
      if (!meets(outcomes, row, {slo, largestGap})) continue
      this.#good += 1
      this.#goodTokens += outcomes.producedTokens[row]!
    }
  }

  finish(windowNs: number): Measures {
    const spread = (samples: SampleColumns): Spread => spreadOfNs(samples.describe())
    return {
      throughput: {
        requests_per_s: perSecond(this.#completed, windowNs),
        input_tokens_per_s: perSecond(this.#input, windowNs),
        output_tokens_per_s: perSecond(this.#output, windowNs),
      },
      ttft_ms: spread(this.#ttft),
      tpot_ms: spread(this.#tpot),
      e2e_ms: spread(this.#e2e),
      queue_ms: spread(this.#queue),
      ...(this.#slo && {goodput: this.#goodput(this.#slo, windowNs)}),
    }
  }

  #goodput(slo: Slo, windowNs: number): Goodput {
    const bounds = Object.entries(slo).map(([name, ns]) => [`${name}_ms`, ns / 1e6] as const)
    return {
      slo: Object.fromEntries(bounds),
      requests: this.#good,
      attainment: this.#counted > 0 ? this.#good / this.#counted : null,
      requests_per_s: perSecond(this.#good, windowNs),
      output_tokens_per_s: perSecond(this.#goodTokens, windowNs),
    }
  }
}
