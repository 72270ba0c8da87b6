/** How a reference engine is set up. */
import type {ReferenceGroup} from './kv-groups.js'

/** What a policy may see of a request. */
export interface KeyView {
  readonly arrivedAt: number
  readonly inputTokens: number
  readonly priority: number
  readonly predictedOutputTokens: number | undefined
}

export interface ReferencePolicy {
  readonly key: (view: KeyView) => number
  readonly victim: 'last-admitted' | 'largest-key'
}

export interface ReferenceConfig {
  readonly blocks: number
  readonly blockSize: number
  readonly maxNumSeqs: number
  readonly maxNumBatchedTokens: number
  readonly longPrefillTokenThreshold: number
  readonly enableChunkedPrefill: boolean
  readonly enablePrefixCaching: boolean
  readonly reserveFullPrompt: boolean
  readonly ownBlocks: boolean
  readonly maxModelLen: number
  readonly depth: number
  /** Pipeline stages: with several, `depth` is as many, and a token in flight must be waited for. */
  readonly stages?: number
  /** Groups of layers; one that sees everything unless given. */
  readonly kvGroups?: readonly ReferenceGroup[]
  readonly policy: 'fcfs' | 'priority' | 'sjf' | ReferencePolicy
  /** Drafts of a decode, and which of them the model accepts. Needs depth 1. */
  readonly speculation?: {
    readonly tokens: number
    readonly accepts: (row: number, position: number, depth: number) => boolean
  }
}

export const policies = {
  fcfs: {key: () => 0, victim: 'last-admitted'},
  priority: {key: (view: KeyView) => view.priority, victim: 'largest-key'},
  sjf: {
    key: (view: KeyView) => view.predictedOutputTokens ?? view.inputTokens,
    victim: 'last-admitted',
  },
} as const satisfies Record<string, ReferencePolicy>
