/** The virtual clock: drives a trace through a cluster and records what became of every request. */
import type {RequestPool} from '../engine/request-pool.js'
import type {Ns} from '../latency/step-time.js'
import type {Spans} from '../stats/busy-spans.js'
import {type EngineTotals, type Outcomes, status} from '../stats/outcomes.js'
import type {Series} from '../stats/series.js'
import type {Trace} from '../trace/trace.js'
import {buildSimulation, type Cluster, type RequestSink, type SimulationConfig} from './cluster.js'
import {Sampler} from './sampler.js'
import {TimedRows} from './timed-rows.js'
import {openLoop, type Workload} from './workload.js'

export interface ReplayRequest {
  readonly trace: Trace
  /** Coupling follows from the workload. */
  readonly simulation: Omit<SimulationConfig, 'coupling'>
  /** Default: the trace's own arrivals. */
  readonly workload?: Workload
  /** Told of every row that arrives, in order. */
  readonly onArrive?: (row: number) => void
  /** Told of every request that leaves while its slot can still be read; `row` of the trace. */
  readonly onLeave?: (row: number, slot: number, outcomes: Outcomes) => void
  /** Told now and then how many requests have left. */
  readonly onProgress?: (left: number) => void
}

export interface Replay {
  readonly outcomes: Outcomes
  readonly engines: readonly EngineTotals[]
  /** When each engine executed steps. */
  readonly busy: readonly Spans[]
  /** What they held and did over time. */
  readonly series: Series
}

/** Rows of a result, writable. */
class OutcomeColumns implements Outcomes {
  readonly length: number
  readonly status: Uint8Array
  readonly instance: Int32Array
  readonly arrivedAt: Float64Array
  readonly scheduledAt: Float64Array
  readonly firstTokenAt: Float64Array
  readonly finishedAt: Float64Array
  readonly producedTokens: Int32Array
  readonly cachedTokens: Int32Array
  readonly preemptions: Int32Array
  readonly reasons = new Map<number, string>()

  constructor(length: number) {
    const times = () => new Float64Array(length).fill(Number.NaN)
    this.length = length
    this.status = new Uint8Array(length)
    this.instance = new Int32Array(length).fill(-1)
    this.arrivedAt = times()
    this.scheduledAt = times()
    this.firstTokenAt = times()
    this.finishedAt = times()
    this.producedTokens = new Int32Array(length)
    this.cachedTokens = new Int32Array(length)
    this.preemptions = new Int32Array(length)
  }
}

const never = Number.POSITIVE_INFINITY
/** How many requests leave between two progress calls. */
const progressEvery = 1000

class Driver implements RequestSink {
  readonly outcomes: OutcomeColumns
  readonly cluster: Cluster
  readonly #trace: Trace
  readonly #workload: Workload
  readonly #request: ReplayRequest
  readonly #requests: RequestPool
  /** Rows in the system whose client will leave, and their slots. */
  readonly #cancels = new TimedRows()
  readonly #slotOf = new Map<number, number>()
  readonly #sampler: Sampler
  #left = 0

  constructor(request: ReplayRequest) {
    this.#request = request
    this.#trace = request.trace
    this.#workload = request.workload ?? openLoop(request.trace)
    this.outcomes = new OutcomeColumns(request.trace.length)
    this.cluster = buildSimulation({...request.simulation, coupling: this.#workload.coupling}, this)
    this.#requests = this.cluster.requests
    this.#sampler = new Sampler(this.cluster)
  }

  get series(): Series {
    return this.#sampler.finish()
  }

  run(): void {
    const {arrivals} = this.#workload
    const cancels = this.#cancels
    for (;;) {
      const next = Math.min(arrivals.nextAt(), cancels.nextAt())
      if (this.#sampler.looked(next)) continue
      const isThere = this.cluster.advanceTo(next - 1)
      // Something that just ended may have released an earlier arrival.
      if (!isThere || arrivals.nextAt() < next) continue
      if (next === never) return
      this.#deliver(next)
    }
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
    const instance = this.cluster.instanceOf[slot]!
    const {afterNs} = this.cluster.replicas[instance]!.frontEnd
    const {outcomes} = this
    outcomes.status[row] = status.completed
    outcomes.finishedAt[row] = now + afterNs
    outcomes.producedTokens[row] = this.#trace.outputTokens[row]!
    this.#leave(row, slot, now + afterNs)
  }

  cancelled(slot: number, now: Ns, produced: number): void {
    const row = this.#requests.row[slot]!
    this.outcomes.status[row] = status.cancelled
    this.outcomes.producedTokens[row] = produced
    this.#leave(row, slot, now)
  }

  settle(now: Ns): void {
    this.#deliver(now)
  }

  rejected(slot: number, now: Ns, reason: string): void {
    const row = this.#requests.row[slot]!
    this.outcomes.status[row] = status.rejected
    this.outcomes.reasons.set(row, reason)
    this.#leave(row, slot, now)
  }

  #submit(row: number, now: Ns): void {
    const {inputTokens, outputTokens, priority, predictedOutputTokens} = this.#trace
    const requests = this.#requests
    const slot = requests.take()
    requests.row[slot] = row
    requests.input[slot] = inputTokens[row]!
    requests.total[slot] = inputTokens[row]! + outputTokens[row]!
    requests.arrivedAt[slot] = now
    if (priority) requests.priority[slot] = priority[row]!
    const predicted = predictedOutputTokens?.[row] ?? 0
    if (predicted > 0) requests.predicted[slot] = predicted
    this.outcomes.arrivedAt[row] = now
    this.#request.onArrive?.(row)
    const cancelledAt = this.#trace.cancelledAt?.[row] ?? Number.NaN
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
  #leave(row: number, slot: number, now: Ns): void {
    const {outcomes} = this
    const requests = this.#requests
    const instance = this.cluster.instanceOf[slot] ?? 0
    const {afterNs} = this.cluster.replicas[instance]!.frontEnd
    if (this.#trace.cancelledAt) this.#slotOf.delete(row)
    outcomes.instance[row] = instance
    outcomes.scheduledAt[row] = requests.scheduledAt[slot]!
    outcomes.firstTokenAt[row] = requests.firstTokenAt[slot]! + afterNs
    outcomes.cachedTokens[row] = requests.cached[slot]!
    outcomes.preemptions[row] = requests.preemptions[slot]!
    this.#request.onLeave?.(row, slot, outcomes)
    if (this.#workload.ended(row, now)) this.cluster.interrupt()
    if (++this.#left % progressEvery === 0) this.#request.onProgress?.(this.#left)
  }
}

function totalsOf(cluster: Cluster): EngineTotals[] {
  return cluster.replicas.map(({engine, instance}) => ({
    ...engine.totals,
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
  const driver = new Driver(request)
  driver.run()
  const {outcomes, cluster, series} = driver
  return {
    outcomes,
    engines: totalsOf(cluster),
    busy: cluster.replicas.map(({busy}) => busy),
    series,
  }
}
