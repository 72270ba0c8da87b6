/** Why a run has no latencies at all. */
import {seconds} from './figures.js'
import type {Summary} from './summary.js'

/** One sentence; undefined where there is something to report. */
export function nothingLeft({
  requests,
  rejections,
  warmup,
  duration_s,
}: Summary): string | undefined {
  const {submitted, rejected} = requests
  if (submitted > 0 && rejected === submitted)
    return `every request was rejected: ${rejections?.[0]?.reason ?? 'no engine took one'}`
  if (!warmup || warmup.left_out < submitted) return undefined
  const took = duration_s === null ? '' : `, which took ${seconds(duration_s)}`
  return `the warm-up (${warmup.asked}) covers the whole run${took}: no request is left to report`
}
