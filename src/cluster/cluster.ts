/**
 * The event loop: every start and end in the order of docs/scheduler.md. The driver says until when, engines
 * say what, step times how long.
 */
import {Engine} from '../engine/engine.js'
import {noPrefixes, type PrefixIdentity} from '../engine/prefix-identity.js'
import {RequestPool} from '../engine/request-pool.js'
import type {Ns} from '../latency/step-time.js'
import {TierGroups} from '../tiers/tier-groups.js'
import {Autoscaler} from './autoscaler.js'
import type {RankGroup} from './dp-group.js'
import {noFrontEnd} from './front-end.js'
import {type HandOffs, handOffsOf, type Legs, networkOf} from './hand-offs.js'
import {realClock, surroundingsOf} from './idle-clock.js'
import type {KvLinks} from './kv-links.js'
import {timesBeside} from './loading-times.js'
import type {Network} from './network.js'
import {rankGroups} from './rank-groups.js'
import {Replica, type ReplicaSinks} from './replica.js'
import type {RequestView, Router} from './router.js'
import type {ReplicaConfig, RequestSink, SimulationConfig} from './simulation-config.js'
import {Views} from './views.js'

export type {ReplicaConfig, RequestSink, SimulationConfig} from './simulation-config.js'

/** Builds the one engine model that simulate, listen and studies share. */
export function buildSimulation(config: SimulationConfig, sink: RequestSink): Cluster {
  return new Cluster(config, sink)
}

const never = Number.POSITIVE_INFINITY

export class Cluster {
  readonly requests = new RequestPool()
  readonly replicas: readonly Replica[]
  readonly autoscaler: Autoscaler | undefined
  /**
   * Whether requests may be submitted one after the other without `advanceTo` between them: no engine sees who is in
   * its front end, and what a router looks at is made to happen before it does.
   */
  readonly catchesUp: boolean
  /** Whether an arrival may be submitted after what it comes before: with nothing to choose, it waits in the front end. */
  readonly takesAhead: boolean
  /** When the next thing happens in each replica: a scan of these is all that most replicas cost an arrival. */
  readonly #nextAt: Float64Array
  /** Before when no request leaves each replica, as far as is known; kept where it `catchesUp`. */
  readonly #holdsUntil: Float64Array
  /** Prompts that ended in the present instant and go on elsewhere. */
  readonly #prefilled: number[] = []
  readonly #config: SimulationConfig
  readonly #router: Router
  readonly #sink: RequestSink
  readonly #views: Views
  /** Replicas that may get a request first, and those that decode what others prefilled. */
  readonly #entrances: readonly number[]
  readonly #decoders: readonly number[]
  readonly #network: Network | undefined
  readonly #handOffs: HandOffs | undefined
  readonly #groups: readonly RankGroup[]
  readonly #isTied: boolean
  /** What carries KV between engines and below them at once; absent: each of both for itself. */
  readonly #kvLinks: KvLinks | undefined
  readonly #tiers: TierGroups
  readonly #identities = new Map<number, PrefixIdentity>()
  /** Replicas of which something ends at the present instant; kept from one instant to the next. */
  readonly #isDue: Uint8Array
  readonly #readsTiers: boolean
  #isInterrupted = false

  constructor(config: SimulationConfig, sink: RequestSink) {
    this.#config = config
    this.#sink = sink
    this.#kvLinks = config.kvLinks?.()
    this.#tiers = new TierGroups(this.#kvLinks, config.onTierTransfer)
    this.replicas = config.replicas.map((replica, instance) => this.#build(replica, instance))
    this.#nextAt = new Float64Array(this.replicas.length).fill(never)
    this.#holdsUntil = new Float64Array(this.replicas.length).fill(never)
    this.#isDue = new Uint8Array(this.replicas.length)
    const all = config.replicas.map((_, instance) => instance)
    this.#entrances = all.filter((instance) => config.replicas[instance]!.role !== 'decode')
    this.#decoders = all.filter((instance) => config.replicas[instance]!.role === 'decode')
    if (this.#decoders.length > 0) {
      if (this.#kvLinks) this.#kvLinks.before = (now) => this.#tiers.advance(now)
      this.#network = networkOf(config, this.#kvLinks)
      this.#handOffs = handOffsOf(config, this, this.#network)
    }
    this.#groups = rankGroups(config, this.replicas)
    const isCoupled = config.coupling === 'lockstep' || this.#groups.length > 0
    this.#isTied = isCoupled || this.#handOffs !== undefined || this.#tiers.isShared
    // Replicas that advance together are seen in the middle of an instant; a lone one is not chosen.
    const news = this.#isTied || this.replicas.length === 1 ? 'untold' : 'told'
    this.#views = new Views(this.replicas, config.viewAgeNs ?? 0, news)
    this.autoscaler = config.autoscale && new Autoscaler(config.autoscale, this.replicas)
    const isSteered = config.gate !== undefined || this.autoscaler !== undefined
    const isPresent = (config.viewAgeNs ?? 0) === 0 && this.replicas.every((one) => one.hasFrontEnd)
    this.catchesUp = !this.#isTied && !isSteered && isPresent
    this.takesAhead = this.catchesUp && this.replicas.length === 1
    this.#router = this.autoscaler?.routing(config.router) ?? config.router
    this.#readsTiers = [config.router, config.decodeRouter].some((router) => router?.readsTiers)
  }

  #build(replica: ReplicaConfig, instance: number): Replica {
    const {listener, clock = realClock, onStep} = this.#config
    const {blockSize} = replica.engine
    const identity = this.#identityAt(blockSize)
    const {requests} = this
    const tiers = this.#tiers.of(replica.tiers, {instance, requests, identity, blockSize})
    const seams = {
      identity,
      listener: listener?.(instance, this.requests) ?? {},
      below: tiers,
    }
    return new Replica({
      instance,
      engine: new Engine(replica.engine, this.requests, seams),
      requests: this.requests,
      ...timesBeside(
        replica,
        () => tiers?.isLoading || this.#handOffs?.isPulling(instance) === true,
      ),
      passes: replica.group === undefined ? 'alone' : 'together',
      nodeEnds: replica.nodeEnds,
      around: surroundingsOf(instance, () => this.replicas),
      frontEnd: replica.frontEnd ?? noFrontEnd,
      clock,
      onStep,
      adapters: replica.adapters,
      tiers,
      adapterOf: this.#config.adapterOf,
    })
  }

  /** Made once for each block size: it walks the whole trace. */
  #identityAt(blockSize: number): PrefixIdentity {
    const made = this.#identities.get(blockSize)
    if (made) return made
    const identity = this.#config.prefixes?.(blockSize) ?? noPrefixes
    this.#identities.set(blockSize, identity)
    return identity
  }

  /** What the router looks at is brought to the moment before `now`. */
  #catchUp(request: RequestView, now: Ns): void {
    const reads = this.#router.reads?.(request) ?? 'everything'
    if (reads === 'nothing') return
    const due = reads === 'counts' ? this.#holdsUntil : this.#nextAt
    for (let instance = 0; instance < due.length; instance++)
      if (due[instance]! < now) this.#advance(this.replicas[instance]!, now - 1)
  }

  /** A request whose slot is filled arrives. Events before `now` must have happened, unless the cluster `catchesUp`. */
  submit(slot: number, now: Ns): void {
    // It has not done yet what its tiers follow, and nobody has to choose it.
    if (this.takesAhead) {
      this.replicas[0]!.arrive(slot, now, this.#reject)
      this.replicas[0]!.tellNextAt(this.#nextAt)
      return
    }
    this.#views.refresh(now)
    if (!this.#admits(slot, now)) return
    const {row, input, priority} = this.requests
    const request = {row: row[slot]!, inputTokens: input[slot]!, priority: priority[slot]!}
    if (this.catchesUp) this.#catchUp(request, now)
    if (this.#readsTiers) this.#tiers.advance(now - 1)
    const decode = this.#pick(this.#config.decodeRouter, request, this.#decoders)
    const {handOff} = this.#config
    const stays =
      decode !== undefined &&
      handOff !== undefined &&
      handOff.stayBelow > 0 &&
      request.inputTokens - this.replicas[decode]!.cachedTokens(request.row, request.inputTokens) <=
        handOff.stayBelow
    const entrance = stays ? decode : this.#pick(this.#router, request, this.#entrances)!
    this.requests.instance[slot] = decode ?? entrance
    if (decode === undefined || stays) this.replicas[entrance]!.arrive(slot, now, this.#reject)
    else this.#begin(slot, {prefill: entrance, decode}, now)
    this.#look(entrance)
  }

  /** Nobody runs a prompt that cannot be decoded. */
  #begin(slot: number, legs: Legs, now: Ns): void {
    const refusal = this.replicas[legs.decode]!.engine.refusal(this.requests.total[slot]!)
    if (refusal !== undefined) this.#reject(slot, now, refusal.message)
    else this.#handOffs!.begin(slot, legs, now, this.#reject)
  }

  /** Whether the gate lets a request in; whoever must go for it is told. */
  #admits(slot: number, now: Ns): boolean {
    const {gate} = this.#config
    if (gate === undefined) return true
    const {priority, input, total} = this.requests
    const request = {
      priority: priority[slot]!,
      tokens: total[slot]!,
      inputTokens: input[slot]!,
    }
    const verdict = gate.check(request, this.replicas, now)
    if (verdict === undefined) return true
    this.requests.instance[slot] = 0
    this.#sink.rejected(slot, now, verdict)
    this.requests.give(slot)
    return false
  }

  /** The replica that a router picks among some of all. */
  #pick(
    router: Router | undefined,
    request: RequestView,
    among: readonly number[],
  ): number | undefined {
    if (among.length <= 1 || router === undefined) return among[0]
    return among[router.pick(request, this.#views.of(among), this.#views.loadsOf(among))]
  }

  /** What tiers did before `now` is worked off, for those who look at them between events. */
  settleTiers(now: Ns): void {
    this.#tiers.advance(Math.min(now, this.nextEventAt()) - 1)
  }

  #lookAtAll(): void {
    for (const {instance} of this.replicas) this.#look(instance)
  }

  #look(instance: number): void {
    this.replicas[instance]!.tellNextAt(this.#nextAt)
    this.#views.changed(instance)
    if (this.catchesUp) this.replicas[instance]!.tellHoldsUntil(this.#holdsUntil)
  }

  readonly #touched = (instance: number): void => this.#look(instance)

  /** The client of a request is gone at `now`. */
  cancel(slot: number, now: Ns): void {
    const instance = this.requests.instance[slot]!
    const isPrefilling = this.#handOffs?.isPrefilling(slot) ?? false
    const prefill = this.#handOffs?.drop(slot, now)
    const produced = isPrefilling ? 0 : this.replicas[instance]!.cancel(slot, now)
    // Others may wait for its blocks although no batch runs.
    if (this.#handOffs || this.replicas[instance]!.tiers) this.replicas[instance]!.wake(now)
    this.#look(instance)
    if (prefill !== undefined) this.#look(prefill)
    // What it no longer moves lets KV of others come sooner.
    if (this.#tiers.isShared) this.#lookAtAll()
    this.#sink.cancelled(slot, now, produced)
    this.requests.give(slot)
  }

  /** Time of the next event; +Infinity when all are idle. */
  nextEventAt(): Ns {
    let next = this.#network?.nextEventAt() ?? never
    for (let instance = 0; instance < this.#nextAt.length; instance++) {
      if (this.#nextAt[instance]! < next) next = this.#nextAt[instance]!
    }
    for (const group of this.#groups) next = Math.min(next, group.nextAt)
    return next
  }

  /** Every event up to and including `until`. Returns false when `interrupt` was called, then up to that event. */
  advanceTo(until: Ns): boolean {
    this.#isInterrupted = false
    const edge = this.#isTied ? undefined : this.#views.due(until + 1)
    if (edge !== undefined) {
      this.#run(edge - 1)
      this.#views.refresh(edge)
    }
    return this.#run(until)
  }

  #run(until: Ns): boolean {
    if (this.#isTied) return this.#advanceTogether(until)
    for (let instance = 0; instance < this.#nextAt.length; instance++) {
      if (this.#nextAt[instance]! <= until) this.#advance(this.replicas[instance]!, until)
    }
    return true
  }

  /** One replica alone, as far as nobody else can see it. */
  #advance(replica: Replica, until: Ns): void {
    const {instance} = replica
    for (;;) {
      replica.runAlone(until, this.#sinks)
      replica.skip(until)
      this.#look(instance)
      const now = this.#nextAt[instance]!
      if (now === never || now > until) return
      this.#complete(replica, now)
      replica.plan(now)
    }
  }

  /** Makes `advanceTo` return once the events of the present instant have happened. For sinks. */
  interrupt(): void {
    this.#isInterrupted = true
  }

  #advanceTogether(until: Ns): boolean {
    const nextAt = this.#nextAt
    while (!this.#isInterrupted) {
      const networkAt = this.#network?.nextEventAt() ?? never
      let groupsAt = never
      for (const group of this.#groups) groupsAt = Math.min(groupsAt, group.nextAt)
      // The replica whose turn it is first, and when it is somebody else's.
      let first = never
      let alone = -1
      let others = networkAt
      for (let instance = 0; instance < nextAt.length; instance++) {
        const at = nextAt[instance]!
        if (at < first) {
          if (first < others) others = first
          first = at
          alone = instance
        } else if (at < others) others = at
      }
      const now = Math.min(first, networkAt, groupsAt)
      if (now === never || now > until) return true
      if (first === now && others > now) {
        if (this.#skipAlone(alone, Math.min(until, others - 1))) continue
      } else if (groupsAt < Math.min(first, networkAt)) {
        // A group waits for its first stage, or for something to end in one of its ranks.
        const last = Math.min(until, first - 1, networkAt - 1)
        if (this.#groups.some((group) => group.skip?.(last))) continue
      }
      this.#happen(now)
    }
    return false
  }

  /** All events of an instant, in the order of docs/scheduler.md. */
  #happen(now: Ns): void {
    this.#views.refresh(now)
    for (const group of this.#groups) if (group.advance?.(now)) this.#lookAtAll()
    const isDue = this.#isDue
    for (let instance = 0; instance < isDue.length; instance++)
      isDue[instance] = this.#nextAt[instance] === now ? 1 : 0
    this.#prefilled.length = 0
    for (let instance = 0; instance < isDue.length; instance++)
      if (isDue[instance] === 1) this.#complete(this.replicas[instance]!, now)
    this.#sink.settle?.(now)
    for (const slot of this.#prefilled) this.#handOver(slot, now)
    this.#handOffs?.deliver(now, this.#touched)
    if (this.#kvLinks) this.#tiers.advance(now)
    // Completions may have released requests into replicas that were not due.
    for (let instance = 0; instance < isDue.length; instance++) {
      if (this.#nextAt[instance]! > now && isDue[instance] === 0) continue
      this.replicas[instance]!.plan(now)
      this.#handOffs?.pull(instance)
      this.#look(instance)
    }
    for (const group of this.#groups) if (group.start(now)) this.#lookAtAll()
    // What one of them loads changes when the loads of others end.
    if (this.#tiers.isShared) this.#lookAtAll()
  }

  #handOver(slot: number, now: Ns): void {
    this.#look(this.#handOffs!.prefilled(slot, now, this.#reject))
  }

  /** Lets a replica run decode steps until the next event of another. Returns whether it did. */
  #skipAlone(instance: number, until: Ns): boolean {
    const replica = this.replicas[instance]!
    const now = this.#nextAt[instance]!
    // What it writes changes how fast KV of others moves.
    if (this.#kvLinks && this.#tiers.isShared && this.#handOffs?.isMoving) return false
    replica.skip(Math.min(until, this.#views.nextEdge - 1))
    // Skipping stops where somebody is admitted, so what was pulled then sets out then.
    this.#handOffs?.pull(instance)
    if (this.#tiers.isShared) this.#lookAtAll()
    else this.#look(instance)
    return this.#nextAt[instance]! > now
  }

  #complete(replica: Replica, now: Ns): void {
    replica.enter(now, this.#reject)
    if (replica.complete(now)) this.#leave(replica, now)
  }

  /** Requests that finished with the batch that ended at `now`. */
  readonly #leave = (replica: Replica, now: Ns): void => {
    for (const slot of replica.engine.finished) {
      const client = this.#handOffs === undefined ? slot : this.#handOffs.leaving(slot, now)
      if (client === undefined) {
        this.#prefilled.push(slot)
        continue
      }
      this.#sink.finished(client, now)
      this.requests.give(client)
    }
  }

  readonly #reject = (slot: number, now: Ns, reason: string): void => {
    const isPrompt = this.#handOffs?.isPrompt(slot) ?? false
    const client = isPrompt ? this.#handOffs!.refused(slot) : slot
    const prefill = isPrompt ? undefined : this.#handOffs?.drop(slot, now)
    if (prefill !== undefined) this.#look(prefill)
    this.#sink.rejected(client, now, reason)
    this.requests.give(client)
  }

  readonly #sinks: ReplicaSinks = {rejected: this.#reject, left: this.#leave}
}
