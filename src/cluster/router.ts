/** Which engine an arriving request goes to. A new router is one entry of `routers`. */
import type {EngineView} from '../engine/engine-config.js'
import {mixedKey, mixedWith, Random} from './random.js'

/** What a router may know of a request. */
export interface RequestView {
  readonly row: number
  readonly inputTokens: number
}

/** What a router may be told of all engines at once. */
export interface Loads {
  /** `running + waiting`. */
  readonly counts: Int32Array
  /** Σ counts. */
  readonly sum: number
  /** See `loadOf`. */
  readonly loads: Float64Array
}

export interface Router {
  readonly name: string
  /** Index of the engine, 0 … engines.length − 1. `loads`: how many requests each has, where somebody keeps that. */
  pick(request: RequestView, engines: readonly EngineView[], loads?: Loads): number
  /** What the pick depends on; `everything` when this is absent. */
  reads?(request: RequestView): Reads
  /** Whether it also depends on what lies in tiers. */
  readonly readsTiers?: boolean
}

/**
 * What a pick depends on: nothing of the engines, how many requests each of them has (`running + waiting`), or anything.
 * An engine that nobody looks at need not be up to date.
 */
export type Reads = 'nothing' | 'counts' | 'everything'

const readsNothing = (): 'nothing' => 'nothing'

/** What routers may ask about the trace, and what they roll dice with. */
export interface RouterSeams {
  readonly seed: number
  /** A number that requests share whose prompts begin alike; undefined: nobody knows how it begins. */
  prefixOf(row: number): number | undefined
  /** A number for the session of a request; undefined: it has none. */
  sessionOf(row: number): number | undefined
  readonly weights: ScoreWeights
}

/** How much of a score comes from cached prompt tokens, from those in tiers, from a short queue, and from free KV blocks. */
export interface ScoreWeights {
  readonly prefix: number
  /** Of tokens that lie in tiers below the device, which are loaded: worth less than cached ones. */
  readonly tiers: number
  readonly queue: number
  readonly kv: number
}

/** Those of llm-d's default scheduling profile: prefix cache 3, queue 2, KV utilisation 2; it knows no tiers. */
export const defaultWeights: ScoreWeights = {prefix: 3, tiers: 0, queue: 2, kv: 2}

export const plainSeams: RouterSeams = {
  seed: 0,
  prefixOf: () => undefined,
  sessionOf: () => undefined,
  weights: defaultWeights,
}

type Measure = (engine: EngineView, request: RequestView) => number

/** LLMServingSim's LOAD, and the weights of vLLM's data-parallel balancer: a waiting request counts as four. */
export const loadOf = (waiting: number, running: number, maxNumSeqs: number): number =>
  (4 * waiting + running) / maxNumSeqs
const load = ({waiting, running, maxNumSeqs}: EngineView): number =>
  loadOf(waiting, running, maxNumSeqs)
const usedBlocks: Measure = ({freeBlocks, totalBlocks}) => 1 - freeBlocks / totalBlocks

/** Share of a prompt that lies below the device, behind what its cache has. */
const inTiers: Measure = (engine, {row, inputTokens}) =>
  (engine.tieredTokens?.(row, inputTokens) ?? 0) / inputTokens

/** The engine with the least of a measure; equals take turns. */
function least(measure: Measure): Pick<Router, 'pick'> {
  let start = 0
  return {
    pick(request, engines) {
      let best = -1
      let smallest = Number.POSITIVE_INFINITY
      for (let offset = 0; offset < engines.length; offset++) {
        const at = (start + offset) % engines.length
        const value = measure(engines[at]!, request)
        if (value >= smallest && best >= 0) continue
        smallest = value
        best = at
      }
      start = (best + 1) % engines.length
      return best
    },
  }
}

/** The same for loads, as a column where somebody keeps it. */
function leastLoad(): Pick<Router, 'pick'> {
  let start = 0
  return {
    pick(_request, engines, known) {
      // Engines that scale in leave fewer than there were when the turn was passed on.
      const best = firstLeast(
        known?.loads ?? Float64Array.from(engines, load),
        start % engines.length,
      )
      start = (best + 1) % engines.length
      return best
    },
  }
}

/** The first place from `start` on, round to the one before, that has the smallest value. */
function firstLeast(values: Float64Array, start: number): number {
  let best = start
  for (let at = start + 1; at < values.length; at++) if (values[at]! < values[best]!) best = at
  let before = -1
  for (let at = 0; at < start; at++)
    if (values[at]! < values[before < 0 ? best : before]!) before = at
  return before < 0 ? best : before
}

const countOf = ({waiting, running}: EngineView): number => waiting + running

/** An engine may have this much more than the mean load before it is passed over. */
const boundedLoad = 1.25

/** Keys whose first engines are remembered; another key with the same place takes it over. */
const remembered = 16_384
/** So many of its engines are remembered, as they are asked for. */
const choices = 4
const unknown = -1

/** The engines that come first in the order of a key, whatever their load. */
class Favourites {
  #engines = 0
  readonly #keys = new Float64Array(remembered).fill(Number.NaN)
  readonly #first = new Int32Array(remembered * choices)

  /** Where the first engines of a key are. */
  placeOf(key: number, engines: number): number {
    if (engines !== this.#engines) {
      this.#engines = engines
      this.#keys.fill(Number.NaN)
    }
    const place = mixedKey(key) & (remembered - 1)
    if (this.#keys[place] !== key) {
      this.#keys[place] = key
      this.#first.fill(unknown, place * choices, (place + 1) * choices)
    }
    return place
  }

  /** Number `choice` of the key at a place; there must be as many engines, and those before it were asked for. */
  at(place: number, choice: number): number {
    const known = this.#first[place * choices + choice]!
    return known === unknown ? this.#find(place, choice) : known
  }

  #find(place: number, choice: number): number {
    const from = place * choices
    const before = this.#first.subarray(from, from + choice)
    const ofKey = mixedKey(this.#keys[place]!)
    let best = unknown
    let highest = 0
    for (let at = 0; at < this.#engines; at++) {
      const rank = mixedWith(ofKey, at)
      if ((best !== unknown && rank <= highest) || before.includes(at)) continue
      highest = rank
      best = at
    }
    this.#first[from + choice] = best
    return best
  }
}

/** The first engine in the order of a key that has less than `most` requests. */
function firstBelow(ofKey: number, counts: Int32Array, most: number): number {
  let best = -1
  let highest = 0
  for (let at = 0; at < counts.length; at++) {
    if (counts[at]! >= most) continue
    const rank = mixedWith(ofKey, at)
    if (best >= 0 && rank <= highest) continue
    highest = rank
    best = at
  }
  return best
}

/**
 * Rendezvous hashing with bounded loads: each key has its own order of engines, and takes the first one that is not
 * loaded far above the mean (Mirrokni and others, 2016; as prefix hashing in KubeAI).
 */
function byKey(keyOf: (request: RequestView) => number | undefined): Omit<Router, 'name'> {
  const otherwise = leastLoad()
  const first = new Favourites()
  return {
    reads: (request) => (keyOf(request) === undefined ? 'everything' : 'counts'),
    pick(request, engines, loads) {
      const key = keyOf(request)
      if (key === undefined) return otherwise.pick(request, engines, loads)
      const counts = loads?.counts ?? Int32Array.from(engines, countOf)
      const sum = loads?.sum ?? counts.reduce((total, count) => total + count, 0)
      const most = Math.ceil((boundedLoad * (sum + 1)) / counts.length)
      const place = first.placeOf(key, counts.length)
      for (let choice = 0; choice < choices && choice < counts.length; choice++) {
        const engine = first.at(place, choice)
        if (counts[engine]! < most) return engine
      }
      return firstBelow(mixedKey(key), counts, most)
    },
  }
}

/** Sessions stay where their first request went. */
function sticky({sessionOf}: RouterSeams): Omit<Router, 'name'> {
  const otherwise = leastLoad()
  const homes = new Map<number, number>()
  return {
    reads(request) {
      const session = sessionOf(request.row)
      return session !== undefined && homes.has(session) ? 'nothing' : 'everything'
    },
    pick(request, engines, loads) {
      const session = sessionOf(request.row)
      if (session === undefined) return otherwise.pick(request, engines, loads)
      // An engine that was let go is nobody's home any more.
      const known = homes.get(session) ?? engines.length
      const home = known < engines.length ? known : otherwise.pick(request, engines, loads)
      homes.set(session, home)
      return home
    },
  }
}

/** Two engines at random, the less loaded of them. */
function powerOfTwo({seed}: RouterSeams): Pick<Router, 'pick'> {
  const random = new Random(seed)
  return {
    pick(_request, engines) {
      const first = random.below(engines.length)
      // Never the same one twice.
      const second = (first + 1 + random.below(engines.length - 1)) % engines.length
      return load(engines[second]!) < load(engines[first]!) ? second : first
    },
  }
}

/** Routers keep state (a rotating start, dice), so each simulation makes its own. */
export const routers: Readonly<Record<string, (seams?: RouterSeams) => Router>> = {
  'least-requests': () => ({name: 'least-requests', ...leastLoad()}),
  'round-robin': () => {
    let next = 0
    return {
      name: 'round-robin',
      reads: readsNothing,
      pick(_request, engines) {
        const at = next % engines.length
        next = at + 1
        return at
      },
    }
  },
  random: ({seed} = plainSeams) => {
    const random = new Random(seed)
    return {
      name: 'random',
      reads: readsNothing,
      pick: (_request, engines) => random.below(engines.length),
    }
  },
  'least-kv': () => ({name: 'least-kv', ...least(usedBlocks)}),
  'power-of-two': (seams = plainSeams) => ({name: 'power-of-two', ...powerOfTwo(seams)}),
  'prefix-affinity': ({prefixOf} = plainSeams) => ({
    name: 'prefix-affinity',
    ...byKey(({row}) => prefixOf(row)),
  }),
  'prefix-cache': () => ({
    name: 'prefix-cache',
    // A cached token counts for more than any load can.
    ...least(
      (engine, request) =>
        load(engine) / 1e6 - engine.cachedTokens(request.row, request.inputTokens),
    ),
  }),
  'session-sticky': (seams = plainSeams) => ({name: 'session-sticky', ...sticky(seams)}),
  weighted: ({weights} = plainSeams) => ({
    name: 'weighted',
    readsTiers: weights.tiers > 0,
    ...least(
      (engine, {row, inputTokens}) =>
        (-weights.prefix * engine.cachedTokens(row, inputTokens)) / inputTokens -
        (weights.tiers > 0 ? weights.tiers * inTiers(engine, {row, inputTokens}) : 0) -
        weights.queue / (1 + engine.waiting) -
        (weights.kv * engine.freeBlocks) / engine.totalBlocks,
    ),
  }),
}
