/** The tiers of one engine: what they have of its requests, what is loaded from them and written to them. docs/memory-tiers.md. */
import type {BlockRange, DeviceCache, KvBelow} from '../engine/kv-below.js'
import type {PrefixIdentity} from '../engine/prefix-identity.js'
import type {RequestPool} from '../engine/request-pool.js'
import type {Ns} from '../latency/step-time.js'
import {
  type KnownBlocks,
  lastFirst,
  listOf,
  locate,
  ownSpan,
  type SpanAt,
  sizeOf,
} from './request-spans.js'
import type {Runs} from './tier-pool.js'
import type {TierTraffic} from './tier-traffic.js'
import {TierUses} from './tier-uses.js'
import {type TierRules, TierWriter} from './tier-writer.js'

export interface EngineTiersParts {
  readonly instance: number
  /** Nearest first. */
  readonly tiers: readonly TierRules[]
  readonly traffic: TierTraffic
  readonly requests: RequestPool
  readonly identity: PrefixIdentity
  readonly blockSize: number
  readonly blockBytes: number
}

/** Blocks of a request on their way to the device. */
export interface Load {
  readonly slot: number
  readonly startedAt: Ns
  /** Transfers that have not ended. */
  readonly open: Set<number>
  /** What enters each tier as it passes, last block first. */
  readonly passing: readonly Runs[]
}

/** What the plan of a batch entered of one request. */
interface Fresh {
  readonly slot: number
  readonly arrival: number
  readonly runs: Runs
  /** Number of the batch; +Infinity until it has one. */
  sequence: number
}

/** Blocks [low, top) that the device took for other tokens, last first. */
interface Lost {
  readonly slot: number
  readonly span: number
  readonly low: number
  readonly top: number
}

/** Where blocks were found: how many in each tier, and what passes through it. */
interface Found {
  readonly blocks: number[]
  readonly passing: Runs[]
}

const never = Number.POSITIVE_INFINITY

export class EngineTiers implements KvBelow {
  readonly uses: TierUses
  readonly #parts: EngineTiersParts
  readonly #writers: readonly TierWriter[]
  readonly #loads = new Map<number, Load>()
  /** Blocks that were found in each tier for requests that wait for their seat since. */
  readonly #found = new Map<number, readonly number[]>()
  /** Whose loads ended, until the engine is told. */
  #loaded: number[] = []
  #fresh: Fresh[] = []
  /** The present instant, as its engine said last. */
  #now: Ns = 0
  #isPlanning = false
  /** What the plan being made took, in that order; slot −1: others may find it. */
  readonly #lost: Lost[] = []
  readonly #at: SpanAt = {id: 0, start: 0, end: 0}

  constructor(parts: EngineTiersParts) {
    this.#parts = parts
    this.#writers = parts.tiers.map((rules) => new TierWriter(rules))
    this.uses = new TierUses(this.#writers, parts.blockBytes)
    parts.traffic.engines.push(this)
  }

  /** Nothing happens any more: what is on its way arrives. */
  finish(): void {
    this.#parts.traffic.advance(Number.MAX_SAFE_INTEGER)
  }

  /** A tier, by its place, for those who tell of its transfers. */
  describe(tier: number): {
    readonly name: string
    readonly blockBytes: number
    readonly held: number
  } {
    const {name, pool} = this.#parts.tiers[tier]!
    return {name, blockBytes: this.#parts.blockBytes, held: pool.used}
  }

  rowOf({slot}: Load): number {
    return this.#parts.requests.row[slot]!
  }

  /** Whether KV is on its way up. */
  get isLoading(): boolean {
    return this.#loads.size > 0
  }

  /** When a load may end, or others become faster, as things are; +Infinity: none is under way. */
  get nextLoadAt(): Ns {
    let next = never
    for (const {open} of this.#loads.values())
      for (const transfer of open) next = Math.min(next, this.#parts.traffic.nextOf(transfer))
    return next
  }

  /** The requests whose loads have ended by `now` and were not taken yet. */
  takeLoaded(now: Ns): readonly number[] {
    this.#parts.traffic.advance(now)
    const loaded = this.#loaded
    if (loaded.length > 0) this.#loaded = []
    return loaded
  }

  reach(slot: number, from: number, limit: number): number {
    return this.#reach(this.#known(slot), from, limit)
  }

  /** Prompt tokens of a row that tiers hold, behind the first `device` of them, all but one. */
  tokensOf(row: number, inputTokens: number, device: number): number {
    const {identity, blockSize} = this.#parts
    const shareable = identity.knownBlocks(row)
    const limit = Math.min(Math.floor((inputTokens - 1) / blockSize), shareable)
    const from = device / blockSize
    return blockSize * (this.#reach({identity, row, shareable}, from, limit) - from)
  }

  #reach(known: KnownBlocks, from: number, limit: number): number {
    const at = this.#at
    let block = from
    while (block < limit) {
      locate(known, block, limit, at)
      const {id, start, end} = at
      const before = block
      for (const {pool} of this.#parts.tiers)
        block = start + pool.runEnd(id, block - start, end - start)
      if (block === before) break
    }
    return block
  }

  use(slot: number, blocks: number): void {
    if (blocks === 0) return
    const list = listOf(this.#known(slot), {from: 0, to: blocks})
    for (const {pool} of this.#parts.tiers) pool.renew(list)
  }

  load(slot: number, blocks: BlockRange, now: Ns): void {
    const {instance, tiers, traffic} = this.#parts
    const found = this.#find(slot, blocks)
    const open = new Set<number>()
    const load = {slot, startedAt: now, open, passing: found.passing.map(lastFirst)}
    for (const tier of tiers.keys()) {
      const count = found.blocks[tier]!
      if (count === 0) continue
      const way = {instance, tier, direction: 'read'} as const
      open.add(traffic.start(way, count, {engine: this, load, now}))
    }
    this.#loads.set(slot, load)
    this.#found.set(slot, found.blocks)
  }

  seated(slot: number): number {
    const {requests, blockSize} = this.#parts
    const found = this.#found.get(slot)!
    this.#found.delete(slot)
    if (Number.isNaN(requests.scheduledAt[slot]!)) this.uses.hit(found, blockSize)
    return blockSize * found.reduce((sum, blocks) => sum + blocks, 0)
  }

  /** Each block in the nearest tier that has it. */
  #find(slot: number, {from, to}: BlockRange): Found {
    const {tiers} = this.#parts
    const known = this.#known(slot)
    const at = this.#at
    const found: Found = {blocks: tiers.map(() => 0), passing: tiers.map(() => [])}
    for (let block = from; block < to; ) {
      locate(known, block, to, at)
      const {id, start} = at
      const low = block - start
      let top = at.end - start
      for (const [tier, {pool}] of tiers.entries()) {
        const end = pool.runEnd(id, low, top)
        if (end > low) {
          found.blocks[tier]! += end - low
          for (let nearer = 0; nearer < tier; nearer++)
            if (tiers[nearer]!.write === 'through') found.passing[nearer]!.push(id, low, end)
          block = start + end
          break
        }
        // What follows may lie in this tier again.
        top = pool.gapEnd(id, low, top)
      }
    }
    return found
  }

  drop(slot: number, now: Ns): void {
    this.#fresh = this.#fresh.filter((fresh) => fresh.slot !== slot)
    const load = this.#loads.get(slot)
    this.#loaded = this.#loaded.filter((other) => other !== slot)
    this.#found.delete(slot)
    if (load === undefined) return
    for (const transfer of load.open) this.#parts.traffic.cancel(transfer, now)
    this.#loads.delete(slot)
  }

  entered(slot: number, blocks: BlockRange): void {
    if (!this.#writesThrough()) return
    const arrival = this.#parts.requests.arrival[slot]!
    this.#fresh.push({slot, arrival, runs: listOf(this.#known(slot), blocks), sequence: never})
  }

  arrived(slot: number, blocks: BlockRange, now: Ns): void {
    if (!this.#writesThrough()) return
    this.#now = now
    this.#parts.traffic.advance(now - 1)
    this.#offer(listOf(this.#known(slot), blocks))
  }

  gaveBack(slot: number, {from, to}: BlockRange): void {
    if (!this.#writesThrough() || to <= from) return
    this.#offer([ownSpan(this.#parts.requests.row[slot]!), from, to])
  }

  evicted(span: number, low: number, top: number): void {
    if (!this.#writesThrough()) this.#lost.push({slot: -1, span, low, top})
  }

  evictedOwn(slot: number, low: number, top: number): void {
    const span = ownSpan(this.#parts.requests.row[slot]!)
    if (!this.#writesThrough()) this.#lost.push({slot, span, low, top})
  }

  #offer(runs: Runs): void {
    this.#writers[0]!.offer(runs)
    // Writers start behind the plans of their engine; what is offered before waits for the transfers of the instant.
    if (!this.#isPlanning) this.#parts.traffic.offered(this.#now)
  }

  #writesThrough(): boolean {
    return this.#parts.tiers[0]!.write === 'through'
  }

  ended(sequence: number, now: Ns): void {
    this.#now = now
    this.#parts.traffic.advance(now - 1)
    if (this.#fresh.length === 0) return
    const due = this.#fresh.filter((fresh) => fresh.sequence <= sequence)
    if (due.length === 0) return
    this.#fresh = this.#fresh.filter((fresh) => fresh.sequence > sequence)
    due.sort((a, b) => a.arrival - b.arrival)
    for (const {runs} of due) this.#offer(runs)
  }

  planning(now: Ns): void {
    this.#now = now
    this.#isPlanning = true
    this.#parts.traffic.advance(now)
  }

  planned(sequence: number | undefined, device: DeviceCache): void {
    if (sequence !== undefined)
      for (const fresh of this.#fresh) if (fresh.sequence === never) fresh.sequence = sequence
    if (this.#lost.length > 0) this.#offerLost(device)
    this.#isPlanning = false
  }

  /** Of the blocks that a plan took those that it did not enter again. */
  #offerLost(device: DeviceCache): void {
    const runs: Runs = []
    for (const {slot, span, low, top} of this.#lost)
      for (let block = top - 1; block >= low; block--) {
        const isThere = slot < 0 ? device.has(span, block) : device.hasOwn(slot, block)
        if (isThere) continue
        const last = runs.length - 3
        if (runs[last] === span && runs[last + 1] === block + 1) runs[last + 1] = block
        else runs.push(span, block, block + 1)
      }
    this.#lost.length = 0
    this.#offer(runs)
  }

  settled(now: Ns): void {
    this.startWrites(now)
  }

  onlyPlanned(sequence: number, device: DeviceCache, now: Ns): void {
    this.planned(sequence, device)
    this.startWrites(now)
  }

  /** Idle writers take what waits. */
  startWrites(now: Ns): void {
    const {instance, traffic} = this.#parts
    for (const [tier, writer] of this.#writers.entries()) {
      const blocks = writer.take()
      if (blocks === 0) continue
      traffic.start({instance, tier, direction: 'write'}, blocks, {
        engine: this,
        load: undefined,
        now,
      })
    }
  }

  /** A write ended. */
  written(tier: number): void {
    const writer = this.#writers[tier]!
    const list = writer.underWay
    writer.underWay = []
    this.uses.of[tier]!.writtenBlocks += sizeOf(list)
    this.#enter(tier, list)
    const next = this.#writers[tier + 1]
    if (next?.rules.write === 'through') next.offer(list)
  }

  /** One of the transfers of a load ended. */
  partLoaded(load: Load, transfer: number, now: Ns): void {
    load.open.delete(transfer)
    if (load.open.size > 0) return
    this.#loads.delete(load.slot)
    this.uses.loaded(this.#found.get(load.slot)!, now - load.startedAt)
    for (const [tier, list] of load.passing.entries()) if (list.length > 0) this.#enter(tier, list)
    this.#loaded.push(load.slot)
  }

  /** A list enters a pool; what goes for it may go further down. */
  #enter(tier: number, list: Runs): void {
    const gone: Runs = []
    this.#parts.tiers[tier]!.pool.enter(list, gone)
    const next = this.#writers[tier + 1]
    if (next?.rules.write === 'on eviction') next.offer(gone)
  }

  #known(slot: number): KnownBlocks {
    const {requests, identity} = this.#parts
    return {identity, row: requests.row[slot]!, shareable: requests.shareable[slot]!}
  }
}
