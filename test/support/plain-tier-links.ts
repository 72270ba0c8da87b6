/** Transfers between engines and tiers that take what a function says, and do not feel each other. */
import type {Ns} from '#llmsim/latency/step-time.js'
import type {TierLinks, TierWay} from '#llmsim/tiers/tier-links.js'

export type TierTime = (way: TierWay, blocks: number) => Ns

export class PlainTierLinks implements TierLinks {
  readonly #time: TierTime
  #transfers: {readonly id: number; readonly end: Ns}[] = []
  #started = 0

  constructor(time: TierTime) {
    this.#time = time
  }

  start(way: TierWay, blocks: number, now: Ns): number {
    const id = this.#started++
    this.#transfers.push({id, end: now + Math.max(1, this.#time(way, blocks))})
    return id
  }

  nextEventAt(): Ns {
    return Math.min(Number.POSITIVE_INFINITY, ...this.#transfers.map(({end}) => end))
  }

  advanceTo(now: Ns): readonly number[] {
    const ended = this.#transfers.filter(({end}) => end <= now)
    this.#transfers = this.#transfers.filter(({end}) => end > now)
    return ended.map(({id}) => id)
  }

  cancel(transfer: number): void {
    this.#transfers = this.#transfers.filter(({id}) => id !== transfer)
  }

  nextOf(transfer: number): Ns {
    return this.#transfers.find(({id}) => id === transfer)?.end ?? Number.POSITIVE_INFINITY
  }
}
