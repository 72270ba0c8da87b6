/** The latencies of one request, in ns: the only place that says what TTFT, TPOT, E2E and queueing mean. */
import {type Outcomes, status} from '../stats/outcomes.js'
import type {Slo} from './slo.js'

export type RequestMetric = (outcomes: Outcomes, row: number) => number

/** Arrival → first scheduled. NaN: never scheduled. */
export const queueOf: RequestMetric = (o, row) => o.scheduledAt[row]! - o.arrivedAt[row]!

/** Arrival → first token. NaN: none. */
export const ttftOf: RequestMetric = (o, row) => o.firstTokenAt[row]! - o.arrivedAt[row]!

/** Arrival → last token. NaN unless completed. */
export const e2eOf: RequestMetric = (o, row) =>
  o.status[row] === status.completed ? o.finishedAt[row]! - o.arrivedAt[row]! : Number.NaN

/**
 * (last − first token) ÷ (output − 1), rounded down to whole ns, as LLMServingSim has it, so that what is
 * written to a file is what was averaged. NaN unless completed with at least two tokens.
 */
export const tpotOf: RequestMetric = (o, row) => {
  const tokens = o.producedTokens[row]!
  if (o.status[row] !== status.completed || tokens < 2) return Number.NaN
  return Math.floor((o.finishedAt[row]! - o.firstTokenAt[row]!) / (tokens - 1))
}

/** The values of a metric for the completed ones of `rows`, without those that have none. */
export function collect(
  outcomes: Outcomes,
  rows: Uint32Array,
  metric: RequestMetric,
): Float64Array {
  const values = new Float64Array(rows.length)
  let count = 0
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!
    if (outcomes.status[row] !== status.completed) continue
    const value = metric(outcomes, row)
    if (!Number.isNaN(value)) values[count++] = value
  }
  return values.subarray(0, count)
}

/** Whether a request completed within every bound. What it has not (a TPOT, a gap) cannot miss. */
export function meets(outcomes: Outcomes, row: number, bounds: Bounds): boolean {
  if (outcomes.status[row] !== status.completed) return false
  const {slo, largestGap} = bounds
  const within = (value: number, bound: number | undefined): boolean =>
    bound === undefined || Number.isNaN(value) || value <= bound
  return (
    within(ttftOf(outcomes, row), slo.ttft) &&
    within(tpotOf(outcomes, row), slo.tpot) &&
    within(e2eOf(outcomes, row), slo.e2e) &&
    within(largestGap?.[row] ?? Number.NaN, slo.itl)
  )
}

export interface Bounds {
  readonly slo: Slo
  /** ns, by row; needed where the SLO bounds ITL. */
  readonly largestGap?: Float64Array | undefined
}
