/** The blocks of requests: which they need, fill, share, and give back. */
import type {BlockPool} from './block-pool.js'
import {empty} from './columns.js'
import type {DeviceCache, KvBelow} from './kv-below.js'
import type {PrefixIdentity} from './prefix-identity.js'
import {none, type RequestPool, state} from './request-pool.js'

/** What the prefix cache holds of a waiting request. */
export interface PrefixMatch {
  /** Tokens that need not be computed. */
  tokens: number
  /** Pieces of the index in order of blocks, each with the block of its span behind the last that is taken. */
  readonly pieces: number[]
  /** Blocks in them. */
  shared: number
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

export interface RequestBlocksParts {
  readonly pool: BlockPool
  readonly requests: RequestPool
  readonly identity: PrefixIdentity
  readonly rules: BlockRules
  readonly below?: KvBelow | undefined
}

const nobody = -1
const noMatch: PrefixMatch = {tokens: 0, pieces: [], shared: 0, own: 0, unheld: 0}

export class RequestBlocks implements DeviceCache {
  /** Of the pool. */
  readonly pagesPerBlock: number = 1
  readonly #pool: BlockPool
  readonly #requests: RequestPool
  readonly #identity: PrefixIdentity
  readonly #rules: BlockRules
  readonly #below: KvBelow | undefined
  readonly #match: PrefixMatch = {tokens: 0, pieces: [], shared: 0, own: 0, unheld: 0}
  /** Whom `#match` is of. Written again in the constructor: see `asDouble`. */
  #matched = nobody

  constructor({pool, requests, identity, rules, below}: RequestBlocksParts) {
    this.#pool = pool
    this.#requests = requests
    this.#identity = identity
    this.#rules = rules
    this.#below = below
    this.#matched = nobody
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

  /** Blocks, beside those of its hits, without which a request is not admitted: those of `held` tokens. */
  toAdmit({tokens}: PrefixMatch, held: number): number {
    return this.needed(tokens, held)
  }

  /** The same, less the spare ones that it holds already. */
  missing(slot: number, from: number, to: number): number {
    return Math.max(0, this.needed(from, to) - this.#requests.spare[slot]!)
  }

  /** Takes the blocks for tokens `from`…`to` of a request and enters those that the first `known` tokens fill. */
  extend(slot: number, from: number, to: number, known = to): void {
    const missing = this.missing(slot, from, to)
    const {spare} = this.#requests
    if (spare[slot]! > 0) spare[slot]! -= this.needed(from, to) - missing
    this.#pool.take(missing)
    this.enterFull(slot, known)
  }

  /** Of a request that holds blocks for `held` tokens only `tokens` count from now on: the others are spare. */
  shrink(slot: number, held: number, tokens: number): void {
    this.#requests.spare[slot]! += this.needed(tokens, held)
  }

  #takeSpare(slot: number): number {
    const {spare} = this.#requests
    const blocks = spare[slot]!
    spare[slot] = 0
    return blocks
  }

  /** Enters the blocks that `tokens` tokens fill in the index: a plan did, so its batch computes what is in them. */
  enterFull(slot: number, tokens: number): void {
    const below = this.#below
    if (below === undefined) {
      this.enterPresent(slot, tokens)
      return
    }
    const from = this.#requests.entered[slot]!
    this.enterPresent(slot, tokens)
    const to = this.#requests.entered[slot]!
    if (to > from) below.entered(slot, {from, to})
  }

  /** The same for blocks whose content is there already. */
  enterPresent(slot: number, tokens: number): void {
    const requests = this.#requests
    const full = Math.floor(tokens / this.#rules.blockSize)
    const shared = Math.min(full, requests.shareable[slot]!)
    const entered = requests.entered[slot]!
    if (shared > entered) {
      this.#enter(slot, entered, shared)
      requests.entered[slot] = shared
    }
    this.#pool.replaceOwn(slot, full)
  }

  /** Enters the blocks from…to of a request, span by span. */
  #enter(slot: number, from: number, to: number): void {
    const {index} = this.#pool
    const identity = this.#identity
    const row = this.#requests.row[slot]!
    let span = identity.spanAt(row, from)
    for (let block = from; block < to; span++) {
      const start = identity.spanStart(row, span)
      const low = block - start
      block = Math.min(to, identity.spanEnd(row, span))
      const top = block - start
      // Blocks that follow those the request has of the same span stay one piece with them.
      if (low > 0 && this.#extendLast(slot, low, top)) continue
      this.#append(slot, index.enter(identity.spanId(row, span), low, top), top)
    }
  }

  #extendLast(slot: number, low: number, top: number): boolean {
    const {index} = this.#pool
    const {piece, pieceEnd} = this.#requests
    const further = this.#furtherOf(slot)
    const last = further ? further[further.length - 2]! : piece[slot]!
    if (!index.extend(last, low, top)) return false
    if (further) further[further.length - 1] = top
    else pieceEnd[slot] = top
    return true
  }

  /** The request holds one piece more, up to `end`. */
  #append(slot: number, next: number, end: number): void {
    const {piece, pieceEnd, further, furtherPieces} = this.#requests
    if (piece[slot] === none) {
      piece[slot] = next
      pieceEnd[slot] = end
    } else if (further[slot] === 1) furtherPieces.get(slot)!.push(next, end)
    else {
      further[slot] = 1
      furtherPieces.set(slot, [next, end])
    }
  }

  #furtherOf(slot: number): number[] | undefined {
    const {further, furtherPieces} = this.#requests
    return further[slot] === 1 ? furtherPieces.get(slot) : undefined
  }

  /**
   * What the cache holds of a request that computed nothing, at most `floor((reached − 1) / block size)` blocks.
   * Remembered until the cache changes where it matters. The object is reused.
   */
  match(slot: number): PrefixMatch {
    if (!this.#mayHit(slot)) return noMatch
    const match = this.#match
    if (this.#matched === slot && !this.#pool.index.isDirty) return match
    empty(match.pieces)
    match.shared = 0
    match.own = 0
    match.unheld = 0
    const missing = this.#lookUp(slot, match)
    match.tokens = (match.shared + match.own) * this.#rules.blockSize
    this.#pool.startWatch(slot, missing)
    for (let i = 0; i < match.pieces.length; i += 2) this.#pool.index.watch(match.pieces[i]!)
    this.#matched = slot
    return match
  }

  /** Tokens that a look-up for a prompt of so many tokens would find; it leaves no trace. */
  peek(row: number, inputTokens: number): number {
    const {blockSize} = this.#rules
    const limit = Math.min(Math.floor((inputTokens - 1) / blockSize), this.shareable(row))
    const {index} = this.#pool
    const identity = this.#identity
    let block = 0
    for (let span = 0; block < limit; ) {
      const start = identity.spanStart(row, span)
      const piece = index.find(identity.spanId(row, span), block - start)
      if (piece < 0) break
      const spanEnd = identity.spanEnd(row, span)
      block = Math.min(start + index.endOf(piece), limit, spanEnd)
      if (block === spanEnd) span++
    }
    return block * blockSize
  }

  /** First block behind those of `match` that neither the device nor a tier has: a load would bring the request there. */
  reach(slot: number, match: PrefixMatch): number {
    const found = match.shared + match.own
    if (!this.#below || !this.#mayHit(slot)) return found
    const full = Math.floor((this.#requests.reached[slot]! - 1) / this.#rules.blockSize)
    const limit = this.#rules.ownBlocks ? full : Math.min(full, this.#requests.shareable[slot]!)
    return this.#below.reach(slot, found, limit)
  }

  has(span: number, block: number): boolean {
    return this.#pool.index.find(span, block) >= 0
  }

  hasOwn(slot: number, block: number): boolean {
    const role = this.#requests.state[slot]!
    const runs = role === state.prefilling || role === state.decoding || role === state.draining
    return runs && (block + 1) * this.#rules.blockSize <= this.#requests.computed[slot]!
  }

  #mayHit(slot: number): boolean {
    if (!this.#rules.enablePrefixCaching) return false
    return this.#requests.shareable[slot]! > 0 || this.#requests.preemptions[slot]! > 0
  }

  /** Fills in what is found; returns the span of the first block that is not, NaN when all was. */
  #lookUp(slot: number, match: PrefixMatch): number {
    const requests = this.#requests
    const {index} = this.#pool
    const identity = this.#identity
    const limit = Math.floor((requests.reached[slot]! - 1) / this.#rules.blockSize)
    const shareable = requests.shareable[slot]!
    const shared = Math.min(limit, shareable)
    const row = requests.row[slot]!
    let span = 0
    for (let block = 0; block < shared; ) {
      const start = identity.spanStart(row, span)
      const id = identity.spanId(row, span)
      const piece = index.find(id, block - start)
      if (piece < 0) {
        match.shared = block
        return id
      }
      const spanEnd = identity.spanEnd(row, span)
      const end = Math.min(index.endOf(piece), Math.min(shared, spanEnd) - start)
      match.pieces.push(piece, end)
      if (!index.isHeld(piece)) match.unheld += start + end - block
      block = start + end
      if (block === spanEnd) span++
    }
    match.shared = shared
    match.own = this.#pool.countOwn(slot, shareable, limit)
    match.unheld += match.own
    return Number.NaN
  }

  /** Gives the request, as it is admitted, the blocks that `match` found. */
  adopt(slot: number, match: PrefixMatch): void {
    this.#matched = nobody
    if (match.tokens === 0) return
    const {pieces} = match
    for (let i = 0; i < pieces.length; i += 2) {
      this.#pool.hold(pieces[i]!, pieces[i + 1]!)
      this.#append(slot, pieces[i]!, pieces[i + 1]!)
    }
    this.#pool.holdOwn(slot, this.#requests.shareable[slot]!, match.own)
    this.#requests.entered[slot] = match.shared
  }

  /** Blocks of `tokens` tokens that only the request can find again leave the device: a tier may keep them. */
  #offerOwn(slot: number, tokens: number): void {
    if (!this.#below || !this.#rules.ownBlocks) return
    const to = Math.floor(tokens / this.#rules.blockSize)
    this.#below.gaveBack(slot, {from: this.#requests.shareable[slot]!, to})
  }

  /** The same, where its last token is in flight: it will not come back for them. */
  giveUp(slot: number, tokens: number): void {
    if (this.#below) this.#offerOwn(slot, tokens)
    this.leave(slot, tokens)
  }

  /** Its last token is delivered, and another engine may want its blocks, which stay. */
  keep(slot: number, tokens: number): void {
    this.#offerOwn(slot, tokens)
  }

  /** Gives all blocks of a preempted request back; it may find them again. `tokens`: what they hold. */
  giveBack(slot: number, tokens: number): void {
    this.#offerOwn(slot, tokens)
    const full = Math.floor(tokens / this.#rules.blockSize)
    const shared = this.#requests.entered[slot]!
    if (!this.#rules.enablePrefixCaching || !this.#rules.ownBlocks) {
      this.#giveAll(slot, tokens)
      return
    }
    this.#pool.givePlain(this.count(tokens) - full + this.#takeSpare(slot))
    this.#pool.giveOwn(slot, shared, full)
    this.#releasePieces(slot)
  }

  /** Gives all blocks of a request back that leaves for good, last block first. */
  leave(slot: number, tokens: number): void {
    this.#giveAll(slot, tokens)
    this.#pool.forgetOwn(slot)
    if (this.#matched === slot) this.#matched = nobody
  }

  #giveAll(slot: number, tokens: number): void {
    const entered = this.#requests.entered[slot]!
    this.#pool.givePlain(this.count(tokens) - entered + this.#takeSpare(slot))
    this.#releasePieces(slot)
  }

  /** Last block first. */
  #releasePieces(slot: number): void {
    const {entered, piece, pieceEnd, furtherPieces} = this.#requests
    entered[slot] = 0
    const first = piece[slot]!
    if (first === none) return
    const further = this.#furtherOf(slot)
    if (further) {
      for (let i = further.length - 2; i >= 0; i -= 2)
        this.#pool.release(further[i]!, further[i + 1]!)
      furtherPieces.delete(slot)
      this.#requests.further[slot] = 0
    }
    this.#pool.release(first, pieceEnd[slot]!)
    piece[slot] = none
  }
}
