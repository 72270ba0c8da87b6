/** How many requests per second a run served, whatever came. */
import type {Outcomes} from '../stats/outcomes.js'
import type {RequestColumns} from './measures.js'

/** So much of the work says how fast it is served: the last requests leave a system that is no longer full. */
const bulk = 0.9

/**
 * Requests per second that are served, in any order: `bulk` of them over the time from the first arrival until so much
 * of their number has left and of their prompt and output tokens has been served; or all over the whole run, where that
 * is more, as with the heaviest requests first. 0: nothing was served.
 */
export function servedRate(trace: RequestColumns, outcomes: Outcomes): number {
  const {length, arrivedAt, finishedAt, firstTokenAt, producedTokens} = outcomes
  let start = Number.POSITIVE_INFINITY
  let end = Number.NEGATIVE_INFINITY
  const all = {requests: 0, input: 0, output: 0}
  for (let row = 0; row < length; row++) {
    if (arrivedAt[row]! < start) start = arrivedAt[row]!
    if (Number.isNaN(firstTokenAt[row]!)) continue
    if (finishedAt[row]! > end) end = finishedAt[row]!
    all.requests += 1
    all.input += trace.inputTokens[row]!
    all.output += producedTokens[row]!
  }
  if (all.requests === 0) return 0
  const isBulkServed = (at: number): boolean => {
    const {requests, input, output} = servedBy(at, trace, outcomes)
    return (
      requests >= bulk * all.requests && input >= bulk * all.input && output >= bulk * all.output
    )
  }
  let [early, late] = [start, end]
  // To a thousandth of the run.
  for (let step = 0; step < 10; step++) {
    const middle = (early + late) / 2
    if (isBulkServed(middle)) late = middle
    else early = middle
  }
  return Math.max((bulk * all.requests) / (late - start), all.requests / (end - start)) * 1e9
}

function servedBy(
  at: number,
  {inputTokens}: RequestColumns,
  {length, firstTokenAt, finishedAt, producedTokens}: Outcomes,
) {
  const served = {requests: 0, input: 0, output: 0}
  for (let row = 0; row < length; row++) {
    const first = firstTokenAt[row]!
    if (!(first <= at)) continue
    const finish = finishedAt[row]!
    served.input += inputTokens[row]!
    if (finish <= at) served.requests += 1
    const part = finish <= at ? 1 : (at - first) / (finish - first)
    served.output += part * producedTokens[row]!
  }
  return served
}
