/**
 * Links that transfers share fairly. A transfer gets its max-min fair rate: all rates grow together until a link is
 * full, those that cross it stay as they are, the others go on. Rates change only when a transfer starts or its last
 * byte is sent; the latency of the way comes behind that and takes nothing from anybody. Moments are whole ns.
 */
import {linkDefaults} from '../catalogue/link-defaults.js'
import type {Ns} from '../latency/step-time.js'
import type {Network} from './network.js'

/** What a transfer crosses. */
export interface Way {
  /** Numbers of links, and the share of the bytes that goes over each (parallel ports carry a part of it). */
  readonly links: readonly {readonly link: number; readonly share: number}[]
  readonly latencyNs: Ns
}

export interface SharedLinksParts {
  /** Bytes per ns (GB/s) of a link, in one direction. */
  readonly rateOf: (link: number) => number
  readonly wayOf: (from: number, to: number) => Way
}

interface Flow {
  readonly id: number
  readonly way: Way
  /** Bytes to send at `since`. */
  left: number
  since: Ns
  /** Bytes per ns. */
  rate: number
  sentAt: Ns
}

const never = Number.POSITIVE_INFINITY

export class SharedLinks implements Network {
  readonly #rateOfLink: SharedLinksParts['rateOf']
  readonly #wayOf: SharedLinksParts['wayOf']
  #sending: Flow[] = []
  /** Sent, on the way: by the time of arrival, then number. */
  #arriving: {readonly id: number; readonly at: Ns}[] = []
  #started = 0

  constructor({rateOf, wayOf}: SharedLinksParts) {
    this.#rateOfLink = rateOf
    this.#wayOf = wayOf
  }

  /** How long a transfer takes that has all links for itself: whole ns, at least 1. */
  aloneNs(from: number, to: number, bytes: number): Ns {
    return this.aloneOn(this.#wayOf(from, to), bytes)
  }

  aloneOn(way: Way, bytes: number): Ns {
    return Math.max(1, Math.ceil(bytes / rateAlone(this.#rateOfLink, way)) + way.latencyNs)
  }

  /** Starts a transfer at `now`, not before anything that was told already. Returns its number. */
  startTransfer(from: number, to: number, bytes: number, now: Ns): number {
    return this.send(this.#wayOf(from, to), bytes, now)
  }

  /** The same on a way that is known. */
  send(way: Way, bytes: number, now: Ns): number {
    this.#run(now)
    const id = this.#started++
    if (bytes > 0 && way.links.length > 0) {
      this.#sending.push({id, way, left: bytes, since: now, rate: 0, sentAt: never})
      this.#share(now)
    } else this.#sent({id, at: now + Math.max(1, way.latencyNs)})
    return id
  }

  /** When the next last byte is sent or arrives, as things are; +Infinity: nothing is under way. */
  nextEventAt(): Ns {
    return Math.min(this.#nextSent(), this.#arriving[0]?.at ?? never)
  }

  /** Takes out the transfers that have arrived by `now`, in order of arrival, then start. */
  advanceTo(now: Ns): readonly number[] {
    this.#run(now)
    const arrived: number[] = []
    while (this.#arriving.length > 0 && this.#arriving[0]!.at <= now)
      arrived.push(this.#arriving.shift()!.id)
    return arrived
  }

  /** A transfer that nobody waits for any more: others have its part of the links from `now` on. */
  cancel(transfer: number, now: Ns): void {
    this.#run(now)
    const before = this.#sending.length
    this.#sending = this.#sending.filter(({id}) => id !== transfer)
    this.#arriving = this.#arriving.filter(({id}) => id !== transfer)
    if (this.#sending.length < before) this.#share(now)
  }

  /** Bytes per ns of a transfer as things are; 0 when it is not sending. */
  rateOf(transfer: number): number {
    return this.#sending.find(({id}) => id === transfer)?.rate ?? 0
  }

  /** When the last byte of a transfer leaves, as things are, or, once it has, when it arrives; +Infinity: it is over. */
  nextOf(transfer: number): Ns {
    const sending = this.#sending.find(({id}) => id === transfer)
    return sending?.sentAt ?? this.#arriving.find(({id}) => id === transfer)?.at ?? never
  }

  #nextSent(): Ns {
    let next = never
    for (const {sentAt} of this.#sending) if (sentAt < next) next = sentAt
    return next
  }

  /** Lets last bytes be sent, one instant after the other, up to and including `now`. */
  #run(now: Ns): void {
    for (let at = this.#nextSent(); at <= now; at = this.#nextSent()) {
      const done = this.#sending.filter(({sentAt}) => sentAt <= at)
      this.#sending = this.#sending.filter(({sentAt}) => sentAt > at)
      for (const {id, way} of done) this.#sent({id, at: at + way.latencyNs})
      this.#share(at)
    }
  }

  #sent(transfer: {readonly id: number; readonly at: Ns}): void {
    const {id, at} = transfer
    const place = this.#arriving.findIndex(
      (other) => at < other.at || (at === other.at && id < other.id),
    )
    this.#arriving.splice(place < 0 ? this.#arriving.length : place, 0, transfer)
  }

  /** Gives everybody the fair rate from `now` on. Most transfers have the links for themselves. */
  #share(now: Ns): void {
    if (this.#sending.length === 0) return
    const ways = this.#sending.map(({way}) => way)
    const rates = areApart(ways)
      ? ways.map((way) => rateAlone(this.#rateOfLink, way))
      : fairRates(this.#rateOfLink, ways)
    for (let i = 0; i < rates.length; i++) {
      const flow = this.#sending[i]!
      const rate = rates[i]!
      // What does not change keeps its end: rounding would otherwise add up.
      if (rate === flow.rate) continue
      flow.left = Math.max(0, flow.left - flow.rate * (now - flow.since))
      flow.since = now
      flow.rate = rate
      flow.sentAt = now + Math.ceil(flow.left / rate)
    }
  }
}

/** Whether no two of the transfers cross the same link. */
function areApart(ways: readonly Way[]): boolean {
  if (ways.length === 1) return true
  const crossed = new Set<number>()
  for (const {links} of ways)
    for (const {link} of links) {
      if (crossed.has(link)) return false
      crossed.add(link)
    }
  return true
}

/** Bytes per ns of a transfer that has all links of its way, each of them crossed once, for itself. */
function rateAlone(rateOf: (link: number) => number, {links}: Way): number {
  let least = never
  for (const {link, share} of links) least = Math.min(least, rateOf(link) / share)
  return least
}

/** Max-min fair rates by progressive filling; +Infinity where no link of a way has a limit. */
export function fairRates(rateOf: (link: number) => number, ways: readonly Way[]): number[] {
  const rates = ways.map(() => 0)
  const room = new Map<number, number>()
  for (const {links} of ways) for (const {link} of links) room.set(link, rateOf(link))
  const open = new Set(ways.keys())
  while (open.size > 0) {
    const {tight, rate} = tightest(
      room,
      Array.from(open, (i) => ways[i]!),
    )
    if (tight < 0) {
      for (const i of open) rates[i] = never
      break
    }
    for (const i of [...open]) {
      const {links} = ways[i]!
      if (!links.some(({link}) => link === tight)) continue
      rates[i] = rate
      open.delete(i)
      for (const {link, share} of links) room.set(link, Math.max(0, room.get(link)! - rate * share))
    }
  }
  return rates
}

/** The link that is full first when all rates grow together, and the rate at which it is. */
function tightest(room: ReadonlyMap<number, number>, ways: readonly Way[]) {
  const load = new Map<number, number>()
  for (const {links} of ways)
    for (const {link, share} of links) load.set(link, (load.get(link) ?? 0) + share)
  let tight = -1
  let rate = never
  for (const [link, sum] of load) {
    const fair = room.get(link)! / sum
    if (fair >= rate) continue
    rate = fair
    tight = link
  }
  return {tight, rate}
}

export const defaultPort = {
  gbPerS: linkDefaults.network.readGbPerS,
  latencyNs: 1000 * linkDefaults.network.transferUs,
} as const

/**
 * Engines that each have one port to a switch that never is the bottleneck: what they send shares the rate of the
 * port, and so does what they receive.
 */
export const onePortEach = (port: {
  readonly gbPerS: number
  readonly latencyNs: Ns
}): SharedLinksParts => ({
  rateOf: () => port.gbPerS,
  wayOf: (from, to) => ({
    links: [
      {link: 2 * from, share: 1},
      {link: 2 * to + 1, share: 1},
    ],
    latencyNs: port.latencyNs,
  }),
})
