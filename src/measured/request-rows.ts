/** Requests with what was measured of each → a run with one stage. */
import {describe} from '../stats/percentiles.js'
import type {Trace} from '../trace/trace.js'
import {badMeasured} from './fields.js'
import type {MeasuredRequests, MeasuredSpread, MeasuredStage} from './measured-run.js'

export interface RequestRow {
  /** Where it stands in its file. */
  readonly place: string
  /** s, from any moment. */
  readonly arrival: number
  readonly input: number
  readonly output: number
  /** ms; NaN: not measured. */
  readonly ttft: number
  readonly e2e: number
}

/** @throws Problem MEASURED_BAD_FILE for a request that no server could have served so */
export function checkRow({place, input, output, ttft, e2e}: RequestRow): void {
  const isWhole = Number.isSafeInteger(input) && Number.isSafeInteger(output)
  if (!isWhole || input < 1 || output < 1)
    throw badMeasured(
      `${place}: ${input} prompt and ${output} output tokens; both must be whole numbers of at least 1.`,
    )
  checkTimes(place, ttft, e2e)
}

/** ms; NaN: not measured. @throws Problem MEASURED_BAD_FILE for times that run backwards */
export function checkTimes(place: string, ttft: number, e2e: number): void {
  const text = (ms: number) => `${Number(ms.toFixed(3))} ms`
  if (ttft < 0)
    throw badMeasured(`${place}: the first token comes ${text(-ttft)} before its request.`)
  // Clocks are read to the microsecond.
  if (e2e >= ttft - 0.001 || Number.isNaN(e2e) || Number.isNaN(ttft)) return
  throw badMeasured(
    `${place}: the request ends ${text(e2e)} after it was sent, and its first token comes after ${text(ttft)}: the end cannot be before it.`,
  )
}

export const tpotOf = ({ttft, e2e, output}: RequestRow): number =>
  output < 2 ? Number.NaN : (e2e - ttft) / (output - 1)

/** The trace that the rows are (arrivals from 0, sorted), and what was measured, row by row. */
export function tabulate(unsorted: readonly RequestRow[], format: string) {
  const rows = unsorted
    .map((row, i) => ({row, i}))
    .sort((a, b) => a.row.arrival - b.row.arrival || a.i - b.i)
    .map(({row}) => row)
  const first = rows[0]?.arrival ?? 0
  const trace: Trace = {
    length: rows.length,
    arrivedAt: Float64Array.from(rows, ({arrival}) => Math.round((arrival - first) * 1e9)),
    inputTokens: Int32Array.from(rows, ({input}) => input),
    outputTokens: Int32Array.from(rows, ({output}) => output),
    notes: [],
    format,
  }
  const requests: MeasuredRequests = {
    ttft: Float64Array.from(rows, ({ttft}) => ttft),
    tpot: Float64Array.from(rows, tpotOf),
    e2e: Float64Array.from(rows, ({e2e}) => e2e),
  }
  return {trace, requests, stage: wholeStage(trace, requests)}
}

/** All requests as one stage. */
export function wholeStage(trace: Trace, requests: MeasuredRequests): MeasuredStage {
  const spreads: {[metric in 'ttft' | 'tpot' | 'e2e']?: MeasuredSpread} = {}
  for (const metric of ['ttft', 'tpot', 'e2e'] as const) {
    const spread = describe(requests[metric].filter((value) => !Number.isNaN(value)))
    if (spread) spreads[metric] = spread
  }
  return {name: 'all', has: () => true, spreads, throughput: throughputOf(trace, requests)}
}

/**
 * Over the same time as in a summary: from the first arrival of all to the last end. A trace whose turns have think
 * times in place of arrivals does not tell when it ended.
 */
function throughputOf({arrivedAt, outputTokens, length}: Trace, {e2e}: MeasuredRequests) {
  let first = Number.POSITIVE_INFINITY
  let last = Number.NEGATIVE_INFINITY
  let tokens = 0
  let done = 0
  for (let row = 0; row < length; row++) {
    if (arrivedAt[row]! < first) first = arrivedAt[row]!
    if (Number.isNaN(e2e[row])) continue
    last = Math.max(last, arrivedAt[row]! + e2e[row]! * 1e6)
    tokens += outputTokens[row]!
    done++
  }
  const seconds = (last - first) / 1e9
  if (!(seconds > 0)) return {}
  return {requestsPerS: done / seconds, outputTokensPerS: tokens / seconds}
}
