/** What routers see of the replicas: the present, or what was true at the last multiple of an age. */
import type {EngineView} from '../engine/engine-config.js'
import type {Ns} from '../latency/step-time.js'

const never = Number.POSITIVE_INFINITY

/** A replica as it was. What its cache holds is looked up as it is now: nobody keeps a copy of an index. */
class Snapshot implements EngineView {
  running = 0
  waiting = 0
  freeBlocks = 0
  readonly #engine: EngineView

  constructor(engine: EngineView) {
    this.#engine = engine
    this.take()
  }

  take(): void {
    const {running, waiting, freeBlocks} = this.#engine
    this.running = running
    this.waiting = waiting
    this.freeBlocks = freeBlocks
  }

  get totalBlocks(): number {
    return this.#engine.totalBlocks
  }

  get maxNumSeqs(): number {
    return this.#engine.maxNumSeqs
  }

  cachedTokens(row: number, inputTokens: number): number {
    return this.#engine.cachedTokens(row, inputTokens)
  }
}

export class Views {
  readonly #ageNs: Ns
  readonly #snapshots: readonly Snapshot[]
  readonly #shown: readonly EngineView[]
  readonly #subsets = new Map<readonly number[], readonly EngineView[]>()
  #takenAt: Ns = 0

  constructor(engines: readonly EngineView[], ageNs: Ns) {
    this.#ageNs = ageNs
    this.#snapshots = ageNs > 0 ? engines.map((engine) => new Snapshot(engine)) : []
    this.#shown = ageNs > 0 ? this.#snapshots : engines
  }

  /** Views of some replicas; `among` is kept by its identity. */
  of(among: readonly number[]): readonly EngineView[] {
    let views = this.#subsets.get(among)
    if (views === undefined) {
      views = among.map((instance) => this.#shown[instance]!)
      this.#subsets.set(among, views)
    }
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
