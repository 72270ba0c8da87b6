/** Phase B of a plan (docs/scheduler.md, "Waiting requests"): who gets a seat, and what holds the head back. */
import type {Ns} from '../latency/step-time.js'
import type {Batch} from './batch.js'
import type {EngineParts} from './engine-parts.js'
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

  constructor(parts: EngineParts) {
    this.#parts = parts
  }

  /** Phase B: admits from the head of the queue while it fits. */
  admit(batch: Batch, budget: number, now: Ns): void {
    let left = budget
    for (let n = this.headFits(left); n > 0; n = this.headFits(left)) {
      const slot = this.#parts.queue.head()
      if (this.#parts.requests.origin[slot] !== origin.here) {
        left -= this.#admitRemote(slot, batch, now)
        continue
      }
      const match = this.#parts.blocks.match(slot)
      const cached = match.tokens
      this.#parts.queue.shift()
      this.#account(slot, cached, now)
      this.#parts.blocks.adopt(slot, match)
      this.#parts.seats.admit(slot, cached)
      this.#parts.requests.picked[slot] = n
      this.#parts.blocks.extend(slot, cached, cached + n)
      this.#parts.seats.commitChunk(slot, batch, now)
      left -= n
    }
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
    if (this.#parts.requests.origin[slot] === origin.arrived) return 1
    // What it would compute first is not known before its token in flight.
    if (this.#parts.requests.awaits[slot]! > this.#parts.pipeline.ended) return this.#hold('blocks')
    const match = this.#parts.blocks.match(slot)
    const reached = this.#parts.requests.reached[slot]!
    const isElsewhere = this.#parts.requests.origin[slot] !== origin.here
    const want = this.#parts.seats.cut(reached - match.tokens)
    if (!isElsewhere && !this.#parts.config.enableChunkedPrefill && want > left)
      return this.#hold('budget')
    const n = Math.min(want, left)
    const reserved = this.#parts.config.reserveFullPrompt ? reached : match.tokens + n
    const held = isElsewhere ? reached : reserved
    const free = this.#parts.pool.free - match.unheld
    return this.#parts.blocks.needed(match.tokens, held) > free ? this.#hold('blocks') : n
  }

  #hold(reason: HeldBack): 0 {
    this.heldBack = reason
    return 0
  }

  /** Statistics of an admission with `cached` tokens from the prefix cache. */
  #account(slot: number, cached: number, now: Ns): void {
    const requests = this.#parts.requests
    const {totals} = this.#parts
    if (requests.preemptions[slot]! > 0) {
      totals.recomputedTokens += requests.reached[slot]! - cached
    }
    if (!Number.isNaN(requests.scheduledAt[slot]!)) return
    requests.scheduledAt[slot] = now
    requests.cached[slot] = cached
    if (!this.#parts.config.enablePrefixCaching) return
    totals.lookedUpTokens += requests.input[slot]!
    totals.hitTokens += cached
  }
}
