/** What stands behind the port: takes requests, says when their tokens exist. */
import type {Ns} from '../latency/step-time.js'

/** What the engine must know of a request. */
export interface LiveRequest {
  readonly inputTokens: number
  readonly outputTokens: number
  /** Lower runs first, under a policy that looks at it. */
  readonly priority: number
  /** Chained ids of the full blocks of prompt ++ output (block-ids.ts). */
  readonly blockIds: ArrayLike<number>
  /** Number of its session; undefined: it has none. */
  readonly session: number | undefined
}

/** What the model says of a request, ns. NaN: did not happen. */
export interface ServedTimes {
  readonly arrivedAt: Ns
  readonly scheduledAt: Ns
  readonly firstTokenAt: Ns
  /** When the client has the last token. */
  readonly finishedAt: Ns
  readonly producedTokens: number
  readonly cachedTokens: number
  readonly preemptions: number
  /** Place in `Backend.engines()` of the one that served it, at last. */
  readonly engine: number
}

/** Told what becomes of a request. Must not call the engine back but for `cancel`. */
export interface LiveObserver {
  /** One more token is there; leave out where only the end counts. */
  token?(at: Ns): void
  finished(times: ServedTimes): void
  /** It can never run here, or was turned away because others came first. */
  rejected(times: ServedTimes, reason: string, kind: 'never fits' | 'turned away'): void
}

/** A request in the system. */
export interface Ticket {
  readonly arrivedAt: Ns
  /** The client left: takes the request out, and returns when that was and what it had got; undefined if it had ended. */
  cancel(): {readonly at: Ns; readonly times: ServedTimes} | undefined
}

/** What an engine is doing. */
export interface EngineStatus {
  readonly running: number
  readonly waiting: number
  readonly usedBlocks: number
  readonly totalBlocks: number
  readonly blockSize: number
  /** Prompt tokens looked up in the prefix cache so far, and found there. */
  readonly lookedUpTokens: number
  readonly hitTokens: number
  readonly preemptions: number
  /** Memory below its device, nearest first; absent: none. */
  readonly tiers?: readonly TierStatus[] | undefined
}

/** What moved in one direction so far, and the sum of the times that it took. */
export interface Moved {
  readonly bytes: number
  readonly ns: number
}

export interface TierStatus {
  readonly name: string
  readonly blocks: number
  readonly usedBlocks: number
  /** Prompt tokens found there. */
  readonly hitTokens: number
  readonly droppedBlocks: number
  readonly read: Moved
  readonly write: Moved
}

/** What the engines are doing, over all of them. */
export interface BackendStatus extends EngineStatus {
  readonly steps: number
  /** Output tokens so far. */
  readonly outputTokens: number
}

/** Of a backend that has done nothing. */
export const idleStatus: BackendStatus = {
  running: 0,
  waiting: 0,
  usedBlocks: 0,
  totalBlocks: 0,
  blockSize: 0,
  lookedUpTokens: 0,
  hitTokens: 0,
  preemptions: 0,
  steps: 0,
  outputTokens: 0,
}

export interface Backend {
  /** Requests submitted and not ended. */
  readonly inFlight: number
  /** Those of them that wait for a place in an engine. */
  readonly waiting: number
  status(): BackendStatus
  /** Each engine on its own; none where nothing is modelled. */
  engines(): readonly EngineStatus[]
  /** The model's time. */
  now(): Ns
  /**
   * Lets a request arrive that was received at `receivedAt`: then, or as soon after as nothing has happened yet. A
   * request that can never run is rejected before this returns.
   */
  submit(request: LiveRequest, observer: LiveObserver, receivedAt: Ns): Ticket
}
