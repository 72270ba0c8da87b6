/** One engine with memory below it, small enough for a pencil, and what its pools held at every instant. */

import {type ClusterRow, type ReferenceMember, runReferenceCluster} from './reference-cluster.js'
import type {ReferenceTiersCase, TierOf} from './reference-tiers.js'
import {caseOf, type Scenario} from './scenario.js'

export interface TieredScenario extends Scenario {
  /** The nearest first, each a pool of its own. */
  readonly tiers: readonly {
    readonly blocks: number
    readonly write: 'through' | 'on eviction'
    readonly maxPending?: number
  }[]
  /** ns; 7 for a load and 3 for a write unless told. */
  readonly transfer?: ReferenceTiersCase['transfer']
}

export interface Moment {
  readonly now: number
  readonly pools: readonly (readonly string[])[]
  /** Under way. */
  readonly reads: number
  readonly writes: number
  readonly freeBlocks: number
}

export interface TieredRun {
  readonly rows: readonly ClusterRow[]
  readonly moments: readonly Moment[]
  readonly dropped: readonly number[]
  /** Statistics of the engine. */
  readonly lookedUpTokens: number
  readonly hitTokens: number
  readonly tierHitTokens: readonly number[]
  /** Lists that were written, with the time at which each set out. */
  readonly written: readonly {readonly start: number; readonly tier: number; list: string}[]
  /** What a pool held at a time, the oldest first, in one string. */
  readonly pool: (place: number, at: number) => string
}

export const sevenAndThree: ReferenceTiersCase['transfer'] = ({direction}) =>
  direction === 'read' ? 7 : 3

export const playTiered = (scenario: TieredScenario): TieredRun => {
  const {tiers, transfer = sevenAndThree} = scenario
  const given = caseOf({...scenario, config: {enablePrefixCaching: true, ...scenario.config}})
  const of = tiers.map(({maxPending = 100}, pool): TierOf => ({pool, maxPending}))
  return playMembers([given], {of: [of], pools: tiers, transfer})
}

/** Several engines on one trace. */
export const playMembers = (
  members: readonly (ReferenceMember & Pick<ReturnType<typeof caseOf>, 'trace'>)[],
  tiers: ReferenceTiersCase,
): TieredRun => {
  const moments: Moment[] = []
  const written = new Map<number, {start: number; tier: number; list: string}>()
  const engine = {lookedUpTokens: 0, hitTokens: 0}
  const result = runReferenceCluster(
    {
      trace: members[0]!.trace,
      members,
      router: 'round-robin',
      firstToken: 'decode',
      stayBelow: 0,
      transfer: () => 20,
      tiers,
    },
    (now, {pools, transfers}, engines) => {
      const writes = transfers.filter(({of}) => 'writer' in of)
      for (const {number, start, tier, identities} of writes)
        written.set(number, {start, tier, list: identities.join()})
      moments.push({
        now,
        pools: pools.map(({identities}) => [...identities]),
        reads: transfers.length - writes.length,
        writes: writes.length,
        freeBlocks: engines[0]!.pool.free.length,
      })
      engine.lookedUpTokens = engines[0]!.lookedUpTokens
      engine.hitTokens = engines[0]!.hitTokens
    },
  )
  return {
    rows: result.rows,
    moments,
    dropped: result.dropped[0]!,
    ...engine,
    tierHitTokens: result.tierHitTokens[0]!,
    written: [...written.values()],
    pool: (place, at) => moments.findLast(({now}) => now <= at)?.pools[place]?.join() ?? '',
  }
}
