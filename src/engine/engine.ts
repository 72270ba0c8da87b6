/**
 * One replica of vLLM V1 as docs/scheduler.md has it: what is in the next batch, and who gets tokens when it ends. It is
 * handed the time; how long a batch takes is not its business. Work per step is O(1 + joins + leaves + chunks +
 * preemptions + shared blocks filled). Only a plan that runs out of budget or blocks walks the running requests.
 */
import type {BatchShape, Ns} from '../latency/step-time.js'
import {Admission} from './admission.js'
import type {Batch} from './batch.js'
import {empty} from './columns.js'
import type {
  BatchClock,
  EngineConfig,
  EngineListener,
  EngineSeams,
  EngineView,
  Outside,
  Verdict,
} from './engine-config.js'
import type {EngineParts} from './engine-parts.js'
import type {KvBelow} from './kv-below.js'
import {type Blocks, kvCacheOf, type Pool} from './kv-cache.js'
import {KvExchange} from './kv-exchange.js'
import {Pipeline} from './pipeline.js'
import {noPrefixes} from './prefix-identity.js'
import {refusalOf} from './refusal.js'
import {none, type RequestPool, state} from './request-pool.js'
import {RunAlone} from './run-alone.js'
import {RunningPlan} from './running-plan.js'
import {Seats} from './seats.js'
import {SkipAhead} from './skip-ahead.js'
import {StepAccount} from './step-account.js'
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
  readonly #pool: Pool
  readonly #blocks: Blocks
  readonly #seats: Seats
  readonly #queue: WaitingQueue
  readonly #pipeline = new Pipeline()
  readonly #runningPlan: RunningPlan
  readonly #admission: Admission
  readonly #steps: StepAccount
  readonly #skipAhead: SkipAhead
  readonly #alone: RunAlone
  readonly #listener: EngineListener
  readonly #below: KvBelow | undefined
  /** Tokens of the longest request so far that can run here. */
  #longest = 0
  /** Preemptions since the batch planned last. */
  #unreported = 0
  #work = 0

  constructor(config: EngineConfig, requests: RequestPool, seams: EngineSeams = {}) {
    const {identity = noPrefixes, below, listener = {}} = seams
    this.config = config
    this.#requests = requests
    this.#queue = new WaitingQueue(requests)
    this.#listener = listener
    this.#below = below
    const {pool, blocks} = kvCacheOf(config, {requests, identity, below})
    this.#pool = pool
    this.#blocks = blocks
    const pipeline = this.#pipeline
    this.#seats = new Seats({config, requests, blocks, pipeline, listener})
    const parts: EngineParts = {
      config,
      requests,
      pool,
      blocks,
      seats: this.#seats,
      queue: this.#queue,
      totals: this.totals,
      pipeline,
      below,
    }
    this.#runningPlan = new RunningPlan(parts)
    this.#admission = new Admission(parts)
    this.exchange = new KvExchange(parts)
    this.#steps = new StepAccount(parts, this.#admission, this.#listener)
    const plan = (now: Ns): boolean => this.plan(now) !== undefined
    this.#skipAhead = new SkipAhead(parts, {
      runningPlan: this.#runningPlan,
      admission: this.#admission,
      steps: this.#steps,
      plan,
    })
    this.#alone = new RunAlone(parts, {
      admission: this.#admission,
      steps: this.#steps,
      skipAhead: this.#skipAhead,
      plan,
      planned: (batch) => this.#planned(batch),
      complete: (now) => this.complete(now),
      listener,
      finished: this.finished,
    })
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
    const pipeline = this.#pipeline
    for (let place = 0; place < pipeline.size; place++)
      if (pipeline.at(place).end === Number.POSITIVE_INFINITY) return pipeline.at(place)
    return undefined
  }

  /** Elementary operations so far: what the bound on work per step is tested with. */
  get operations(): number {
    const {lanes, work} = this.#seats
    const plans = this.#work + this.#runningPlan.operations + this.#admission.work
    const steps = this.#steps.work + this.#skipAhead.work + this.#alone.work
    return plans + steps + work + lanes.operations + this.#pool.work + this.#queue.work
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
    // Where a long one can run a shorter one can.
    if (total <= this.#longest) return undefined
    const refusal = refusalOf(this.config, total)
    if (refusal === undefined) this.#longest = total
    return refusal
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
      this.#below?.planned(undefined, this.#blocks)
      // With no batch in flight nobody would wake the engine, and who was preempted made room: look again.
      return batch.preempted > 0 && this.#pipeline.size === 0 ? this.plan(now) : undefined
    }
    batch.preempted = this.#unreported
    this.#unreported = 0
    this.#planned(batch)
    return batch.shape
  }

  #planned(batch: Batch): void {
    this.#steps.note(batch)
    this.#seats.seal(batch)
    this.#pipeline.add(batch)
    this.#below?.planned(batch.sequence, this.#blocks)
  }

  /** The batch that was just planned gets its times. */
  time(now: Ns, clock: BatchClock): void {
    const pipeline = this.#pipeline
    this.#steps.time(pipeline.at(pipeline.size - 1), now, clock)
  }

  /** A batch whose start and end are known is accounted for. */
  spend(batch: Batch): void {
    this.#steps.spend(batch)
  }

  /** The oldest batch ends: its tokens are delivered, `finished` holds the requests that are done. */
  complete(now: Ns): void {
    const batch = this.#steps.endOldest(now)
    empty(this.finished)
    if (batch.isPlain) return
    this.#steps.deliver(batch, now)
    if (batch.finishing.length === 0) return
    this.#seats.finish(batch)
    for (const slot of batch.finishing) this.finished.push(slot)
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
    for (let place = 0; place < this.#pipeline.size; place++) {
      const batch = this.#pipeline.at(place)
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
   * Runs on its own, batch after batch, up to and including those that end at `until`, or until it has none. Requests
   * come from `outside`, and go there when they are done. Returns when the last one ended; NaN: none did.
   */
  run(until: Ns, clock: BatchClock, outside: Outside): Ns {
    return this.#alone.run(until, clock, outside)
  }

  /** Skips ahead (see SkipAhead), up to and including batches that end at `until`, as far as that can be done. */
  runDecodes(until: Ns, clock: BatchClock): void {
    this.#skipAhead.run(until, clock)
  }
}
