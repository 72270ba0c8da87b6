/** What an engine is told when it is built, and what it tells. */
import {type KvGroup, leavesAsItFills} from '../catalogue/kv-groups.js'
import type {Ns} from '../latency/step-time.js'
import type {Batch} from './batch.js'
import type {KvBelow} from './kv-below.js'
import type {SchedulingPolicy} from './policy.js'
import type {PrefixIdentity} from './prefix-identity.js'

/** Field names are vLLM's flags. */
export interface EngineConfig {
  readonly numGpuBlocks: number
  readonly blockSize: number
  readonly maxNumSeqs: number
  readonly maxNumBatchedTokens: number
  /** 0: none. */
  readonly longPrefillTokenThreshold: number
  readonly enableChunkedPrefill: boolean
  readonly enablePrefixCaching: boolean
  /** Admit a request only when its whole prompt fits. */
  readonly reserveFullPrompt: boolean
  readonly ownBlocks: boolean
  readonly maxModelLen: number
  /** Batches in the engine: 1 synchronous, 2 asynchronous scheduling; with several stages, one for each. */
  readonly depth: number
  /**
   * Pipeline stages; 1 when absent. With several, whoever has a token in flight is not planned again until its
   * batch has ended, so each batch in flight has decodes of its own.
   */
  readonly stages?: number
  readonly policy: SchedulingPolicy
  /**
   * Groups of layers that keep blocks of their own; `numGpuBlocks` are pages then. Absent: every layer keeps the whole
   * context. Such an engine takes no KV from elsewhere.
   */
  readonly kvGroups?: readonly KvGroup[] | undefined
  /** Absent: none. Needs depth 1: how many tokens a step brings is known when it ends. */
  readonly speculation?: Speculation | undefined
}

/**
 * Whether plans look at each running request: with drafts what one takes depends on those before it, and windows whose
 * blocks are not left where others are filled have no place in the sums of a cohort. Nor have those of a pipeline.
 */
export const isWalked = ({speculation, kvGroups, stages = 1, blockSize}: EngineConfig): boolean =>
  speculation !== undefined ||
  (kvGroups !== undefined && (stages > 1 || !leavesAsItFills(kvGroups, blockSize)))

/** A decode computes drafts behind its last token, and gets one token more than the model accepts of them. */
export interface Speculation {
  /** Drafts of a decode, at most. */
  readonly tokens: number
  /** Whether the model accepts the draft of token `position` (from 0, prompt included), after `depth` accepted ones of the same step. Pure. */
  accepts(row: number, position: number, depth: number): boolean
}

/** Why a request can never run here. */
export interface Refusal {
  readonly rule: 'model-length' | 'blocks' | 'batch'
  readonly message: string
}

/** Undefined when the request is queued. */
export type Verdict = Refusal | undefined

/** Changes that the engine reports; whoever does not listen pays nothing. */
export interface EngineListener {
  /** A chunk of a request that has no token yet was planned. */
  chunkPlanned?(slot: number, now: Ns): void
  /** From the batch of this number on the request gets one token at the end of each of its lane… */
  tokensFrom?(slot: number, batch: number, lane?: number): void
  /** …up to and including this one (a later call may name an earlier batch). */
  tokensUntil?(slot: number, batch: number): void
  /** Of speculating engines: the request gets `count` tokens at once at the end of this batch. */
  tokensAt?(slot: number, batch: number, count: number): void
  /** Batches take turns in the lanes of a pipeline; without stages there is one lane, 0. */
  /** The request is done here, and nobody will ask what became of it. */
  forgotten?(slot: number): void
  batchEnded?(batch: number, now: Ns, lane?: number): void
}

/** Told of every batch as it is planned; sets its start and end. */
export interface BatchClock {
  add(batch: Batch, now: Ns): void
}

/** What surrounds an engine that runs on its own. */
export interface Outside {
  /** When the next request reaches the engine; +Infinity: none is on its way. One value. */
  readonly nextEnters: Float64Array
  /** Those that reach it by `now` are enqueued. */
  enterBy(now: Ns): void
  /** A batch ended, and `finished` of the engine holds the requests that are done. */
  left(now: Ns): void
}

export interface EngineSeams {
  readonly identity?: PrefixIdentity
  readonly listener?: EngineListener
  /** Memory tiers below the device; absent: there are none. */
  readonly below?: KvBelow | undefined
}

/** What routers, samplers and status pages may see. */
export interface EngineView {
  readonly running: number
  readonly waiting: number
  readonly freeBlocks: number
  readonly totalBlocks: number
  readonly maxNumSeqs: number
  /** Tokens of a prompt that its prefix cache holds. `row` is the request's identity. */
  cachedTokens(row: number, inputTokens: number): number
  /** Those behind them that memory below the device holds; absent: nobody knows of any. */
  tieredTokens?(row: number, inputTokens: number): number
}
