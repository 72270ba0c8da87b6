/** What an engine asks of the memory tiers below its device, and tells them (docs/memory-tiers.md). */
import type {Ns} from '../latency/step-time.js'

/** Blocks of a request: the first, and the first behind them. */
export interface BlockRange {
  readonly from: number
  readonly to: number
}

export interface KvBelow {
  /** First block of a request, from `from` up to `limit`, that no tier has. */
  reach(slot: number, from: number, limit: number): number
  /** An admission uses the first `blocks` blocks of a request, wherever they were found. */
  use(slot: number, blocks: number): void
  /** Blocks of a request, found by `reach`, set out for the device. */
  load(slot: number, blocks: BlockRange, now: Ns): void
  /** A request for which blocks were loaded gets its seat: they count as found. Returns their tokens. */
  seated(slot: number): number
  /** The client of a request is gone: what is loaded for it is not needed. */
  drop(slot: number, now: Ns): void
  /** The plan being made entered blocks of a request in the device's cache. */
  entered(slot: number, blocks: BlockRange): void
  /** Blocks of a request that others may share came from another engine. */
  arrived(slot: number, blocks: BlockRange, now: Ns): void
  /** A request leaves, or loses, blocks that only it can find again. */
  gaveBack(slot: number, blocks: BlockRange): void
  /** The device takes blocks [low, top) of a span, last first, for other tokens… */
  evicted(span: number, low: number, top: number): void
  /** …or those of a preempted request. */
  evictedOwn(slot: number, low: number, top: number): void
  /** A batch ended. */
  ended(sequence: number, now: Ns): void
  /** A plan begins. */
  planning(now: Ns): void
  /** It is made; `sequence` is that of its batch, undefined when there is nothing to compute. */
  planned(sequence: number | undefined, device: DeviceCache): void
  /** No further plan is made at this instant. */
  settled(now: Ns): void
  /** Both at once, of the only plan of an instant. */
  onlyPlanned(sequence: number, device: DeviceCache, now: Ns): void
}

/** What the device's cache has. */
export interface DeviceCache {
  has(span: number, block: number): boolean
  /** Of a block that only the request can find: whether it computed it anew. */
  hasOwn(slot: number, block: number): boolean
}
