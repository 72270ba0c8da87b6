/**
 * Engines whose ranks run node by node on LLMServingSim's network. Whenever a node ends anywhere, idle engines are asked
 * for work one after the other; a data-parallel group goes on once all of its engines have contributed. docs/compat.md.
 */
import {type RankBatch, RankNetwork} from '../compat/rank-network.js'
import type {RankWork} from '../compat/rank-work.js'
import type {Batch} from '../engine/batch.js'
import type {BatchShape, Ns} from '../latency/step-time.js'
import {dummy, type RankGroup} from './dp-group.js'
import type {ClockHooks} from './idle-clock.js'
import type {Replica} from './replica.js'

interface Member {
  readonly replica: Replica
  readonly work: RankWork
  readonly group: number | undefined
  /** What the ranks run, in order, without work for an engine that only takes part. */
  readonly inFlight: {readonly run: RankBatch; readonly batch: Batch | undefined}[]
  /** What waits for the others of the group. */
  contribution: Contribution | undefined
}

interface Contribution {
  /** Absent: it takes part without work. */
  readonly batch: Batch | undefined
  readonly shape: BatchShape
}

export interface RanksOf {
  readonly replica: Replica
  readonly work: RankWork
  readonly group: number | undefined
}

const never = Number.POSITIVE_INFINITY

export class PolledRanks implements RankGroup {
  readonly #members: readonly Member[]
  readonly #network: RankNetwork
  readonly #clock: ClockHooks
  #passes = 0
  /** The last round of questions changed something, or somebody arrived: the next node that ends matters. */
  #isRestless = false
  /** Batches that ended at the present instant. */
  #ended: readonly RankBatch[] = []
  #dueAt: Ns = never
  /** While nothing runs: when engines look for work. */
  #tickAt: Ns = never
  #idleSince: Ns = Number.NaN

  constructor(engines: readonly RanksOf[], clock: ClockHooks) {
    this.#members = engines.map((engine) => ({...engine, inFlight: [], contribution: undefined}))
    this.#network = new RankNetwork(engines)
    this.#clock = clock
    for (const {replica} of engines) replica.pollBy((now) => this.#arrived(now))
  }

  /** When the next node ends, or engines look for work although none does; +Infinity: all idle. */
  get nextAt(): Ns {
    return Math.min(this.#dueAt, this.#network.nextAt, this.#tickAt)
  }

  #arrived(now: Ns): void {
    this.#isRestless = true
    if (this.#network.nextAt < never || this.#dueAt < never) return
    const last = this.#network.lastAt
    if (Number.isNaN(last) && Number.isNaN(this.#idleSince))
      this.#idleSince = this.#clock.firstIdle(now)
    const since = Number.isNaN(last) ? this.#idleSince : last
    this.#tickAt = Math.min(this.#tickAt, this.#clock.noticeAt(since, now))
  }

  /** Lets nodes end in which nobody is interested, up to and including `until`. Returns whether any did. */
  skip(until: Ns): boolean {
    let hasSkipped = false
    while (!this.#isRestless && this.#dueAt === never && this.#network.nextAt <= until) {
      this.#step()
      hasSkipped = true
    }
    return hasSkipped
  }

  #step(): void {
    const at = this.#network.nextAt
    this.#ended = this.#network.step()
    if (this.#network.hasFreed) this.#dueAt = at
  }

  /** The nodes that end at `now` do, and with them batches. Returns whether any did. */
  advance(now: Ns): boolean {
    if (this.#dueAt > now && this.#network.nextAt === now) {
      this.#step()
      this.#dueAt = now
    }
    const ended = this.#ended
    this.#ended = []
    for (const run of ended) {
      const {inFlight, replica} = this.#members[run.engine]!
      const at = inFlight.findIndex((other) => other.run === run)
      replica.ran(inFlight.splice(at, 1)[0]!.batch, run.start, now)
    }
    return ended.length > 0
  }

  /** Asks all idle engines for work at `now`, if it is time to. Returns whether it was. */
  start(now: Ns): boolean {
    if (this.#dueAt > now && this.#tickAt > now) return false
    this.#dueAt = never
    this.#tickAt = never
    this.#isRestless = false
    for (const [engine, member] of this.#members.entries()) {
      if (this.#network.isFree(engine) && this.#ask(member, now)) this.#isRestless = true
      if (this.#network.startIdle(engine, now)) this.#isRestless = true
    }
    // Who was asked too early is asked again, at a tick where no node ends.
    if (this.#isRestless && this.#network.nextAt === never)
      this.#tickAt = this.#clock.noticeAt(now, now + 1)
    return true
  }

  /** Whether the engine has something for its ranks, or for its group. */
  #ask(member: Member, now: Ns): boolean {
    const {group, inFlight, work} = member
    if (member.contribution || inFlight.length >= work.stages) return false
    const others = group === undefined ? [] : this.#members.filter((of) => of.group === group)
    const isAwaited = others.some(({contribution}) => contribution)
    // With experts and nothing in flight it takes part without work, even if it has some: ranks take turns.
    const isIdle = isAwaited && work.hasExperts && inFlight.length === 0
    const batch = isIdle ? undefined : planned(member, now)
    if (batch === undefined && !isAwaited) return false
    member.contribution = {batch, shape: batch?.shape ?? {...dummy}}
    const all = group === undefined ? [member] : others
    if (all.every(({contribution}) => contribution)) this.#launch(all)
    return true
  }

  /** All pad to the largest; rows of padding count as sequences. */
  #launch(members: readonly Member[]): void {
    const padded = Math.max(...members.map(({contribution}) => contribution!.shape.tokens))
    const pass = ++this.#passes
    for (const member of members) {
      const {batch, shape} = member.contribution!
      shape.sequences += padded - shape.tokens
      shape.paddedTokens = padded
      const engine = this.#members.indexOf(member)
      const run = {engine, pass, shape, start: Number.NaN, ended: 0}
      member.contribution = undefined
      member.inFlight.push({run, batch})
      this.#network.give(run)
    }
  }
}

const planned = ({replica: {engine}}: Member, now: Ns): Batch | undefined =>
  engine.plan(now) && engine.newest
