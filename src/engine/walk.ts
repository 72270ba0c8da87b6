/**
 * Phase A of a plan, request by request: for plans where the order matters, because budget or blocks run out.
 * Same state and same rules as the sums of the fast path (docs/scheduler.md, "Running requests").
 */
import type {Ns} from '../latency/step-time.js'
import type {Batch} from './batch.js'
import type {EngineParts} from './engine-parts.js'
import {none, state} from './request-pool.js'

export class Walk {
  work = 0
  readonly #parts: EngineParts
  readonly #picks: number[] = []
  #budget = 0

  constructor(parts: EngineParts) {
    this.#parts = parts
  }

  /** Picks, preempts, and enters the picks in `batch`. Returns the budget left. */
  run(batch: Batch, now: Ns): number {
    const {config, requests, seats} = this.#parts
    this.#budget = config.maxNumBatchedTokens
    this.#picks.length = 0
    for (const slot of seats.prefilling) requests.picked[slot] = 0
    let slot = seats.list.head
    while (slot !== none && this.#budget > 0) {
      this.work++
      const n = Math.min(this.#wanted(slot), this.#budget)
      if (n > 0 && !this.#pick(slot, n, batch)) break
      slot = requests.next[slot]!
    }
    this.#commit(batch, now)
    return this.#budget
  }

  /** Tokens in blocks before this plan. */
  #context(slot: number): number {
    const {requests, seats} = this.#parts
    return requests.state[slot] === state.decoding
      ? seats.cohortOf(slot).context(slot)
      : requests.computed[slot]!
  }

  #wanted(slot: number): number {
    const {requests, seats} = this.#parts
    const role = requests.state[slot]
    if (role === state.decoding) return seats.isOpen(slot) ? 1 : 0
    if (role !== state.prefilling) return 0
    return seats.cut(requests.reached[slot]! - requests.computed[slot]! + this.#drafts(slot))
  }

  /** Drafts behind the last token of a request that has some; none that the model has no position for. */
  #drafts(slot: number): number {
    const {config, requests} = this.#parts
    if (config.speculation === undefined || requests.promised[slot] === 0) return 0
    return Math.min(config.speculation.tokens, config.maxModelLen - 1 - requests.reached[slot]!)
  }

  /** Takes blocks for `n` tokens, from others if need be. False when that cost the request its own seat. */
  #pick(slot: number, n: number, batch: Batch): boolean {
    const {requests, pool, blocks} = this.#parts
    const context = this.#context(slot)
    while (blocks.missing(slot, context, context + n) > pool.free) {
      const victim = this.#victim()
      this.#preempt(victim, batch)
      if (victim === slot) return false
    }
    blocks.extend(slot, context, context + n, this.#known(slot, context + n))
    requests.picked[slot] = n
    this.#picks.push(slot)
    this.#budget -= n
    return true
  }

  /** Of its first `tokens` tokens those that are no drafts. */
  #known(slot: number, tokens: number): number {
    const {config, requests} = this.#parts
    return config.speculation ? Math.min(tokens, requests.reached[slot]!) : tokens
  }

  /** Of the `tokens` tokens that a victim holds those that the index knows of: accepted drafts enter with the next pick. */
  #entered(slot: number, tokens: number): number {
    const {requests} = this.#parts
    if (requests.picked[slot]! > 0) return this.#known(slot, tokens)
    return tokens - Math.max(0, requests.promised[slot]! - 1)
  }

  #victim(): number {
    const {config, requests, seats} = this.#parts
    if (config.policy.victim === 'last-admitted') return seats.list.tail
    let victim = seats.list.head
    for (let slot = requests.next[victim]!; slot !== none; slot = requests.next[slot]!) {
      this.work++
      const key = requests.key[slot]!
      const largest = requests.key[victim]!
      const isLater = requests.arrival[slot]! > requests.arrival[victim]!
      if (key > largest || (key === largest && isLater)) victim = slot
    }
    return victim
  }

  #preempt(slot: number, batch: Batch): void {
    const {requests, blocks, seats, queue} = this.#parts
    const planned = this.#context(slot) + requests.picked[slot]!
    const held = this.#entered(slot, planned)
    if (held < planned) blocks.shrink(slot, planned, held)
    requests.promised[slot] = 0
    const wasDraining = requests.state[slot] === state.draining
    this.#budget += requests.picked[slot]!
    requests.picked[slot] = 0
    requests.preemptions[slot]!++
    batch.preempted++
    seats.unseat(slot)
    if (wasDraining) {
      // Its last token is on its way: it will not come back for its blocks.
      blocks.giveUp(slot, held)
      requests.state[slot] = state.unseated
      return
    }
    blocks.giveBack(slot, held)
    requests.computed[slot] = 0
    requests.state[slot] = state.waiting
    queue.comeBack(slot, requests.key[slot]!)
  }

  #commit(batch: Batch, now: Ns): void {
    const {requests, seats} = this.#parts
    const {cohort, stragglers} = seats
    for (const slot of this.#picks) {
      this.work++
      // Undone since: a victim that had been picked.
      if (requests.picked[slot] === 0) continue
      if (requests.state[slot] === state.prefilling) {
        seats.commitChunk(slot, batch, now)
        continue
      }
      const context = cohort.context(slot)
      batch.addChunk(1, context)
      const at = stragglers.indexOf(slot)
      if (at < 0) batch.regular++
      else {
        stragglers.splice(at, 1)
        seats.pickStraggler(slot, batch)
      }
    }
    for (let slot = seats.list.head; slot !== none; slot = requests.next[slot]!) {
      this.work++
      const isPicked = requests.picked[slot]! > 0
      requests.picked[slot] = 0
      if (requests.state[slot] !== state.decoding || isPicked || !seats.isOpen(slot)) continue
      // Those that joined in this very plan decode from the next step on.
      if (batch.joiners.includes(slot)) continue
      seats.leftOut.push(slot)
    }
  }
}
