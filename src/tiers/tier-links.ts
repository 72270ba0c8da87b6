/** What carries blocks between engines and the tiers below them. */
import type {Ns} from '../latency/step-time.js'

export interface TierWay {
  readonly instance: number
  /** 0: the tier next to the device. Writes come from the tier before, reads go to the device. */
  readonly tier: number
  readonly direction: 'read' | 'write'
}

export interface TierLinks {
  /** Starts a transfer of `blocks` blocks at `now`. Returns its number; later ones have larger numbers. */
  start(way: TierWay, blocks: number, now: Ns): number
  /** When something happens next, as things are; +Infinity: nothing is under way. */
  nextEventAt(): Ns
  /** Takes out the transfers that have ended by `now`. */
  advanceTo(now: Ns): readonly number[]
  /** Nobody waits for a transfer any more. */
  cancel(transfer: number, now: Ns): void
  /** When something happens to a transfer that others on its way may feel: its last byte leaves, or it ends. */
  nextOf(transfer: number): Ns
}
