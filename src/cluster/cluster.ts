/**
 * The event loop: every start and end in the order of docs/scheduler.md. The driver says until when, engines
 * say what, step times how long.
 */
import {Engine} from '../engine/engine.js'
import type {EngineConfig, EngineListener} from '../engine/engine-config.js'
import {noPrefixes, type PrefixIdentity} from '../engine/prefix-identity.js'
import {RequestPool} from '../engine/request-pool.js'
import type {NodeEnds, Ns, PipelineTime, StepTime} from '../latency/step-time.js'
import type {AdapterConfig} from './adapter-slots.js'
import {type AutoscaleConfig, Autoscaler} from './autoscaler.js'
import {
  type ClockHooks,
  type FrontEnd,
  noFrontEnd,
  Replica,
  realClock,
  type StepRecord,
  type Surroundings,
} from './replica.js'
import type {Router} from './router.js'

/** Told of every request that leaves; its slot may be read during the call and is recycled after it. */
export interface RequestSink {
  finished(slot: number, now: Ns): void
  rejected(slot: number, now: Ns, reason: string): void
  /** After `produced` tokens. */
  cancelled(slot: number, now: Ns, produced: number): void
  /** Completions of the instant `now` are done, planning comes next: submit what they released for `now`. */
  settle?(now: Ns): void
}

export interface ReplicaConfig {
  readonly engine: EngineConfig
  readonly stepTime: StepTime
  /** In place of `stepTime`, where there are several stages. */
  readonly pipeline?: PipelineTime | undefined
  /** Where others may look for work whenever something ends inside a step. */
  readonly nodeEnds?: NodeEnds
  readonly frontEnd?: FrontEnd
  /** LoRA adapters of the engine; absent: it has none. */
  readonly adapters?: AdapterConfig | undefined
}

export interface SimulationConfig {
  readonly replicas: readonly ReplicaConfig[]
  readonly router: Router
  /** Absent: all replicas are ready from the start. */
  readonly autoscale?: AutoscaleConfig | undefined
  readonly clock?: ClockHooks
  /** Identity of prefixes at the block size of a replica. */
  readonly prefixes?: (blockSize: number) => PrefixIdentity
  /** Adapter of a row; below 0: none. */
  readonly adapterOf?: ((row: number) => number) | undefined
  /** Listener of the engine of an instance. */
  readonly listener?: (instance: number, requests: RequestPool) => EngineListener
  /** Told of every step; steps are then run one by one. */
  readonly onStep?: (step: StepRecord) => void
  /** Whether requests that finish may release others (sessions, closed loops): then engines run in lockstep. */
  readonly coupling: 'independent' | 'lockstep'
}

/** Builds the one engine model that simulate, listen and studies share. */
export function buildSimulation(config: SimulationConfig, sink: RequestSink): Cluster {
  return new Cluster(config, sink)
}

const never = Number.POSITIVE_INFINITY

export class Cluster {
  readonly requests = new RequestPool()
  readonly replicas: readonly Replica[]
  readonly autoscaler: Autoscaler | undefined
  /** Replica that holds a slot. */
  readonly instanceOf: number[] = []
  /** When the next thing happens in each replica: a scan of these is all that most replicas cost an arrival. */
  readonly #nextAt: Float64Array
  readonly #router: Router
  readonly #sink: RequestSink
  readonly #coupling: SimulationConfig['coupling']
  #isInterrupted = false

  constructor(config: SimulationConfig, sink: RequestSink) {
    this.#sink = sink
    this.#coupling = config.coupling
    const prefixes = config.prefixes ?? (() => noPrefixes)
    this.replicas = config.replicas.map((replica, instance) => {
      const seams = {
        identity: prefixes(replica.engine.blockSize),
        listener: config.listener?.(instance, this.requests) ?? {},
      }
      return new Replica({
        instance,
        engine: new Engine(replica.engine, this.requests, seams),
        requests: this.requests,
        stepTime: replica.stepTime,
        pipeline: replica.pipeline,
        nodeEnds: replica.nodeEnds,
        around: this.#around(instance),
        frontEnd: replica.frontEnd ?? noFrontEnd,
        clock: config.clock ?? realClock,
        onStep: config.onStep,
        adapters: replica.adapters,
        adapterOf: config.adapterOf,
      })
    })
    this.#nextAt = new Float64Array(this.replicas.length).fill(never)
    this.autoscaler = config.autoscale && new Autoscaler(config.autoscale, this.replicas)
    this.#router = this.autoscaler?.routing(config.router) ?? config.router
  }

  /** A request whose slot is filled arrives. Events before `now` must have happened (`advanceTo(now − 1)`). */
  submit(slot: number, now: Ns): void {
    const instance = this.replicas.length === 1 ? 0 : this.#route(slot)
    this.instanceOf[slot] = instance
    this.replicas[instance]!.arrive(slot, now, this.#reject)
    this.#look(instance)
  }

  #look(instance: number): void {
    this.#nextAt[instance] = this.replicas[instance]!.nextAt
  }

  #route(slot: number): number {
    const {row, input} = this.requests
    return this.#router.pick({row: row[slot]!, inputTokens: input[slot]!}, this.replicas)
  }

  /** The client of a request is gone at `now`. */
  cancel(slot: number, now: Ns): void {
    const instance = this.instanceOf[slot]!
    const produced = this.replicas[instance]!.cancel(slot, now)
    this.#look(instance)
    this.#sink.cancelled(slot, now, produced)
    this.requests.give(slot)
  }

  /** What an idle replica can see of the others. */
  #around(instance: number): Surroundings {
    return {
      lastEventAt: () =>
        this.replicas.reduce(
          (last, {idleSince}) => (Number.isNaN(idleSince) || idleSince < last ? last : idleSince),
          Number.NaN,
        ),
      nextNodeEnd: (at) =>
        this.replicas.reduce(
          (next, other) =>
            other.instance === instance ? next : Math.min(next, other.nextNodeEnd(at)),
          never,
        ),
    }
  }

  /** Time of the next event; +Infinity when all are idle. */
  nextEventAt(): Ns {
    let next = never
    for (const at of this.#nextAt) if (at < next) next = at
    return next
  }

  /** Every event up to and including `until`. Returns false when `interrupt` was called, then up to that event. */
  advanceTo(until: Ns): boolean {
    this.#isInterrupted = false
    if (this.#coupling === 'lockstep') return this.#advanceTogether(until)
    for (let instance = 0; instance < this.#nextAt.length; instance++) {
      if (this.#nextAt[instance]! <= until) this.#advance(this.replicas[instance]!, until)
    }
    return true
  }

  /** One replica alone, as far as nobody else can see it. */
  #advance(replica: Replica, until: Ns): void {
    for (;;) {
      replica.skip(until)
      const now = replica.nextAt
      if (now === never || now > until) break
      this.#complete(replica, now)
      replica.plan(now)
    }
    this.#look(replica.instance)
  }

  /** Makes `advanceTo` return once the events of the present instant have happened. For sinks. */
  interrupt(): void {
    this.#isInterrupted = true
  }

  #advanceTogether(until: Ns): boolean {
    while (!this.#isInterrupted) {
      const now = this.nextEventAt()
      if (now === never || now > until) return true
      if (this.#skipAlone(now, until)) continue
      const due = this.replicas.filter(({instance}) => this.#nextAt[instance] === now)
      for (const replica of due) this.#complete(replica, now)
      this.#sink.settle?.(now)
      // Completions may have released requests into replicas that were not due.
      for (const replica of this.replicas) {
        if (this.#nextAt[replica.instance]! > now && !due.includes(replica)) continue
        replica.plan(now)
        this.#look(replica.instance)
      }
    }
    return false
  }

  /** Lets the replica whose turn it is at `now` run decode steps until the next event of another. Returns whether. */
  #skipAlone(now: Ns, until: Ns): boolean {
    let alone = -1
    let others = never
    for (let instance = 0; instance < this.#nextAt.length; instance++) {
      const at = this.#nextAt[instance]!
      if (at !== now) others = Math.min(others, at)
      else if (alone < 0) alone = instance
      else return false
    }
    const replica = this.replicas[alone]!
    replica.skip(Math.min(until, others - 1))
    this.#look(alone)
    return replica.nextAt > now
  }

  #complete(replica: Replica, now: Ns): void {
    replica.enter(now, this.#reject)
    if (!replica.complete(now)) return
    for (const slot of replica.engine.finished) {
      this.#sink.finished(slot, now)
      this.requests.give(slot)
    }
  }

  readonly #reject = (slot: number, now: Ns, reason: string): void => {
    this.#sink.rejected(slot, now, reason)
    this.requests.give(slot)
  }
}
