/** What a run of one engine amounts to, in full: the form in which two engines are compared. Times in ns; NaN: did not happen. */

import type {BatchShape} from '#llmsim/latency/step-time.js'

/** Why a request was turned away; where several hold, the first of this list. */
export type Rejection = 'model-length' | 'blocks' | 'batch'

export interface RequestResult {
  status: 'pending' | 'completed' | 'rejected' | 'cancelled'
  reason?: Rejection | undefined
  /** When the plan was made that first admitted it. */
  scheduledAt: number
  firstTokenAt: number
  /** Last token, or when the client hung up. */
  finishedAt: number
  producedTokens: number
  cachedTokens: number
  preemptions: number
  /** Between deliveries, in order. */
  gaps: number[]
}

export interface StepResult {
  readonly start: number
  readonly end: number
  readonly shape: Readonly<BatchShape>
  /** These three as the plan of this step left them; running includes draining requests. */
  readonly running: number
  readonly waiting: number
  readonly freeBlocks: number
  /** Preemptions since the step before was planned, those of plans that became no step included. */
  readonly preempted: number
}

export interface RunResult {
  readonly requests: readonly RequestResult[]
  readonly steps: readonly StepResult[]
  readonly freeBlocksAtEnd: number
  /** Over first admissions; both 0 without prefix caching. */
  readonly lookedUpTokens: number
  readonly hitTokens: number
}

export const freshResult = (): RequestResult => ({
  status: 'pending',
  scheduledAt: Number.NaN,
  firstTokenAt: Number.NaN,
  finishedAt: Number.NaN,
  producedTokens: 0,
  cachedTokens: 0,
  preemptions: 0,
  gaps: [],
})
