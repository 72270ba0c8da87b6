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

interface Transfer {
  readonly id: number
  readonly end: Ns
}

/** Every transfer has a link of its own: latency, then bytes at a rate. */
export class OwnLinks implements Network {
  readonly #time: (from: number, to: number, bytes: number) => Ns
  #transfers: Transfer[] = []
  #started = 0

  constructor(time: (from: number, to: number, bytes: number) => Ns) {
    this.#time = time
  }

  aloneNs(from: number, to: number, bytes: number): Ns {
    return Math.max(1, Math.round(this.#time(from, to, bytes)))
  }

  startTransfer(from: number, to: number, bytes: number, now: Ns): number {
    const id = this.#started++
    const end = now + this.aloneNs(from, to, bytes)
    const at = this.#transfers.findIndex((other) => other.end > end)
    this.#transfers.splice(at < 0 ? this.#transfers.length : at, 0, {id, end})
    return id
  }

  nextEventAt(): Ns {
    return this.#transfers[0]?.end ?? Number.POSITIVE_INFINITY
  }

  advanceTo(now: Ns): readonly number[] {
    const ended: number[] = []
    while (this.nextEventAt() <= now) ended.push(this.#transfers.shift()!.id)
    return ended
  }

  cancel(transfer: number): void {
    this.#transfers = this.#transfers.filter(({id}) => id !== transfer)
  }
}
