/**
 * The cluster on a clock that does not wait: requests are submitted when they come, events happen at their own time,
 * however late a timer wakes us. Every input (arrival or cancel) gets a nanosecond of its own, after everything that
 * has happened, so that a replay of the recorded times comes to the same result.
 */
import {buildSimulation, type Cluster, type SimulationConfig} from '../cluster/cluster.js'
import type {Ns} from '../latency/step-time.js'
import {
  type Backend,
  type BackendStatus,
  type EngineStatus,
  idleStatus,
  type LiveObserver,
  type LiveRequest,
  type ServedTimes,
  type Ticket,
} from './backend.js'
import {LivePrefixes} from './live-prefixes.js'
import type {ModelClock} from './model-clock.js'
import {TokenStreams} from './token-streams.js'

interface Live {
  readonly observer: LiveObserver
  readonly arrivedAt: Ns
  cancelled: ServedTimes | undefined
}

/** What is simulated, whatever arrives: prefixes and tokens of live requests are known here. */
export type ModelledCluster = Omit<
  SimulationConfig,
  'coupling' | 'prefixes' | 'listener' | 'onStep'
>

/** `count` gaps of `ns` between tokens of one engine. */
export interface TokenGaps {
  readonly engine: number
  readonly ns: Ns
  readonly count: number
}

export interface LiveEngineParts {
  /** Made with what routers may ask about the requests. */
  readonly simulation: (live: LivePrefixes) => ModelledCluster
  readonly clock: ModelClock
  /** How long tokens are on their way from here to a client: events happen so much before their time. Default: 0. */
  readonly leadNs?: Ns | undefined
  /** Told of gaps between tokens, now and then. */
  readonly onGaps?: ((gaps: TokenGaps) => void) | undefined
}

export class LiveEngine implements Backend {
  readonly cluster: Cluster
  readonly #clock: ModelClock
  readonly #leadNs: Ns
  readonly #prefixes = new LivePrefixes()
  readonly #streams: TokenStreams[] = []
  readonly #live: (Live | undefined)[] = []
  /** The latest time at which something was put in or looked at: everything up to it has happened. */
  #past: Ns = -1
  /** What clients have later than the engine (`afterNs` of the front end), in order. */
  readonly #due: {readonly at: Ns; readonly run: () => void}[] = []
  /** Behind a front end arrivals have an order of their own. */
  #lastArrival: Ns = -1
  readonly #onGaps: LiveEngineParts['onGaps']
  /** Requests so far. */
  #arrivals = 0
  #inFlight = 0
  /** Of requests that ended; all other tokens are counted by the engines. */
  #firstTokens = 0

  constructor({simulation, clock, leadNs = 0, onGaps}: LiveEngineParts) {
    this.#clock = clock
    this.#leadNs = leadNs
    this.#onGaps = onGaps
    this.cluster = buildSimulation(
      {
        ...simulation(this.#prefixes),
        coupling: 'independent',
        prefixes: (blockSize) => this.#prefixes.identity(blockSize),
        listener: (instance) => {
          this.#streams[instance] = new TokenStreams()
          return this.#streams[instance].listener
        },
      },
      {
        finished: (slot, now) => this.#finish(slot, now),
        rejected: (slot, now, reason) => this.#reject(slot, now, reason),
        cancelled: (slot, now, produced) => {
          const times = this.#timesOf(slot, Number.NaN, produced)
          // A token that was still on its way did not come.
          const firstTokenAt = times.firstTokenAt > now ? Number.NaN : times.firstTokenAt
          this.#live[slot]!.cancelled = {...times, firstTokenAt}
        },
      },
    )
  }

  get inFlight(): number {
    return this.#inFlight
  }

  get waiting(): number {
    let waiting = 0
    for (const replica of this.cluster.replicas) waiting += replica.waiting
    return waiting
  }

  status(): BackendStatus {
    const status = {...idleStatus, outputTokens: this.#firstTokens}
    for (const one of this.engines()) {
      status.running += one.running
      status.waiting += one.waiting
      status.usedBlocks += one.usedBlocks
      status.totalBlocks += one.totalBlocks
      status.blockSize = one.blockSize
      status.lookedUpTokens += one.lookedUpTokens
      status.hitTokens += one.hitTokens
      status.preemptions += one.preemptions
    }
    for (const {engine} of this.cluster.replicas) {
      status.steps += engine.totals.steps
      status.outputTokens += engine.totals.decodeTokens
    }
    return status
  }

  engines(): EngineStatus[] {
    this.cluster.settleTiers(this.#clock.now())
    return this.cluster.replicas.map(
      ({engine, tiers, waiting, running, freeBlocks, totalBlocks}) => {
        const {lookedUpTokens, hitTokens, preemptions} = engine.totals
        const usedBlocks = totalBlocks - freeBlocks
        const {blockSize} = engine.config
        const counted = {lookedUpTokens, hitTokens, preemptions, tiers: tiers?.uses.totals}
        return {running, waiting, usedBlocks, totalBlocks, blockSize, ...counted}
      },
    )
  }

  now(): Ns {
    return this.#clock.now()
  }

  submit(request: LiveRequest, observer: LiveObserver, receivedAt: Ns): Ticket {
    const now = this.#arrive(receivedAt)
    const {requests} = this.cluster
    const slot = requests.take()
    // As in its recording: draws that belong to a row are the same in a replay.
    const row = this.#arrivals++
    requests.row[slot] = row
    requests.input[slot] = request.inputTokens
    requests.total[slot] = request.inputTokens + request.outputTokens
    requests.priority[slot] = request.priority
    requests.arrivedAt[slot] = now
    const live: Live = {observer, arrivedAt: now, cancelled: undefined}
    this.#live[slot] = live
    this.#prefixes.set(row, request.blockIds, request.session)
    if (observer.token !== undefined) this.#listen(slot, live)
    this.#inFlight++
    this.cluster.submit(slot, now)
    this.#sleep()
    return {arrivedAt: now, cancel: () => this.#cancel(slot, live)}
  }

  /** Which engine serves it is known only after submission, and a slot reads from one of them. */
  #listen(slot: number, {observer}: Live): void {
    const reader = {
      token: (at: Ns) => {
        const when = at + this.#afterNs(slot)
        if (when === at) observer.token!(at)
        else this.#due.push({at: when, run: () => observer.token!(when)})
      },
    }
    for (const streams of this.#streams) streams.add(slot, reader)
  }

  /**
   * The time of an arrival. While it is in the front end no engine can tell whether it came before or after what has
   * happened, so it keeps the time at which it came.
   */
  #arrive(receivedAt: Ns): Ns {
    if (!this.cluster.takesAhead) return this.#enter(receivedAt)
    const {delayNs} = this.cluster.replicas[0]!.frontEnd
    this.#lastArrival = Math.max(receivedAt, this.#lastArrival + 1, this.#past - delayNs + 1)
    return this.#lastArrival
  }

  /** The time of an input: after all that has happened, and everything before it happens now. */
  #enter(at: Ns): Ns {
    const now = Math.max(at, this.#past + 1)
    this.cluster.advanceTo(now - 1)
    this.#past = now
    return now
  }

  #cancel(slot: number, live: Live): ReturnType<Ticket['cancel']> {
    if (this.#live[slot] !== live) return undefined
    const at = this.#enter(this.#clock.now())
    // It may have ended on the way to now.
    if (this.#live[slot] !== live) return undefined
    this.cluster.cancel(slot, at)
    this.#forget(slot)
    this.#sleep()
    return {at, times: live.cancelled!}
  }

  /** Everything that clients will have seen by the time it is due happens. */
  readonly #wake = (): void => {
    const now = Math.max(this.#clock.now() + this.#leadNs, this.#past)
    this.cluster.advanceTo(now)
    this.#past = now
    this.#sleep()
  }

  #sleep(): void {
    this.#takeGaps()
    const now = this.#past
    let done = 0
    while (done < this.#due.length && this.#due[done]!.at <= now) this.#due[done++]!.run()
    if (done > 0) this.#due.splice(0, done)
    const next = Math.min(this.cluster.nextEventAt(), this.#due[0]?.at ?? Number.POSITIVE_INFINITY)
    this.#clock.wakeAt(next - this.#leadNs, this.#wake)
  }

  /** Calls `run` with the time at which a client sees what an engine did at `at`. */
  #tell(slot: number, at: Ns, run: (when: Ns) => void): void {
    const when = at + this.#afterNs(slot)
    if (when === at) run(when)
    else this.#due.push({at: when, run: () => run(when)})
  }

  /** A port may run for ever: what the engines collect for the end of a run must not grow. */
  #takeGaps(): void {
    for (const [engine, replica] of this.cluster.replicas.entries()) {
      const {gaps} = replica.engine.totals
      for (let i = 0; i < gaps.length; i++)
        this.#onGaps?.({engine, ns: gaps.values[i]!, count: gaps.counts[i]!})
      gaps.length = 0
    }
  }

  #afterNs(slot: number): Ns {
    return this.cluster.replicas[this.cluster.requests.instance[slot]!]!.frontEnd.afterNs
  }

  #finish(slot: number, now: Ns): void {
    const {observer} = this.#live[slot]!
    const {total, input} = this.cluster.requests
    const times = this.#timesOf(slot, now, total[slot]! - input[slot]!)
    this.#firstTokens++
    this.#forget(slot)
    this.#tell(slot, now, () => observer.finished(times))
  }

  #reject(slot: number, now: Ns, reason: string): void {
    const {observer} = this.#live[slot]!
    const times = this.#timesOf(slot, Number.NaN, 0)
    const {engine} = this.cluster.replicas[this.cluster.requests.instance[slot]!]!
    const fits = engine.refusal(this.cluster.requests.total[slot]!) === undefined
    this.#forget(slot)
    const kind = fits ? 'turned away' : 'never fits'
    this.#tell(slot, now, () => observer.rejected(times, reason, kind))
  }

  #timesOf(slot: number, finished: Ns, producedTokens: number): ServedTimes {
    const {requests} = this.cluster
    const afterNs = this.#afterNs(slot)
    return {
      arrivedAt: this.#live[slot]!.arrivedAt,
      scheduledAt: requests.scheduledAt[slot]!,
      firstTokenAt: requests.firstTokenAt[slot]! + afterNs,
      finishedAt: finished + afterNs,
      producedTokens,
      cachedTokens: requests.cached[slot]!,
      preemptions: requests.preemptions[slot]!,
      engine: this.cluster.requests.instance[slot]!,
    }
  }

  #forget(slot: number): void {
    this.#live[slot] = undefined
    this.#prefixes.forget(this.cluster.requests.row[slot]!)
    for (const streams of this.#streams) streams.remove(slot)
    this.#inFlight--
  }
}
