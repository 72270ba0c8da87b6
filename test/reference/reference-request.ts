/** A request of the reference engine, its turn among those that wait, and the picks of it that make a batch. */
import {type BatchShape, emptyShape} from '#llmsim/latency/step-time.js'
import type {Tables} from './kv-groups.js'
import type {RequestResult} from './result.js'

export interface Request {
  readonly row: number
  readonly input: number
  readonly total: number
  readonly key: number
  /** Place in the order of arrival. */
  readonly arrival: number
  /** The how-manieth preemption of the engine was its latest; 0: none yet. */
  preempted: number
  computed: number
  reached: number
  tables: Tables
  /** Its first blocks that have been offered to the index, or come from it. */
  entered: number
  lastTokenAt: number
  /** It got a token since it was admitted, so there are drafts behind it. */
  hasDrafts: boolean
  /** Whether a batch in flight holds a token of it. */
  awaitsToken: boolean
  /** Where the KV that it waits with or for comes from, until it has a seat. */
  origin: Origin
  /** Whether its blocks stay when it finishes. */
  keeps: boolean
  /** What a load that it waited for had found. */
  found: FoundBlocks
  readonly result: RequestResult
}

/** Blocks in the device, and the tier of each block behind them. */
export interface FoundBlocks {
  readonly device: number
  readonly tiers: readonly number[]
}

export type Origin = 'here' | 'elsewhere' | 'arrived' | 'loaded'

/** How a request comes to an engine that shares the work with others. */
export interface Coming {
  /** It only runs the prompt, for one token, and keeps its blocks. */
  readonly isPrompt?: boolean
  readonly origin?: Origin
  /** Another engine gave it a seat before, at this time. */
  readonly scheduledAt?: number
  /** Its first token came from elsewhere at this time. */
  readonly firstTokenAt?: number
}

export interface Pick {
  readonly request: Request
  readonly tokens: number
  readonly context: number
  readonly produces: boolean
  /** How many of the tokens are guesses, behind the last that is known. */
  readonly drafts: number
}

export interface Plan {
  readonly picks: readonly Pick[]
  readonly preempted: number
  /** What this plan entered in the index, and those before it that became no batch. */
  readonly entered: readonly Entered[]
}

/** Block k of a request, as it was entered in the index. */
export interface Entered {
  readonly request: Request
  readonly k: number
  readonly identity: string
}

/** Its KV came from elsewhere or from a tier. */
const holdsBlocks = ({origin}: Request): boolean => origin === 'arrived' || origin === 'loaded'

/** Order of waiting: who holds blocks, by arrival; key; preempted before fresh, the latest preemption first; arrival. */
export const byTurn = (a: Request, b: Request): number =>
  Number(holdsBlocks(b)) - Number(holdsBlocks(a)) ||
  (holdsBlocks(a) ? a.arrival - b.arrival : 0) ||
  a.key - b.key ||
  b.preempted - a.preempted ||
  a.arrival - b.arrival

/** The sums over a batch, from its picks. */
export const shapeOf = (picks: readonly Pick[]): BatchShape => {
  const chunks = picks.filter((pick) => pick.tokens > 1)
  const contexts = picks.filter((pick) => pick.tokens === 1).map((pick) => pick.context)
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0)
  const tokens = sum(picks.map((pick) => pick.tokens))
  return {
    ...emptyShape(),
    tokens,
    sequences: picks.length,
    prefills: chunks.length,
    prefillTokens: sum(chunks.map((chunk) => chunk.tokens)),
    prefillTokensMax: Math.max(0, ...chunks.map((chunk) => chunk.tokens)),
    prefillContext: sum(chunks.map((chunk) => chunk.context)),
    prefillContextMax: Math.max(0, ...chunks.map((chunk) => chunk.context)),
    prefillWork: sum(chunks.map(({tokens: n, context: c}) => n * (c + (n + 1) / 2))),
    decodes: contexts.length,
    decodeContext: sum(contexts),
    decodeContextMin: contexts.length === 0 ? 0 : Math.min(...contexts),
    decodeContextMax: contexts.length === 0 ? 0 : Math.max(...contexts),
    paddedTokens: tokens,
  }
}
