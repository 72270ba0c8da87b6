/** What an engine did with its tiers, added up. */
import type {Ns} from '../latency/step-time.js'
import type {TierWriter} from './tier-writer.js'

/** Of transfers that ended: bytes, and Σ of the times that they took. */
interface Moved {
  bytes: number
  ns: Ns
}

/** Of one tier, as its engine used it. */
interface TierUse {
  /** Tokens found there by requests that got their first seat with them. */
  hitTokens: number
  loadedBlocks: number
  writtenBlocks: number
  readonly read: Moved
  readonly write: Moved
}

/** The same, and what has become of the tier. */
export interface TierTotals extends TierUse {
  readonly name: string
  readonly droppedBlocks: number
  /** Room of the pool, the most that it held, and what it holds now. */
  readonly blocks: number
  readonly peakBlocks: number
  readonly usedBlocks: number
}

export class TierUses {
  readonly of: readonly TierUse[]
  /** Loads that ended, and the sum of the times that they took. */
  readonly loads = {count: 0, ns: 0}
  readonly #writers: readonly TierWriter[]
  readonly #blockBytes: number

  /** `writers`: of each tier, nearest first. */
  constructor(writers: readonly TierWriter[], blockBytes: number) {
    this.#writers = writers
    this.#blockBytes = blockBytes
    this.of = writers.map(() => ({
      ...{hitTokens: 0, loadedBlocks: 0, writtenBlocks: 0},
      ...{read: {bytes: 0, ns: 0}, write: {bytes: 0, ns: 0}},
    }))
  }

  /** Each tier now. Engines that share a pool all show it. */
  get totals(): TierTotals[] {
    return this.of.map(({read, write, ...use}, tier) => {
      const {dropped, rules} = this.#writers[tier]!
      const {capacity: blocks, peak: peakBlocks, used: usedBlocks} = rules.pool
      return {
        ...use,
        ...{read: {...read}, write: {...write}},
        ...{name: rules.name, droppedBlocks: dropped, blocks, peakBlocks, usedBlocks},
      }
    })
  }

  /** Bytes that went between the devices and their host so far: those of writes between tiers did not. */
  get linkBytes(): number {
    const loaded = this.of.reduce((sum, {loadedBlocks}) => sum + loadedBlocks, 0)
    return (loaded + this.of[0]!.writtenBlocks) * this.#blockBytes
  }

  /** A load of so many blocks from each tier ended, which took `ns`. */
  loaded(found: readonly number[], ns: Ns): void {
    this.loads.count++
    this.loads.ns += ns
    for (const [tier, blocks] of found.entries()) this.of[tier]!.loadedBlocks += blocks
  }

  /** A request got its first seat with what was found in each tier. */
  hit(found: readonly number[], blockSize: number): void {
    for (const [tier, blocks] of found.entries()) this.of[tier]!.hitTokens += blocks * blockSize
  }

  /** A transfer of so many blocks ended, which took `ns`. */
  moved(tier: number, direction: 'read' | 'write', {blocks, ns}: {blocks: number; ns: Ns}): void {
    const use = this.of[tier]![direction]
    use.bytes += blocks * this.#blockBytes
    use.ns += ns
  }
}
