/**
 * Several reference engines and one clock, in the plainest form: every list an array, everything looked at at every
 * instant. docs/cluster.md and docs/scheduler.md are what it follows.
 */
import type {BatchShape, StepTime} from '#llmsim/latency/step-time.js'
import type {Trace} from '#llmsim/trace/trace.js'
import type {ReferenceConfig} from './reference-config.js'
import {ReferenceEngine} from './reference-engine.js'
import {ReferenceLinks, type ReferenceLinksCase} from './reference-links.js'
import {type Entered, type Pick, shapeOf} from './reference-request.js'
import {ReferenceTiers, type ReferenceTiersCase} from './reference-tiers.js'
import type {RequestResult} from './result.js'

export interface ReferenceMember {
  readonly config: ReferenceConfig
  readonly stepTime: StepTime
  readonly pipeline?: {readonly stages: readonly StepTime[]; readonly hop: StepTime}
  readonly role?: 'prefill' | 'decode'
  readonly group?: number
  /** Of steps that begin while KV is on its way to it. */
  readonly whileLoading?: {
    readonly stepTime: StepTime
    readonly pipeline?: {readonly stages: readonly StepTime[]; readonly hop: StepTime}
  }
}

export interface ReferenceClusterCase {
  readonly trace: Trace
  readonly members: readonly ReferenceMember[]
  readonly router: 'round-robin' | 'least-requests'
  readonly firstToken: 'decode' | 'prefill'
  /** Prompts with at most so many tokens that are not cached where they decode stay there. */
  readonly stayBelow: number
  /** ns of a transfer of so many tokens. */
  readonly transfer: (tokens: number) => number
  /** Memory below the devices. */
  readonly tiers?: ReferenceTiersCase
  /** Instead of times of transfers, links that all of them share. */
  readonly links?: ReferenceLinksCase
}

/** Called after every instant at which something happened, for tests that look inside. */
export type ClusterObserver = (
  now: number,
  tiers: ReferenceTiers,
  engines: readonly ReferenceEngine[],
) => void

export interface ClusterRow extends Omit<RequestResult, 'reason'> {
  instance: number
  isRejected: boolean
}

export interface ReferenceClusterResult {
  readonly rows: readonly ClusterRow[]
  readonly freeBlocksAtEnd: readonly number[]
  readonly steps: readonly number[]
  /** Per instance: prompt tokens looked up, and found in the device. */
  readonly lookedUpTokens: readonly number[]
  readonly hitTokens: readonly number[]
  /** Per instance and tier. */
  readonly tierHitTokens: readonly (readonly number[])[]
  /** What is in each pool at the end, the oldest first. */
  readonly pools: readonly (readonly string[])[]
  /** Blocks that a writer had no room for, per instance and tier. */
  readonly dropped: readonly (readonly number[])[]
  readonly corners: ReadonlySet<string>
}

interface Running {
  readonly picks: readonly Pick[]
  readonly entered: readonly Entered[]
  readonly shape: BatchShape
  end: number
}

interface Member extends ReferenceMember {
  readonly instance: number
  readonly engine: ReferenceEngine
  readonly batches: Running[]
  readonly freeAt: number[]
  expected: number
  /** Ends of passes in which it computes nothing. */
  idles: number[]
  steps: number
}

type Stage = 'prefill' | 'queue' | 'transfer' | 'decode'

interface Journey {
  readonly row: number
  readonly arrivedAt: number
  readonly prefill: Member | undefined
  readonly decode: Member
  stage: Stage
}

interface Transfer {
  readonly journey: Journey
  /** As things are, where others share its links. */
  readonly end: number
  readonly number: number
}

const never = Number.POSITIVE_INFINITY

const noTiers: ReferenceTiersCase = {of: [], pools: [], transfer: () => 1}

class ReferenceCluster {
  readonly #given: ReferenceClusterCase
  readonly #members: readonly Member[]
  readonly #journeys = new Map<number, Journey>()
  readonly #left = new Map<number, ClusterRow>()
  readonly #arrivals: {time: number; row: number}[] = []
  readonly #cancels: {time: number; row: number}[] = []
  #transfers: Transfer[] = []
  #transferCount = 0
  /** Undefined: every transfer takes a time of its own. */
  readonly #links: ReferenceLinks | undefined
  readonly #tiers: ReferenceTiers
  readonly #observe: ClusterObserver
  readonly #starts = {entrance: 0, decode: 0}
  readonly #corners = new Set<string>()

  constructor(given: ReferenceClusterCase, observe: ClusterObserver) {
    this.#given = given
    this.#observe = observe
    this.#links = given.links && new ReferenceLinks(given.links)
    this.#tiers = new ReferenceTiers(given.tiers ?? noTiers, this.#links)
    this.#members = given.members.map((member, instance) => ({
      ...member,
      instance,
      engine: new ReferenceEngine(given.trace, member.config, this.#tiers.of(instance)),
      batches: [],
      freeAt: (member.pipeline?.stages ?? [member.stepTime]).map(() => 0),
      expected: 0,
      idles: [],
      steps: 0,
    }))
    for (let row = 0; row < given.trace.length; row++)
      if (this.#previous(row) === undefined)
        this.#arrivals.push({time: given.trace.arrivedAt[row]!, row})
  }

  run(): ReferenceClusterResult {
    const engines = this.#members.map(({engine}) => engine)
    for (let instants = 0; ; instants++) {
      const now = this.#next()
      if (now === never) break
      if (instants > 200_000) throw new Error('the run does not end')
      this.#happen(now)
      this.#observe(now, this.#tiers, engines)
    }
    for (const corner of [
      ...(this.#links?.corners ?? []),
      ...this.#tiers.corners,
      ...engines.flatMap(({corners}) => [...corners.keys()]),
    ])
      this.#corners.add(corner)
    const rows = Array.from({length: this.#given.trace.length}, (_, row) => this.#left.get(row)!)
    return {
      rows,
      freeBlocksAtEnd: engines.map(({pool}) => pool.free.length),
      steps: this.#members.map(({steps}) => steps),
      lookedUpTokens: engines.map(({lookedUpTokens}) => lookedUpTokens),
      hitTokens: engines.map(({hitTokens}) => hitTokens),
      tierHitTokens: engines.map(({tierHitTokens}) => tierHitTokens),
      pools: this.#tiers.pools.map(({identities}) => identities),
      dropped: this.#tiers.writers.map((writers) => writers.map(({dropped}) => dropped)),
      corners: this.#corners,
    }
  }

  #next(): number {
    return Math.min(
      ...this.#arrivals.map(({time}) => time),
      ...this.#cancels.map(({time}) => time),
      ...this.#transfers.map(({end}) => end),
      this.#tiers.next(),
      this.#links?.next() ?? never,
      ...this.#members.map(({batches}) => batches[0]?.end ?? never),
      ...this.#members.flatMap(({idles}) => idles),
      ...this.#groups().map((ranks) =>
        nextOf(ranks).some(Boolean) ? ranks[0]!.freeAt[0]! : never,
      ),
      never,
    )
  }

  #happen(now: number): void {
    this.#links?.run(now)
    this.#deliver(now)
    const prefilled: Journey[] = []
    const ended = new Set<Member>()
    for (const member of this.#members) {
      if (member.idles[0] === now) {
        member.idles.shift()
        ended.add(member)
      }
      if (member.batches[0]?.end !== now) continue
      ended.add(member)
      const {picks, entered} = member.batches.shift()!
      member.engine.complete(picks, now, entered)
      if (picks.some(({drafts}) => drafts > 0)) {
        if (member.role === 'decode') this.#corners.add('drafts behind KV from elsewhere')
        if (member.group !== undefined) this.#corners.add('drafts of tied ranks')
      }
      for (const {request} of picks) {
        if (request.result.status !== 'completed') continue
        const journey = this.#journeys.get(request.row)
        if (journey === undefined) continue
        if (journey.stage === 'prefill') {
          if (!prefilled.includes(journey)) prefilled.push(journey)
        } else if (journey.decode === member) this.#leave(journey, now, 'completed')
      }
    }
    this.#deliver(now)
    for (const journey of prefilled)
      if (this.#journeys.has(journey.row)) this.#handOver(journey, now)
    this.#endTransfers(now)
    for (const {instance, row} of this.#tiers.end(now)) this.#members[instance]!.engine.loaded(row)
    this.#tiers.startWriters(now)
    for (const member of this.#members) {
      // Who has nothing in flight looks at its queue whenever anything happens. It finds something new only where
      // something happened to it, or where what one of its pools holds changed: its head has more or less to load.
      // Who computes nothing in a pass of its group looks for work as a pass ends.
      const isFree = member.batches.length === 0 && member.idles.length === 0
      if (ended.has(member) || isFree) this.#plan(member, now)
      for (const {request, cached} of member.engine.pulls.splice(0)) {
        const journey = this.#journeys.get(request.row)!
        journey.stage = 'transfer'
        const tokens = request.input - cached
        const [from, to] = [journey.prefill!.instance, member.instance]
        const carried = this.#links
          ? this.#links.startBetween({from, to, tokens}, now)
          : {end: now + Math.max(1, this.#given.transfer(tokens))}
        const number = this.#transferCount++
        this.#transfers.push(Object.assign(carried, {journey, number}))
        this.#corners.add('transfer')
        if (cached > 0) this.#corners.add('transfer of a part')
      }
      const {instance} = member
      for (const {request, blocks} of member.engine.loads.splice(0))
        this.#tiers.startLoad({instance, row: request.row, blocks}, now)
      this.#tiers.startWriters(now, instance)
    }
    for (const ranks of this.#groups()) this.#startPass(ranks, now)
  }

  #deliver(now: number): void {
    const inOrder = (a: {time: number; row: number}, b: {time: number; row: number}) =>
      a.time - b.time || a.row - b.row
    const due = (events: {time: number; row: number}[]) => {
      events.sort(inOrder)
      return events[0]?.time === now
    }
    // What a cancel releases comes behind the cancels of that instant.
    while (due(this.#arrivals) || due(this.#cancels)) {
      while (due(this.#arrivals)) this.#submit(this.#arrivals.shift()!.row, now)
      while (due(this.#cancels)) this.#cancel(this.#cancels.shift()!.row, now)
    }
  }

  #submit(row: number, now: number): void {
    const {trace, stayBelow} = this.#given
    const cancelledAt = trace.cancelledAt?.[row] ?? Number.NaN
    if (!Number.isNaN(cancelledAt)) this.#cancels.push({row, time: Math.max(now, cancelledAt)})
    const decoders = this.#members.filter(({role}) => role === 'decode')
    const decode = this.#route(decoders, 'decode')
    if (decode !== undefined && stayBelow > 0) {
      const uncached = trace.inputTokens[row]! - decode.engine.cachedTokens(row)
      if (uncached <= stayBelow) {
        this.#corners.add('stays')
        this.#begin({row, arrivedAt: now, prefill: undefined, decode, stage: 'decode'}, now)
        return
      }
    }
    const entrances = this.#members.filter(({role}) => role !== 'decode')
    const entrance = this.#route(entrances, 'entrance')!
    if (decode === undefined)
      this.#begin({row, arrivedAt: now, prefill: undefined, decode: entrance, stage: 'decode'}, now)
    else this.#begin({row, arrivedAt: now, prefill: entrance, decode, stage: 'prefill'}, now)
  }

  #begin(journey: Journey, now: number): void {
    const {row, prefill, decode} = journey
    this.#journeys.set(row, journey)
    const {inputTokens, outputTokens} = this.#given.trace
    if (prefill && decode.engine.rejection(inputTokens[row]! + outputTokens[row]!) !== undefined) {
      this.#leave(journey, now, 'rejected')
      return
    }
    const first = prefill ?? decode
    if (prefill) decode.expected += 1
    first.engine.enqueue(row, {isPrompt: prefill !== undefined})
    if (first.engine.results[row]!.status !== 'rejected') return
    if (prefill) decode.expected -= 1
    this.#leave(journey, now, 'rejected')
  }

  #handOver(journey: Journey, now: number): void {
    const {row, prefill, decode} = journey
    const request = prefill!.engine.requests.get(row)!
    decode.expected -= 1
    journey.stage = 'queue'
    if (!request.keeps) {
      this.#corners.add('nothing kept')
      journey.stage = 'decode'
    }
    const first = this.#given.firstToken === 'prefill' ? {firstTokenAt: now} : {}
    const isOver = first.firstTokenAt !== undefined && this.#given.trace.outputTokens[row] === 1
    if (isOver) throw new Error('one token and the first comes from the prefill: not asked for')
    const {scheduledAt} = request.result
    // What starts anew was looked up, and counted, where it began.
    const come = request.keeps ? {origin: 'elsewhere' as const} : {scheduledAt}
    decode.engine.enqueue(row, {...first, ...come})
  }

  #endTransfers(now: number): void {
    this.#transfers.sort((a, b) => a.end - b.end || a.number - b.number)
    while (this.#transfers[0]?.end === now) {
      const {journey} = this.#transfers.shift()!
      journey.stage = 'decode'
      journey.decode.engine.arrived(journey.row)
      journey.prefill!.engine.release(journey.row)
    }
  }

  #cancel(row: number, now: number): void {
    const journey = this.#journeys.get(row)
    if (journey === undefined) return
    const {prefill, decode, stage} = journey
    this.#corners.add(`cancelled in ${stage}`)
    if (stage === 'prefill') decode.expected -= 1
    const {engine, instance} = stage === 'prefill' ? prefill! : decode
    engine.cancel(row, now)
    this.#tiers.dropLoad(instance, row, now)
    if (stage === 'queue' || stage === 'transfer') prefill!.engine.release(row)
    for (const transfer of this.#transfers)
      if (transfer.journey === journey) this.#links?.stop(transfer, now)
    this.#transfers = this.#transfers.filter((transfer) => transfer.journey !== journey)
    this.#leave(journey, now, 'cancelled')
  }

  #leave(journey: Journey, now: number, status: 'completed' | 'rejected' | 'cancelled'): void {
    const {row, prefill, decode, stage} = journey
    this.#journeys.delete(row)
    const own = decode.engine.results[row]!
    const prompt = prefill?.engine.results[row]
    const isHanded = prompt !== undefined && stage !== 'prefill'
    this.#left.set(row, {
      ...own,
      status,
      instance: decode.instance,
      isRejected: status === 'rejected',
      finishedAt: status === 'cancelled' ? now : own.finishedAt,
      scheduledAt: prompt?.scheduledAt ?? own.scheduledAt,
      cachedTokens: prompt?.cachedTokens ?? own.cachedTokens,
      preemptions: own.preemptions + (prompt?.preemptions ?? 0),
      producedTokens: prompt !== undefined && !isHanded ? 0 : own.producedTokens,
    })
    const {thinkTime} = this.#given.trace
    for (let next = row + 1; next < this.#given.trace.length; next++)
      if (this.#previous(next) === row)
        this.#arrivals.push({row: next, time: now + thinkTime![next]!})
  }

  /** The turn that a row waits for. */
  #previous(row: number): number | undefined {
    const {session, thinkTime} = this.#given.trace
    const code = session?.codes[row] ?? -1
    if (code < 0 || Number.isNaN(thinkTime?.[row] ?? Number.NaN)) return undefined
    for (let before = row - 1; before >= 0; before--)
      if (session!.codes[before] === code) return before
    return undefined
  }

  #route(among: readonly Member[], kind: 'entrance' | 'decode'): Member | undefined {
    if (among.length <= 1) return among[0]
    const start = this.#starts[kind]
    const inTurn = among.map((_, i) => among[(start + i) % among.length]!)
    let chosen = inTurn[0]!
    const load = ({engine, expected, config}: Member) =>
      (4 * (engine.waiting.length + expected) + engine.running.length) / config.maxNumSeqs
    if (this.#given.router === 'least-requests')
      for (const member of inTurn) if (load(member) < load(chosen)) chosen = member
    this.#starts[kind] = (among.indexOf(chosen) + 1) % among.length
    return chosen
  }

  #plan(member: Member, now: number): void {
    const {engine, batches, config} = member
    while (batches.length + member.idles.length < config.depth) {
      const made = engine.plan(now)
      if (made.picks.length === 0) {
        if (made.preempted > 0 && batches.length === 0) continue
        return
      }
      const shape = shapeOf(made.picks)
      const end = member.group === undefined ? this.#timed(member, shape, now) : never
      batches.push({picks: made.picks, entered: made.entered, shape, end})
      member.steps += 1
    }
  }

  #timed(member: Member, shape: BatchShape, now: number): number {
    const {freeAt, pipeline, stepTime} = this.#timesOf(member)
    let end = Math.max(now, freeAt[0]!)
    for (const [stage, time] of (pipeline?.stages ?? [stepTime]).entries()) {
      if (stage > 0) end = Math.max(end + pipeline!.hop({...shape}), freeAt[stage]!)
      end += Math.max(1, time({...shape}))
      freeAt[stage] = end
    }
    return end
  }

  /** What a step of an engine takes that begins now. */
  #timesOf(member: Member): Member {
    const {engine, instance, whileLoading} = member
    if (whileLoading === undefined) return member
    const isLoading =
      engine.loads.length > 0 ||
      this.#tiers.isLoading(instance) ||
      this.#transfers.some(({journey}) => journey.decode === member)
    if (!isLoading) return member
    this.#corners.add('step while KV comes')
    return {...member, ...whileLoading}
  }

  #groups(): Member[][] {
    const names = new Set(this.#members.map(({group}) => group))
    names.delete(undefined)
    return [...names].map((name) => this.#members.filter(({group}) => group === name))
  }

  /**
   * All ranks run a pass together and go from stage to stage side by side, each stage as long as the slowest takes with
   * all padded to the largest.
   */
  #startPass(ranks: readonly Member[], now: number): void {
    const freeAt = ranks[0]!.freeAt
    if (now < freeAt[0]!) return
    const next = nextOf(ranks)
    const sizes = next.flatMap((batch) => (batch === undefined ? [] : [batch.shape.tokens]))
    if (sizes.length === 0) return
    const paddedTokens = Math.max(...sizes)
    const shapes = next.map((batch) => ({...(batch?.shape ?? nothing), paddedTokens}))
    let end = now
    for (let stage = 0; stage < freeAt.length; stage++) {
      const times = ranks.map((rank, i) => {
        const {stepTime, pipeline} = this.#timesOf(rank)
        const time = pipeline?.stages[stage] ?? stepTime
        return Math.max(1, time({...shapes[i]!}))
      })
      const hops = ranks.map(({pipeline}, i) => pipeline?.hop({...shapes[i]!}) ?? 0)
      if (stage > 0) end = Math.max(end + Math.max(...hops), freeAt[stage]!)
      end += Math.max(...times)
      freeAt[stage] = end
    }
    this.#corners.add(sizes.length < ranks.length ? 'pass with an idle rank' : 'pass of all')
    if (freeAt.length > 1) {
      this.#corners.add('pass through stages')
      if (ranks.some(({batches, idles}) => batches.length > 1 && idles.length > 0))
        this.#corners.add('pass of a rank that idles in another')
    }
    for (const [i, rank] of ranks.entries()) {
      const batch = next[i]
      if (batch) batch.end = end
      else rank.idles.push(end)
    }
  }
}

/** The batch of each rank that no pass has taken yet. */
const nextOf = (ranks: readonly Member[]): (Running | undefined)[] =>
  ranks.map(({batches}) => batches.find(({end}) => end === never))

/** One token of no request. */
const nothing: BatchShape = {
  tokens: 1,
  sequences: 1,
  prefills: 0,
  prefillTokens: 0,
  prefillTokensMax: 0,
  prefillContext: 0,
  prefillWork: 0,
  prefillContextMax: 0,
  decodes: 1,
  decodeContext: 1,
  decodeContextMin: 1,
  decodeContextMax: 1,
  paddedTokens: 1,
}

export const runReferenceCluster = (
  given: ReferenceClusterCase,
  observe: ClusterObserver = () => {},
): ReferenceClusterResult => new ReferenceCluster(given, observe).run()
