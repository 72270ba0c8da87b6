/** One whole run: a trace through a deployment on the virtual clock, to its summary. */
import type {FleetReport} from '../cluster/autoscaler.js'
import type {SimulationConfig} from '../cluster/cluster.js'
import {type FinishedPart, type OutcomeOfRow, Replayer} from '../cluster/replay.js'
import type {StepRecord} from '../cluster/replica.js'
import {TokenTimeline} from '../cluster/token-timeline.js'
import {closedLoop, openLoop} from '../cluster/workload.js'
import {defaults, lastChunkQueueing, pollingClock} from '../compat/llmservingsim.js'
import type {EngineListener} from '../engine/engine-config.js'
import {PartedIdentity} from '../engine/parted-identity.js'
import {type PrefixIdentity, prefixIdentity} from '../engine/prefix-identity.js'
import {RunCheck} from '../report/check.js'
import {costOf} from '../report/cost.js'
import {accountEnergy, type PowerSeries} from '../report/energy.js'
import {summariseFleet} from '../report/fleet.js'
import type {RequestResults} from '../report/measures.js'
import type {Slo} from '../report/slo.js'
import {type RunResult, type Summary, SummaryBuilder} from '../report/summary.js'
import type {Warmup} from '../report/warmup.js'
import {weightTraffic} from '../report/weight-traffic.js'
import {type Outcomes, status} from '../stats/outcomes.js'
import {Samples} from '../stats/samples.js'
import type {Series} from '../stats/series.js'
import {FactsOfParts, type TraceFacts, type TracePart} from '../trace/parts.js'
import type {Trace} from '../trace/trace.js'
import {priceOfFleet, readyTimes} from './autoscaling.js'
import type {Deployment} from './deployment.js'
import {together} from './listeners.js'
import {Adapters} from './lora.js'
import {RoutingFacts, trafficParts} from './traffic.js'
import {stepTraffic} from './weights/placement.js'

export type PartResults = FinishedPart & RequestResults & Pick<RunResult, 'isOpen'>

export interface SimulatorRequest {
  readonly deployment: Deployment
  /** Closed loop: so many clients take the rows in order. */
  readonly concurrency?: number | undefined
  readonly slo?: Slo | undefined
  readonly warmup?: Warmup | undefined
  /** Assert the invariants on the result. */
  readonly check?: boolean
  readonly onStep?: ((step: StepRecord) => void) | undefined
  readonly onHandOff?: SimulationConfig['onHandOff']
  readonly onTierTransfer?: SimulationConfig['onTierTransfer']
  /** Gaps between the tokens of each request, ns, as it leaves. */
  readonly onGaps?: ((row: number, gaps: readonly number[]) => void) | undefined
  readonly onProgress?: ((left: number) => void) | undefined
  /** Told of the rows of the trace in order, part by part, once what became of them is known; read it at once. */
  readonly onPart?: ((results: PartResults) => void) | undefined
}

export interface SimulateRequest extends SimulatorRequest {
  readonly trace: Trace
}

export interface SimulatedRun {
  readonly facts: TraceFacts
  readonly summary: Summary
  readonly engines: RunResult['engines']
  /** Gaps of the requests behind the warm-up; absent where there is none. */
  readonly gaps: RunResult['gaps']
  /** Power over time, where it is known what the devices draw. */
  readonly power: PowerSeries | undefined
  /** What the engines held and did over time. */
  readonly series: Series
  /** Instances over time, where they are scaled. */
  readonly fleet: FleetReport | undefined
  /** Seconds that the engines took, without reading and writing. */
  readonly engineSeconds: number
}

export interface Simulation extends SimulatedRun {
  readonly run: RunResult & {readonly trace: Trace}
}

/**
 * Simulates a trace that comes in parts, and sums up what became of it. Memory follows the requests in flight.
 * @throws Problem CHECK_FAILED (exit 3) with `check`, FLAG_CONFLICT for an SLO that cannot be scored
 */
export class Simulator {
  readonly #request: SimulatorRequest
  readonly #gaps: GapRecorder
  readonly #summary: SummaryBuilder
  readonly #check: RunCheck | undefined
  readonly #facts = new FactsOfParts()
  readonly #identity = new PartedIdentity()
  readonly #routing = new RoutingFacts()
  readonly #served = new ServedRequests()
  readonly #adapters: Adapters
  #replayer: Replayer | undefined
  #hasPrefixes = false
  /** ms: in all of the replay, and of these in the sinks of its results. */
  #replayMs = 0
  #sinkMs = 0

  constructor(request: SimulatorRequest) {
    const {slo, warmup, deployment} = request
    this.#request = request
    const {lora, seed} = deployment.request
    this.#adapters = new Adapters(lora, seed)
    this.#gaps = new GapRecorder(request)
    this.#summary = new SummaryBuilder({slo, warmup, price: deployment.price})
    this.#check = request.check ? new RunCheck() : undefined
  }

  /** Takes the next part and simulates as far as it reaches. */
  feed(given: TracePart): void {
    const from = this.#facts.length
    this.#facts.add(given.trace)
    const part = {...given, trace: this.#adapters.apply(given.trace, from)}
    const {trace} = part
    this.#hasPrefixes ||= trace.prefix !== undefined
    const startedAt = performance.now()
    this.#identity.add(from, from + trace.length, trace.prefix)
    this.#routing.add(from, trace)
    this.#replayer ??= this.#replayerOf(part)
    this.#replayer.feed(part)
    this.#replayMs += performance.now() - startedAt
  }

  /** The end, behind the last part. */
  finish(): SimulatedRun {
    const {engines, busy, fleet, series} = this.#replayer!.finish()
    this.#check?.finish(engines)
    const gaps = this.#gaps.afterWarmup()
    const {autoscale} = this.#request.deployment.request
    const {served, window} = this.#served
    const summary = this.#summary.finish({
      engines,
      prefixIdentity: this.#hasPrefixes,
      gaps,
      inPages: this.#request.deployment.engines.map(
        ({settled}) => settled.config.kvGroups !== undefined,
      ),
      readyNs: fleet && autoscale && readyTimes(fleet, autoscale, window),
    })
    const {power: plan} = this.#request.deployment
    const on = fleet?.on
    const weights = weightTraffic(this.#request.deployment.engines.map(stepTraffic), {
      totals: engines,
      busy,
    })
    const account = plan && accountEnergy({plan, busy, totals: engines, served, window, on})
    return {
      facts: this.#facts.facts(),
      summary: {
        ...summary,
        ...(fleet && this.#scaled(summary, fleet)),
        ...(account && {energy: account.energy}),
        ...(weights && {weights}),
      },
      engines,
      gaps,
      power: account?.series,
      series,
      fleet,
      engineSeconds: (this.#replayMs - this.#sinkMs) / 1000,
    }
  }

  /** What is paid are the devices that were there. */
  #scaled({throughput, warmup, duration_s}: Summary, fleet: FleetReport): Partial<Summary> {
    const {deployment} = this.#request
    const {from, to} = this.#served.window
    const instances = deployment.engines.map(({instance}) => instance)
    const price = priceOfFleet(deployment.price, fleet, {instances, from, to})
    const seconds = (warmup ? warmup.window_s : duration_s) ?? Number.NaN
    return {
      autoscaling: summariseFleet(fleet, to - from),
      ...(price && {cost: costOf(price, throughput, seconds)}),
    }
  }

  #replayerOf({trace, place}: TracePart): Replayer {
    const {concurrency, onProgress} = this.#request
    const gaps = this.#gaps
    const prefixesOf = (size: number): PrefixIdentity =>
      place === 'last' && trace.prefix
        ? prefixIdentity(trace.prefix, size)
        : this.#identity.at(size)
    return new Replayer({
      workload: concurrency === undefined ? openLoop(trace) : closedLoop(trace, concurrency),
      simulation: simulationOf(
        this.#request,
        {gaps, routing: this.#routing, adapters: this.#adapters},
        place === 'last' && !trace.prefix ? undefined : prefixesOf,
      ),
      ...(gaps.isNeeded
        ? {
            onArrive: (row: number, now: number) => gaps.arrive(row, now),
            onLeave: (row: number, slot: number, outcome: OutcomeOfRow) =>
              gaps.leave(row, slot, outcome),
          }
        : {}),
      ...(onProgress ? {onProgress} : {}),
      onPart: (finished) => this.#take(finished),
    })
  }

  /** Hands the results of a part on. */
  #take(part: FinishedPart): void {
    const startedAt = performance.now()
    const {thinkTime} = part.trace
    const isClosed = this.#request.concurrency !== undefined
    const results = {
      ...part,
      largestGap: this.#gaps.takeLargest(part),
      // Not rows of a closed loop, nor turns that waited for the one before.
      isOpen: isClosed
        ? () => false
        : thinkTime && ((row: number) => Number.isNaN(thinkTime[row]!)),
    }
    this.#served.add(part)
    // Clients of a closed loop do not wait as the turns of a session do.
    const {thinkTime: _, ...timeless} = part.trace
    this.#check?.add(isClosed ? {...results, trace: timeless} : results)
    this.#summary.add(results)
    this.#request.onPart?.(results)
    this.#identity.dropOldest()
    this.#routing.dropOldest()
    this.#sinkMs += performance.now() - startedAt
  }
}

/** A trace that is there as a whole. @throws as Simulator does */
export function simulate(request: SimulateRequest): Simulation {
  const {trace} = request
  let results: PartResults | undefined
  const simulator = new Simulator({
    ...request,
    onPart: (part) => {
      results = part
      request.onPart?.(part)
    },
  })
  simulator.feed({trace, place: 'last'})
  const simulated = simulator.finish()
  const {engines, gaps} = simulated
  const {outcomes, largestGap, isOpen} = results!
  const prefixIdentity = trace.prefix !== undefined
  return {
    ...simulated,
    run: {trace, outcomes, engines, prefixIdentity, isOpen, largestGap, gaps},
  }
}

function simulationOf(
  {deployment, onStep, onHandOff, onTierTransfer}: SimulatorRequest,
  seams: {
    readonly gaps: GapRecorder
    readonly routing: RoutingFacts
    readonly adapters: Adapters
  },
  prefixes: SimulationConfig['prefixes'],
): Omit<SimulationConfig, 'coupling'> {
  const isCompat = deployment.request.compat !== undefined
  return {
    replicas: deployment.replicas,
    kvLinks: deployment.kvLinks,
    autoscale: deployment.request.autoscale,
    adapterOf: (row: number) => seams.adapters.of(row),
    ...trafficParts(deployment.traffic, deployment.request, seams.routing),
    ...(isCompat ? {clock: pollingClock(defaults.logIntervalNs)} : {}),
    ...(prefixes === undefined ? {} : {prefixes}),
    listener: (instance, requests) =>
      together([
        seams.gaps.listener(instance),
        ...(isCompat ? [lastChunkQueueing(requests)] : []),
        deployment.engines[instance]?.latency.listener?.(requests) ?? {},
      ]),
    ...(onStep ? {onStep} : {}),
    onHandOff,
    onTierTransfer,
  }
}

/** What the energy of a run was spent on, and when. */
class ServedRequests {
  readonly served = {requests: 0, inputTokens: 0, outputTokens: 0}
  readonly window = {from: Number.POSITIVE_INFINITY, to: Number.NEGATIVE_INFINITY}

  add({trace, outcomes}: FinishedPart): void {
    const {served, window} = this
    const {arrivedAt, finishedAt, producedTokens} = outcomes
    for (let row = 0; row < outcomes.length; row++) {
      if (arrivedAt[row]! < window.from) window.from = arrivedAt[row]!
      if (outcomes.status[row] !== status.completed) continue
      if (finishedAt[row]! > window.to) window.to = finishedAt[row]!
      served.requests++
      served.inputTokens += trace.inputTokens[row]!
      served.outputTokens += producedTokens[row]!
    }
  }
}

/** Gaps per request, where somebody needs more than the pooled ones of all requests. */
class GapRecorder {
  readonly isNeeded: boolean
  readonly #request: SimulatorRequest
  readonly #timelines: TokenTimeline[] = []
  readonly #pooled = new Samples()
  /** Largest gap of each row, by the first row of its part. */
  readonly #largest = new Map<number, Float64Array>()
  /** Row that arrived first, when it did, and the rows that a warm-up by number leaves out. */
  #firstRow = -1
  #firstAt = Number.NaN
  readonly #warming = new Set<number>()

  constructor(request: SimulatorRequest) {
    const {slo, warmup, onGaps} = request
    this.#request = request
    this.isNeeded = onGaps !== undefined || warmup !== undefined || slo?.itl !== undefined
  }

  listener(instance: number): EngineListener {
    if (!this.isNeeded) return {}
    this.#timelines[instance] = new TokenTimeline()
    return this.#timelines[instance].listener
  }

  arrive(row: number, now: number): void {
    if (this.#firstRow < 0) {
      this.#firstRow = row
      this.#firstAt = now
    }
    const {warmup} = this.#request
    if (warmup?.kind === 'requests' && this.#warming.size < warmup.count) this.#warming.add(row)
  }

  leave(row: number, slot: number, {outcomes, at}: OutcomeOfRow): void {
    const gaps = this.#timelines[outcomes.instance[at]!]!.takeGaps(
      slot,
      this.#firstTokenAt(at, outcomes),
    )
    this.#request.onGaps?.(row, gaps)
    if (this.#request.slo?.itl !== undefined) {
      let largest = 0
      for (const gap of gaps) if (gap > largest) largest = gap
      const base = row - at
      let column = this.#largest.get(base)
      if (column === undefined) {
        column = new Float64Array(outcomes.length)
        this.#largest.set(base, column)
      }
      column[at] = largest
    }
    if (this.#countsAfterWarmup(row, outcomes.arrivedAt[at]!))
      for (const gap of gaps) this.#pooled.add(gap, 1)
  }

  /** Under --compat the first token of a request may come from another engine than the rest. */
  #firstTokenAt(at: number, {firstTokenAt}: Outcomes): number {
    const {compat} = this.#request.deployment.request
    return compat === undefined ? Number.NaN : firstTokenAt[at]!
  }

  #countsAfterWarmup(row: number, arrivedAt: number): boolean {
    const {warmup} = this.#request
    if (warmup?.kind === 'requests') return !this.#warming.has(row)
    return warmup === undefined || arrivedAt - this.#firstAt >= warmup.ns
  }

  /** The largest gap of each row of a part that is done; undefined where nobody asked. */
  takeLargest({base, outcomes}: {base: number; outcomes: Outcomes}): Float64Array | undefined {
    if (this.#request.slo?.itl === undefined) return undefined
    const column = this.#largest.get(base) ?? new Float64Array(outcomes.length)
    this.#largest.delete(base)
    return column
  }

  /** Gaps of the requests behind the warm-up; undefined where there is none. */
  afterWarmup(): RunResult['gaps'] {
    return this.#request.warmup === undefined ? undefined : this.#pooled.settled()
  }
}
