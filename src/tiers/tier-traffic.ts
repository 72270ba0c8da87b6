/**
 * What is under way between the engines of a group and their tiers, in the order of its moments. Nobody sees a block
 * enter a pool until somebody looks, so ends are worked off as the engines come by; only an engine that waits for a
 * load must be told when.
 */
import type {Ns} from '../latency/step-time.js'
import type {EngineTiers, Load} from './engine-tiers.js'
import type {TierLinks, TierWay} from './tier-links.js'

interface Purpose {
  readonly engine: EngineTiers
  /** Absent: a write. */
  readonly load: Load | undefined
  readonly way: TierWay
  readonly blocks: number
  readonly startedAt: Ns
}

/** A transfer between an engine and its tiers that ended, or was given up. */
export interface TierTransfer {
  readonly instance: number
  /** Name of the tier. */
  readonly tier: string
  readonly direction: TierWay['direction']
  readonly blocks: number
  readonly bytes: number
  /** Row of the request that waits for it; undefined: a write. */
  readonly row: number | undefined
  readonly start: Ns
  readonly end: Ns
  readonly outcome: 'arrived' | 'given up'
  /** Blocks that the tier has now. */
  readonly held: number
}

export type OnTierTransfer = (transfer: TierTransfer) => void

const never = Number.POSITIVE_INFINITY

export class TierTraffic {
  /** In the order of their numbers. */
  readonly engines: EngineTiers[] = []
  readonly #links: TierLinks
  readonly #purposes = new Map<number, Purpose>()
  /** Since when something waits that no writer has looked at; +Infinity: nothing does. */
  #offeredAt = never

  readonly #onTransfer: OnTierTransfer | undefined

  constructor(links: TierLinks, onTransfer?: OnTierTransfer) {
    this.#links = links
    this.#onTransfer = onTransfer
  }

  start(
    way: TierWay,
    blocks: number,
    purpose: Pick<Purpose, 'engine' | 'load'> & {readonly now: Ns},
  ): number {
    const {engine, load, now} = purpose
    const transfer = this.#links.start(way, blocks, now)
    this.#purposes.set(transfer, {engine, load, way, blocks, startedAt: now})
    return transfer
  }

  /** Something waits to be written since `now`; whoever tells has called `advance` up to the instant before. */
  offered(now: Ns): void {
    this.#offeredAt = now
  }

  /** Everything up to and including `now`: at each instant transfers end, then idle writers start. */
  advance(now: Ns): void {
    const links = this.#links
    for (;;) {
      const at = Math.min(links.nextEventAt(), this.#offeredAt)
      if (at > now || at === never) return
      const ended = links.nextEventAt() === at ? links.advanceTo(at) : []
      for (const transfer of [...ended].sort((a, b) => a - b)) this.#end(transfer, at)
      if (ended.length === 0 && this.#offeredAt > at) continue
      this.#offeredAt = never
      for (const engine of this.engines) engine.startWrites(at)
    }
  }

  #end(transfer: number, now: Ns): void {
    const purpose = this.#purposes.get(transfer)
    this.#purposes.delete(transfer)
    if (purpose === undefined) return
    const {engine, load, way, blocks, startedAt} = purpose
    engine.uses.moved(way.tier, way.direction, {blocks, ns: now - startedAt})
    if (load) engine.partLoaded(load, transfer, now)
    else engine.written(way.tier)
    this.#tell(purpose, now, 'arrived')
  }

  #tell(purpose: Purpose, end: Ns, outcome: TierTransfer['outcome']): void {
    if (this.#onTransfer === undefined) return
    const {engine, load, way, blocks, startedAt: start} = purpose
    const {instance, direction} = way
    const known = engine.describe(way.tier)
    const bytes = blocks * known.blockBytes
    const {name: tier, held} = known
    const row = load && engine.rowOf(load)
    this.#onTransfer({instance, tier, direction, blocks, bytes, row, start, end, outcome, held})
  }

  cancel(transfer: number, now: Ns): void {
    this.advance(now - 1)
    this.#links.cancel(transfer, now)
    const purpose = this.#purposes.get(transfer)
    if (purpose) this.#tell(purpose, now, 'given up')
    this.#purposes.delete(transfer)
  }

  nextOf(transfer: number): Ns {
    return this.#links.nextOf(transfer)
  }
}
