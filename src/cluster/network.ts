/** What carries bytes between engines. Transfers that go on at the same time may slow each other. */
import type {Ns} from '../latency/step-time.js'

export interface Network {
  /** Starts a transfer between two engines at `now`. Returns its number. */
  startTransfer(from: number, to: number, bytes: number, now: Ns): number
  /** When the next transfer ends, as things are; +Infinity: none is under way. */
  nextEventAt(): Ns
  /** Takes out the transfers that have ended by `now`, in the order in which they ended, then started. */
  advanceTo(now: Ns): readonly number[]
  /** A transfer that nobody waits for any more. */
  cancel(transfer: number, now: Ns): void
  /** How long a transfer takes that has all links for itself. */
  aloneNs(from: number, to: number, bytes: number): Ns
}
