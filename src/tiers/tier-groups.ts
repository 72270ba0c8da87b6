/** The tiers of all engines: those that go over the same links are one group. */
import type {Ns} from '../latency/step-time.js'
import {EngineTiers, type EngineTiersParts} from './engine-tiers.js'
import type {TierLinks} from './tier-links.js'
import {TierPool} from './tier-pool.js'
import {type OnTierTransfer, TierTraffic} from './tier-traffic.js'
import type {TierRules} from './tier-writer.js'

export type {OnTierTransfer} from './tier-traffic.js'

export interface TierConfig extends Omit<TierRules, 'pool'> {
  /** Engines of a group that name the same pool share it. */
  readonly pool: string
  /** Blocks that the pool has room for. */
  readonly blocks: number
}

/** The tiers below an engine. */
export interface TieredKv {
  /** Engines of the same group share links. */
  readonly group: string
  /** Nearest first. */
  readonly tiers: readonly TierConfig[]
  /** Bytes of a block over all devices of the engine. */
  readonly blockBytes: number
  /** The links of the group, made new for each run. */
  readonly links: () => TierLinks
}

interface Group {
  readonly traffic: TierTraffic
  readonly pools: Map<string, TierPool>
}

export class TierGroups {
  /** Whether what one engine does to its tiers can reach another. */
  isShared = false
  readonly #groups = new Map<string, Group>()
  readonly #links: TierLinks | undefined
  readonly #onTransfer: OnTierTransfer | undefined

  /** `links`: of all groups, which are then one, instead of their own. */
  constructor(links?: TierLinks, onTransfer?: OnTierTransfer) {
    this.#links = links
    this.#onTransfer = onTransfer
  }

  /** Everything that tiers do up to and including `now`. */
  advance(now: Ns): void {
    for (const {traffic} of this.#groups.values()) traffic.advance(now)
  }

  /** The tiers of the next engine; undefined: it has none. */
  of(
    tiered: TieredKv | undefined,
    engine: Omit<EngineTiersParts, 'tiers' | 'traffic' | 'blockBytes'>,
  ): EngineTiers | undefined {
    if (tiered === undefined) return undefined
    const {traffic, pools} = this.#groupOf(tiered)
    const tiers = tiered.tiers.map(({pool: shared, blocks, ...rules}) => {
      const pool = pools.get(shared) ?? new TierPool(blocks)
      pools.set(shared, pool)
      return {...rules, pool}
    })
    return new EngineTiers({...engine, tiers, traffic, blockBytes: tiered.blockBytes})
  }

  #groupOf({group, links}: TieredKv): Group {
    const name = this.#links ? 'all' : group
    const known = this.#groups.get(name)
    if (known || this.#links) this.isShared = true
    if (known) return known
    const made = {
      traffic: new TierTraffic(this.#links ?? links(), this.#onTransfer),
      pools: new Map<string, TierPool>(),
    }
    this.#groups.set(name, made)
    return made
  }
}
