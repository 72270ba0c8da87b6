/**
 * An engine that nobody looks at runs batch after batch in one loop. Most of its steps are plans by sums: all decodes,
 * nobody prefilling, blocks for all. The loop makes those itself, with what it reads in each step at hand; whatever is
 * rarer it leaves to the same parts that plan and end a batch for an engine that is looked at.
 */
import type {Ns} from '../latency/step-time.js'
import type {Admission} from './admission.js'
import type {Batch} from './batch.js'
import {empty} from './columns.js'
import type {BatchClock, EngineListener, Outside} from './engine-config.js'
import type {EngineParts} from './engine-parts.js'
import type {SkipAhead} from './skip-ahead.js'
import type {StepAccount} from './step-account.js'

/** Batches without a first or last token after which it pays to look whether more of them can be skipped. */
const settledAfter = 8

/** What plans, ends and skips the steps that are not made here. */
export interface AnyStep {
  readonly admission: Admission
  readonly steps: StepAccount
  readonly skipAhead: SkipAhead
  /** Plans one batch as a whole. Returns whether there was something to compute. */
  readonly plan: (now: Ns) => boolean
  /** A batch that was opened holds what it will compute. */
  readonly planned: (batch: Batch) => void
  /** The oldest batch ends. */
  readonly complete: (now: Ns) => void
  readonly listener: EngineListener
  /** Requests that are done: of the batch that ended last. */
  readonly finished: number[]
}

/** Why steps by sums end: there are no more up to then, or somebody else has to plan the next one, or for who waits. */
type Stop = 'until' | 'plan' | 'queue'

export class RunAlone {
  work = 0
  /** Batches in a row without a first or last token. */
  #plain = 0
  readonly #parts: EngineParts
  readonly #any: AnyStep
  /** Whether a plan can be one of sums: of one cohort, whose blocks come from the pool one by one and stay. */
  readonly #hasSums: boolean

  constructor(parts: EngineParts, any: AnyStep) {
    this.#parts = parts
    this.#any = any
    this.#hasSums = !any.admission.isGeneral && !parts.seats.lanes.isPipeline
  }

  /**
   * Up to and including the batches that end at `until`, or until there are none. Returns when the last one ended; NaN:
   * none did.
   */
  run(until: Ns, clock: BatchClock, outside: Outside): Ns {
    if (!this.#hasSums) return this.#runAny(until, clock, outside)
    const {totals, seats} = this.#parts
    const before = totals.steps
    for (;;) {
      const stop = this.#runBySums(until, clock, outside)
      const now = seats.cohort.lastEnd
      if (stop === 'until') return totals.steps > before ? now : Number.NaN
      if (stop === 'plan') this.#fill(now, clock)
      else this.#admitFurther(now, clock)
      this.#runAny(until, clock, outside)
    }
  }

  /** Whether the next plan may be one of sums: nobody waits or prefills, or is owed a token. */
  #isSums(): boolean {
    const {queue, seats} = this.#parts
    return queue.size === 0 && seats.prefilling.length === 0 && seats.stragglers.length === 0
  }

  /** Whatever plans are, and where they can be sums as long as they are not. Returns as `run` does. */
  #runAny(until: Ns, clock: BatchClock, outside: Outside): Ns {
    const {pipeline} = this.#parts
    const {skipAhead, complete, finished} = this.#any
    const next = outside.nextEnters
    let ended: Ns = Number.NaN
    while (pipeline.size > 0 && !(this.#hasSums && this.#isSums())) {
      if (this.#plain >= settledAfter) skipAhead.run(Math.min(until, next[0]! - 1), clock)
      const {oldest} = pipeline
      const now = oldest.end
      if (now > until) return ended
      if (next[0]! <= now) outside.enterBy(now)
      this.#plain = oldest.isPlain ? this.#plain + 1 : 0
      complete(now)
      ended = now
      if (finished.length > 0) outside.left(now)
      this.#fill(now, clock)
    }
    return ended
  }

  /** Plans for the places of the pipeline that are free. */
  #fill(now: Ns, clock: BatchClock): void {
    const {pipeline, config} = this.#parts
    const {steps, plan} = this.#any
    while (pipeline.size < config.depth && plan(now)) steps.time(pipeline.newest!, now, clock)
  }

  /** A plan by sums goes on with a head of the queue that is not as most are. */
  #admitFurther(now: Ns, clock: BatchClock): void {
    const {pipeline, config} = this.#parts
    const {admission, planned, steps} = this.#any
    const batch = pipeline.at(pipeline.size)
    admission.admit(batch, config.maxNumBatchedTokens - batch.shape.tokens, now)
    planned(batch)
    steps.time(batch, now, clock)
  }

  /**
   * The same as `#runAny`, step for step, as long as plans are sums. One function with its own variables: split among
   * those that make a step for everybody, it takes a sixth longer once it is compiled (docs/performance.md). What
   * `StepAccount` notes and accounts for is therefore written here as well.
   *
   * What is rare is left to the caller, by returning: V8 compiles this after some thousand steps, and would have to do it
   * anew, at 10 to 20 ms each, for every way that no step had taken until then.
   */
  #runBySums(until: Ns, clock: BatchClock, outside: Outside): Stop {
    const {config, pipeline, pool, queue, seats, totals} = this.#parts
    const {admission, steps, skipAhead, listener} = this.#any
    const {cohort, prefilling, stragglers, list} = seats
    const {gaps} = totals
    const isHeard = listener.batchEnded !== undefined
    const next = outside.nextEnters
    const places = config.depth - 1
    while (pipeline.size > 0) {
      if (this.#plain >= settledAfter) skipAhead.run(Math.min(until, next[0]! - 1), clock)
      const {oldest} = pipeline
      const now = oldest.end
      if (now > until) return 'until'
      if (next[0]! <= now) outside.enterBy(now)
      const gap = now - cohort.lastEnd
      cohort.lastEnd = now
      pipeline.end()
      totals.steps++
      totals.prefillTokens += oldest.shape.prefillTokens
      totals.decodeTokens += oldest.shape.decodes
      if (oldest.regular > 0) gaps.add(gap, oldest.regular)
      if (isHeard) listener.batchEnded!(oldest.sequence, now, oldest.lane)
      this.#plain++
      if (!oldest.isPlain) {
        this.#plain = 0
        this.#deliver(oldest, now, outside)
      }
      const {size} = cohort
      const need = cohort.needBlock()
      const isShort = need > pool.free
      const isMixed = prefilling.length > 0 || stragglers.length > 0 || cohort.hasFillers()
      // Where more than one batch is missing, the last plan found nothing to compute, or no blocks.
      if (size === 0 || isShort || isMixed || pipeline.size !== places) return 'plan'
      const batch = pipeline.open()
      this.work++
      batch.holdDecodes(
        size,
        cohort.contextSum(),
        cohort.smallestContext(),
        cohort.largestContext(),
      )
      if (need > 0) pool.take(need)
      // At least 0: whoever was admitted had a token of budget beside all who ran.
      const left = config.maxNumBatchedTokens - size
      if (queue.size > 0) admission.admitWhole(batch, left, now)
      if (queue.size > 0) return 'queue'
      admission.heldBack = 'nobody'
      const {shape} = batch
      const used = pool.total - pool.free
      shape.paddedTokens = shape.tokens
      batch.running = list.size
      batch.waiting = queue.size
      batch.freeBlocks = pool.free
      batch.usedBlocks = used
      batch.heldBack = 'nobody'
      if (used > totals.peakBlocks) totals.peakBlocks = used
      if (cohort.hasEnding()) seats.drainEnding(batch)
      cohort.advance()
      pipeline.add(batch)
      clock.add(batch, now)
      steps.spend(batch)
    }
    return 'until'
  }

  /** Tokens of a batch that are no regular ones: the first and the last of requests, and those that came late. */
  #deliver(batch: Batch, now: Ns, outside: Outside): void {
    const {steps, finished} = this.#any
    steps.deliver(batch, now)
    if (batch.finishing.length === 0) return
    // What `complete` left there was handed out when it did.
    empty(finished)
    this.#parts.seats.finish(batch)
    for (const slot of batch.finishing) finished.push(slot)
    outside.left(now)
    empty(finished)
  }
}
