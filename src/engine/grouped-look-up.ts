/**
 * What the prefix cache holds of a request where layers lie in several groups (see GroupedBlocks). The look-up of the
 * head of the queue is remembered until a block that it found is lost, or one that it lacked is entered; how many of
 * its hits nobody holds is counted by the pool as it changes.
 */
import {type KvGroup, unseenBlocks} from '../catalogue/kv-groups.js'
import type {BlockNames} from './block-names.js'
import type {EngineConfig} from './engine-config.js'
import type {PagePool} from './page-pool.js'
import type {PrefixIdentity} from './prefix-identity.js'
import type {PrefixMatch} from './request-blocks.js'
import type {RequestPool} from './request-pool.js'
import {SpanPlace} from './span-place.js'

const nobody = -1

/** A block that nobody can find. */
export const nameless = -1

/** A group, and what of it can be found: by everybody, and by a preempted request only. */
export interface Table {
  readonly group: KvGroup
  readonly shared: BlockNames
  readonly own: BlockNames
}

export interface GroupedLookUpParts {
  readonly config: EngineConfig
  readonly tables: readonly Table[]
  readonly requests: RequestPool
  readonly identity: PrefixIdentity
  readonly pool: PagePool
}

export class GroupedLookUp {
  readonly #parts: GroupedLookUpParts
  readonly #blockSize: number
  /** Groups that see everything, and the others. */
  readonly #whole: readonly Table[]
  readonly #partial: readonly Table[]
  readonly #match: PrefixMatch = {tokens: 0, pieces: [], shared: 0, own: 0, unheld: 0}
  /** Whose `#match` is. */
  #slot = nobody
  #row = nobody
  #reached = 0
  /** By group: nodes of the hits that the next token sees, in order of blocks. */
  #found: number[][]
  /** No block behind this one changes the hits: the groups that see everything have those before it only. */
  #last = nobody
  readonly #awaited: SpanPlace
  readonly #place: SpanPlace
  /** Nodes of the blocks [from, to) that are being looked at, by their place behind `shift`. */
  #nodes: ReadonlyMap<number, number> | undefined
  #from = 0
  #to = 0
  #shift = 0

  constructor(parts: GroupedLookUpParts) {
    this.#parts = parts
    this.#blockSize = parts.config.blockSize
    this.#whole = parts.tables.filter(({group}) => group.sees === 'everything')
    this.#partial = parts.tables.filter(({group}) => group.sees !== 'everything')
    this.#found = parts.tables.map(() => [])
    this.#awaited = new SpanPlace(parts.identity)
    this.#place = new SpanPlace(parts.identity)
  }

  /**
   * What the cache holds of a request that computed nothing: the most blocks, at most `floor((reached − 1) / block
   * size)`, of which every group has those that the next token sees. The object is reused.
   */
  match(slot: number): PrefixMatch {
    const {pool, requests} = this.#parts
    const row = requests.row[slot]!
    const reached = requests.reached[slot]!
    const isSame = slot === this.#slot && row === this.#row && reached === this.#reached
    if (!isSame || pool.isStale) {
      this.#slot = slot
      this.#row = row
      this.#reached = reached
      this.#lookUp(slot, row)
    }
    this.#match.unheld = pool.unheld
    return this.#match
  }

  #lookUp(slot: number, row: number): void {
    const match = this.#match
    this.#parts.pool.startWatch()
    this.#last = nobody
    match.shared = 0
    if (this.#mayHit(slot, row)) {
      this.#last = this.#wholeBlocks(row, slot, this.#mostBlocks(this.#reached))
      match.shared = this.#seenBlocks(row, slot, this.#last)
    }
    match.tokens = match.shared * this.#blockSize
    for (const [at, table] of this.#parts.tables.entries()) {
      this.#found[at]!.length = 0
      this.#open()
      for (let k = this.#unseen(table, match.shared); k < match.shared; k++) {
        if (k >= this.#to) this.#turnTo(row, slot, k, table)
        const node = this.#node(k)
        this.#found[at]!.push(node)
        this.#parts.pool.watch(node)
      }
    }
  }

  #mayHit(slot: number, row: number): boolean {
    const {config, requests, identity} = this.#parts
    if (!config.enablePrefixCaching) return false
    return requests.preemptions[slot]! > 0 || identity.knownBlocks(row) > 0
  }

  /** The last token of a prompt is always computed. */
  #mostBlocks(reached: number): number {
    return Math.floor((reached - 1) / this.#blockSize)
  }

  #unseen({group}: Table, hits: number): number {
    return unseenBlocks(group, hits * this.#blockSize, this.#blockSize)
  }

  /** The nodes of the last look-up, which is `slot`'s, by group: the caller's from now on. */
  take(slot: number): number[][] {
    this.match(slot)
    const found = this.#found
    this.#found = found.map(() => [])
    this.forget(slot)
    return found
  }

  /** The request leaves, or will be looked up for something else. */
  forget(slot: number): void {
    if (this.#slot === slot) this.#slot = nobody
  }

  /** Block `block` of a row, of the span `id`, is entered: whoever lacked it must look again. */
  entered(block: number, id: number): void {
    const {pool, identity} = this.#parts
    if (this.#slot === nobody || pool.isStale || block > this.#last) return
    if (block >= identity.knownBlocks(this.#row)) return
    this.#awaited.seek(this.#row, block)
    if (this.#awaited.id === id) pool.isStale = true
  }

  /** A block is entered that only the request itself can find. */
  enteredOwn(slot: number): void {
    if (this.#slot === slot) this.#parts.pool.isStale = true
  }

  /** Blocks that a look-up for a prompt of so many tokens would find; it leaves no trace. */
  peek(row: number, inputTokens: number): number {
    const {config, identity} = this.#parts
    if (!config.enablePrefixCaching || identity.knownBlocks(row) === 0) return 0
    const whole = this.#wholeBlocks(row, nobody, this.#mostBlocks(inputTokens))
    return this.#seenBlocks(row, nobody, whole)
  }

  /** First blocks, at most `limit`, that the groups have that see everything. */
  #wholeBlocks(row: number, slot: number, limit: number): number {
    let blocks = limit
    for (const table of this.#whole) blocks = this.#blocksOf(row, slot, blocks, table)
    return blocks
  }

  #blocksOf(row: number, slot: number, limit: number, {shared, own}: Table): number {
    const {identity, pool, config} = this.#parts
    const known = Math.min(limit, identity.knownBlocks(row))
    for (let span = 0, block = 0; block < known; span++) {
      const end = Math.min(known, identity.spanEnd(row, span))
      pool.work++
      const there = block + shared.firstMissing(identity.spanId(row, span), 0)
      if (there < end) return there
      block = end
    }
    if (known === limit || !config.ownBlocks || slot === nobody) return known
    return Math.min(limit, own.firstMissing(slot, known))
  }

  /** The most of `hits` first blocks of which the other groups have those that the next token sees. */
  #seenBlocks(row: number, slot: number, most: number): number {
    let hits = most
    for (let before = -1; before !== hits; ) {
      before = hits
      for (const table of this.#partial) {
        let first = this.#unseen(table, hits)
        this.#open()
        for (let k = hits - 1; k >= first; k--) {
          if (k < this.#from) this.#turnTo(row, slot, k, table)
          if (this.#node(k) >= 0) continue
          hits = k
          first = this.#unseen(table, hits)
        }
      }
    }
    return hits
  }

  /** Nothing is looked at yet: the first block, from either side, is turned to. */
  #open(): void {
    this.#from = Number.POSITIVE_INFINITY
    this.#to = 0
  }

  /** Looks at the stretch of blocks of one group that holds block `k` of a request. */
  #turnTo(row: number, slot: number, k: number, {shared, own}: Table): void {
    const known = this.#parts.identity.knownBlocks(row)
    if (k < known) {
      const place = this.#place
      place.seek(row, k)
      this.#from = this.#shift = place.start
      this.#to = Math.min(known, place.end)
      this.#nodes = shared.nodesOf(place.id)
      return
    }
    this.#from = known
    this.#to = Number.POSITIVE_INFINITY
    this.#shift = 0
    const isFindable = this.#parts.config.ownBlocks && slot !== nobody
    this.#nodes = isFindable ? own.nodesOf(slot) : undefined
  }

  #node(k: number): number {
    this.#parts.pool.work++
    return this.#nodes?.get(k - this.#shift) ?? nameless
  }
}
