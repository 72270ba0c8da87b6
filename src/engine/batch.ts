/**
 * What one planned batch will deliver when it ends. Most of its tokens are *regular*: the request got its
 * previous token from the batch before, so all of them share one gap and need no list. The others are listed.
 */
import {type BatchShape, emptyShape, type Ns} from '../latency/step-time.js'
import {asDouble, empty} from './columns.js'
import type {HeldBack} from './totals.js'

export class Batch {
  /** Number of the batch, from 1. */
  sequence = 0
  readonly shape: BatchShape = {...emptyShape(), prefillWork: asDouble}
  /** Decodes whose previous token came from the batch before. */
  regular = 0
  /** Requests that catch up in this batch: their first token, or the first after a preemption. */
  readonly joiners: number[] = []
  /** Decodes that were left out of batches since their previous token. */
  readonly stragglers: number[] = []
  /** Requests whose last token this is. */
  readonly finishing: number[] = []
  /** Requests whose latest token this is, for they leave the cohort: its time must be kept. */
  readonly departing: number[] = []
  /** Of speculating engines: decodes that had drafts, their drafts, and those that are accepted. */
  verifications = 0
  drafts = 0
  accepted = 0
  /** Drafts that brought no token: rejected, or behind the end of the output. */
  wasted = 0
  /** Cohort of its decodes (see Seats); the first unless the engine has several stages. */
  lane = 0
  /** When it starts in the first stage and ends in the last, once its clock has said so. */
  start: Ns = asDouble
  end: Ns = asDouble
  /** As its plan left the engine. */
  running = 0
  waiting = 0
  usedBlocks = 0
  freeBlocks = 0
  heldBack: HeldBack = 'nobody'
  /** Requests preempted since the batch before was planned. */
  preempted = 0
  /** Entries of all lists. */
  #listed = 0

  constructor() {
    this.shape.prefillWork = 0
    this.start = 0
    this.end = Number.POSITIVE_INFINITY
  }

  /** Whether it delivers regular tokens only. */
  get isPlain(): boolean {
    return this.#listed === 0
  }

  /** Puts a request into one of the lists of this batch. */
  enlist(list: number[], slot: number): void {
    list.push(slot)
    this.#listed++
  }

  /** Whether it holds these `count` decodes, each with its next token, and nothing else. */
  isOnlyDecodes(count: number): boolean {
    return this.isPlain && this.regular === count && this.shape.tokens === count
  }

  /**
   * Holds so many decodes, each with its next token, and nothing else, whatever it held before. Given are the sum, the
   * smallest and the largest of their contexts.
   */
  holdDecodes(count: number, sum: number, smallest: number, largest: number): void {
    const {shape} = this
    if (shape.prefills > 0) this.#clearChunks()
    if (this.#listed > 0) this.#clearLists()
    shape.tokens = count
    shape.sequences = count
    shape.decodes = count
    shape.decodeContext = sum
    shape.decodeContextMin = smallest
    shape.decodeContextMax = largest
    this.regular = count
  }

  /** Holds nothing, whatever it held before. */
  clear(): void {
    if (this.verifications > 0 || this.wasted > 0) this.#clearDrafts()
    this.holdDecodes(0, 0, 0, 0)
  }

  #clearLists(): void {
    this.#listed = 0
    empty(this.joiners)
    empty(this.stragglers)
    empty(this.finishing)
    empty(this.departing)
  }

  #clearChunks(): void {
    const {shape} = this
    shape.prefills = 0
    shape.prefillTokens = 0
    shape.prefillTokensMax = 0
    shape.prefillContext = 0
    shape.prefillContextMax = 0
    shape.prefillWork = 0
  }

  #clearDrafts(): void {
    this.verifications = 0
    this.drafts = 0
    this.accepted = 0
    this.wasted = 0
  }

  /** A chunk of `n` tokens behind `context` computed ones; one token is a decode to every kernel. */
  addChunk(n: number, context: number): void {
    const shape = this.shape
    shape.sequences++
    shape.tokens += n
    if (n === 1) {
      this.#addDecode(context)
      return
    }
    shape.prefills++
    shape.prefillTokens += n
    if (n > shape.prefillTokensMax) shape.prefillTokensMax = n
    shape.prefillContext += context
    if (context > shape.prefillContextMax) shape.prefillContextMax = context
    shape.prefillWork += n * (context + (n + 1) / 2)
  }

  #addDecode(context: number): void {
    const shape = this.shape
    // Written as comparisons: V8 takes the smaller of two numbers that it does not know to be whole as doubles.
    if (shape.decodes === 0 || context < shape.decodeContextMin) shape.decodeContextMin = context
    if (context > shape.decodeContextMax) shape.decodeContextMax = context
    shape.decodes++
    shape.decodeContext += context
  }

  /** A cancelled request will get no token from this batch any more. Returns whether it would have. */
  forget(slot: number): boolean {
    const lists = [this.joiners, this.stragglers, this.finishing, this.departing]
    let found = false
    for (const list of lists) {
      const at = list.indexOf(slot)
      if (at < 0) continue
      list.splice(at, 1)
      this.#listed--
      if (list === this.joiners || list === this.stragglers) found = true
    }
    return found
  }
}
