/**
 * Who has a seat in the engine, and in which role: prefilling, decoding in the cohort, or draining. Every way
 * in, out and between the roles is here, and so is the account of who gets a token from which batch.
 */
import type {Ns} from '../latency/step-time.js'
import type {Batch} from './batch.js'
import type {Cohort} from './cohort.js'
import type {EngineConfig, EngineListener, Speculation} from './engine-config.js'
import type {Blocks} from './kv-cache.js'
import {Lanes} from './lanes.js'
import type {Pipeline} from './pipeline.js'
import {none, type RequestPool, state} from './request-pool.js'
import {RunningList} from './running-list.js'

export interface SeatsParts {
  readonly config: EngineConfig
  readonly requests: RequestPool
  readonly blocks: Blocks
  readonly pipeline: Pipeline
  readonly listener: EngineListener
}

export class Seats {
  readonly list: RunningList
  readonly lanes: Lanes
  /** Requests with more than the next token to compute, in order of admission. */
  readonly prefilling: number[] = []
  /** Members of the cohort that were left out of batches since their last token. */
  readonly stragglers: number[] = []
  /** Members that did not decode yet: with groups of layers a window may have left many of their blocks. */
  readonly joined: number[] = []
  /** Members that the plan being made leaves out. */
  readonly leftOut: number[] = []
  work = 0
  readonly #config: EngineConfig
  readonly #requests: RequestPool
  readonly #blocks: Blocks
  readonly #pipeline: Pipeline
  readonly #listener: EngineListener

  constructor({config, requests, blocks, pipeline, listener}: SeatsParts) {
    this.#config = config
    this.#requests = requests
    this.#blocks = blocks
    this.#pipeline = pipeline
    this.#listener = listener
    this.list = new RunningList(requests)
    this.lanes = new Lanes(config.blockSize, config.stages ?? 1, requests)
  }

  /** The decodes that can be planned now. */
  get cohort(): Cohort {
    return this.lanes.open
  }

  /** The cohort that a decoding request is in. */
  cohortOf(slot: number): Cohort {
    const {lanes} = this
    return lanes.isPipeline ? lanes.at(this.#requests.lane[slot]!) : lanes.open
  }

  /** Whether a decode can be planned now. */
  isOpen(slot: number): boolean {
    const {lanes} = this
    return !lanes.isPipeline || this.#requests.lane[slot] === lanes.open.lane
  }

  /** Tokens that a request would like in one step when `tokens` are missing. */
  cut(tokens: number): number {
    const threshold = this.#config.longPrefillTokenThreshold
    return threshold > 0 ? Math.min(tokens, threshold) : tokens
  }

  /** Gives a request from the queue a seat; `computed` tokens are cached. */
  admit(slot: number, computed: number): void {
    this.list.push(slot)
    this.prefilling.push(slot)
    this.#requests.state[slot] = state.prefilling
    this.#requests.computed[slot] = computed
  }

  /** Gives a new request from the queue a seat, and enters its whole prompt in the batch, so that it gets a token. */
  admitWhole(slot: number, batch: Batch, now: Ns): void {
    const tokens = this.#requests.input[slot]!
    this.list.push(slot)
    this.work++
    batch.addChunk(tokens, 0)
    this.#requests.computed[slot] = tokens
    this.#listener.chunkPlanned?.(slot, now)
    this.#join(slot, batch)
  }

  /** Enters the picked tokens of a prefilling request in the batch; if it catches up it gets a token. */
  commitChunk(slot: number, batch: Batch, now: Ns): void {
    const requests = this.#requests
    const n = requests.picked[slot]!
    requests.picked[slot] = 0
    this.work++
    if (n === 0) return
    const computed = requests.computed[slot]!
    batch.addChunk(n, computed)
    requests.computed[slot] = computed + n
    if (Number.isNaN(requests.firstTokenAt[slot]!)) this.#listener.chunkPlanned?.(slot, now)
    if (computed + n < requests.reached[slot]!) return
    if (this.#config.speculation) this.#verify(slot, batch, this.#config.speculation)
    else {
      dropFrom(this.prefilling, slot)
      this.#join(slot, batch)
    }
  }

  /**
   * A request of a speculating engine that caught up. What it computed beyond its last token are drafts: it gets those
   * that the model accepts, and the model's own next token. It keeps the blocks of the others for its next drafts.
   */
  #verify(slot: number, batch: Batch, {accepts}: Speculation): void {
    const requests = this.#requests
    const reached = requests.reached[slot]!
    const held = requests.computed[slot]!
    const drafts = held - reached
    const row = requests.row[slot]!
    let accepted = 0
    while (accepted < drafts && accepts(row, reached + accepted, accepted)) accepted++
    if (drafts > 0) batch.verifications++
    batch.drafts += drafts
    batch.accepted += accepted
    const tokens = Math.min(accepted + 1, requests.total[slot]! - reached)
    batch.wasted += drafts - (tokens - 1)
    requests.promised[slot] = tokens
    requests.reached[slot] = reached + tokens
    requests.computed[slot] = reached + tokens - 1
    this.#blocks.shrink(slot, held, reached + tokens - 1)
    batch.enlist(batch.joiners, slot)
    this.#listener.tokensAt?.(slot, batch.sequence, tokens)
    this.work += tokens
    if (reached + tokens < requests.total[slot]!) return
    dropFrom(this.prefilling, slot)
    this.#drain(slot, batch)
  }

  /** A request that caught up gets a token from `batch`, and decodes from the next step on. */
  #join(slot: number, batch: Batch): void {
    const requests = this.#requests
    const isLast = ++requests.reached[slot]! === requests.total[slot]!
    batch.enlist(batch.joiners, slot)
    this.#listener.tokensFrom?.(slot, batch.sequence, this.cohort.lane)
    requests.regularFrom[slot] = batch.sequence + 1
    requests.lane[slot] = this.cohort.lane
    if (isLast) {
      this.#drain(slot, batch)
      return
    }
    requests.state[slot] = state.decoding
    requests.regularUntil[slot] = Number.POSITIVE_INFINITY
    const {cohort} = this
    this.#seatIn(cohort, slot, requests.computed[slot]!, cohort.step + 1)
    if (this.#config.kvGroups) this.joined.push(slot)
  }

  /** A member that has `context` tokens cached at its next step, which is `first`, and gets one more in each. */
  #seatIn(cohort: Cohort, slot: number, context: number, first: number): void {
    const requests = this.#requests
    cohort.join(slot, context, first, first + requests.total[slot]! - context - 2)
    requests.lane[slot] = cohort.lane
    const shareable = requests.shareable[slot]!
    if (shareable > 0 && shareable > Math.floor(context / this.#config.blockSize))
      cohort.fills(slot)
  }

  /** All tokens of the request are planned: it finishes with `batch`. */
  #drain(slot: number, batch: Batch): void {
    const requests = this.#requests
    requests.state[slot] = state.draining
    requests.computed[slot] = requests.total[slot]! - 1
    requests.reached[slot] = requests.total[slot]!
    requests.regularUntil[slot] = batch.sequence
    batch.enlist(batch.finishing, slot)
  }

  /** A member gets a token again: the gap before it is its own, the next ones are regular. */
  pickStraggler(slot: number, batch: Batch): void {
    batch.enlist(batch.stragglers, slot)
    this.#requests.regularFrom[slot] = batch.sequence + 1
    this.#requests.regularUntil[slot] = Number.POSITIVE_INFINITY
    this.#listener.tokensFrom?.(slot, batch.sequence, this.cohort.lane)
  }

  /** Members left out keep their context; members with their last token in `batch` drain; the step counts. */
  seal(batch: Batch): void {
    const {cohort} = this
    if (this.leftOut.length > 0) {
      for (const slot of this.leftOut) this.#leaveOut(slot)
      this.leftOut.length = 0
    }
    if (cohort.hasEnding()) this.drainEnding(batch)
    cohort.advance()
    this.lanes.depart(batch)
  }

  /** Members with their last token in `batch` drain. */
  drainEnding(batch: Batch): void {
    const {cohort} = this
    for (let slot = cohort.takeEnding(); slot !== none; slot = cohort.takeEnding())
      this.#drain(slot, batch)
  }

  /** `batch` ended: its decodes may be planned again. Returns the gap before its regular tokens. */
  release(batch: Batch, now: Ns): Ns {
    return this.lanes.arrive(batch, now, this.#gather)
  }

  /** Those left over from earlier plans join a cohort that came back. */
  readonly #gather = (from: Cohort, to: Cohort): void => {
    const {next, state: role, lane} = this.#requests
    for (let slot = this.list.head; slot !== none; slot = next[slot]!) {
      this.work++
      if (role[slot] === state.decoding && lane[slot] === from.lane) this.#defer(slot, to, to.step)
    }
  }

  #leaveOut(slot: number): void {
    const {cohort, lanes} = this
    this.work++
    // In a pipeline those who stay go into the cohort that can be planned next.
    if (lanes.isPipeline) this.#defer(slot, lanes.next, lanes.next.step)
    else this.#defer(slot, cohort, cohort.step + 1)
  }

  /** Moves an open member to `to`, where its next step is `first`; the gap before its next token is its own. */
  #defer(slot: number, to: Cohort, first: number): void {
    const cohort = this.cohortOf(slot)
    const context = cohort.context(slot)
    if (!this.stragglers.includes(slot)) {
      this.#keepLastToken(slot)
      this.stragglers.push(slot)
    }
    cohort.leave(slot)
    this.#seatIn(to, slot, context, first)
  }

  /**
   * Takes the seat and the role of a request that is preempted or cancelled; its blocks stay with it.
   * Afterwards `computed` and `reached` hold in every role.
   */
  unseat(slot: number): void {
    const requests = this.#requests
    const role = requests.state[slot]
    if (role === state.prefilling) dropFrom(this.prefilling, slot)
    else if (role === state.decoding) this.#leaveCohort(slot)
    this.list.remove(slot)
  }

  #leaveCohort(slot: number): void {
    const cohort = this.cohortOf(slot)
    const context = cohort.context(slot)
    this.#requests.computed[slot] = context
    this.#requests.reached[slot] = context + 1
    const at = this.stragglers.indexOf(slot)
    if (at >= 0) this.stragglers.splice(at, 1)
    else this.#keepLastToken(slot)
    cohort.leave(slot)
  }

  /** The regular tokens of a member end with its batch planned last: when that was must be remembered. */
  #keepLastToken(slot: number): void {
    const cohort = this.cohortOf(slot)
    const latest = this.lanes.isPipeline ? cohort.inFlight : this.#pipeline.newest
    const sequence = latest?.sequence ?? this.#pipeline.sequence
    this.#requests.regularUntil[slot] = sequence
    if (latest) latest.enlist(latest.departing, slot)
    else this.#requests.lastTokenAt[slot] = cohort.lastEnd
    if (latest && this.lanes.isPipeline) this.#requests.awaits[slot] = sequence
    this.#listener.tokensUntil?.(slot, sequence)
  }

  /** The last tokens of `batch` are delivered: seats and blocks go back, in order of the picks. */
  finish(batch: Batch): void {
    const requests = this.#requests
    requests.sortByAdmission(batch.finishing)
    for (const slot of batch.finishing) {
      this.work++
      this.#listener.tokensUntil?.(slot, batch.sequence)
      if (requests.state[slot] === state.draining) {
        this.list.remove(slot)
        if (requests.keeps[slot] === 1) {
          requests.state[slot] = state.kept
          this.#blocks.keep(slot, requests.computed[slot]!)
        } else this.#blocks.giveUp(slot, requests.computed[slot]!)
      } else {
        // Preempted with its last token in flight: there is nothing left to keep.
        requests.keeps[slot] = 0
        this.#blocks.leave(slot, 0)
      }
    }
  }
}

/** Takes a slot out of a list that keeps its order. */
function dropFrom(list: number[], slot: number): void {
  if (list.at(-1) === slot) list.pop()
  else list.splice(list.indexOf(slot), 1)
}
