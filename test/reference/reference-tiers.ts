/** docs/memory-tiers.md, word by word, in the plainest form: pools are arrays of names, every transfer is an object. */

import type {ReferenceLinks} from './reference-links.js'

export interface ReferenceTiersCase {
  /** Per instance its tiers, the nearest first; none: it has only its device. */
  readonly of: readonly (readonly TierOf[])[]
  readonly pools: readonly PoolOf[]
  /** ns of a transfer; `tier` is the place in `of`, 0 the nearest. */
  readonly transfer: (transfer: {
    readonly direction: 'read' | 'write'
    readonly tier: number
    readonly blocks: number
  }) => number
}

export interface TierOf {
  readonly pool: number
  readonly maxPending: number
}

export interface PoolOf {
  readonly blocks: number
  readonly write: 'through' | 'on eviction'
}

/** Block k of a request that waits for it, and the tier that has it. */
export interface Found {
  readonly k: number
  readonly identity: string
  readonly tier: number
}

/** What an engine may do with its tiers. */
export interface EngineTiers {
  readonly count: number
  /** The nearest tier that has the block. */
  readonly find: (identity: string) => number | undefined
  /** Makes those that a pool has its youngest, in this order. */
  readonly use: (identities: readonly string[]) => void
  /** Blocks that were computed or came from elsewhere, for a nearest tier that is written through. */
  readonly offerComputed: (identities: readonly string[]) => void
  /** A block that the device takes, for a nearest tier that is written on eviction. */
  readonly offerEvicted: (identity: string) => void
}

interface Pool extends PoolOf {
  /** Oldest to youngest. */
  identities: string[]
}

interface Writer {
  readonly instance: number
  readonly tier: number
  readonly pool: Pool
  readonly maxWaiting: number
  waiting: string[]
  isWriting: boolean
  dropped: number
}

export interface Load {
  readonly instance: number
  readonly row: number
  readonly blocks: readonly Found[]
}

export interface TierTransfer {
  readonly number: number
  readonly start: number
  /** As things are, where others share its links. */
  readonly end: number
  readonly tier: number
  readonly identities: readonly string[]
  readonly of: {readonly writer: Writer} | {readonly load: Load}
}

export class ReferenceTiers {
  readonly pools: readonly Pool[]
  /** Per instance and tier. */
  readonly writers: readonly (readonly Writer[])[]
  /** In the order in which they started. */
  transfers: TierTransfer[] = []
  readonly corners = new Set<string>()
  readonly #given: ReferenceTiersCase
  readonly #links: ReferenceLinks | undefined
  #count = 0

  constructor(given: ReferenceTiersCase, links?: ReferenceLinks) {
    this.#given = given
    this.#links = links
    this.pools = given.pools.map((pool) => ({...pool, identities: []}))
    this.writers = given.of.map((tiers, instance) =>
      tiers.map(({pool, maxPending}, tier) => ({
        instance,
        tier,
        pool: this.pools[pool]!,
        maxWaiting: Math.min(maxPending, this.pools[pool]!.blocks),
        waiting: [],
        isWriting: false,
        dropped: 0,
      })),
    )
  }

  /** Undefined: it has none. */
  of(instance: number): EngineTiers | undefined {
    const writers = this.writers[instance] ?? []
    const nearest = writers[0]
    if (nearest === undefined) return undefined
    const offer = (write: PoolOf['write'], identities: readonly string[]) => {
      if (nearest.pool.write !== write) return
      for (const identity of identities)
        if (this.#offer(nearest, identity)) this.corners.add(`written ${write}`)
    }
    return {
      count: writers.length,
      find: (identity) => writers.find(({pool}) => pool.identities.includes(identity))?.tier,
      use: (identities) => {
        for (const {pool} of writers)
          makeYoungest(
            pool,
            identities.filter((identity) => pool.identities.includes(identity)),
          )
      },
      offerComputed: (identities) => offer('through', identities),
      offerEvicted: (identity) => offer('on eviction', [identity]),
    }
  }

  /** All blocks of a load set out at once. */
  startLoad(load: Load, now: number): void {
    const tiers = [...new Set(load.blocks.map(({tier}) => tier))].sort((a, b) => a - b)
    if (tiers.length > 1) this.corners.add('loaded from two tiers')
    for (const tier of tiers) {
      const identities = load.blocks.filter((block) => block.tier === tier).map(nameOf)
      this.#start('read', {tier, identities, of: {load}}, now)
    }
  }

  dropLoad(instance: number, row: number, now: number): void {
    for (const transfer of this.transfers) {
      const {of} = transfer
      if (!('load' in of) || of.load.instance !== instance || of.load.row !== row) continue
      this.transfers = this.transfers.filter((other) => other !== transfer)
      this.#links?.stop(transfer, now)
    }
  }

  isLoading(instance: number): boolean {
    return this.transfers.some(({of}) => 'load' in of && of.load.instance === instance)
  }

  /** When something ends next. */
  next(): number {
    return Math.min(...this.transfers.map(({end}) => end), Number.POSITIVE_INFINITY)
  }

  /** Ends the transfers of this instant, in the order in which they started; the loads that are complete then. */
  end(now: number): Load[] {
    const ended: Load[] = []
    for (;;) {
      const at = this.transfers.findIndex(({end}) => end === now)
      if (at < 0) return ended
      const [{of, identities}] = this.transfers.splice(at, 1) as [TierTransfer]
      if ('writer' in of) this.#endWrite(of.writer, identities)
      else if (!this.transfers.some((other) => 'load' in other.of && other.of.load === of.load)) {
        this.#promote(of.load)
        ended.push(of.load)
      }
    }
  }

  /** Starts the idle writers that have something to write: of one engine, or of all. */
  startWriters(now: number, instance?: number): void {
    for (const writer of this.writers.flat()) {
      const isMeant = instance === undefined || writer.instance === instance
      if (!isMeant || writer.isWriting || writer.waiting.length === 0) continue
      writer.isWriting = true
      const identities = writer.waiting
      writer.waiting = []
      this.#start('write', {tier: writer.tier, identities, of: {writer}}, now)
    }
  }

  #start(
    direction: 'read' | 'write',
    what: Pick<TierTransfer, 'tier' | 'identities' | 'of'>,
    now: number,
  ): void {
    const {tier, identities, of} = what
    const blocks = identities.length
    const {instance} = 'load' in of ? of.load : of.writer
    const carried = this.#links
      ? this.#links.startBelow({instance, direction, tier, blocks}, now)
      : {end: now + Math.max(1, this.#given.transfer({direction, tier, blocks}))}
    this.transfers.push(Object.assign(carried, {...what, number: this.#count++, start: now}))
  }

  #endWrite(writer: Writer, list: readonly string[]): void {
    writer.isWriting = false
    this.#enter(writer, list)
    const next = this.#behind(writer)
    if (next?.pool.write !== 'through') return
    for (const identity of list)
      if (this.#offer(next, identity)) this.corners.add('written through to a further tier')
  }

  /** Loaded blocks pass through the tiers between. */
  #promote({instance, blocks}: Load): void {
    const lastFirst = [...blocks].sort((a, b) => b.k - a.k)
    for (const writer of this.writers[instance]!) {
      if (writer.pool.write !== 'through') continue
      const list = lastFirst.filter(({tier}) => tier > writer.tier).map(nameOf)
      if (list.length === 0) continue
      this.corners.add('promoted')
      this.#enter(writer, list)
    }
  }

  /** The list of an engine enters a tier; what goes is offered to the tier behind. */
  #enter(writer: Writer, list: readonly string[]): void {
    const {pool} = writer
    makeYoungest(pool, list)
    const next = this.#behind(writer)
    while (pool.identities.length > pool.blocks) {
      const gone = pool.identities.shift()!
      if (next?.pool.write === 'on eviction' && this.#offer(next, gone))
        this.corners.add('pushed down')
    }
  }

  #behind({instance, tier}: Writer): Writer | undefined {
    return this.writers[instance]![tier + 1]
  }

  /** Whether it waits now. */
  #offer(writer: Writer, identity: string): boolean {
    if (writer.pool.identities.includes(identity)) return false
    if (writer.waiting.length >= writer.maxWaiting) {
      writer.dropped += 1
      this.corners.add('dropped')
      return false
    }
    writer.waiting.push(identity)
    return true
  }
}

const nameOf = ({identity}: Found): string => identity

const makeYoungest = (pool: Pool, list: readonly string[]): void => {
  for (const identity of list) {
    pool.identities = pool.identities.filter((other) => other !== identity)
    pool.identities.push(identity)
  }
}
