/** One whole run: a trace through a deployment on the virtual clock, to its summary. */
import type {SimulationConfig} from '../cluster/cluster.js'
import {type Replay, replay} from '../cluster/replay.js'
import type {StepRecord} from '../cluster/replica.js'
import {routers} from '../cluster/router.js'
import {TokenTimeline} from '../cluster/token-timeline.js'
import {closedLoop, openLoop} from '../cluster/workload.js'
import {defaults, lastChunkQueueing, pollingClock} from '../compat/llmservingsim.js'
import type {EngineListener} from '../engine/engine-config.js'
import {prefixIdentity} from '../engine/prefix-identity.js'
import {checkRun} from '../report/check.js'
import {accountEnergy, type EnergyAccount, type PowerSeries} from '../report/energy.js'
import type {Slo} from '../report/slo.js'
import {type RunResult, type Summary, summarise} from '../report/summary.js'
import type {Warmup} from '../report/warmup.js'
import {type Outcomes, status} from '../stats/outcomes.js'
import {Samples} from '../stats/samples.js'
import type {Series} from '../stats/series.js'
import type {Trace} from '../trace/trace.js'
import type {Deployment} from './deployment.js'

export interface SimulateRequest {
  readonly trace: Trace
  readonly deployment: Deployment
  /** Closed loop: so many clients take the rows in order. */
  readonly concurrency?: number | undefined
  readonly slo?: Slo | undefined
  readonly warmup?: Warmup | undefined
  /** Assert the invariants on the result. */
  readonly check?: boolean
  readonly onStep?: ((step: StepRecord) => void) | undefined
  /** Gaps between the tokens of each request, ns, as it leaves. */
  readonly onGaps?: ((row: number, gaps: readonly number[]) => void) | undefined
  readonly onProgress?: ((left: number) => void) | undefined
}

export interface Simulation {
  readonly run: RunResult & {readonly trace: Trace}
  readonly summary: Summary
  /** What the engines held and did over time. */
  readonly series: Series
  /** Power over time, where it is known what the devices draw. */
  readonly power: PowerSeries | undefined
  /** Seconds that the engines took, without reading and writing. */
  readonly engineSeconds: number
}

/** @throws Problem CHECK_FAILED (exit 3) with `check`, FLAG_CONFLICT for an SLO that cannot be scored */
export function simulate(request: SimulateRequest): Simulation {
  const {trace, deployment, slo, warmup} = request
  const workload =
    request.concurrency === undefined ? openLoop(trace) : closedLoop(trace, request.concurrency)
  const gaps = new GapRecorder(request)
  const startedAt = performance.now()
  const result = replay({
    trace,
    workload,
    simulation: simulationOf(deployment, trace, gaps, request.onStep),
    onArrive: (row) => gaps.arrive(row),
    onLeave: (row, slot, outcomes) => gaps.leave(row, slot, outcomes),
    ...(request.onProgress ? {onProgress: request.onProgress} : {}),
  })
  const engineSeconds = (performance.now() - startedAt) / 1000
  const run = {
    trace,
    ...result,
    prefixIdentity: trace.prefix !== undefined,
    isOpen: openRows(request),
    ...gaps.recorded(),
  }
  if (request.check) checkRun(run)
  const account = energyOf(trace, deployment, result)
  const summary = {
    ...summarise(run, {slo, warmup, price: deployment.price}),
    ...(account && {energy: account.energy}),
  }
  return {run, summary, series: result.series, power: account?.series, engineSeconds}
}

function energyOf(
  trace: Trace,
  {power: plan}: Deployment,
  {outcomes, busy, engines: totals}: Replay,
): EnergyAccount | undefined {
  if (plan === undefined) return undefined
  const served = {requests: 0, inputTokens: 0, outputTokens: 0}
  const window = {from: Number.POSITIVE_INFINITY, to: Number.NEGATIVE_INFINITY}
  for (let row = 0; row < outcomes.length; row++) {
    window.from = Math.min(window.from, outcomes.arrivedAt[row]!)
    if (outcomes.status[row] !== status.completed) continue
    window.to = Math.max(window.to, outcomes.finishedAt[row]!)
    served.requests++
    served.inputTokens += trace.inputTokens[row]!
    served.outputTokens += outcomes.producedTokens[row]!
  }
  return accountEnergy({plan, busy, totals, window, served})
}

/** Rows that came by themselves: not those of a closed loop, nor turns that waited for the one before. */
function openRows({trace, concurrency}: SimulateRequest): (row: number) => boolean {
  const {thinkTime} = trace
  if (concurrency !== undefined) return () => false
  return (row) => thinkTime === undefined || Number.isNaN(thinkTime[row]!)
}

function simulationOf(
  deployment: Deployment,
  trace: Trace,
  gaps: GapRecorder,
  onStep: SimulateRequest['onStep'],
): Omit<SimulationConfig, 'coupling'> {
  const {prefix} = trace
  const isCompat = deployment.request.compat !== undefined
  return {
    replicas: deployment.replicas,
    router: routers[deployment.request.router]!(),
    ...(isCompat ? {clock: pollingClock(defaults.logIntervalNs)} : {}),
    ...(prefix === undefined ? {} : {prefixes: (size: number) => prefixIdentity(prefix, size)}),
    listener: (instance, requests) => ({
      ...gaps.listener(instance),
      ...(isCompat ? lastChunkQueueing(requests) : {}),
    }),
    ...(onStep ? {onStep} : {}),
  }
}

/** Gaps per request, where somebody needs more than the pooled ones of all requests. */
class GapRecorder {
  readonly #request: SimulateRequest
  readonly #isNeeded: boolean
  readonly #timelines: TokenTimeline[] = []
  readonly #pooled = new Samples()
  readonly #largest: Float64Array | undefined
  /** Row that arrived first, and the rows that a warm-up by number leaves out. */
  #first = -1
  readonly #warming = new Set<number>()

  constructor(request: SimulateRequest) {
    const {slo, warmup, onGaps, trace} = request
    this.#request = request
    this.#isNeeded = onGaps !== undefined || warmup !== undefined || slo?.itl !== undefined
    this.#largest = slo?.itl === undefined ? undefined : new Float64Array(trace.length)
  }

  listener(instance: number): EngineListener {
    if (!this.#isNeeded) return {}
    this.#timelines[instance] = new TokenTimeline()
    return this.#timelines[instance].listener
  }

  arrive(row: number): void {
    if (this.#first < 0) this.#first = row
    const {warmup} = this.#request
    if (warmup?.kind === 'requests' && this.#warming.size < warmup.count) this.#warming.add(row)
  }

  leave(row: number, slot: number, outcomes: Outcomes): void {
    if (!this.#isNeeded) return
    const gaps = this.#timelines[outcomes.instance[row]!]!.takeGaps(slot)
    this.#request.onGaps?.(row, gaps)
    let largest = 0
    for (const gap of gaps) if (gap > largest) largest = gap
    if (this.#largest) this.#largest[row] = largest
    if (this.#countsAfterWarmup(row, outcomes)) for (const gap of gaps) this.#pooled.add(gap, 1)
  }

  #countsAfterWarmup(row: number, {arrivedAt}: Outcomes): boolean {
    const {warmup} = this.#request
    if (warmup?.kind === 'requests') return !this.#warming.has(row)
    return warmup === undefined || arrivedAt[row]! - arrivedAt[this.#first]! >= warmup.ns
  }

  recorded(): Pick<RunResult, 'gaps' | 'largestGap'> {
    return {
      ...(this.#request.warmup === undefined ? {} : {gaps: this.#pooled.settled()}),
      ...(this.#largest === undefined ? {} : {largestGap: this.#largest}),
    }
  }
}
