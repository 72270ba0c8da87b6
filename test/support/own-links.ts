import type {Network} from '#llmsim/cluster/network.js'
import type {Ns} from '#llmsim/latency/step-time.js'

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
