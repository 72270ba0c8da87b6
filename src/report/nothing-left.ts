/** Why a run has no latencies at all. */
import type {Summary} from './summary.js'

/** One sentence; undefined where there is something to report. */
export function nothingLeft({requests, rejections, warmup}: Summary): string | undefined {
  const {submitted, rejected} = requests
  if (submitted > 0 && rejected === submitted)
    return `every request was rejected: ${rejections?.[0]?.reason ?? 'no engine took one'}`
  return warmup && warmup.left_out >= submitted
    ? 'the warm-up covers the whole run: no request is left to report'
    : undefined
}
