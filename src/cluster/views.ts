/**
 * What routers see of the replicas: the present, or what was true at the last multiple of an age. Asking each of many
 * replicas for its parts, at each arrival, costs more than routing: where whoever changes a replica says so, the present
 * is kept in a few fields as well.
 */
import type {EngineView} from '../engine/engine-config.js'
import type {Ns} from '../latency/step-time.js'
import {type Loads, loadOf} from './router.js'

const never = Number.POSITIVE_INFINITY

/** A replica as it was when it was looked at. What its cache and tiers hold is looked up as it is now: nobody keeps a copy of an index. */
class Snapshot implements EngineView {
  running = 0
  waiting = 0
  freeBlocks = 0
  readonly totalBlocks: number
  readonly maxNumSeqs: number
  readonly #engine: EngineView

  constructor(engine: EngineView) {
    this.#engine = engine
    this.totalBlocks = engine.totalBlocks
    this.maxNumSeqs = engine.maxNumSeqs
    this.take()
  }

  take(): void {
    const {running, waiting, freeBlocks} = this.#engine
    this.running = running
    this.waiting = waiting
    this.freeBlocks = freeBlocks
  }

  cachedTokens(row: number, inputTokens: number): number {
    return this.#engine.cachedTokens(row, inputTokens)
  }

  tieredTokens(row: number, inputTokens: number): number {
    return this.#engine.tieredTokens?.(row, inputTokens) ?? 0
  }
}

/** What routers ask of all engines at each arrival, as columns: asking 64 objects is most of what they do. */
class KnownLoads implements Loads {
  readonly counts: Int32Array
  readonly loads: Float64Array
  sum = 0

  constructor(engines: number) {
    this.counts = new Int32Array(engines)
    this.loads = new Float64Array(engines)
  }

  set(instance: number, {running, waiting, maxNumSeqs}: EngineView): void {
    const count = running + waiting
    this.sum += count - this.counts[instance]!
    this.counts[instance] = count
    this.loads[instance] = loadOf(waiting, running, maxNumSeqs)
  }
}

export class Views {
  readonly #ageNs: Ns
  /** Whether snapshots follow what is told. */
  readonly #follows: boolean
  readonly #snapshots: readonly Snapshot[]
  readonly #shown: readonly EngineView[]
  /** Kept where changes are told. */
  readonly #loads: KnownLoads | undefined
  readonly #subsets = new Map<readonly number[], readonly EngineView[]>()
  /** Those asked for last: mostly it is the same again. */
  #among: readonly number[] | undefined
  #ofAmong: readonly EngineView[] = []
  #takenAt: Ns = 0

  /** `told`: every change of an engine is said (`changed`). `untold`: the present must be asked for. */
  constructor(engines: readonly EngineView[], ageNs: Ns, news: 'told' | 'untold') {
    this.#ageNs = ageNs
    this.#follows = ageNs === 0 && news === 'told'
    const isKept = ageNs > 0 || this.#follows
    this.#snapshots = isKept ? engines.map((engine) => new Snapshot(engine)) : []
    this.#shown = isKept ? this.#snapshots : engines
    this.#loads = this.#follows ? new KnownLoads(engines.length) : undefined
  }

  /** Engine `instance` may have changed. */
  changed(instance: number): void {
    if (this.#loads === undefined) return
    const snapshot = this.#snapshots[instance]!
    snapshot.take()
    this.#loads.set(instance, snapshot)
  }

  /** How many requests each of them has, where that is kept and they are all engines. */
  loadsOf(among: readonly number[]): Loads | undefined {
    return among.length === this.#snapshots.length ? this.#loads : undefined
  }

  /** Views of some replicas; `among` is kept by its identity. */
  of(among: readonly number[]): readonly EngineView[] {
    if (among === this.#among) return this.#ofAmong
    let views = this.#subsets.get(among)
    if (views === undefined) {
      views = among.map((instance) => this.#shown[instance]!)
      this.#subsets.set(among, views)
    }
    this.#among = among
    this.#ofAmong = views
    return views
  }

  /** The latest moment up to `now` at which views should have been taken and were not. */
  due(now: Ns): Ns | undefined {
    if (this.#ageNs === 0 || now === never) return undefined
    const edge = Math.floor(now / this.#ageNs) * this.#ageNs
    return edge > this.#takenAt ? edge : undefined
  }

  /** The next moment at which views are taken; everything before it must have happened by then. */
  get nextEdge(): Ns {
    return this.#ageNs === 0 ? never : this.#takenAt + this.#ageNs
  }

  /** Takes what is true now, before anything of the instant `now` happens, if it is time. */
  refresh(now: Ns): void {
    const edge = this.due(now)
    if (edge === undefined) return
    this.#takenAt = edge
    for (const snapshot of this.#snapshots) snapshot.take()
  }
}
