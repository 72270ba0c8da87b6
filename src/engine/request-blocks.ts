/** The blocks of requests: which they need, fill, share, and give back. */
import type {BlockPool} from './block-pool.js'
import type {PrefixIdentity} from './prefix-identity.js'
import type {RequestPool} from './request-pool.js'

/** What the prefix cache holds of a waiting request. */
export interface PrefixMatch {
  /** Tokens that need not be computed. */
  tokens: number
  /** Entries of the index, in order of blocks. */
  readonly entries: number[]
  /** Own blocks behind them, from an earlier preemption. */
  own: number
  /** Hits that nobody holds: holding them takes them out of the free list. */
  unheld: number
}

export interface BlockRules {
  readonly blockSize: number
  readonly enablePrefixCaching: boolean
  /** Whether a preempted request finds its own blocks again where no shared identity is known. */
  readonly ownBlocks: boolean
}

export class RequestBlocks {
  readonly #pool: BlockPool
  readonly #requests: RequestPool
  readonly #identity: PrefixIdentity
  readonly #rules: BlockRules
  readonly #match: PrefixMatch = {tokens: 0, entries: [], own: 0, unheld: 0}
  #matched = -1

  constructor(pool: BlockPool, requests: RequestPool, identity: PrefixIdentity, rules: BlockRules) {
    this.#pool = pool
    this.#requests = requests
    this.#identity = identity
    this.#rules = rules
  }

  /** Blocks whose identity others may share, known once when a request arrives. */
  shareable(row: number): number {
    return this.#rules.enablePrefixCaching ? this.#identity.knownBlocks(row) : 0
  }

  count(tokens: number): number {
    return Math.ceil(tokens / this.#rules.blockSize)
  }

  /** New blocks that a request with `from` tokens in blocks needs to hold `to`. */
  needed(from: number, to: number): number {
    return this.count(to) - this.count(from)
  }

  /** Takes the blocks for tokens `from`…`to` of a request and enters those that become full. */
  extend(slot: number, from: number, to: number): void {
    this.#pool.take(this.needed(from, to))
    this.enterFull(slot, to)
  }

  /** Enters the blocks that `tokens` tokens fill in the index. */
  enterFull(slot: number, tokens: number): void {
    const full = Math.floor(tokens / this.#rules.blockSize)
    const shared = Math.min(full, this.#requests.shareable[slot]!)
    const entries = this.#requests.entries[slot]
    const known = entries?.length ?? 0
    if (shared > known) {
      const list = entries ?? []
      this.#requests.entries[slot] = list
      const row = this.#requests.row[slot]!
      for (let block = known; block < shared; block++) {
        list.push(this.#pool.enter(this.#identity.blockId(row, block)))
      }
    }
    this.#pool.replaceOwn(slot, full)
  }

  /**
   * What the cache holds of a request that computed nothing, at most `floor((reached − 1) / block size)` blocks.
   * Remembered until the cache changes where it matters. The object is reused.
   */
  match(slot: number): PrefixMatch {
    const match = this.#match
    if (this.#matched === slot && !this.#pool.watch.dirty) return match
    const {blockSize, enablePrefixCaching} = this.#rules
    match.entries.length = 0
    match.own = 0
    match.unheld = 0
    let missing = Number.NaN
    if (enablePrefixCaching) {
      const limit = Math.floor((this.#requests.reached[slot]! - 1) / blockSize)
      const shareable = this.#requests.shareable[slot]!
      const shared = Math.min(limit, shareable)
      const row = this.#requests.row[slot]!
      for (let block = 0; block < shared; block++) {
        const id = this.#identity.blockId(row, block)
        const entry = this.#pool.find(id)
        if (entry < 0) {
          missing = id
          break
        }
        match.entries.push(entry)
        if (!this.#pool.isHeld(entry)) match.unheld++
      }
      if (match.entries.length === shareable) {
        match.own = this.#pool.countOwn(slot, shareable, limit)
        match.unheld += match.own
      }
    }
    match.tokens = (match.entries.length + match.own) * blockSize
    this.#pool.startWatch(slot, missing)
    for (const entry of match.entries) this.#pool.watchEntry(entry)
    this.#matched = slot
    return match
  }

  /** Gives the request, as it is admitted, the blocks that `match` found. */
  adopt(slot: number, match: PrefixMatch): void {
    this.#matched = -1
    if (match.tokens === 0) return
    for (const entry of match.entries) this.#pool.hold(entry)
    this.#pool.holdOwn(slot, this.#requests.shareable[slot]!, match.own)
    if (match.entries.length > 0) this.#requests.entries[slot] = match.entries.slice()
  }

  /** Gives all blocks of a preempted request back; it may find them again. `tokens`: what they hold. */
  giveBack(slot: number, tokens: number): void {
    const full = Math.floor(tokens / this.#rules.blockSize)
    const shared = this.#requests.entries[slot]?.length ?? 0
    if (!this.#rules.enablePrefixCaching || !this.#rules.ownBlocks || full <= shared) {
      this.#giveAll(slot, tokens)
      return
    }
    this.#pool.givePlain(this.count(tokens) - full)
    this.#pool.giveOwn(slot, shared, full)
    this.#releaseEntries(slot)
  }

  /** Gives all blocks of a request back that leaves for good, last block first. */
  leave(slot: number, tokens: number): void {
    this.#giveAll(slot, tokens)
    this.#pool.forgetOwn(slot)
    if (this.#matched === slot) this.#matched = -1
  }

  #giveAll(slot: number, tokens: number): void {
    this.#pool.givePlain(this.count(tokens) - (this.#requests.entries[slot]?.length ?? 0))
    this.#releaseEntries(slot)
  }

  #releaseEntries(slot: number): void {
    const entries = this.#requests.entries[slot]
    if (!entries) return
    for (let i = entries.length - 1; i >= 0; i--) this.#pool.release(entries[i]!)
    this.#requests.entries[slot] = undefined
  }
}
