/** What an engine did, summed up as it goes. */
import {Samples} from '../stats/samples.js'
import {asDouble} from './columns.js'

/** Why the head of the queue was not admitted. */
export type HeldBack = 'nobody' | 'seats' | 'blocks' | 'budget'

export interface Load {
  readonly running: number
  readonly waiting: number
  readonly usedBlocks: number
  readonly heldBack: HeldBack
}

export class Totals {
  steps = 0
  peakBlocks = 0
  preemptions = 0
  recomputedTokens = asDouble
  lookedUpTokens = asDouble
  hitTokens = asDouble
  prefillTokens = asDouble
  decodeTokens = asDouble
  busyNs = asDouble
  runningNs = asDouble
  waitingNs = asDouble
  blocksNs = asDouble
  readonly heldBack = {seats: asDouble, blocks: asDouble, budget: asDouble}
  heldBackRunningNs = asDouble
  heldBackBlocksNs = asDouble
  readonly gaps = new Samples()
  readonly speculation = {verifications: 0, drafts: 0, accepted: 0, wasted: 0}

  constructor() {
    this.recomputedTokens = this.lookedUpTokens = this.hitTokens = 0
    this.prefillTokens = this.decodeTokens = 0
    this.busyNs = this.runningNs = this.waitingNs = this.blocksNs = 0
    this.heldBack.seats = this.heldBack.blocks = this.heldBack.budget = 0
    this.heldBackRunningNs = this.heldBackBlocksNs = 0
  }

  /** A batch with drafts ends. */
  verify({verifications, drafts, accepted, wasted}: Totals['speculation']): void {
    this.speculation.verifications += verifications
    this.speculation.drafts += drafts
    this.speculation.accepted += accepted
    this.speculation.wasted += wasted
  }

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
