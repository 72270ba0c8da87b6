/**
 * Instances that come and go with the load. At the end of every window the signal is looked at and compared with its
 * target, as Kubernetes' horizontal autoscaler does: desired = ⌈ready × value ÷ target⌉, within 10 % nothing changes, and
 * fewer only once nothing in the stabilisation time asked for more. A new instance is ready a provisioning and a cold
 * start later; one that is let go serves what it has. Routers see the ready ones alone.
 */
import type {Ns} from '../latency/step-time.js'
import {BusySpans, type Spans} from '../stats/busy-spans.js'
import type {Replica} from './replica.js'
import type {Router} from './router.js'

export const signals = ['queue', 'utilisation', 'kv'] as const
export type Signal = (typeof signals)[number]

export interface AutoscaleConfig {
  /** Per ready instance: waiting requests, share of the window with a step running, share of KV blocks held. */
  readonly signal: Signal
  readonly target: number
  readonly windowNs: Ns
  readonly provisionNs: Ns
  readonly coldStartNs: Ns
  /** Before instances are let go nothing may have asked for them for so long. */
  readonly stabilisationNs: Ns
  /** Ready from the start, and never fewer; at most all replicas. */
  readonly minInstances: number
}

/** Instances from a moment on. */
export interface FleetChange {
  readonly at: Ns
  readonly ready: number
  readonly starting: number
  readonly draining: number
}

export interface FleetReport {
  readonly changes: readonly FleetChange[]
  /** When each instance was there, from the end of its provisioning until it had nothing left to do. */
  readonly on: readonly Spans[]
  readonly scaleOuts: number
  readonly scaleIns: number
}

interface Member {
  readonly replica: Replica
  phase: 'off' | 'starting' | 'ready' | 'draining'
  /** When its phase began; of a starting one: when it will be ready. */
  at: Ns
  readonly on: BusySpans
}

const tolerance = 0.1
const never = Number.POSITIVE_INFINITY

export class Autoscaler {
  readonly #config: AutoscaleConfig
  readonly #members: readonly Member[]
  readonly #changes: FleetChange[] = []
  /** What the windows of the stabilisation time asked for, oldest first. */
  readonly #asked: {at: Ns; instances: number}[] = []
  #ready: readonly number[] = []
  #nextTick: Ns = never
  #outs = 0
  #ins = 0

  constructor(config: AutoscaleConfig, replicas: readonly Replica[]) {
    this.#config = config
    this.#members = replicas.map((replica) => ({replica, phase: 'off', at: 0, on: new BusySpans()}))
  }

  /** The first instances are ready; windows count from here. */
  begin(now: Ns): void {
    for (const member of this.#members.slice(0, this.#config.minInstances)) {
      member.on.mark(now, true)
      member.phase = 'ready'
      member.at = now
    }
    this.#nextTick = now + this.#config.windowNs
    this.#note(now)
  }

  /** When a window or a start ends next. */
  nextAt(): Ns {
    let next = this.#nextTick
    for (const {phase, at} of this.#members) if (phase === 'starting' && at < next) next = at
    return next
  }

  /** Starts that end at `now`, then the window that does. Whatever happened before `now` must have happened. */
  tick(now: Ns): void {
    for (const member of this.#members)
      if (member.phase === 'starting' && member.at <= now) member.phase = 'ready'
    if (this.#nextTick <= now) {
      this.#nextTick = now + this.#config.windowNs
      this.#stopDrained(now)
      this.#scale(now)
    }
    this.#note(now)
  }

  /** A router that sees ready instances only. */
  routing(router: Router): Router {
    return {
      name: router.name,
      pick: (request, engines) => {
        const ready = this.#ready
        return ready[
          router.pick(
            request,
            ready.map((index) => engines[index]!),
          )
        ]!
      },
    }
  }

  /** The fleet until `end`. */
  report(end: Ns): FleetReport {
    this.#stopDrained(end)
    for (const {on, phase, at} of this.#members) {
      // One that is not even provisioned was never there.
      if (phase === 'starting' && at - this.#config.coldStartNs >= end) continue
      if (!Number.isNaN(on.openSince)) on.mark(Math.max(end, on.openSince), false)
    }
    return {
      changes: this.#changes,
      on: this.#members.map(({on}) => on),
      scaleOuts: this.#outs,
      scaleIns: this.#ins,
    }
  }

  #in(phase: Member['phase']): Member[] {
    return this.#members.filter((member) => member.phase === phase)
  }

  #scale(now: Ns): void {
    const {minInstances, stabilisationNs} = this.#config
    const asked = Math.min(this.#members.length, Math.max(minInstances, this.#desired(now)))
    this.#asked.push({at: now, instances: asked})
    while (this.#asked[0]!.at < now - stabilisationNs) this.#asked.shift()
    const current = this.#in('ready').length + this.#in('starting').length
    if (asked > current) this.#grow(asked - current, now)
    const most = this.#asked.reduce((high, {instances}) => Math.max(high, instances), 0)
    if (most < current) this.#shrink(current - most, now)
  }

  #desired(now: Ns): number {
    const ready = this.#in('ready')
    const value = ready.reduce((sum, member) => sum + this.#value(member, now), 0) / ready.length
    const ratio = value / this.#config.target
    if (Math.abs(ratio - 1) <= tolerance) return ready.length
    return Math.ceil(ready.length * ratio)
  }

  #value({replica, at}: Member, now: Ns): number {
    const {signal, windowNs} = this.#config
    if (signal === 'queue') return replica.waiting
    if (signal === 'kv') return 1 - replica.freeBlocks / replica.totalBlocks
    const from = Math.max(at, now - windowNs)
    return from < now ? replica.busy.between(from, now) / (now - from) : 0
  }

  #grow(count: number, now: Ns): void {
    const {provisionNs, coldStartNs} = this.#config
    let missing = count
    // Those that are still there need no start.
    for (const member of this.#in('draining').slice(0, missing)) {
      member.phase = 'ready'
      member.at = now
      missing--
    }
    for (const member of this.#in('off').slice(0, missing)) {
      member.phase = 'starting'
      member.at = now + provisionNs + coldStartNs
      member.on.mark(now + provisionNs, true)
    }
    this.#outs++
  }

  #shrink(count: number, now: Ns): void {
    const starting = this.#in('starting').reverse().slice(0, count)
    for (const member of starting) this.#stop(member, now)
    const ready = this.#in('ready')
      .reverse()
      .slice(0, count - starting.length)
    for (const member of ready) {
      member.phase = 'draining'
      member.at = now
    }
    this.#stopDrained(now)
    this.#ins++
  }

  /** Draining instances with nothing left to do are gone since they had. */
  #stopDrained(now: Ns): void {
    for (const member of this.#in('draining')) {
      const {replica, at} = member
      if (replica.nextAt !== never) continue
      const {length, ends} = replica.busy
      this.#stop(member, Math.min(now, Math.max(at, length > 0 ? ends[length - 1]! : at)))
    }
  }

  #stop(member: Member, at: Ns): void {
    member.on.mark(Math.max(at, member.on.openSince), false)
    member.phase = 'off'
    member.at = at
  }

  #note(now: Ns): void {
    this.#ready = this.#members.flatMap(({phase}, index) => (phase === 'ready' ? [index] : []))
    const change: FleetChange = {
      at: now,
      ready: this.#ready.length,
      starting: this.#in('starting').length,
      draining: this.#in('draining').length,
    }
    const last = this.#changes.at(-1)
    const isNew =
      last?.ready !== change.ready ||
      last.starting !== change.starting ||
      last.draining !== change.draining
    if (isNew) this.#changes.push(change)
  }
}
