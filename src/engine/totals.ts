/** What an engine did, summed up as it goes. */
import type {WeightedSamples} from '../stats/outcomes.js'

/** Why the head of the queue was not admitted. */
export type HeldBack = 'nobody' | 'seats' | 'blocks' | 'budget'

export interface Load {
  readonly running: number
  readonly waiting: number
  readonly usedBlocks: number
  readonly heldBack: HeldBack
}

/** Samples with counts in growing columns; equal neighbours are merged. */
export class GapSamples implements WeightedSamples {
  length = 0
  values = new Float64Array(1024)
  counts = new Float64Array(1024)

  add(value: number, count: number): void {
    const last = this.length - 1
    if (last >= 0 && this.values[last] === value) {
      this.counts[last]! += count
      return
    }
    if (this.length === this.values.length) this.#grow()
    this.values[this.length] = value
    this.counts[this.length++] = count
  }

  #grow(): void {
    const values = new Float64Array(this.length * 2)
    const counts = new Float64Array(this.length * 2)
    values.set(this.values)
    counts.set(this.counts)
    this.values = values
    this.counts = counts
  }
}

export class Totals {
  steps = 0
  peakBlocks = 0
  preemptions = 0
  recomputedTokens = 0
  lookedUpTokens = 0
  hitTokens = 0
  prefillTokens = 0
  decodeTokens = 0
  busyNs = 0
  runningNs = 0
  waitingNs = 0
  blocksNs = 0
  readonly heldBack = {seats: 0, blocks: 0, budget: 0}
  heldBackRunningNs = 0
  heldBackBlocksNs = 0
  readonly gaps = new GapSamples()

  /** A batch runs for `duration` ns with what its plan left in the engine. */
  spend(duration: number, load: Load): void {
    this.busyNs += duration
    this.runningNs += load.running * duration
    this.waitingNs += load.waiting * duration
    this.blocksNs += load.usedBlocks * duration
    if (load.heldBack === 'nobody') return
    this.heldBack[load.heldBack] += duration
    this.heldBackRunningNs += load.running * duration
    this.heldBackBlocksNs += load.usedBlocks * duration
  }
}
