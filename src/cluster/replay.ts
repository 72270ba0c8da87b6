/** The virtual clock: drives a trace through a cluster and records what became of every request. */
import type {RequestPool} from '../engine/request-pool.js'
import type {Ns} from '../latency/step-time.js'
import type {Spans} from '../stats/busy-spans.js'
import {type EngineTotals, type Outcomes, status} from '../stats/outcomes.js'
import type {Series} from '../stats/series.js'
import type {TracePart} from '../trace/parts.js'
import type {Trace} from '../trace/trace.js'
import type {FleetReport} from './autoscaler.js'
import {buildSimulation, type Cluster, type RequestSink, type SimulationConfig} from './cluster.js'
import {type PartInFlight, PartsInFlight} from './parts-in-flight.js'
import {Sampler} from './sampler.js'
import {TimedRows} from './timed-rows.js'
import {openLoop, type Workload} from './workload.js'

export interface ReplayerRequest {
  /** Coupling follows from the workload. */
  readonly simulation: Omit<SimulationConfig, 'coupling'>
  /** What arrives when: of the first part, or of the whole trace. */
  readonly workload: Workload
  /** Told of every row that arrives, in order. */
  readonly onArrive?: (row: number, now: Ns) => void
  /** Told of every request that leaves while its slot can still be read; `row` counts from the start of the trace. */
  readonly onLeave?: (row: number, slot: number, outcomes: OutcomeOfRow) => void
  /** Told now and then how many requests have left. */
  readonly onProgress?: (left: number) => void
  /** Told of every part, in order, once all of its requests have left. Its columns are used again afterwards. */
  readonly onPart?: (part: FinishedPart) => void
}

/** Where the outcome of a row stands: row `at` of the columns. */
export interface OutcomeOfRow {
  readonly outcomes: Outcomes
  readonly at: number
}

export interface FinishedPart {
  readonly trace: Trace
  readonly outcomes: Outcomes
  /** Number of its first row in the trace. */
  readonly base: number
}

export interface ReplayRequest extends Omit<ReplayerRequest, 'workload' | 'onPart'> {
  readonly trace: Trace
  /** Default: the trace's own arrivals. */
  readonly workload?: Workload
}

/** What the engines did. */
export interface EnginesAtEnd {
  readonly engines: readonly EngineTotals[]
  /** When each engine executed steps. */
  readonly busy: readonly Spans[]
  /** What they held and did over time. */
  readonly series: Series
  /** Absent without autoscaling. */
  readonly fleet?: FleetReport | undefined
}

export interface Replay extends EnginesAtEnd {
  readonly outcomes: Outcomes
}

const never = Number.POSITIVE_INFINITY
/** How many requests leave between two progress calls. */
const progressEvery = 1000
/**
 * Most arrivals that are handed over ahead of their time, per replica: enough to pay, few enough for the cache. And for few
 * replicas: what runs between them is long, and V8 compiles it sooner the more often it is called.
 */
const mostAhead = 32
const mostAheadOfFew = 128

/**
 * Drives a trace that comes in parts: memory holds the parts with requests in flight, and no others. A trace that is
 * there as a whole is one part.
 */
export class Replayer implements RequestSink {
  readonly cluster: Cluster
  readonly #workload: Workload
  readonly #request: ReplayerRequest
  readonly #requests: RequestPool
  readonly #parts: PartsInFlight
  /** Rows in the system whose client will leave, and their slots. */
  readonly #cancels = new TimedRows()
  readonly #slotOf = new Map<number, number>()
  readonly #sampler: Sampler
  #left = 0
  #hasBegun = false
  /** 0 where nothing finished. */
  #lastFinish: Ns = 0

  constructor(request: ReplayerRequest) {
    this.#request = request
    this.#workload = request.workload
    this.#parts = new PartsInFlight(request.onPart)
    this.cluster = buildSimulation({...request.simulation, coupling: this.#workload.coupling}, this)
    this.#requests = this.cluster.requests
    this.#sampler = new Sampler(this.cluster)
  }

  /**
   * Takes the next part (of the first one, `workload` knows the arrivals already) and runs up to its last arrival, or
   * to the end behind the last part.
   */
  feed({trace, place}: TracePart): void {
    const base = this.#parts.rows
    this.#parts.add(trace)
    if (base > 0) this.#workload.more(trace, base)
    // Others may arrive at the same instant as the last row of this part.
    this.#run(place === 'last' ? never : trace.arrivedAt[trace.length - 1]! - 1)
  }

  /** What the engines did. Parts that are not done although nothing happens any more are handed on as they are. */
  finish(): EnginesAtEnd {
    this.#parts.finish()
    const busy = this.cluster.replicas.map((replica) => replica.busy)
    const fleet = this.cluster.autoscaler?.report(this.#lastFinish)
    return {engines: totalsOf(this.cluster), busy, fleet, series: this.#sampler.finish()}
  }

  /** Everything up to and including `until`. */
  #run(until: Ns): void {
    const {arrivals} = this.#workload
    const cancels = this.#cancels
    for (;;) {
      // Here, and not as their last request leaves: that is in the middle of what V8 compiled for an engine that runs alone.
      this.#parts.handOnDone()
      const external = Math.min(arrivals.nextAt(), cancels.nextAt())
      const next = this.#beforeScaling(external)
      if (next > until) return
      if (this.#sampler.looked(next)) continue
      const isThere = this.cluster.advanceTo(next - 1)
      // Something that just ended may have released an earlier arrival.
      if (!isThere || arrivals.nextAt() < next) continue
      if (next === never) return
      const {autoscaler} = this.cluster
      if (autoscaler !== undefined && autoscaler.nextAt() <= next) autoscaler.tick(next)
      else {
        this.#deliver(next)
        if (this.cluster.catchesUp) this.#deliverAhead(until)
      }
    }
  }

  /** Further arrivals, up to the next moment at which somebody looks or leaves: until then nobody can tell. */
  #deliverAhead(until: Ns): void {
    const {arrivals} = this.#workload
    const last = Math.min(until, this.#sampler.nextAt())
    const most = Math.max(mostAhead * this.cluster.replicas.length, mostAheadOfFew)
    for (let count = 0; count < most; count++) {
      const at = arrivals.nextAt()
      if (at > last || at >= this.#cancels.nextAt()) return
      this.#submit(arrivals.take(), at)
    }
  }

  /** `external`, or what the autoscaler does before it. Its windows end with the work. */
  #beforeScaling(external: Ns): Ns {
    const {cluster} = this
    const {autoscaler} = cluster
    if (autoscaler === undefined) return external
    if (!this.#hasBegun && external < never) {
      this.#hasBegun = true
      autoscaler.begin(external)
    }
    const hasWork = external < never || cluster.nextEventAt() < never
    return hasWork ? Math.min(external, autoscaler.nextAt()) : external
  }

  /** Arrivals of an instant, then cancels, then what these release into the same instant. */
  #deliver(now: Ns): void {
    const {arrivals} = this.#workload
    const cancels = this.#cancels
    while (arrivals.nextAt() === now || cancels.nextAt() === now) {
      while (arrivals.nextAt() === now) this.#submit(arrivals.take(), now)
      while (cancels.nextAt() === now) this.#cancel(cancels.take(), now)
    }
  }

  finished(slot: number, now: Ns): void {
    const row = this.#requests.row[slot]!
    const instance = this.#requests.instance[slot]!
    const {afterNs} = this.cluster.replicas[instance]!.frontEnd
    const part = this.#parts.of(row)
    const at = row - part.base
    part.outcomes.status[at] = status.completed
    part.outcomes.finishedAt[at] = now + afterNs
    this.#lastFinish = Math.max(this.#lastFinish, now + afterNs)
    part.outcomes.producedTokens[at] = part.trace.outputTokens[at]!
    this.#leave(part, slot, now + afterNs)
  }

  cancelled(slot: number, now: Ns, produced: number): void {
    const row = this.#requests.row[slot]!
    const part = this.#parts.of(row)
    const at = row - part.base
    part.outcomes.status[at] = status.cancelled
    part.outcomes.finishedAt[at] = now
    part.outcomes.producedTokens[at] = produced
    this.#lastFinish = Math.max(this.#lastFinish, now)
    this.#leave(part, slot, now)
    // A token that was still on its way when the client hung up.
    if (part.outcomes.firstTokenAt[at]! > now) part.outcomes.firstTokenAt[at] = Number.NaN
  }

  settle(now: Ns): void {
    this.#deliver(now)
  }

  rejected(slot: number, now: Ns, reason: string): void {
    const row = this.#requests.row[slot]!
    const part = this.#parts.of(row)
    part.outcomes.status[row - part.base] = status.rejected
    part.outcomes.reasons.set(row - part.base, reason)
    this.#leave(part, slot, now)
  }

  #submit(row: number, now: Ns): void {
    const part = this.#parts.of(row)
    const at = row - part.base
    const {inputTokens, outputTokens, priority, predictedOutputTokens} = part.trace
    const requests = this.#requests
    const slot = requests.take()
    requests.row[slot] = row
    requests.input[slot] = inputTokens[at]!
    requests.total[slot] = inputTokens[at]! + outputTokens[at]!
    requests.arrivedAt[slot] = now
    if (priority) requests.priority[slot] = priority[at]!
    const predicted = predictedOutputTokens?.[at] ?? 0
    if (predicted > 0) requests.predicted[slot] = predicted
    part.outcomes.arrivedAt[at] = now
    this.#request.onArrive?.(row, now)
    const cancelledAt = part.trace.cancelledAt?.[at] ?? Number.NaN
    if (!Number.isNaN(cancelledAt)) {
      // Nobody can leave before coming.
      this.#cancels.add(row, Math.max(now, cancelledAt))
      this.#slotOf.set(row, slot)
    }
    this.cluster.submit(slot, now)
  }

  #cancel(row: number, now: Ns): void {
    const slot = this.#slotOf.get(row)
    // It may have finished before.
    if (slot !== undefined) this.cluster.cancel(slot, now)
  }

  /** Copies what the slot knows; the clock of the client runs `afterNs` behind the engine's. */
  #leave(part: PartInFlight, slot: number, now: Ns): void {
    const requests = this.#requests
    const row = requests.row[slot]!
    const instance = requests.instance[slot]!
    const {afterNs} = this.cluster.replicas[instance]!.frontEnd
    if (part.trace.cancelledAt) this.#slotOf.delete(row)
    const {outcomes} = part
    const at = row - part.base
    outcomes.instance[at] = instance
    outcomes.scheduledAt[at] = requests.scheduledAt[slot]!
    outcomes.firstTokenAt[at] = requests.firstTokenAt[slot]! + afterNs
    outcomes.cachedTokens[at] = requests.cached[slot]!
    outcomes.preemptions[at] = requests.preemptions[slot]!
    this.#request.onLeave?.(row, slot, {outcomes, at})
    if (this.#workload.ended(row, now)) this.cluster.interrupt()
    part.open--
    if (++this.#left % progressEvery === 0) this.#request.onProgress?.(this.#left)
  }
}

function totalsOf(cluster: Cluster): EngineTotals[] {
  for (const {tiers} of cluster.replicas) tiers?.finish()
  return cluster.replicas.map(({engine, instance, adapters, tiers, received}) => ({
    ...engine.totals,
    received,
    adapters: adapters?.totals,
    tiers: tiers && {
      loads: tiers.uses.loads,
      linkBytes: tiers.uses.linkBytes,
      tiers: tiers.uses.totals,
    },
    gaps: engine.totals.gaps.settled(),
    instance,
    blocks: engine.totalBlocks,
    freeBlocksAtEnd: engine.freeBlocks,
    blockSize: engine.config.blockSize,
    maxNumSeqs: engine.maxNumSeqs,
  }))
}

/** Replays a trace to its end on the virtual clock. Deterministic: same input, same result, to the nanosecond. */
export function replay(request: ReplayRequest): Replay {
  const {trace, workload = openLoop(trace)} = request
  let outcomes: Outcomes | undefined
  const replayer = new Replayer({
    ...request,
    workload,
    onPart: (part) => {
      outcomes = part.outcomes
    },
  })
  replayer.feed({trace, place: 'last'})
  return {...replayer.finish(), outcomes: outcomes!}
}
