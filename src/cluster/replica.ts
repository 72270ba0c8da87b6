/**
 * One engine in time: its front end, when its batches start and end, and when it plans. The engine decides
 * what runs, the step time how long; this is the only place where the two meet.
 */
import type {Batch} from '../engine/batch.js'
import type {Engine} from '../engine/engine.js'
import type {BatchClock, EngineView, Outside} from '../engine/engine-config.js'
import type {RequestPool} from '../engine/request-pool.js'
import type {BatchShape, NodeEnds, Ns, PipelineTime, StepTime} from '../latency/step-time.js'
import {BusySpans} from '../stats/busy-spans.js'
import type {EngineTiers} from '../tiers/engine-tiers.js'
import {type AdapterConfig, AdapterSlots, withAdapters} from './adapter-slots.js'
import {EnteringQueue} from './entering-queue.js'
import type {FrontEnd} from './front-end.js'
import type {ClockHooks, Surroundings} from './idle-clock.js'
import {OneStage, StageClock} from './stage-clock.js'

/** One executed batch, as `--steps` shows it. Read it at once, the shape is reused. */
export interface StepRecord {
  readonly instance: number
  readonly start: Ns
  readonly end: Ns
  readonly shape: BatchShape
  readonly running: number
  readonly waiting: number
  readonly freeBlocks: number
  readonly preempted: number
}

export interface ReplicaParts {
  readonly instance: number
  readonly engine: Engine
  readonly requests: RequestPool
  readonly stepTime: StepTime
  /** In place of `stepTime`, where there are several stages. */
  readonly pipeline?: PipelineTime | undefined
  /** `together`: a data-parallel group says when its batches start and end. */
  readonly passes?: 'alone' | 'together'
  readonly nodeEnds: NodeEnds | undefined
  readonly around: Surroundings
  readonly frontEnd: FrontEnd
  readonly clock: ClockHooks
  readonly onStep: ((step: StepRecord) => void) | undefined
  readonly tiers?: EngineTiers | undefined
  readonly adapters?: AdapterConfig | undefined
  /** Adapter of a row; below 0: none. */
  readonly adapterOf?: ((row: number) => number) | undefined
}

/** Called with a request that was turned away, and why. */
export type OnRejected = (slot: number, now: Ns, reason: string) => void

const never = Number.POSITIVE_INFINITY

/** Whom a replica that runs alone tells what became of requests. */
export interface ReplicaSinks {
  readonly rejected: OnRejected
  /** Requests that finished with the batch that ended at `now`: they are in `finished` of its engine. */
  readonly left: (replica: Replica, now: Ns) => void
}

export class Replica implements EngineView, Outside {
  readonly engine: Engine
  readonly instance: number
  readonly maxNumSeqs: number
  readonly frontEnd: FrontEnd
  /** When steps ran without a break. */
  readonly busy = new BusySpans()
  readonly #requests: RequestPool
  readonly #stages: BatchClock
  /** The same, where the first stage decides when to plan. */
  readonly #polled: StageClock | undefined
  readonly #nodeEnds: NodeEnds | undefined
  readonly #around: Surroundings
  readonly #clock: ClockHooks
  readonly #onStep: ((step: StepRecord) => void) | undefined
  readonly adapters: AdapterSlots | undefined
  /** Memory tiers for KV below its device. */
  readonly tiers: EngineTiers | undefined
  readonly #adapterOf: (row: number) => number
  /** Requests that will come once another engine has run their prompts. */
  expected = 0
  /** Transfers of KV that came from other engines. */
  readonly received = {count: 0, bytes: 0, ns: 0}
  readonly #entering = new EnteringQueue()
  /** Requests in the front end that the engine will turn away. */
  #refusals = 0
  #tokenizerFreeAt: Ns = 0
  /** When to plan although no batch ends: an idle engine has work. */
  #planAt: Ns = never
  readonly #passes: 'alone' | 'together'
  /** Told of news, where somebody else asks for batches and says when they end. */
  #onNews: ((now: Ns) => void) | undefined
  /** How long a batch stays in each stage, and on its way between them. */
  readonly times: PipelineTime
  /** Ends of the passes of its group that it takes part in without work, in order. */
  readonly #dummyEnds: Ns[] = []
  /** Batches follow each other without looking at others, and requests need no adapters. */
  readonly #isPlain: boolean
  #idleSince: Ns = Number.NaN
  #hasCompleted = false
  #sinks: ReplicaSinks | undefined

  constructor(parts: ReplicaParts) {
    this.instance = parts.instance
    this.engine = parts.engine
    this.maxNumSeqs = parts.engine.maxNumSeqs
    this.frontEnd = parts.frontEnd
    this.#requests = parts.requests
    this.#passes = parts.passes ?? 'alone'
    this.tiers = parts.tiers
    this.adapters = parts.adapters && new AdapterSlots(parts.adapters)
    this.#adapterOf = parts.adapterOf ?? (() => -1)
    const longer = withAdapters(parts, this.adapters)
    const pipeline = longer.pipeline && new StageClock(longer.pipeline)
    this.times = longer.pipeline ?? {stages: [longer.stepTime], hop: () => 0}
    this.#polled = parts.pipeline?.style === 'polled' ? pipeline : undefined
    this.#stages = pipeline ?? new OneStage(longer.stepTime)
    this.#nodeEnds = parts.nodeEnds
    this.#around = parts.around
    this.#clock = parts.clock
    this.#onStep = parts.onStep
    const hasMore = this.adapters !== undefined || this.tiers !== undefined
    this.#isPlain = this.#passes === 'alone' && this.#polled === undefined && !hasMore
  }

  get running(): number {
    return this.engine.running
  }

  /** Those in the front end count: they are on their way to this engine and to no other. */
  get waiting(): number {
    const outside = this.#entering.size + this.expected + (this.adapters?.waiting ?? 0)
    return this.engine.waiting + outside
  }

  get freeBlocks(): number {
    return this.engine.freeBlocks
  }

  get totalBlocks(): number {
    return this.engine.totalBlocks
  }

  /** End of the batch that executes; +Infinity: none does. */
  #end(): Ns {
    return this.engine.inFlight > 0 ? this.engine.oldest.end : never
  }

  /** Time of the next thing that happens here; +Infinity when idle. */
  get nextAt(): Ns {
    const held = this.#dummyEnds[0]
    return Math.min(this.#end(), held ?? this.#planAt, this.entersAt)
  }

  /** Writes `nextAt` to its place among those of all: a number that a call returns is an object each time. */
  tellNextAt(all: Float64Array): void {
    const {instance, engine, adapters, tiers} = this
    const waits = this.#dummyEnds.length > 0 ? this.#dummyEnds[0]! : this.#planAt
    all[instance] = engine.inFlight > 0 ? Math.min(engine.oldest.end, waits) : waits
    this.#entering.lower(all, instance)
    if (adapters) all[instance] = Math.min(all[instance]!, adapters.nextAt())
    if (tiers) all[instance] = Math.min(all[instance]!, tiers.nextLoadAt)
  }

  /**
   * Writes the first moment at which it may hold a request less (`running + waiting`). It can be later than `nextAt`:
   * as long as batches run in which nobody finishes, others that arrive change nothing about that.
   */
  tellHoldsUntil(all: Float64Array): void {
    if (!this.#isPlain || this.#refusals > 0 || this.engine.inFlight === 0) this.tellNextAt(all)
    else this.engine.tellFirstLeave(all, this.instance)
  }

  /** When the next request reaches the engine: out of the front end, or as its adapter, or KV from a tier, is loaded. */
  get entersAt(): Ns {
    let at = this.#entering.nextAt()
    if (this.adapters) at = Math.min(at, this.adapters.nextAt())
    if (this.tiers) at = Math.min(at, this.tiers.nextLoadAt)
    return at
  }

  /** Whether a request takes time from its arrival to the engine. */
  get hasFrontEnd(): boolean {
    return this.frontEnd.delayNs > 0 || this.frontEnd.perTokenNs > 0
  }

  /** A request arrives at the front end. */
  arrive(slot: number, now: Ns, onRejected: OnRejected): void {
    const {delayNs, perTokenNs} = this.frontEnd
    if (!this.hasFrontEnd) {
      this.#admit(slot, now, onRejected)
      return
    }
    const tokenized =
      Math.max(now, this.#tokenizerFreeAt) + Math.round(perTokenNs * this.#requests.input[slot]!)
    this.#tokenizerFreeAt = tokenized
    this.#entering.push(slot, tokenized + delayNs)
    if (this.engine.refusal(this.#requests.total[slot]!) !== undefined) this.#refusals++
  }

  /** Requests that leave the front end by `now` reach the engine. */
  enter(now: Ns, onRejected: OnRejected): void {
    if (this.adapters)
      for (const slot of this.adapters.takeLoaded(now)) this.#enqueue(slot, now, onRejected)
    while (this.#entering.nextAt() <= now) this.#admit(this.#entering.take(), now, onRejected)
  }

  /** The engine is told of a request once its adapter is there. */
  #admit(slot: number, now: Ns, onRejected: OnRejected): void {
    const {adapters} = this
    const adapter = adapters ? this.#adapterOf(this.#requests.row[slot]!) : -1
    if (adapter >= 0 && !adapters!.admit(slot, adapter, now)) return
    this.#enqueue(slot, now, onRejected)
  }

  #enqueue(slot: number, now: Ns, onRejected: OnRejected): void {
    const refusal = this.engine.enqueue(slot)
    if (refusal !== undefined) {
      this.adapters?.leave(slot, now)
      if (this.#refusals > 0) this.#refusals--
      onRejected(slot, now, refusal.message)
      return
    }
    this.wake(now)
  }

  /** From now on batches are taken from its engine, and it is told when they ran. */
  pollBy(onNews: (now: Ns) => void): void {
    this.#onNews = onNews
  }

  /** Its ranks ran a batch, or a pass without work, from `start` to `end`. */
  ran(batch: Batch | undefined, start: Ns, end: Ns): void {
    this.busy.mark(start, true)
    this.busy.mark(end, false)
    if (batch) this.#timed(batch, start, end)
  }

  #timed(batch: Batch, start: Ns, end: Ns): void {
    batch.start = start
    batch.end = end
    this.engine.spend(batch)
    if (this.#onStep) this.#show(batch, this.#onStep)
  }

  /** Something changed that an engine without a batch would not notice. */
  wake(now: Ns): void {
    const {engine} = this
    if (this.#onNews) this.#onNews(now)
    else if (engine.inFlight === 0) this.#planAt = Math.min(this.#planAt, this.#noticeAt(now))
    else if (this.#polled && engine.inFlight < engine.config.depth) {
      const seen = Math.min(this.#around.nextNodeEnd(now), this.#polled.nextNodeEnd(now))
      this.#planAt = Math.min(this.#planAt, Math.max(this.#polled.plansAt, seen))
    }
  }

  /** A slot left that nobody will ask about. */
  forget(slot: number): void {
    this.engine.forget(slot)
  }

  cachedTokens(row: number, inputTokens: number): number {
    return this.engine.cachedTokens(row, inputTokens)
  }

  tieredTokens(row: number, input: number): number {
    return this.tiers?.tokensOf(row, input, this.cachedTokens(row, input)) ?? 0
  }

  /** When this idle engine sees what arrives now: as something ends elsewhere, else as its clock says. */
  #noticeAt(now: Ns): Ns {
    const nodeEnd = this.#around.nextNodeEnd(now)
    if (nodeEnd !== never) return nodeEnd
    const last = this.#around.lastEventAt()
    if (Number.isNaN(last)) this.#idleSince = this.#clock.firstIdle(now)
    return this.#clock.noticeAt(Number.isNaN(last) ? this.#idleSince : last, now)
  }

  /** End of the last batch (before the first: since when its clock says that it idles); NaN at the start. */
  get idleSince(): Ns {
    return this.#idleSince
  }

  /** The first moment from `at` on at which something ends in the step that executes; +Infinity: none shows. */
  nextNodeEnd(at: Ns): Ns {
    if (this.#polled) return this.#polled.nextNodeEnd(at)
    if (this.#end() === never || this.#nodeEnds === undefined) return never
    const {shape, start} = this.engine.oldest
    return start + this.#nodeEnds(shape, at - start)
  }

  /** Takes a request out wherever it is. Returns how many tokens it got. */
  cancel(slot: number, now: Ns): number {
    if (this.#entering.remove(slot) || this.adapters?.forget(slot)) return 0
    this.adapters?.leave(slot, now)
    return this.engine.cancel(slot, now)
  }

  /** Ends the batch that is due at `now`, if one is. Returns whether; `engine.finished` holds who is done. */
  complete(now: Ns): boolean {
    const hasEnded = this.#end() <= now
    this.#hasCompleted = hasEnded || this.#dummyEnds[0]! <= now
    if (this.#dummyEnds[0]! <= now) this.#dummyEnds.shift()
    if (hasEnded) {
      this.engine.complete(now)
      this.#idleSince = now
      if (this.adapters) for (const slot of this.engine.finished) this.adapters.leave(slot, now)
    }
    return hasEnded
  }

  /** Of a replica that nobody observes: everything up to and including `until`, as long as it has batches. */
  runAlone(until: Ns, sinks: ReplicaSinks): void {
    const {engine} = this
    if (!this.#isPlain || this.#onNews || this.#onStep || engine.inFlight === 0) return
    this.#sinks = sinks
    const ended = engine.run(until, this.#stages, this)
    if (!Number.isNaN(ended)) this.#idleSince = ended
    if (engine.inFlight === 0) this.busy.mark(this.#idleSince, false)
    else this.enterBy(until)
  }

  get nextEnters(): Float64Array {
    return this.#entering.next
  }

  /** Who leaves the front end while a batch runs only joins the queue, which is no event of its own. */
  enterBy(now: Ns): void {
    const entering = this.#entering
    while (entering.nextAt() <= now) {
      const at = entering.nextAt()
      this.#enqueue(entering.take(), at, this.#sinks!.rejected)
    }
  }

  left(now: Ns): void {
    this.#sinks!.left(this, now)
  }

  /** Starts the batch that waits and plans, if a batch just ended or an idle engine noticed work. */
  plan(now: Ns): void {
    if (this.#onNews) return
    if (this.tiers) this.#takeLoaded(this.tiers, now)
    if (!this.#hasCompleted && (this.#planAt > now || this.#dummyEnds.length > 0)) return
    this.#hasCompleted = false
    this.#planAt = never
    const {engine} = this
    if (this.#polled && this.#polled.plansAt > now) {
      if (engine.inFlight < engine.config.depth) this.#planAt = this.#polled.plansAt
      return
    }
    const places = engine.config.depth - this.#dummyEnds.length
    while (engine.inFlight < places && engine.plan(now) !== undefined) {
      if (this.#passes === 'together') continue
      engine.time(now, this.#stages)
      if (this.#onStep) this.#show(engine.newest, this.#onStep)
      if (this.#polled) {
        if (engine.inFlight < engine.config.depth) this.#planAt = this.#polled.plansAt
        break
      }
    }
    this.tiers?.settled(now)
    // A batch that waits for the pass of its group does not run yet.
    if (this.#passes === 'alone') this.busy.mark(now, engine.inFlight > 0)
  }

  /** Requests whose KV came up from a tier wait for a seat from now on. */
  #takeLoaded(tiers: EngineTiers, now: Ns): void {
    const loaded = tiers.takeLoaded(now)
    for (const slot of loaded) this.engine.exchange.loaded(slot)
    if (loaded.length > 0) this.wake(now)
  }

  /** The batch that waits for the next pass of its group. */
  get pending(): Batch | undefined {
    return this.engine.untimed
  }

  /** A pass of its group runs from `start` to `end`: with its batch, or, if it has none, in one of its places. */
  join(start: Ns, end: Ns): void {
    const batch = this.pending
    this.ran(batch, start, end)
    if (batch === undefined) this.#dummyEnds.push(end)
  }

  #show(batch: Batch, onStep: (step: StepRecord) => void): void {
    const {start, end, shape, running, waiting, freeBlocks, preempted} = batch
    const {instance} = this
    onStep({instance, start, end, shape, running, waiting, freeBlocks, preempted})
  }

  /** Runs decode steps that nobody else can observe, up to and including `until`. */
  skip(until: Ns): void {
    if (this.#onStep !== undefined || this.engine.inFlight === 0) return
    if (this.engine.oldest.end > until) return
    if (this.#passes === 'together' || this.#polled || this.#onNews) return
    this.engine.runDecodes(Math.min(until, this.entersAt - 1), this.#stages)
  }
}
