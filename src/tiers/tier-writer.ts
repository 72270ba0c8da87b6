/** What an engine has to write to one of its tiers: what waits, and what is under way. */
import type {Runs, TierPool} from './tier-pool.js'

export interface TierRules {
  /** What users call the tier. */
  readonly name: string
  readonly pool: TierPool
  /** `through`: as blocks are written above; `on eviction`: as they are lost above. */
  readonly write: 'through' | 'on eviction'
  /** Blocks that may wait to be written. */
  readonly maxPending: number
}

export class TierWriter {
  /** Blocks that were turned away, as too many waited. */
  dropped = 0
  readonly rules: TierRules
  /** Empty: it is idle. */
  underWay: Runs = []
  #waiting: Runs = []
  #blocks = 0
  readonly #missing: Runs = []

  constructor(rules: TierRules) {
    this.rules = rules
  }

  /** Blocks that wait. */
  get pending(): number {
    return this.#blocks
  }

  /** Runs in the order of a list; what the pool has already is left out. */
  offer(runs: Runs): void {
    for (let at = 0; at < runs.length; at += 3)
      this.#offerRun(runs[at]!, runs[at + 1]!, runs[at + 2]!)
  }

  #offerRun(span: number, low: number, top: number): void {
    const {pool, maxPending} = this.rules
    const most = Math.min(maxPending, pool.capacity)
    const missing = this.#missing
    missing.length = 0
    for (let block = pool.runEnd(span, low, top); block < top; ) {
      const end = pool.gapEnd(span, block, top)
      missing.push(block, end)
      block = pool.runEnd(span, end, top)
    }
    for (let i = missing.length - 2; i >= 0; i -= 2) {
      const end = missing[i + 1]!
      const size = end - missing[i]!
      const taken = Math.min(size, most - this.#blocks)
      this.dropped += size - taken
      if (taken <= 0) continue
      this.#blocks += taken
      this.#waiting.push(span, end - taken, end)
    }
  }

  /** All that waits is under way from now on. Returns how many blocks; 0: nothing waits, or something is under way. */
  take(): number {
    if (this.#blocks === 0 || this.underWay.length > 0) return 0
    const blocks = this.#blocks
    this.underWay = this.#waiting
    this.#waiting = []
    this.#blocks = 0
    return blocks
  }
}
