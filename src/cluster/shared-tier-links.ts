/**
 * Links between engines and the tiers below them. A load crosses the tier's reading side and the host link of its engine;
 * a write to the first tier the host link in the other direction and the tier's writing side, one further down only that
 * writing side: what is read above for it is little of what memory can do. All share fairly (shared-links.ts).
 */
import type {Ns} from '../latency/step-time.js'
import type {TierLinks, TierWay} from '../tiers/tier-links.js'
import {SharedLinks, type Way} from './shared-links.js'

/** A tier as a place that reads and writes. */
export interface TierRates {
  /** Engines that name the same pool share its rates. */
  readonly pool: string
  /** 10^9 bytes per second. */
  readonly readGbPerS: number
  readonly writeGbPerS: number
  readonly latencyNs: Ns
}

export interface EngineLinks {
  readonly instance: number
  /** 10^9 bytes per second of all its devices to the host, in one direction. */
  readonly hostGbPerS: number
  /** Of one block over all its devices. */
  readonly blockBytes: number
  readonly tiers: readonly TierRates[]
}

export class SharedTierLinks implements TierLinks {
  readonly #links: SharedLinks
  readonly #engines: ReadonlyMap<number, EngineLinks>
  /** Rates of all links: two for each engine, down to it and up from it, then two for each pool, reading and writing. */
  readonly #rates: number[] = []
  readonly #linkOf = new Map<string, number>()
  /** Of each engine, up from its tiers and down to them: twice the tier, one more for writing. */
  readonly #ways = new Map<number, readonly Way[]>()

  constructor(engines: readonly EngineLinks[]) {
    this.#engines = new Map(engines.map((engine) => [engine.instance, engine]))
    for (const {instance, hostGbPerS, tiers} of engines) {
      this.#add(`to ${instance}`, hostGbPerS)
      this.#add(`from ${instance}`, hostGbPerS)
      for (const {pool, readGbPerS, writeGbPerS} of tiers) {
        this.#add(`read ${pool}`, readGbPerS)
        this.#add(`write ${pool}`, writeGbPerS)
      }
    }
    this.#links = new SharedLinks({
      rateOf: (link) => this.#rates[link]!,
      wayOf: (instance, place) => this.#ways.get(instance)![place]!,
    })
    for (const engine of engines)
      this.#ways.set(
        engine.instance,
        engine.tiers.flatMap((_, tier) => [this.#wayUp(engine, tier), this.#wayDown(engine, tier)]),
      )
  }

  #add(name: string, rate: number): void {
    if (this.#linkOf.has(name)) return
    this.#linkOf.set(name, this.#rates.length)
    this.#rates.push(rate)
  }

  #wayUp({instance, tiers}: EngineLinks, tier: number): Way {
    const {pool, latencyNs} = tiers[tier]!
    return this.#way([`read ${pool}`, `to ${instance}`], latencyNs)
  }

  #wayDown({instance, tiers}: EngineLinks, tier: number): Way {
    const {pool, latencyNs} = tiers[tier]!
    return this.#way([...(tier === 0 ? [`from ${instance}`] : []), `write ${pool}`], latencyNs)
  }

  #way(names: readonly string[], latencyNs: Ns): Way {
    return {links: names.map((name) => ({link: this.#linkOf.get(name)!, share: 1})), latencyNs}
  }

  start({instance, tier, direction}: TierWay, blocks: number, now: Ns): number {
    const place = 2 * tier + (direction === 'write' ? 1 : 0)
    const bytes = blocks * this.#engines.get(instance)!.blockBytes
    return this.#links.startTransfer(instance, place, bytes, now)
  }

  nextEventAt(): Ns {
    return this.#links.nextEventAt()
  }

  advanceTo(now: Ns): readonly number[] {
    return this.#links.advanceTo(now)
  }

  cancel(transfer: number, now: Ns): void {
    this.#links.cancel(transfer, now)
  }

  nextOf(transfer: number): Ns {
    return this.#links.nextOf(transfer)
  }
}
