/**
 * One replica of vLLM V1 as docs/scheduler.md has it: what is in the next batch, and who gets tokens when it
 * ends. It is handed the time and never asks for it; how long a batch takes is not its business.
 *
 * Work per step is O(1 + joins + leaves + chunks + preemptions + shared blocks filled): decodes live in a
 * cohort (cohort.ts) and blocks in runs (block-pool.ts). Only a plan that runs out of budget or blocks walks
 * the running requests (walk.ts), over the same state. Phase A of a plan is in running-plan.ts, phase B in admission.ts.
 */
import type {BatchShape, Ns, StepTime} from '../latency/step-time.js'
import {Admission} from './admission.js'
import type {Batch} from './batch.js'
import {BlockPool} from './block-pool.js'
import {empty} from './columns.js'
import type {
  EngineConfig,
  EngineListener,
  EngineSeams,
  EngineView,
  Verdict,
} from './engine-config.js'
import type {EngineParts} from './engine-parts.js'
import {Pipeline} from './pipeline.js'
import {noPrefixes} from './prefix-identity.js'
import {RequestBlocks} from './request-blocks.js'
import {none, type RequestPool, state} from './request-pool.js'
import {RunningPlan} from './running-plan.js'
import {Seats} from './seats.js'
import {Totals} from './totals.js'
import {WaitingQueue} from './waiting-queue.js'

export class Engine implements EngineView {
  readonly config: EngineConfig
  readonly totals = new Totals()
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
  /** Preemptions since the batch planned last. */
  #unreported = 0
  #work = 0

  constructor(config: EngineConfig, requests: RequestPool, seams: EngineSeams = {}) {
    this.config = config
    this.#requests = requests
    this.#listener = seams.listener ?? {}
    this.#pool = new BlockPool(config.numGpuBlocks)
    this.#blocks = new RequestBlocks(this.#pool, requests, seams.identity ?? noPrefixes, config)
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
    }
    this.#runningPlan = new RunningPlan(parts)
    this.#admission = new Admission(parts)
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

  /** Elementary operations so far: what the bound on work per step is tested with. */
  get operations(): number {
    const {cohort, work} = this.#seats
    const seats = work + cohort.operations
    const plans = this.#runningPlan.operations + this.#admission.work
    return this.#work + seats + plans + this.#pool.work + this.#queue.work
  }

  /** Takes a request in, or says why it can never run. `row`, `input`, `total`, … of the slot must be set. */
  enqueue(slot: number): Verdict {
    const requests = this.#requests
    const refusal = this.#refusal(requests.total[slot]!)
    if (refusal !== undefined) return refusal
    const predicted = requests.predicted[slot]!
    const key = this.config.policy.key({
      arrivedAt: requests.arrivedAt[slot]!,
      inputTokens: requests.input[slot]!,
      predictedOutputTokens: predicted === none ? undefined : predicted,
      priority: requests.priority[slot]!,
    })
    requests.state[slot] = state.waiting
    requests.reached[slot] = requests.input[slot]!
    requests.key[slot] = key
    requests.shareable[slot] = this.#blocks.shareable(requests.row[slot]!)
    requests.arrival[slot] = this.#queue.arrive(slot, key)
    return undefined
  }

  #refusal(total: number): Verdict {
    const {maxModelLen, numGpuBlocks, enableChunkedPrefill, maxNumBatchedTokens} = this.config
    if (total > maxModelLen) {
      const message = `prompt and output are ${total} tokens, max_model_len is ${maxModelLen}`
      return {rule: 'model-length', message}
    }
    const needed = this.#blocks.count(total - 1)
    if (needed > numGpuBlocks) {
      return {rule: 'blocks', message: `it needs ${needed} KV blocks of ${numGpuBlocks}`}
    }
    if (!enableChunkedPrefill && total - 1 > maxNumBatchedTokens) {
      const message = `${total - 1} tokens exceed max_num_batched_tokens ${maxNumBatchedTokens} and chunked prefill is off`
      return {rule: 'batch', message}
    }
    return undefined
  }

  /** Fills the next free place of the pipeline, or returns undefined when there is nothing to compute. */
  plan(now: Ns): BatchShape | undefined {
    const batch = this.#pipeline.open()
    this.#work++
    const budget = this.#runningPlan.plan(batch, now)
    if (batch.preempted === 0) this.#admission.admit(batch, budget, now)
    else this.#admission.heldBack = 'blocks'
    this.#unreported += batch.preempted
    if (batch.shape.sequences === 0) {
      this.#seats.leftOut.length = 0
      this.#pipeline.discard(batch)
      // With no batch in flight nobody would wake the engine, and who was preempted made room: look again.
      return batch.preempted > 0 && this.#pipeline.size === 0 ? this.plan(now) : undefined
    }
    batch.preempted = this.#unreported
    this.#unreported = 0
    this.#note(batch)
    this.#seats.seal(batch)
    this.#pipeline.add(batch)
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

  /** The oldest batch starts and takes `duration`. */
  started(duration: Ns): void {
    this.totals.spend(duration, this.#pipeline.oldest)
  }

  /** The oldest batch ends: its tokens are delivered, `finished` holds the requests that are done. */
  complete(now: Ns): void {
    const requests = this.#requests
    const {gaps} = this.totals
    const {oldest} = this.#pipeline
    this.#account(oldest, now)
    const batch = this.#pipeline.end(now)
    for (const slot of batch.stragglers) gaps.add(now - requests.lastTokenAt[slot]!, 1)
    for (const slot of batch.joiners) {
      if (Number.isNaN(requests.firstTokenAt[slot]!)) requests.firstTokenAt[slot] = now
      else gaps.add(now - requests.lastTokenAt[slot]!, 1)
      requests.lastTokenAt[slot] = now
    }
    for (const slot of batch.departing) requests.lastTokenAt[slot] = now
    this.#work += batch.departing.length + batch.stragglers.length + batch.joiners.length
    empty(this.finished)
    if (batch.finishing.length === 0) return
    this.#seats.finish(batch)
    for (const slot of batch.finishing) this.finished.push(slot)
  }

  /** What the oldest batch, which ends, adds to the totals. */
  #account(batch: Batch, now: Ns): void {
    const {totals} = this
    totals.steps++
    totals.prefillTokens += batch.shape.prefillTokens
    totals.decodeTokens += batch.shape.decodes
    if (batch.regular > 0) totals.gaps.add(now - this.#pipeline.lastEnd, batch.regular)
    this.#listener.batchEnded?.(batch.sequence, now)
  }

  /** Takes a request out at once; batches that hold it keep their length. Returns how many tokens it got. */
  cancel(slot: number): number {
    const requests = this.#requests
    const role = requests.state[slot]!
    if (role === state.waiting) this.#queue.remove(slot)
    else if (role !== state.unseated) this.#seats.unseat(slot)
    let delivered = requests.reached[slot]! - requests.input[slot]!
    const from = requests.regularFrom[slot]!
    const until = requests.regularUntil[slot]!
    for (const batch of this.#pipeline.batches) {
      if (from <= batch.sequence && batch.sequence <= until) {
        batch.regular--
        delivered--
      }
      if (batch.forget(slot)) delivered--
    }
    const hasBlocks = role !== state.waiting && role !== state.unseated
    this.#blocks.leave(slot, hasBlocks ? requests.computed[slot]! : 0)
    this.#listener.tokensUntil?.(slot, this.#pipeline.ended)
    return delivered
  }

  /**
   * Skips ahead: while every step is the one before with contexts one longer (nobody finishes, nobody can be
   * admitted, blocks suffice), ends batches, plans and starts the next. `end` is the end of the batch that executes
   * now; returns the end of the one that executes then: the first after `until`, or the first that needs the general
   * path. The arithmetic is that of `plan` and `complete`, step by step.
   */
  runDecodes(end: Ns, until: Ns, time: StepTime): Ns {
    if (!this.#isSteady()) return end
    const {cohort} = this.#seats
    const size = cohort.size
    const left = this.config.maxNumBatchedTokens - size
    const waiting = this.#queue.size
    let sum = cohort.contextSum()
    let smallest = cohort.smallestContext()
    let largest = cohort.largestContext()
    let now = end
    while (now <= until && !cohort.hasEnding() && cohort.needBlock() <= this.#pool.free) {
      this.#account(this.#pipeline.oldest, now)
      const batch = this.#pipeline.rotate(now)
      batch.preempted = 0
      batch.shape.decodeContext = sum
      batch.shape.decodeContextMin = smallest++
      batch.shape.decodeContextMax = largest++
      sum += size
      if (cohort.touchesBlocks()) this.#runningPlan.takeDecodeBlocks()
      // A block that just became full may be the one the head of the queue waited for.
      const admits = waiting > 0 && this.#pool.index.isDirty && this.#admission.headFits(left) > 0
      if (admits) this.#admission.admit(batch, left, now)
      this.#note(batch)
      cohort.advance()
      this.#work++
      const {oldest} = this.#pipeline
      const duration = time(oldest.shape)
      this.totals.spend(duration, oldest)
      now += duration
      if (admits) break
    }
    return now
  }

  #isSteady(): boolean {
    const {cohort} = this.#seats
    if (this.#pipeline.size < this.config.depth || cohort.size === 0) return false
    const left = this.config.maxNumBatchedTokens - cohort.size
    if (left < 0) return false
    // Then nobody drains or is owed a token, and who prefills has no budget.
    for (const batch of this.#pipeline.batches) if (!batch.isOnlyDecodes(cohort.size)) return false
    // A blocked head stays blocked: seats, budget and free blocks do not grow, and its look-up is watched.
    return this.#admission.headFits(left) === 0
  }
}
