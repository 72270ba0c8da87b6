/** What became of each request, and what each engine did: the raw result of a simulation. All times in ns. */

export const status = {pending: 0, completed: 1, rejected: 2, cancelled: 3} as const
export type StatusCode = (typeof status)[keyof typeof status]
export const statusNames = ['pending', 'completed', 'rejected', 'cancelled'] as const

/** One row per request of the trace, in its order. NaN: did not happen. */
export interface Outcomes {
  readonly length: number
  readonly status: Uint8Array
  /** Engine that served it; -1 when none did. */
  readonly instance: Int32Array
  /** When it really arrived (a session's turn or a closed-loop client releases it). */
  readonly arrivedAt: Float64Array
  /** When its first tokens were first scheduled. */
  readonly scheduledAt: Float64Array
  readonly firstTokenAt: Float64Array
  /** When the last token came, or its client hung up; NaN: it was turned away. */
  readonly finishedAt: Float64Array
  /** Output tokens produced (all of them unless cancelled). */
  readonly producedTokens: Int32Array
  /** Prompt tokens taken from the prefix cache at first admission. */
  readonly cachedTokens: Int32Array
  readonly preemptions: Int32Array
  /** Row → why it was rejected. */
  readonly reasons: ReadonlyMap<number, string>
}

/** Samples, such as the gaps between tokens of all requests: `counts[i]` of `values[i]` (ns), in no order. */
export interface WeightedSamples {
  readonly length: number
  readonly values: Float64Array
  readonly counts: Float64Array
  /** Where values are not exact: how far one may lie from the sample that it stands for, relative to it. */
  readonly relativeError?: number
  /** Then also Σ value × count and the largest value, which are. */
  readonly sum?: number
  readonly max?: number
}

/** Totals of one engine over a run. */
export interface EngineTotals {
  readonly instance: number
  readonly steps: number
  readonly preemptions: number
  /** Tokens computed again: because of preemptions, or where the KV of a prompt came from another engine. */
  readonly recomputedTokens: number
  readonly blocks: number
  readonly blockSize: number
  readonly peakBlocks: number
  /** Equals `blocks`, or a block leaked. */
  readonly freeBlocksAtEnd: number
  readonly maxNumSeqs: number
  /** Prompt tokens looked up in the prefix cache, and found there, at first admissions. */
  readonly lookedUpTokens: number
  readonly hitTokens: number
  readonly prefillTokens: number
  readonly decodeTokens: number
  /** Σ of step durations. */
  readonly busyNs: number
  /** ∫ over busy time: running requests, waiting requests, blocks in use (value × ns). */
  readonly runningNs: number
  readonly waitingNs: number
  readonly blocksNs: number
  /** Busy time during which requests waited, split by what held the head of the queue back. */
  readonly heldBack: {readonly seats: number; readonly blocks: number; readonly budget: number}
  /** The same integrals over held-back time only: what the engine looks like when it is the bottleneck. */
  readonly heldBackRunningNs: number
  readonly heldBackBlocksNs: number
  readonly gaps: WeightedSamples
  /** Of engines with LoRA adapters: loads, requests that found theirs or waited for it, and Σ of their waits. */
  readonly adapters?:
    | {
        readonly loads: number
        readonly hits: number
        readonly held: number
        readonly heldNs: number
      }
    | undefined
  /** Transfers of KV that came from other engines, and Σ of their times; absent: none could. */
  readonly received?: {readonly count: number; readonly bytes: number; readonly ns: number}
  /** Of engines with memory tiers for KV: loads and Σ of their times, and each tier, nearest first. */
  readonly tiers?:
    | {
        readonly loads: {readonly count: number; readonly ns: number}
        /** Between the devices and their host. */
        readonly linkBytes: number
        readonly tiers: readonly {
          readonly name: string
          readonly hitTokens: number
          readonly loadedBlocks: number
          readonly writtenBlocks: number
          readonly droppedBlocks: number
          readonly blocks: number
          readonly peakBlocks: number
          readonly usedBlocks: number
        }[]
      }
    | undefined
  /** Of speculating engines: decodes that had drafts, their drafts, and those that were accepted. */
  readonly speculation?: {
    readonly verifications: number
    readonly drafts: number
    readonly accepted: number
    /** Drafts that brought no token: rejected, or behind the end of an output. */
    readonly wasted: number
  }
}
