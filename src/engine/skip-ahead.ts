/**
 * Skip-ahead: between two events (arrival, end, shortage of blocks) steps differ only by contexts that are one longer.
 * They run in a loop of a few additions and one call of the step time, over batches that are used again and not
 * planned, with the arithmetic of single steps.
 */
import type {Ns} from '../latency/step-time.js'
import type {Admission} from './admission.js'
import {type BatchClock, isWalked} from './engine-config.js'
import type {EngineParts} from './engine-parts.js'
import type {RunningPlan} from './running-plan.js'
import type {StepAccount} from './step-account.js'

/** What plans and accounts for steps that are not skipped. */
export interface Planning {
  readonly runningPlan: RunningPlan
  readonly admission: Admission
  readonly steps: StepAccount
  /** Plans one batch as a whole. Returns whether there was something to compute. */
  readonly plan: (now: Ns) => boolean
}

export class SkipAhead {
  work = 0
  readonly #parts: EngineParts
  readonly #runningPlan: RunningPlan
  readonly #admission: Admission
  readonly #steps: StepAccount
  readonly #plan: (now: Ns) => boolean

  constructor(parts: EngineParts, {runningPlan, admission, steps, plan}: Planning) {
    this.#parts = parts
    this.#runningPlan = runningPlan
    this.#admission = admission
    this.#steps = steps
    this.#plan = plan
  }

  /**
   * While every step is the one before of its lane with contexts one longer, ends batches, plans and times the next, up
   * to and including those that end at `until`. The arithmetic is that of `plan` and `complete`.
   */
  run(until: Ns, clock: BatchClock): void {
    const {config, pipeline, seats} = this.#parts
    if (pipeline.oldest.end > until || isWalked(config)) return
    if (seats.lanes.isPipeline) {
      if (this.#isSteadyPipeline()) while (this.#stepLane(until, clock)) {}
    } else if (this.#isSteady()) this.#runAll(until, clock)
  }

  /** Whether a look-up of the head of the queue may find something else than before. */
  #hasNews(): boolean {
    return this.#parts.pool.index.isDirty || this.#parts.below !== undefined
  }

  /** One cohort: each batch holds the decodes of the one before. */
  #runAll(until: Ns, clock: BatchClock): void {
    const {config, pipeline, pool, queue, seats, blocks, below} = this.#parts
    const {cohort} = seats
    const pages = blocks.pagesPerBlock
    const left = config.maxNumBatchedTokens - cohort.size
    const waiting = queue.size
    let sum = cohort.contextSum()
    let smallest = cohort.smallestContext()
    let largest = cohort.largestContext()
    for (;;) {
      const now = pipeline.oldest.end
      if (now > until || cohort.hasEnding() || cohort.needBlock() * pages > pool.free) return
      const batch = pipeline.rotate()
      this.#steps.account(batch, now, now - cohort.lastEnd)
      batch.sequence = pipeline.advance()
      cohort.lastEnd = now
      batch.preempted = 0
      batch.shape.decodeContext = sum
      batch.shape.decodeContextMin = smallest++
      batch.shape.decodeContextMax = largest++
      sum += cohort.size
      this.#runningPlan.takeDecodeBlocks()
      // A block that just became full, or was written below, may be the one the head of the queue waited for.
      if (below) below.planning(now)
      const admits = waiting > 0 && this.#hasNews() && this.#admission.headFits(left) > 0
      if (admits) this.#admission.admit(batch, left, now)
      this.#steps.note(batch)
      seats.seal(batch)
      if (below) below.onlyPlanned(batch.sequence, blocks, now)
      this.work++
      this.#steps.time(batch, now, clock)
      if (admits) return
    }
  }

  /** A step of a pipeline: its oldest batch ends, and its decodes are planned again. Returns whether another may follow. */
  #stepLane(until: Ns, clock: BatchClock): boolean {
    const {config, pipeline, pool, queue, seats, blocks, below} = this.#parts
    const {oldest} = pipeline
    const cohort = seats.lanes.at(oldest.lane)
    const {size} = cohort
    const now = oldest.end
    if (now > until || size === 0) return false
    if (cohort.hasEnding() || cohort.needBlock() * blocks.pagesPerBlock > pool.free) return false
    const left = config.maxNumBatchedTokens - size
    this.#steps.endOldest(now)
    const batch = pipeline.open()
    batch.holdDecodes(size, cohort.contextSum(), cohort.smallestContext(), cohort.largestContext())
    this.#runningPlan.takeDecodeBlocks()
    const isWaiting = queue.size > 0
    const isNews = isWaiting && this.#hasNews()
    below?.planning(now)
    const admits = isWaiting && this.#admission.headFits(left) > 0
    if (admits) this.#admission.admit(batch, left, now)
    this.#steps.note(batch)
    seats.seal(batch)
    pipeline.add(batch)
    below?.planned(batch.sequence, blocks)
    this.work++
    this.#steps.time(batch, now, clock)
    const isSteady = !admits && !isNews
    // Places that were left empty may be filled too.
    while (!isSteady && pipeline.size < config.depth && this.#plan(now))
      this.#steps.time(pipeline.newest!, now, clock)
    below?.settled(now)
    return isSteady
  }

  #isSteady(): boolean {
    const {config, pipeline, seats} = this.#parts
    const {cohort} = seats
    if (cohort.hasEnding() || cohort.size === 0 || pipeline.size < config.depth) return false
    const left = config.maxNumBatchedTokens - cohort.size
    if (left < 0) return false
    // Who prefills has no budget; with budget he was behind one who gave way to himself.
    if (left > 0 && seats.list.size > cohort.size) return false
    for (let place = 0; place < pipeline.size; place++)
      if (!pipeline.at(place).isOnlyDecodes(cohort.size)) return false
    // A blocked head stays blocked: seats, budget and free blocks do not grow, and its look-up is watched.
    return this.#admission.headFits(left) === 0
  }

  #isSteadyPipeline(): boolean {
    const {config, pipeline, seats} = this.#parts
    const {lanes, list, stragglers} = seats
    const {depth, maxNumBatchedTokens} = config
    // Nobody prefills or drains, nobody is owed a token or left over.
    if (list.size !== lanes.size || lanes.open.size > 0 || stragglers.length > 0) return false
    for (let place = 0; place < pipeline.size; place++) {
      const batch = pipeline.at(place)
      const {size} = lanes.at(batch.lane)
      if (!batch.isOnlyDecodes(size) || size > maxNumBatchedTokens) return false
    }
    return pipeline.size === depth || this.#admission.headFits(maxNumBatchedTokens) === 0
  }
}
