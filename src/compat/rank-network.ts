/**
 * LLMServingSim's network, node by node: each rank runs its operations, ranks of a ring wait for each other's messages,
 * and whatever ends is an instant at which engines are asked for work. Rings hand the lag of a rank on to the next.
 */
import type {BatchShape, Ns} from '../latency/step-time.js'
import {endpointNs} from './llmservingsim.js'
import type {Operation, RankPlan, RankWork, RingPhase} from './rank-work.js'

/** A batch of an engine while its ranks run it. */
export interface RankBatch {
  readonly engine: number
  /** The same for the batches that the engines of a group run together. */
  readonly pass: number
  readonly shape: BatchShape
  /** When its first rank began. */
  start: Ns
  /** Which of the ranks that decide have ended it. */
  ended: number
}

interface Rank {
  readonly id: number
  readonly engine: number
  readonly stage: number
  readonly place: number
  readonly waiting: RankBatch[]
  isBusy: boolean
}

/** A rank that goes through its plan. */
interface Run {
  readonly rank: Rank
  readonly batch: RankBatch
  readonly plan: RankPlan
  at: number
}

interface Seat {
  /** When it can send next, and how many of its steps are done. */
  at: Ns
  step: number
  readonly onEnd: () => void
}

interface Ring {
  readonly phase: RingPhase
  readonly ranks: readonly Rank[]
  readonly seats: Map<Rank, Seat>
  /** When the message of each step came, by rank. */
  readonly came: Map<Rank, Ns[]>
}

interface Event {
  readonly at: Ns
  readonly happen: () => void
}

export interface EngineOfRanks {
  readonly work: RankWork
  /** Engines with the same number are a data-parallel group. */
  readonly group: number | undefined
}

export class RankNetwork {
  /** Time of the last event; NaN before the first. */
  lastAt: Ns = Number.NaN
  /** Whether a rank came to the end of its plan at that instant. */
  hasFreed = false
  readonly #engines: readonly EngineOfRanks[]
  readonly #ranks: readonly (readonly Rank[])[]
  /** Soonest last. */
  readonly #events: Event[] = []
  readonly #hostFreeAt = new Map<number, Ns>()
  readonly #rings = new Map<string, Ring>()
  /** Hidden states that came before they were waited for, and those who wait. */
  readonly #hops = new Map<string, () => void>()
  #ended: RankBatch[] = []
  #now: Ns = 0

  constructor(engines: readonly EngineOfRanks[]) {
    this.#engines = engines
    let id = 0
    this.#ranks = engines.map(({work}, engine) =>
      Array.from({length: work.stages * work.ranks}, (_, at) => ({
        id: id++,
        engine,
        stage: Math.floor(at / work.ranks),
        place: at % work.ranks,
        waiting: [],
        isBusy: false,
      })),
    )
  }

  /** When something ends next; +Infinity: nothing runs. */
  get nextAt(): Ns {
    return this.#events.at(-1)?.at ?? Number.POSITIVE_INFINITY
  }

  /** Whether the first rank of an engine would take a batch at once. */
  isFree(engine: number): boolean {
    const [first] = this.#ranks[engine]!
    return !first!.isBusy && first!.waiting.length === 0
  }

  /** All ranks of the engine are to run a batch, each as soon as it looks for work. */
  give(batch: RankBatch): void {
    for (const rank of this.#ranks[batch.engine]!) rank.waiting.push(batch)
  }

  /** Ranks of an engine that idle look for work. Returns whether any found some. */
  startIdle(engine: number, now: Ns): boolean {
    this.#now = now
    let hasStarted = false
    for (const rank of this.#ranks[engine]!) {
      const batch = rank.isBusy ? undefined : rank.waiting.shift()
      if (batch === undefined) continue
      hasStarted = true
      rank.isBusy = true
      if (Number.isNaN(batch.start)) batch.start = now
      const plan = this.#engines[engine]!.work.plan(batch.shape, rank.stage, rank.place)
      this.#go({rank, batch, plan, at: 0})
    }
    return hasStarted
  }

  /** Everything that happens at the next instant. Returns the batches that ended, in order. */
  step(): readonly RankBatch[] {
    const now = this.nextAt
    this.#now = this.lastAt = now
    this.#ended = []
    this.hasFreed = false
    while (this.nextAt === now) this.#events.pop()!.happen()
    return this.#ended
  }

  #after(ns: Ns, happen: () => void): void {
    this.#put(this.#now + ns, happen)
  }

  #put(at: Ns, happen: () => void): void {
    const events = this.#events
    let place = events.length
    while (place > 0 && events[place - 1]!.at <= at) place--
    events.splice(place, 0, {at, happen})
  }

  #go(run: Run): void {
    const operation = operationAt(run.plan, run.at)
    if (operation === undefined) {
      this.#end(run)
      return
    }
    const onEnd = () => {
      run.at++
      this.#go(run)
    }
    this.#run(operation, run, onEnd)
  }

  #run(operation: Operation, run: Run, onEnd: () => void): void {
    const {stage, engine} = run.rank
    if (operation.kind === 'kernel') this.#after(operation.ns, onEnd)
    else if (operation.kind === 'host copy') this.#copy(engine, operation.ns, onEnd)
    else if (operation.kind === 'receive') this.#meet(hopName(run, stage - 1), onEnd)
    else if (operation.kind === 'send') {
      this.#after(operation.ns, () => {
        this.#meet(hopName(run, stage), () => {})
        onEnd()
      })
    } else this.#runCollective(operation, run, onEnd)
  }

  #runCollective(
    {place, phases, besideNs}: Operation & {kind: 'collective'},
    run: Run,
    onEnd: () => void,
  ): void {
    const layer = Math.floor((run.at - run.plan.before.length) / run.plan.layer.length)
    const name = `${run.batch.pass} ${run.rank.stage} ${layer} ${place}`
    if (besideNs === undefined) {
      this.#collect({name, phases, run}, onEnd)
      return
    }
    const both = lastOf(2, onEnd)
    this.#collect({name, phases, run}, both)
    this.#after(besideNs, both)
  }

  #copy(engine: number, ns: Ns, onEnd: () => void): void {
    const {node} = this.#engines[engine]!.work
    const end = Math.max(this.#now, this.#hostFreeAt.get(node) ?? 0) + ns
    this.#hostFreeAt.set(node, end)
    this.#put(end, onEnd)
  }

  /** The later of two goes on: the one that waits for a message, or its arrival. */
  #meet(name: string, go: () => void): void {
    const other = this.#hops.get(name)
    if (other === undefined) {
      this.#hops.set(name, go)
      return
    }
    this.#hops.delete(name)
    other()
    go()
  }

  #collect(
    given: {name: string; phases: readonly RingPhase[]; run: Run},
    onEnd: () => void,
    at = 0,
  ): void {
    const phase = given.phases[at]
    if (phase === undefined) onEnd()
    else this.#enter(given, at, () => this.#collect(given, onEnd, at + 1))
  }

  #enter(
    {name, phases, run}: {name: string; phases: readonly RingPhase[]; run: Run},
    at: number,
    onEnd: () => void,
  ): void {
    const {rank} = run
    const phase = phases[at]!
    const ranks = this.#ringOf(rank, phase)
    const key = `${name} ${at} ${ranks[0]!.id}`
    const ring = this.#rings.get(key) ?? {phase, ranks, seats: new Map(), came: new Map()}
    this.#rings.set(key, ring)
    const leave = () => {
      ring.seats.delete(rank)
      ring.came.delete(rank)
      if (ring.seats.size === 0 && ring.came.size === 0) this.#rings.delete(key)
      onEnd()
    }
    const seat = {at: this.#now + endpointNs, step: 0, onEnd: leave}
    ring.seats.set(rank, seat)
    this.#send(ring, rank, seat)
    this.#advance(ring, rank)
  }

  #ringOf(rank: Rank, {among}: RingPhase): readonly Rank[] {
    const all = this.#ranks[rank.engine]!
    if (among === 'stage') return all.filter(({stage}) => stage === rank.stage)
    const {group} = this.#engines[rank.engine]!
    const place = all.indexOf(rank)
    return this.#ranks.filter((_, i) => this.#engines[i]!.group === group).map((of) => of[place]!)
  }

  /** A rank sends to its neighbour as soon as it can. */
  #send(ring: Ring, rank: Rank, {at, step}: Seat): void {
    const next = ring.ranks[(ring.ranks.indexOf(rank) + 1) % ring.ranks.length]!
    this.#put(at + ring.phase.stepNs, () => {
      const came = ring.came.get(next) ?? []
      ring.came.set(next, came)
      came[step] = this.#now
      this.#advance(ring, next)
    })
  }

  /** Steps of a rank for which it is in the ring and has the message. */
  #advance(ring: Ring, rank: Rank): void {
    const seat = ring.seats.get(rank)
    const {steps, reductions, reduceNs} = ring.phase
    while (seat !== undefined && seat.step < steps) {
      const came = ring.came.get(rank)?.[seat.step]
      if (came === undefined) return
      const reduction = seat.step < reductions ? reduceNs : 0
      seat.at = Math.max(seat.at, came) + endpointNs + reduction
      seat.step++
      if (seat.step < steps) this.#send(ring, rank, seat)
      else this.#put(seat.at, seat.onEnd)
    }
  }

  /** A batch has ended once the first and the last rank of its engine have. */
  #end({rank, batch}: Run): void {
    rank.isBusy = false
    this.hasFreed = true
    const ranks = this.#ranks[rank.engine]!
    if (rank === ranks[0]) batch.ended++
    if (rank === ranks.at(-1)) batch.ended++
    if (batch.ended === 2 && (rank === ranks[0] || rank === ranks.at(-1))) this.#ended.push(batch)
  }
}

const hopName = ({rank, batch}: Run, stage: number): string =>
  `${batch.pass} ${rank.engine} ${stage} ${rank.place}`

function operationAt({before, layer, layers, after}: RankPlan, at: number): Operation | undefined {
  if (at < before.length) return before[at]
  const inside = at - before.length
  const all = layer.length * layers
  return inside < all ? layer[inside % layer.length] : after[inside - all]
}

/** Called so many times, it goes on the last time. */
function lastOf(times: number, go: () => void): () => void {
  let left = times
  return () => {
    left--
    if (left === 0) go()
  }
}
