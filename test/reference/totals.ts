/** Totals of a run, summed from its steps: the meaning of the fields of the same name in EngineTotals. */

import type {EngineTotals} from '#llmsim/stats/outcomes.js'
import type {RunResult} from './result.js'

export type RunTotals = Pick<
  EngineTotals,
  | 'steps'
  | 'preemptions'
  | 'peakBlocks'
  | 'prefillTokens'
  | 'decodeTokens'
  | 'busyNs'
  | 'runningNs'
  | 'waitingNs'
  | 'blocksNs'
>

/** Each step counts with what its plan left behind, for as long as it is the oldest that runs. */
export const totalsOf = ({requests, steps}: RunResult, blocks: number): RunTotals => {
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)
  // Where steps overlap the earlier one counts.
  const endBefore = (i: number) => steps[i - 1]?.end ?? 0
  const over = (value: (step: RunResult['steps'][number]) => number) =>
    sum(steps.map((step, i) => value(step) * (step.end - Math.max(step.start, endBefore(i)))))
  return {
    steps: steps.length,
    preemptions: sum(requests.map((request) => request.preemptions)),
    peakBlocks: Math.max(0, ...steps.map((step) => blocks - step.freeBlocks)),
    prefillTokens: sum(steps.map((step) => step.shape.prefillTokens)),
    decodeTokens: sum(steps.map((step) => step.shape.decodes)),
    busyNs: over(() => 1),
    runningNs: over((step) => step.running),
    waitingNs: over((step) => step.waiting),
    blocksNs: over((step) => blocks - step.freeBlocks),
  }
}
