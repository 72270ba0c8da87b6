/** Phase B of a plan (docs/scheduler.md, "Waiting requests"): who gets a seat, and what holds the head back. */
import type {Ns} from '../latency/step-time.js'
import type {Batch} from './batch.js'
import type {EngineParts} from './engine-parts.js'
import type {PrefixMatch} from './request-blocks.js'
import {origin, state} from './request-pool.js'
import type {HeldBack} from './totals.js'

export class Admission {
  work = 0
  /** What held the head of the queue back when it was last looked at. */
  heldBack: HeldBack = 'nobody'
  /** Requests whose blocks were taken: their KV may be pulled. The owner empties it. */
  readonly pulls: number[] = []
  /** When the last of them did. */
  pulledAt: Ns = 0
  readonly #parts: EngineParts
  /** With drafts, blocks by groups, or tiers below, even the plainest request takes the general way. */
  readonly isGeneral: boolean

  constructor(parts: EngineParts) {
    this.#parts = parts
    const {config, below} = parts
    const isPlain = config.speculation === undefined && config.kvGroups === undefined
    this.isGeneral = !isPlain || below !== undefined
  }

  /** Phase B: admits from the head of the queue while it fits. */
  admit(batch: Batch, budget: number, now: Ns): void {
    let left = budget
    for (;;) {
      left -= this.admitWhole(batch, left, now)
      const n = this.headFits(left)
      if (n === 0) return
      left -= this.#admitAny(n, batch, now)
    }
  }

  /** Admits from the head of the queue as long as requests are as most are. Returns how many tokens they compute. */
  admitWhole(batch: Batch, budget: number, now: Ns): number {
    let left = budget
    for (;;) {
      const tokens = this.#admitHeadWhole(batch, left, now)
      if (tokens === 0) return budget - left
      left -= tokens
    }
  }

  /**
   * Admits the head of the queue if it comes for the first time, can find none of its tokens in a cache, and its whole
   * prompt fits into this step: the most common request, in the fewest steps. Returns its tokens; 0: it goes the general
   * way (`admit`), or is held back.
   */
  #admitHeadWhole(batch: Batch, left: number, now: Ns): number {
    const {requests, queue, blocks, pool, seats, totals, config} = this.#parts
    if (this.isGeneral || queue.size === 0 || seats.list.size >= config.maxNumSeqs) return 0
    const slot = queue.head()
    const tokens = requests.input[slot]!
    const needed = blocks.count(tokens)
    if (tokens > left || needed > pool.free || seats.cut(tokens) < tokens) return 0
    if (!this.#isWhole(slot)) return 0
    this.work++
    queue.shift()
    requests.scheduledAt[slot] = now
    if (config.enablePrefixCaching) totals.lookedUpTokens += tokens
    pool.take(needed)
    seats.admitWhole(slot, batch, now)
    return tokens
  }

  /** Whether a request comes for the first time, with a prompt of which no cache has anything. */
  #isWhole(slot: number): boolean {
    const {requests} = this.#parts
    if (requests.origin[slot] !== origin.here || requests.preemptions[slot] !== 0) return false
    return requests.shareable[slot] === 0 && requests.reached[slot] === requests.input[slot]
  }

  /** Admits the head of the queue, which fits with `n` tokens. Returns those that it computes in this step. */
  #admitAny(n: number, batch: Batch, now: Ns): number {
    const {requests, queue, blocks, seats, below} = this.#parts
    const slot = queue.head()
    const from = requests.origin[slot]
    if (from === origin.loaded) {
      this.#admitLoaded(slot, n, {batch, now})
      return n
    }
    if (from !== origin.here) return this.#admitRemote(slot, batch, now)
    const match = blocks.match(slot)
    const cached = match.tokens
    if (below && this.#loads(slot, match, now)) return 0
    queue.shift()
    const isFirst = this.#account(slot, cached, cached)
    if (isFirst) requests.scheduledAt[slot] = now
    blocks.adopt(slot, match)
    seats.admit(slot, cached)
    requests.picked[slot] = n
    blocks.extend(slot, cached, cached + n)
    seats.commitChunk(slot, batch, now)
    return n
  }

  /**
   * Whether tiers below have more of a request than the device: then it takes blocks for all that exists, so that it
   * needs none later to use what was loaded, and leaves the queue until that is there.
   */
  #loads(slot: number, match: PrefixMatch, now: Ns): boolean {
    const {requests, queue, blocks, pool, below} = this.#parts
    const from = match.shared + match.own
    const to = blocks.reach(slot, match)
    below!.use(slot, to)
    if (to === from) return false
    const {blockSize} = this.#parts.config
    const reached = requests.reached[slot]!
    queue.shift()
    const taken = blocks.needed(match.tokens, reached)
    blocks.adopt(slot, match)
    pool.take(taken)
    requests.pulled[slot] = to * blockSize
    requests.spare[slot] = blocks.needed(to * blockSize, reached)
    requests.origin[slot] = origin.loaded
    requests.state[slot] = state.pulling
    below!.load(slot, {from, to}, now)
    return true
  }

  /** What was loaded is there: the request gets its seat, and computes the rest. */
  #admitLoaded(slot: number, n: number, {batch, now}: {batch: Batch; now: Ns}): void {
    const {requests, queue, blocks, seats, below} = this.#parts
    const loaded = requests.pulled[slot]!
    queue.shift()
    const isFirst = this.#account(slot, loaded - below!.seated(slot), loaded)
    if (isFirst) requests.scheduledAt[slot] = now
    requests.origin[slot] = origin.here
    seats.admit(slot, loaded)
    requests.picked[slot] = n
    blocks.extend(slot, loaded, loaded + n)
    seats.commitChunk(slot, batch, now)
  }

  /** A head whose KV comes from another engine: its blocks are taken, or, once it is there, it gets a seat. */
  #admitRemote(slot: number, batch: Batch, now: Ns): number {
    const {requests, queue, blocks, pool, seats} = this.#parts
    const reached = requests.reached[slot]!
    if (requests.origin[slot] === origin.elsewhere) {
      const match = blocks.match(slot)
      queue.shift()
      requests.pulled[slot] = match.tokens
      const taken = blocks.needed(match.tokens, reached)
      blocks.adopt(slot, match)
      pool.take(taken)
      requests.state[slot] = state.pulling
      this.pulls.push(slot)
      this.pulledAt = now
      return 0
    }
    if (requests.origin[slot] === origin.copied) this.#copy(slot, reached)
    queue.shift()
    if (Number.isNaN(requests.scheduledAt[slot]!)) requests.scheduledAt[slot] = now
    requests.origin[slot] = origin.here
    // Its last prompt token was computed where the KV comes from.
    if (reached === requests.input[slot]) this.#parts.totals.recomputedTokens++
    seats.admit(slot, reached - 1)
    requests.picked[slot] = 1
    blocks.enterFull(slot, reached)
    seats.commitChunk(slot, batch, now)
    return 1
  }

  #copy(slot: number, reached: number): void {
    const {blocks, pool} = this.#parts
    const match = blocks.match(slot)
    const taken = blocks.needed(match.tokens, reached)
    blocks.adopt(slot, match)
    pool.take(taken)
  }

  /** Tokens that the head of the queue may compute in this step; 0 when nobody waits or it is held back. */
  headFits(left: number): number {
    this.work++
    this.heldBack = 'nobody'
    if (this.#parts.queue.size === 0) return 0
    if (left === 0) return this.#hold('budget')
    if (this.#parts.seats.list.size >= this.#parts.config.maxNumSeqs) return this.#hold('seats')
    const slot = this.#parts.queue.head()
    const from = this.#parts.requests.origin[slot]
    if (from === origin.arrived) return 1
    // What it would compute first is not known before its token in flight.
    if (this.#parts.requests.awaits[slot]! > this.#parts.pipeline.ended) return this.#hold('blocks')
    const reached = this.#parts.requests.reached[slot]!
    if (from === origin.loaded)
      return this.#chunk(reached - this.#parts.requests.pulled[slot]!, left)
    const match = this.#parts.blocks.match(slot)
    const comes =
      from !== origin.here ||
      (this.#parts.below !== undefined &&
        this.#parts.blocks.reach(slot, match) > match.shared + match.own)
    const want = this.#parts.seats.cut(reached - match.tokens)
    if (!comes && !this.#parts.config.enableChunkedPrefill && want > left)
      return this.#hold('budget')
    const n = Math.min(want, left)
    const reserved = this.#parts.config.reserveFullPrompt ? reached : match.tokens + n
    const held = comes ? reached : reserved
    const free = this.#parts.pool.free - match.unheld
    const needed = this.#parts.blocks.toAdmit(match, held, match.tokens + n)
    return needed > free ? this.#hold('blocks') : n
  }

  /** Of `missing` tokens, whose blocks are held, those that this step may compute. */
  #chunk(missing: number, left: number): number {
    const want = this.#parts.seats.cut(missing)
    if (!this.#parts.config.enableChunkedPrefill && want > left) return this.#hold('budget')
    return Math.min(want, left)
  }

  #hold(reason: HeldBack): 0 {
    this.heldBack = reason
    return 0
  }

  /**
   * Statistics of an admission that finds `device` tokens in the device's cache, and `all` there and in tiers.
   * Returns whether it is the first of the request.
   */
  #account(slot: number, device: number, all: number): boolean {
    const requests = this.#parts.requests
    const {totals} = this.#parts
    if (requests.preemptions[slot]! > 0) {
      totals.recomputedTokens += requests.reached[slot]! - all
    }
    if (!Number.isNaN(requests.scheduledAt[slot]!)) return false
    requests.cached[slot] = all
    if (!this.#parts.config.enablePrefixCaching) return true
    totals.lookedUpTokens += requests.input[slot]!
    totals.hitTokens += device
    return true
  }
}
