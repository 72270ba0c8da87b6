/**
 * The LoRA adapters that an engine has loaded. A request whose adapter is there enters the engine at once and holds it
 * there; others wait outside until it is loaded, one at a time, in place of the one that was used least recently and
 * that nobody holds.
 */
import type {Ns, StepTime} from '../latency/step-time.js'
import type {StepTimes} from './loading-times.js'

export interface AdapterConfig {
  /** Adapters that fit at once (vLLM's max_loras). */
  readonly slots: number
  readonly loadNs: Ns
  /** Share of its time that a step takes longer for each adapter that requests in the engine use. */
  readonly overhead: number
}

/** What became of the adapters of an engine. */
export interface AdapterTotals {
  readonly loads: number
  /** Requests that found their adapter there, and that had to wait for it. */
  readonly hits: number
  readonly held: number
  /** Σ over those of the time they waited. */
  readonly heldNs: Ns
}

interface Held {
  readonly slot: number
  readonly adapter: number
  readonly since: Ns
}

interface Loaded {
  users: number
}

const never = Number.POSITIVE_INFINITY

export class AdapterSlots {
  readonly config: AdapterConfig
  /** In order of use: the first was used least recently. */
  readonly #loaded = new Map<number, Loaded>()
  readonly #held: Held[] = []
  /** Adapter of each request in the engine. */
  readonly #users = new Map<number, number>()
  #loading = -1
  #loadEnd: Ns = never
  /** Adapters that requests in the engine use. */
  active = 0
  #loads = 0
  #hits = 0
  #heldCount = 0
  #heldNs = 0

  constructor(config: AdapterConfig) {
    this.config = config
  }

  get waiting(): number {
    return this.#held.length
  }

  get totals(): AdapterTotals {
    return {loads: this.#loads, hits: this.#hits, held: this.#heldCount, heldNs: this.#heldNs}
  }

  /** When the load under way ends; +Infinity: none is. */
  nextAt(): Ns {
    return this.#loadEnd
  }

  /** A request comes. Returns whether it may enter: its adapter is there, and is its from now on. */
  admit(slot: number, adapter: number, now: Ns): boolean {
    if (this.#loaded.has(adapter)) {
      this.#hits++
      this.#use(slot, adapter)
      return true
    }
    this.#held.push({slot, adapter, since: now})
    this.#heldCount++
    this.#loadNext(now)
    return false
  }

  /** Ends a load that is due at `now`: the requests that waited for it may enter, in order of arrival. */
  takeLoaded(now: Ns): readonly number[] {
    if (this.#loadEnd > now) return []
    const adapter = this.#loading
    this.#loaded.set(adapter, {users: 0})
    this.#loading = -1
    this.#loadEnd = never
    const entering = this.#held.filter((held) => held.adapter === adapter)
    for (const held of entering) {
      this.#held.splice(this.#held.indexOf(held), 1)
      this.#heldNs += now - held.since
      this.#use(held.slot, adapter)
    }
    this.#loadNext(now)
    return entering.map(({slot}) => slot)
  }

  /** A request leaves the engine; one without an adapter holds none. */
  leave(slot: number, now: Ns): void {
    const adapter = this.#users.get(slot)
    if (adapter === undefined) return
    this.#users.delete(slot)
    const loaded = this.#loaded.get(adapter)!
    if (--loaded.users > 0) return
    this.active--
    this.#loadNext(now)
  }

  /** A request that waits is gone. Returns whether it did wait. */
  forget(slot: number): boolean {
    const at = this.#held.findIndex((held) => held.slot === slot)
    if (at >= 0) this.#held.splice(at, 1)
    return at >= 0
  }

  #use(slot: number, adapter: number): void {
    this.#users.set(slot, adapter)
    const loaded = this.#loaded.get(adapter)!
    if (loaded.users++ === 0) this.active++
    this.#loaded.delete(adapter)
    this.#loaded.set(adapter, loaded)
  }

  /** Begins to load what the first request in line waits for, if a slot is free or can be made free. */
  #loadNext(now: Ns): void {
    const first = this.#held[0]
    if (first === undefined || this.#loading >= 0) return
    if (this.#loaded.size >= this.config.slots && !this.#evict()) return
    this.#loading = first.adapter
    this.#loadEnd = now + this.config.loadNs
    this.#loads++
  }

  #evict(): boolean {
    for (const [adapter, {users}] of this.#loaded) {
      if (users > 0) continue
      this.#loaded.delete(adapter)
      return true
    }
    return false
  }
}

/** Step times, longer by a share for each adapter in use. */
export function withAdapters(
  {stepTime, pipeline}: StepTimes,
  adapters: AdapterSlots | undefined,
): StepTimes {
  if (adapters === undefined) return {stepTime, pipeline}
  const longer =
    (time: StepTime): StepTime =>
    (shape) =>
      Math.round(time(shape) * (1 + adapters.config.overhead * adapters.active))
  return {
    stepTime: longer(stepTime),
    pipeline: pipeline && {...pipeline, stages: pipeline.stages.map(longer)},
  }
}
