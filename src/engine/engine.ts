/**
 * One replica of vLLM V1 as docs/scheduler.md has it: what is in the next batch, and who gets tokens when it ends. It is
 * handed the time; how long a batch takes is not its business. Work per step is O(1 + joins + leaves + chunks +
 * preemptions + shared blocks filled). Only a plan that runs out of budget or blocks walks the running requests.
 */
import type {BatchShape, Ns} from '../latency/step-time.js'
import {Admission} from './admission.js'
import type {Batch} from './batch.js'
import {BlockPool} from './block-pool.js'
import {empty} from './columns.js'
import type {
  BatchClock,
  EngineConfig,
  EngineListener,
  EngineSeams,
  EngineView,
  Verdict,
} from './engine-config.js'
import type {EngineParts} from './engine-parts.js'
import type {KvBelow} from './kv-below.js'
import {KvExchange} from './kv-exchange.js'
import {Pipeline} from './pipeline.js'
import {noPrefixes} from './prefix-identity.js'
import {refusalOf} from './refusal.js'
import {RequestBlocks} from './request-blocks.js'
import {none, type RequestPool, state} from './request-pool.js'
import {RunningPlan} from './running-plan.js'
import {Seats} from './seats.js'
import {Totals} from './totals.js'
import {WaitingQueue} from './waiting-queue.js'

export class Engine implements EngineView {
  readonly config: EngineConfig
  readonly totals = new Totals()
  /** KV that comes and goes. */
  readonly exchange: KvExchange
  /** Requests that finished in the batch that ended last, in order; read before the next `complete`. */
  readonly finished: number[] = []

  readonly #requests: RequestPool
  readonly #pool: BlockPool
  readonly #blocks: RequestBlocks
  readonly #seats: Seats
  readonly #queue = new WaitingQueue()
  readonly #pipeline = new Pipeline()
  readonly #runningPlan: RunningPlan
  readonly #admission: Admission
  readonly #listener: EngineListener
  readonly #below: KvBelow | undefined
  /** Preemptions since the batch planned last. */
  #unreported = 0
  /** End of the batch planned last. */
  #busyUntil: Ns = Number.NEGATIVE_INFINITY
  #work = 0

  constructor(config: EngineConfig, requests: RequestPool, seams: EngineSeams = {}) {
    this.config = config
    this.#requests = requests
    this.#listener = seams.listener ?? {}
    this.#pool = new BlockPool(config.numGpuBlocks)
    const {identity = noPrefixes, below} = seams
    this.#below = below
    if (below) this.#pool.tell(below)
    this.#blocks = new RequestBlocks({pool: this.#pool, requests, identity, rules: config, below})
    this.#seats = new Seats({
      config,
      requests,
      blocks: this.#blocks,
      pipeline: this.#pipeline,
      listener: this.#listener,
    })
    const parts: EngineParts = {
      config,
      requests,
      pool: this.#pool,
      blocks: this.#blocks,
      seats: this.#seats,
      queue: this.#queue,
      totals: this.totals,
      pipeline: this.#pipeline,
      below,
    }
    this.#runningPlan = new RunningPlan(parts)
    this.#admission = new Admission(parts)
    this.exchange = new KvExchange(parts)
  }

  get running(): number {
    return this.#seats.list.size
  }

  get waiting(): number {
    return this.#queue.size
  }

  get freeBlocks(): number {
    return this.#pool.free
  }

  get totalBlocks(): number {
    return this.#pool.total
  }

  get maxNumSeqs(): number {
    return this.config.maxNumSeqs
  }

  /** Batches planned and not ended. */
  get inFlight(): number {
    return this.#pipeline.size
  }

  /** The batch that executes, or starts next. There must be one. */
  get oldest(): Batch {
    return this.#pipeline.oldest
  }

  /** Writes the first moment at which a request may leave (see Pipeline). There must be a batch. */
  tellFirstLeave(times: Float64Array, at: number): void {
    this.#pipeline.tellFirstLeave(times, at)
  }

  /** The batch planned last. There must be one. */
  get newest(): Batch {
    return this.#pipeline.newest!
  }

  /** The oldest batch that no clock has given its times yet. */
  get untimed(): Batch | undefined {
    return this.#pipeline.batches.find(({end}) => end === Number.POSITIVE_INFINITY)
  }

  /** Elementary operations so far: what the bound on work per step is tested with. */
  get operations(): number {
    const {lanes, work} = this.#seats
    const plans = this.#runningPlan.operations + this.#admission.work
    return this.#work + work + lanes.operations + plans + this.#pool.work + this.#queue.work
  }

  /** Takes a request in, or says why it can never run. `row`, `input`, `total`, … of the slot must be set. */
  enqueue(slot: number): Verdict {
    const requests = this.#requests
    const refusal = this.refusal(requests.total[slot]!)
    if (refusal !== undefined) return refusal
    const predicted = requests.predicted[slot]!
    const key = this.config.policy.key({
      arrivedAt: requests.arrivedAt[slot]!,
      inputTokens: requests.input[slot]!,
      predictedOutputTokens: predicted === none ? undefined : predicted,
      priority: requests.priority[slot]!,
    })
    requests.state[slot] = state.waiting
    requests.reached[slot] = Math.max(requests.reached[slot]!, requests.input[slot]!)
    requests.key[slot] = key
    requests.shareable[slot] = this.#blocks.shareable(requests.row[slot]!)
    requests.arrival[slot] = this.#queue.arrive(slot, key)
    return undefined
  }

  /** Why a request of so many tokens, output included, can never run here. */
  refusal(total: number): Verdict {
    return refusalOf(this.config, total)
  }

  /** Fills the next free place of the pipeline, or returns undefined when there is nothing to compute. */
  plan(now: Ns): BatchShape | undefined {
    const batch = this.#pipeline.open()
    this.#work++
    this.#below?.planning(now)
    const budget = this.#runningPlan.plan(batch, now)
    if (batch.preempted === 0) this.#admission.admit(batch, budget, now)
    else this.#admission.heldBack = 'blocks'
    this.#unreported += batch.preempted
    if (batch.shape.sequences === 0) {
      this.#seats.leftOut.length = 0
      this.#pipeline.discard(batch)
      this.#below?.planned(undefined, this.#blocks)
      // With no batch in flight nobody would wake the engine, and who was preempted made room: look again.
      return batch.preempted > 0 && this.#pipeline.size === 0 ? this.plan(now) : undefined
    }
    batch.preempted = this.#unreported
    this.#unreported = 0
    this.#note(batch)
    this.#seats.seal(batch)
    this.#pipeline.add(batch)
    this.#below?.planned(batch.sequence, this.#blocks)
    return batch.shape
  }

  #note(batch: Batch): void {
    batch.shape.paddedTokens = batch.shape.tokens
    batch.running = this.#seats.list.size
    batch.waiting = this.#queue.size
    batch.freeBlocks = this.#pool.free
    batch.usedBlocks = this.#pool.used
    batch.heldBack = this.#admission.heldBack
    if (batch.usedBlocks > this.totals.peakBlocks) this.totals.peakBlocks = batch.usedBlocks
  }

  /** The batch that was just planned gets its times. Time in which it overlaps the one before counts for that one. */
  time(now: Ns, clock: BatchClock): void {
    clock.add(this.#pipeline.newest!, now)
    this.spend(this.#pipeline.newest!)
  }

  /** A batch whose start and end are known is accounted for. */
  spend(batch: Batch): void {
    this.totals.spend(batch.end - Math.max(batch.start, this.#busyUntil), batch)
    this.#busyUntil = batch.end
  }

  /** The oldest batch ends: its tokens are delivered, `finished` holds the requests that are done. */
  complete(now: Ns): void {
    const requests = this.#requests
    const batch = this.#endOldest(now)
    const {gaps} = this.totals
    for (const slot of batch.stragglers) gaps.add(now - requests.lastTokenAt[slot]!, 1)
    for (const slot of batch.joiners) {
      if (Number.isNaN(requests.firstTokenAt[slot]!)) requests.firstTokenAt[slot] = now
      else gaps.add(now - requests.lastTokenAt[slot]!, 1)
      requests.lastTokenAt[slot] = now
      if (requests.promised[slot]! > 1) gaps.add(0, requests.promised[slot]! - 1)
    }
    for (const slot of batch.departing) requests.lastTokenAt[slot] = now
    this.#work += batch.departing.length + batch.stragglers.length + batch.joiners.length
    empty(this.finished)
    if (batch.finishing.length === 0) return
    this.#seats.finish(batch)
    for (const slot of batch.finishing) this.finished.push(slot)
  }

  #endOldest(now: Ns): Batch {
    const batch = this.#pipeline.end()
    this.#account(batch, now, this.#seats.release(batch, now))
    return batch
  }

  /** What a batch that ends adds to the totals; its regular tokens come `gap` after the ones before. */
  #account(batch: Batch, now: Ns, gap: Ns): void {
    const {totals} = this
    totals.steps++
    totals.prefillTokens += batch.shape.prefillTokens
    totals.decodeTokens += batch.shape.decodes
    if (batch.verifications > 0) totals.verify(batch)
    if (batch.regular > 0) totals.gaps.add(gap, batch.regular)
    this.#listener.batchEnded?.(batch.sequence, now, batch.lane)
    this.#below?.ended(batch.sequence, now)
  }

  /** Takes a request out at once; batches that hold it keep their length. Returns how many tokens it got. */
  cancel(slot: number, now: Ns): number {
    const requests = this.#requests
    const role = requests.state[slot]!
    const held = this.exchange.heldTokens(slot)
    this.#below?.drop(slot, now)
    if (role === state.waiting) this.#queue.remove(slot)
    else if (role <= state.draining) this.#seats.unseat(slot)
    let delivered = requests.reached[slot]! - requests.input[slot]!
    const from = requests.regularFrom[slot]!
    const until = requests.regularUntil[slot]!
    for (const batch of this.#pipeline.batches) {
      const isRegular = from <= batch.sequence && batch.sequence <= until
      if (isRegular && batch.lane === requests.lane[slot]) {
        batch.regular--
        delivered--
      }
      if (batch.forget(slot)) delivered -= Math.max(1, requests.promised[slot]!)
    }
    this.#blocks.leave(slot, held ?? requests.computed[slot]!)
    this.#listener.tokensUntil?.(slot, this.#pipeline.ended)
    return delivered
  }

  /** Requests whose blocks the last plans took: their KV may be pulled. The caller empties the list. */
  get pulls(): number[] {
    return this.#admission.pulls
  }

  /** When the latest of `pulls` took its blocks. */
  get pulledAt(): Ns {
    return this.#admission.pulledAt
  }

  /** Tokens of a request's prompt that the prefix cache holds now. */
  cachedTokens(row: number, inputTokens: number): number {
    return this.#blocks.peek(row, inputTokens)
  }

  forget(slot: number): void {
    this.#listener.forgotten?.(slot)
  }

  /**
   * Skips ahead: while every step is the one before of its lane with contexts one longer, ends batches, plans and times
   * the next, up to and including those that end at `until`. The arithmetic is that of `plan` and `complete`.
   */
  runDecodes(until: Ns, clock: BatchClock): void {
    if (this.#pipeline.oldest.end > until) return
    if (this.#seats.lanes.isPipeline) {
      if (this.#isSteadyPipeline()) while (this.#stepLane(until, clock)) {}
    } else if (this.#isSteady()) this.#runAll(until, clock)
  }

  /** Whether a look-up of the head of the queue may find something else than before. */
  get #hasNews(): boolean {
    return this.#pool.index.isDirty || this.#below !== undefined
  }

  /** One cohort: each batch holds the decodes of the one before. */
  #runAll(until: Ns, clock: BatchClock): void {
    const {cohort} = this.#seats
    const below = this.#below
    const left = this.config.maxNumBatchedTokens - cohort.size
    const waiting = this.#queue.size
    let sum = cohort.contextSum()
    let smallest = cohort.smallestContext()
    let largest = cohort.largestContext()
    for (;;) {
      const now = this.#pipeline.oldest.end
      if (now > until || cohort.hasEnding() || cohort.needBlock() > this.#pool.free) return
      const batch = this.#pipeline.rotate()
      this.#account(batch, now, now - cohort.lastEnd)
      batch.sequence = this.#pipeline.advance()
      cohort.lastEnd = now
      batch.preempted = 0
      batch.shape.decodeContext = sum
      batch.shape.decodeContextMin = smallest++
      batch.shape.decodeContextMax = largest++
      sum += cohort.size
      if (cohort.touchesBlocks()) this.#runningPlan.takeDecodeBlocks()
      // A block that just became full, or was written below, may be the one the head of the queue waited for.
      if (below) below.planning(now)
      const admits = waiting > 0 && this.#hasNews && this.#admission.headFits(left) > 0
      if (admits) this.#admission.admit(batch, left, now)
      this.#note(batch)
      this.#seats.seal(batch)
      if (below) below.onlyPlanned(batch.sequence, this.#blocks, now)
      this.#work++
      this.time(now, clock)
      if (admits) return
    }
  }

  /** A step of a pipeline: its oldest batch ends, and its decodes are planned again. Returns whether another may follow. */
  #stepLane(until: Ns, clock: BatchClock): boolean {
    const {lanes} = this.#seats
    const {oldest} = this.#pipeline
    const cohort = lanes.at(oldest.lane)
    const {size} = cohort
    const now = oldest.end
    if (now > until || size === 0) return false
    if (cohort.hasEnding() || cohort.needBlock() > this.#pool.free) return false
    const left = this.config.maxNumBatchedTokens - size
    this.#endOldest(now)
    const batch = this.#pipeline.open()
    batch.addDecodes(size, cohort.contextSum(), cohort.smallestContext(), cohort.largestContext())
    batch.regular = size
    this.#runningPlan.takeDecodeBlocks()
    const isWaiting = this.#queue.size > 0
    const isNews = isWaiting && this.#hasNews
    this.#below?.planning(now)
    const admits = isWaiting && this.#admission.headFits(left) > 0
    if (admits) this.#admission.admit(batch, left, now)
    this.#note(batch)
    this.#seats.seal(batch)
    this.#pipeline.add(batch)
    this.#below?.planned(batch.sequence, this.#blocks)
    this.#work++
    this.time(now, clock)
    const isSteady = !admits && !isNews
    // Places that were left empty may be filled too.
    while (!isSteady && this.inFlight < this.config.depth && this.plan(now)) this.time(now, clock)
    this.#below?.settled(now)
    return isSteady
  }

  #isSteady(): boolean {
    const {cohort} = this.#seats
    if (cohort.hasEnding() || cohort.size === 0 || this.inFlight < this.config.depth) return false
    const left = this.config.maxNumBatchedTokens - cohort.size
    if (left < 0) return false
    // Who prefills has no budget; with budget he was behind one who gave way to himself.
    if (left > 0 && this.#seats.list.size > cohort.size) return false
    for (const batch of this.#pipeline.batches) if (!batch.isOnlyDecodes(cohort.size)) return false
    // A blocked head stays blocked: seats, budget and free blocks do not grow, and its look-up is watched.
    return this.#admission.headFits(left) === 0
  }

  #isSteadyPipeline(): boolean {
    const {lanes, list, stragglers} = this.#seats
    const {depth, maxNumBatchedTokens} = this.config
    // Nobody prefills or drains, nobody is owed a token or left over.
    if (list.size !== lanes.size || lanes.open.size > 0 || stragglers.length > 0) return false
    for (const batch of this.#pipeline.batches) {
      const {size} = lanes.at(batch.lane)
      if (!batch.isOnlyDecodes(size) || size > maxNumBatchedTokens) return false
    }
    return this.#pipeline.size === depth || this.#admission.headFits(maxNumBatchedTokens) === 0
  }
}
