/**
 * Phase A of a plan (docs/scheduler.md, "Running requests"): all decodes by their sums, then the chunks. Only where
 * the order of requests matters, because budget or blocks run out, are they walked one by one.
 */
import type {Ns} from '../latency/step-time.js'
import type {Batch} from './batch.js'
import {empty} from './columns.js'
import {isWalked} from './engine-config.js'
import type {EngineParts} from './engine-parts.js'
import {state} from './request-pool.js'
import {Walk} from './walk.js'

const noChunks: readonly number[] = []

export class RunningPlan {
  work = 0
  readonly #parts: EngineParts
  readonly #walk: Walk
  readonly #walks: boolean
  /** Of the pool, for a block of a decode. */
  readonly #pages: number
  readonly #enterers: number[] = []

  constructor(parts: EngineParts) {
    this.#parts = parts
    this.#walk = new Walk(parts)
    this.#walks = isWalked(parts.config)
    this.#pages = parts.blocks.pagesPerBlock
  }

  get operations(): number {
    return this.work + this.#walk.work
  }

  /** Phase A without walking: all decodes by their sums, then the chunks. Returns the budget left. */
  plan(batch: Batch, now: Ns): number {
    const {cohort, stragglers, prefilling} = this.#parts.seats
    const left = this.#walks ? -1 : this.#pickAll()
    if (left < 0) return this.#walkRunning(batch, now)
    batch.holdDecodes(
      cohort.size,
      cohort.contextSum(),
      cohort.smallestContext(),
      cohort.largestContext(),
    )
    if (stragglers.length > 0) {
      batch.regular -= stragglers.length
      for (const slot of stragglers) this.#parts.seats.pickStraggler(slot, batch)
      empty(stragglers)
    }
    this.takeDecodeBlocks(prefilling)
    if (prefilling.length === 0) return left
    for (const slot of prefilling.length > 1 ? prefilling.slice() : prefilling)
      this.#parts.seats.commitChunk(slot, batch, now)
    return left
  }

  #walkRunning(batch: Batch, now: Ns): number {
    batch.clear()
    const left = this.#walk.run(batch, now)
    this.#parts.totals.preemptions += batch.preempted
    return left
  }

  /** Picks every running request if order does not matter. Returns the budget left, −1 if it does matter. */
  #pickAll(): number {
    const {cohort, prefilling} = this.#parts.seats
    const left = this.#parts.config.maxNumBatchedTokens - cohort.size
    const free = this.#parts.pool.free - cohort.needBlock() * this.#pages
    if (left < 0 || free < 0) return -1
    return prefilling.length === 0 ? left : this.#pickChunks(left, free)
  }

  /** The same for chunks behind all decodes, of `budget` tokens and `blocks` blocks. */
  #pickChunks(budget: number, blocks: number): number {
    const requests = this.#parts.requests
    const {list, prefilling} = this.#parts.seats
    let left = budget
    let free = blocks
    for (const slot of prefilling) {
      this.work++
      const computed = requests.computed[slot]!
      const want = this.#parts.seats.cut(requests.reached[slot]! - computed)
      const n = Math.min(want, left)
      // A chunk that budget cuts is the same in any order only if nobody runs behind it.
      if (n < want && slot !== list.tail) return -1
      free -= this.#parts.blocks.needed(computed, computed + n)
      if (free < 0) return -1
      requests.picked[slot] = n
      left -= n
    }
    return left
  }

  /** A member fills a block that others may find. */
  readonly #fill = (slot: number): 'more' | 'last' => {
    this.#enterers.push(slot)
    const filled = (this.#parts.seats.cohort.context(slot) + 1) / this.#parts.config.blockSize
    return filled < this.#parts.requests.shareable[slot]! ? 'more' : 'last'
  }

  /** Blocks for the members that need one; index entries for those that fill one, in order of admission. */
  takeDecodeBlocks(chunks: readonly number[] = noChunks): void {
    const {cohort, joined} = this.#parts.seats
    const need = cohort.needBlock()
    if (need > 0) this.#parts.pool.take(need * this.#pages)
    if (chunks.length > 0 || joined.length > 0 || cohort.hasFillers()) this.#enter(chunks)
  }

  #enter(chunks: readonly number[]): void {
    const requests = this.#parts.requests
    const {cohort, joined} = this.#parts.seats
    const enterers = this.#enterers
    empty(enterers)
    cohort.forEachFiller(this.#fill)
    for (const slot of joined) if (requests.state[slot] === state.decoding) enterers.push(slot)
    empty(joined)
    for (const slot of chunks) enterers.push(slot)
    requests.sortByAdmission(enterers)
    for (const slot of enterers) {
      const computed = requests.computed[slot]!
      if (requests.state[slot] === state.decoding)
        this.#parts.blocks.enterFull(slot, cohort.context(slot) + 1)
      else this.#parts.blocks.extend(slot, computed, computed + requests.picked[slot]!)
    }
    this.work += enterers.length
  }
}
