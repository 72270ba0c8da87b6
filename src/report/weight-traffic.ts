/** What weights outside of devices cost their links in a run. */
import type {Spans} from '../stats/busy-spans.js'
import type {EngineTotals} from '../stats/outcomes.js'

/** What one engine streams in a step, at least. */
export interface StepTraffic {
  /** Over all links of the engine. */
  readonly bytes: number
  /** ns in which the busiest of them is in use. */
  readonly linkNs: number
}

export interface WeightTraffic {
  readonly bytes: number
  readonly bytes_per_step: number
  /** Share of the time in which these engines executed steps, 0–1; near 1 the link is what bounds them. */
  readonly link_busy: number
}

interface Ran {
  readonly totals: readonly EngineTotals[]
  readonly busy: readonly Spans[]
}

/** By instance; undefined where no step streamed anything. */
export function weightTraffic(
  engines: readonly (StepTraffic | undefined)[],
  {totals, busy}: Ran,
): WeightTraffic | undefined {
  let [bytes, steps, linkNs, busyNs] = [0, 0, 0, 0]
  for (const [i, step] of engines.entries()) {
    if (step === undefined) continue
    const count = totals[i]!.steps
    steps += count
    bytes += count * step.bytes
    linkNs += count * step.linkNs
    const {length, starts, ends} = busy[i]!
    for (let at = 0; at < length; at++) busyNs += ends[at]! - starts[at]!
  }
  if (bytes === 0 || busyNs === 0) return undefined
  return {bytes, bytes_per_step: bytes / steps, link_busy: linkNs / busyNs}
}
