/**
 * Links that transfers share max-min fairly, in the plainest form. All rates grow together; where a link is full those that
 * cross it have their rate, and the others go on. Rates change when a transfer begins to send, ends sending, or is stopped;
 * one whose rate stays keeps its end. Ends are whole ns, rounded up; the latency follows behind the last byte.
 */

export interface ReferenceLinksCase {
  /** Of every member, in each direction; rates are bytes per ns. */
  readonly port: {readonly rate: number; readonly latency: number}
  readonly tierLatency: number
  /** Of KV between engines, and of a block below them. */
  readonly tokenBytes: number
  readonly blockBytes: number
  readonly members: readonly {
    /** Down to the host, and, where weights take a part, up from it. */
    readonly host: number
    readonly toDevice: number
    /** Whether what its port carries crosses these, too. */
    readonly isBehind: boolean
    readonly tiers: readonly {
      readonly pool: number
      readonly read: number
      readonly write: number
    }[]
  }[]
}

interface Crossing {
  readonly links: readonly string[]
  readonly bytes: number
  readonly latency: number
}

export interface Carried {
  /** When it arrives, as things are. */
  end: number
}

interface Flow {
  readonly carried: Carried
  readonly crossing: Crossing
  left: number
  since: number
  rate: number
  sentAt: number
}

const kindOf = (link: string): string => link.split(' ')[0]!

export class ReferenceLinks {
  readonly corners = new Set<string>()
  readonly #given: ReferenceLinksCase
  readonly #rates: Record<string, number> = {}
  #sending: Flow[] = []

  constructor(given: ReferenceLinksCase) {
    this.#given = given
    for (const [member, {host, toDevice, tiers}] of given.members.entries()) {
      this.#rates[`up ${member}`] = toDevice
      this.#rates[`down ${member}`] = host
      this.#rates[`in ${member}`] = given.port.rate
      this.#rates[`out ${member}`] = given.port.rate
      for (const {pool, read, write} of tiers) {
        this.#rates[`read ${pool}`] = read
        this.#rates[`write ${pool}`] = write
      }
    }
  }

  startBetween(
    {from, to, tokens}: {readonly from: number; readonly to: number; readonly tokens: number},
    now: number,
  ): Carried {
    const {members, port, tokenBytes} = this.#given
    const links = [`out ${from}`, `in ${to}`]
    if (members[from]!.isBehind) links.push(`down ${from}`)
    if (members[to]!.isBehind) links.push(`up ${to}`)
    return this.#start({links, bytes: tokens * tokenBytes, latency: port.latency}, now)
  }

  startBelow(
    {
      instance,
      direction,
      tier,
      blocks,
    }: {
      readonly instance: number
      readonly direction: 'read' | 'write'
      readonly tier: number
      readonly blocks: number
    },
    now: number,
  ): Carried {
    const {members, blockBytes, tierLatency} = this.#given
    const {pool} = members[instance]!.tiers[tier]!
    const links = direction === 'read' ? [`read ${pool}`, `up ${instance}`] : [`write ${pool}`]
    if (direction === 'write' && tier === 0) links.push(`down ${instance}`)
    return this.#start({links, bytes: blocks * blockBytes, latency: tierLatency}, now)
  }

  #start(crossing: Crossing, now: number): Carried {
    const {bytes: left, links, latency} = crossing
    const carried = {end: now + Math.max(1, latency)}
    if (left === 0 || links.length === 0) return carried
    this.#sending.push({carried, crossing, left, since: now, rate: 0, sentAt: Infinity})
    this.#share(now)
    return carried
  }

  stop(carried: Carried, now: number): void {
    this.#sending = this.#sending.filter((flow) => flow.carried !== carried)
    this.#share(now)
  }

  /** When a last byte is sent next. */
  next(): number {
    return Math.min(...this.#sending.map(({sentAt}) => sentAt), Number.POSITIVE_INFINITY)
  }

  run(now: number): void {
    if (this.next() > now) return
    this.#sending = this.#sending.filter(({sentAt}) => sentAt > now)
    this.#share(now)
  }

  #share(now: number): void {
    const rates = this.#fairRates()
    for (const [i, flow] of this.#sending.entries()) {
      const rate = rates[i]!
      if (rate === flow.rate) continue
      flow.left = Math.max(0, flow.left - flow.rate * (now - flow.since))
      flow.since = now
      flow.rate = rate
      flow.sentAt = now + Math.ceil(flow.left / rate)
      flow.carried.end = flow.sentAt + flow.crossing.latency
    }
    for (const {crossing} of this.#sending)
      for (const other of this.#sending) {
        const shared = crossing.links.find((link) => other.crossing.links.includes(link))
        const isOther =
          crossing.links.map(kindOf).join() !== other.crossing.links.map(kindOf).join()
        if (shared !== undefined && isOther) this.corners.add(`two kinds share: ${kindOf(shared)}`)
      }
  }

  #fairRates(): number[] {
    const given = this.#sending.map(() => 0)
    const open = new Set(this.#sending.keys())
    const room: Record<string, number> = {...this.#rates}
    while (open.size > 0) {
      let tight = ''
      let least = Infinity
      for (const i of open)
        for (const link of this.#sending[i]!.crossing.links) {
          const crossing = [...open].filter((at) =>
            this.#sending[at]!.crossing.links.includes(link),
          )
          const fair = room[link]! / crossing.length
          if (fair < least) {
            least = fair
            tight = link
          }
        }
      for (const i of [...open]) {
        const {links} = this.#sending[i]!.crossing
        if (!links.includes(tight)) continue
        given[i] = least
        open.delete(i)
        for (const link of links) room[link] = Math.max(0, room[link]! - least)
      }
    }
    return given
  }
}
