/**
 * Links between engines and the tiers below them. A load crosses the tier's reading side and the host link of its engine;
 * a write to the first tier the host link in the other direction and the tier's writing side, one further down only that
 * writing side: what is read above for it is little of what memory can do. All share fairly (shared-links.ts).
 *
 * Where KV moves between engines, too, it takes a port of the one that sends and one of the one that receives, and, where
 * these ports are behind them, the same host links.
 */
import type {Ns} from '../latency/step-time.js'
import type {TierLinks, TierWay} from '../tiers/tier-links.js'
import type {Network} from './network.js'
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
  /** The same of what comes to the device, where something else takes a part of that; absent: nothing does. */
  readonly toDeviceGbPerS?: number | undefined
  /** Of one block over all its devices. */
  readonly blockBytes: number
  readonly tiers: readonly TierRates[]
  /** Whether its port is reached over the host link; absent: it is not. */
  readonly port?: 'behind the host link' | undefined
}

/** What each engine sends over, and receives over. */
export interface Port {
  readonly gbPerS: number
  readonly latencyNs: Ns
}

const never = Number.POSITIVE_INFINITY

const leaveOut = (arrived: Arrived, transfer: number): void => {
  arrived.ids = arrived.ids.filter((id) => id !== transfer)
}

/** Transfers that have arrived at `at` and that nobody took yet. */
interface Arrived {
  ids: number[]
  at: Ns
}

export class KvLinks implements TierLinks {
  /** Ports between engines; absent: none hands KV on. */
  readonly network: Network | undefined
  /** Called before anything between engines starts, ends or is cancelled: what tiers do up to then is worked off. */
  before: (now: Ns) => void = () => {}
  readonly #links: SharedLinks
  readonly #engines: ReadonlyMap<number, EngineLinks>
  readonly #port: Port | undefined
  /** Rates of all links, in the order in which they were named. */
  readonly #rates: number[] = []
  readonly #linkOf = new Map<string, number>()
  /** Of each engine, up from its tiers and down to them: twice the tier, one more for writing. */
  readonly #ways = new Map<number, readonly Way[]>()
  /** By the engine that sends, then the one that receives. */
  readonly #waysBetween = new Map<number, Way[]>()
  /** Transfers between engines that are under way. */
  readonly #between = new Set<number>()
  readonly #fromTiers: Arrived = {ids: [], at: never}
  readonly #fromEngines: Arrived = {ids: [], at: never}

  constructor(engines: readonly EngineLinks[], port?: Port) {
    this.#engines = new Map(engines.map((engine) => [engine.instance, engine]))
    this.#port = port
    for (const engine of engines) this.#addLinks(engine)
    this.#links = new SharedLinks({
      rateOf: (link) => this.#rates[link]!,
      wayOf: (from, to) => this.#wayBetween(from, to),
    })
    for (const engine of engines)
      this.#ways.set(
        engine.instance,
        engine.tiers.flatMap((_, tier) => [this.#wayUp(engine, tier), this.#wayDown(engine, tier)]),
      )
    this.network = port && this.#networkOf()
  }

  #addLinks({instance, hostGbPerS, toDeviceGbPerS = hostGbPerS, tiers}: EngineLinks): void {
    this.#add(`to ${instance}`, toDeviceGbPerS)
    this.#add(`from ${instance}`, hostGbPerS)
    if (this.#port) {
      this.#add(`into ${instance}`, this.#port.gbPerS)
      this.#add(`out of ${instance}`, this.#port.gbPerS)
    }
    for (const {pool, readGbPerS, writeGbPerS} of tiers) {
      this.#add(`read ${pool}`, readGbPerS)
      this.#add(`write ${pool}`, writeGbPerS)
    }
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

  #wayBetween(from: number, to: number): Way {
    const known = this.#waysBetween.get(from)?.[to]
    if (known) return known
    const [sender, receiver] = [this.#engines.get(from)!, this.#engines.get(to)!]
    const names = [`out of ${from}`, `into ${to}`]
    if (this.#mayBeFull(sender, sender.hostGbPerS)) names.push(`from ${from}`)
    const {hostGbPerS, toDeviceGbPerS = hostGbPerS} = receiver
    if (this.#mayBeFull(receiver, toDeviceGbPerS)) names.push(`to ${to}`)
    const way = this.#way(names, this.#port!.latencyNs)
    const ways = this.#waysBetween.get(from) ?? []
    ways[to] = way
    this.#waysBetween.set(from, ways)
    return way
  }

  /** A host link that only carries what its port does, and is no slower, is never the tight one. */
  #mayBeFull({port, tiers}: EngineLinks, gbPerS: number): boolean {
    return port !== undefined && (tiers.length > 0 || gbPerS < this.#port!.gbPerS)
  }

  #way(names: readonly string[], latencyNs: Ns): Way {
    return {links: names.map((name) => ({link: this.#linkOf.get(name)!, share: 1})), latencyNs}
  }

  #networkOf(): Network {
    const links = this.#links
    return {
      aloneNs: (from, to, bytes) => links.aloneNs(from, to, bytes),
      startTransfer: (from, to, bytes, now) => {
        this.before(now - 1)
        const transfer = links.startTransfer(from, to, bytes, now)
        this.#between.add(transfer)
        return transfer
      },
      nextEventAt: () => Math.min(links.nextEventAt(), this.#fromEngines.at),
      advanceTo: (now) => {
        this.before(now - 1)
        return this.#taken(this.#fromEngines, now)
      },
      cancel: (transfer, now) => {
        this.before(now - 1)
        links.cancel(transfer, now)
        this.#between.delete(transfer)
        leaveOut(this.#fromEngines, transfer)
      },
    }
  }

  /** Those of one sort that have arrived by `now`; those of the other wait until they are asked for. */
  #taken(wanted: Arrived, now: Ns): readonly number[] {
    for (const transfer of this.#links.advanceTo(now)) {
      const arrived = this.#between.delete(transfer) ? this.#fromEngines : this.#fromTiers
      arrived.ids.push(transfer)
      arrived.at = now
    }
    const {ids} = wanted
    wanted.ids = []
    wanted.at = never
    return ids
  }

  start({instance, tier, direction}: TierWay, blocks: number, now: Ns): number {
    const place = 2 * tier + (direction === 'write' ? 1 : 0)
    const bytes = blocks * this.#engines.get(instance)!.blockBytes
    return this.#links.send(this.#ways.get(instance)![place]!, bytes, now)
  }

  nextEventAt(): Ns {
    return Math.min(this.#links.nextEventAt(), this.#fromTiers.at)
  }

  advanceTo(now: Ns): readonly number[] {
    return this.#taken(this.#fromTiers, now)
  }

  cancel(transfer: number, now: Ns): void {
    this.#links.cancel(transfer, now)
    leaveOut(this.#fromTiers, transfer)
  }

  nextOf(transfer: number): Ns {
    return this.#fromTiers.ids.includes(transfer)
      ? this.#fromTiers.at
      : this.#links.nextOf(transfer)
  }
}
