/**
 * Requests in flight as columns. A request is a slot, recycled when it has left; no objects, strings or
 * closures per request. The cluster fills the first group at submission, the engine keeps the rest.
 *
 * What is read as columns lies in memory as rows: slots are multiples of `stride`, and column k is a view that starts k
 * values behind the first. All that one request is made of shares a few cache lines, and none of them with others: of
 * the requests of many engines, 35 columns that lie apart are 35 lines for each that comes or goes.
 */

import {enlarged} from './columns.js'

export const state = {
  free: 0,
  waiting: 1,
  /** Running, with more than the next token to compute. */
  prefilling: 2,
  /** Running in the cohort: its columns `computed` and `reached` stand still, see Cohort. */
  decoding: 3,
  /** All its tokens are planned; it finishes with the batch that holds the last. */
  draining: 4,
  /** Draining, but preempted: seat and blocks are gone already. */
  unseated: 5,
  /** Its blocks are taken and KV is on the way, from another engine or a tier; it has no seat and does not wait. */
  pulling: 6,
  /** Finished; its blocks stay until another engine has their KV. */
  kept: 7,
} as const

/** Where the KV of a request that waits for its first seat comes from. */
export const origin = {
  /** Computed here. */
  here: 0,
  /** Another engine has it: once blocks are taken it can be pulled. */
  elsewhere: 1,
  /** Pulled: all but the last token that exists is in its blocks. */
  arrived: 2,
  /** It comes with its KV, as soon as there are blocks. */
  copied: 3,
  /** A tier below has some of it: it holds blocks for all that exists, and once they arrived the first are filled. */
  loaded: 4,
} as const

export const none = -1

/** Distance of slots: as many values of a kind lie together. */
const stride = 16

/** Columns of whole numbers that lie together, those first that every request reads and writes often. */
const often = [
  'row',
  'input',
  'total',
  'state',
  'computed',
  'reached',
  'picked',
  'shareable',
  'entered',
  'piece',
  'pieceEnd',
  'seat',
  'previous',
  'next',
  'cached',
  'preemptions',
] as const

const seldom = [
  'instance',
  'origin',
  'keeps',
  'spare',
  'promised',
  'priority',
  'predicted',
  'pulled',
  'lane',
  'further',
] as const

const floats = [
  'arrivedAt',
  'arrival',
  'ticket',
  'scheduledAt',
  'firstTokenAt',
  'lastTokenAt',
  'regularFrom',
  'regularUntil',
  'admission',
  'key',
  'awaits',
] as const

export class RequestPool {
  /** Row of the trace (or any number the owner knows the request by). */
  row = new Int32Array(0)
  input = new Int32Array(0)
  /** Prompt plus output. */
  total = new Int32Array(0)
  priority = new Int32Array(0)
  /** Engine that runs it. */
  instance = new Int32Array(0)
  /** Predicted output tokens; −1 where nobody predicted. */
  predicted = new Int32Array(0)
  /** ns; queueing time and TTFT count from here. */
  arrivedAt = new Float64Array(0)

  state = new Int32Array(0)
  /** Tokens whose KV is cached or planned; tokens that exist (docs/scheduler.md). */
  computed = new Int32Array(0)
  reached = new Int32Array(0)
  /** Tokens picked for it in the plan being made. */
  picked = new Int32Array(0)
  /** Blocks that it holds beyond those of its computed tokens: they were taken for drafts, or as its load began. */
  spare = new Int32Array(0)
  /** Of a speculating engine: tokens that its latest step brings; 0: it has no drafts yet. */
  promised = new Int32Array(0)
  /** Its first blocks that are in the prefix index: how many, and in which pieces. */
  entered = new Int32Array(0)
  /** The first piece, −1 where there is none, and the block behind it. */
  piece = new Int32Array(0)
  pieceEnd = new Int32Array(0)
  /** 1: it has pieces behind the first. Most requests have not. */
  further = new Int32Array(0)
  /** Those: piece, block behind it, … */
  readonly furtherPieces = new Map<number, number[]>()
  /** Blocks whose identity others may share. */
  shareable = new Int32Array(0)

  key = new Float64Array(0)
  /** Order of arrival at the engine, and of admission to `running`. */
  arrival = new Float64Array(0)
  /** Ticket under which it waits (see WaitingQueue). */
  ticket = new Float64Array(0)
  admission = new Float64Array(0)
  previous = new Int32Array(0)
  next = new Int32Array(0)

  scheduledAt = new Float64Array(0)
  firstTokenAt = new Float64Array(0)
  /** End of the batch with its latest token; kept only while it is not an ordinary member of the cohort. */
  lastTokenAt = new Float64Array(0)
  cached = new Int32Array(0)
  preemptions = new Int32Array(0)
  /** Batches that count its token among their regular ones (see Batch): first and last. */
  regularFrom = new Float64Array(0)
  regularUntil = new Float64Array(0)
  /** See `origin`. */
  origin = new Int32Array(0)
  /** Tokens that the engine which pulls its KV had already; of a load: those that are there when it ends. */
  pulled = new Int32Array(0)
  /** 1: its blocks stay when it finishes, until `release`. */
  keeps = new Int32Array(0)
  /** Cohort that it decodes in, and the batch whose end it must wait for before it can come back to a pipeline. */
  lane = new Int32Array(0)
  awaits = new Float64Array(0)
  /** Its place in its cohort (see Cohort), while it decodes. */
  seat = new Int32Array(0)

  readonly #free: number[] = []
  #capacity = 0
  #memory = {often: new Int32Array(0), seldom: new Int32Array(0), floats: new Float64Array(0)}

  /** Slots in use. */
  get size(): number {
    return this.#capacity - this.#free.length
  }

  /** A clean slot. */
  take(): number {
    if (this.#free.length === 0) this.#grow()
    const slot = this.#free.pop()!
    this.state[slot] = state.waiting
    this.computed[slot] = 0
    this.reached[slot] = 0
    this.picked[slot] = 0
    this.spare[slot] = 0
    this.promised[slot] = 0
    this.entered[slot] = 0
    this.piece[slot] = none
    this.further[slot] = 0
    this.instance[slot] = 0
    this.shareable[slot] = 0
    this.priority[slot] = 0
    this.predicted[slot] = none
    this.key[slot] = 0
    this.scheduledAt[slot] = Number.NaN
    this.firstTokenAt[slot] = Number.NaN
    this.lastTokenAt[slot] = Number.NaN
    this.cached[slot] = 0
    this.preemptions[slot] = 0
    this.regularFrom[slot] = Number.POSITIVE_INFINITY
    this.regularUntil[slot] = Number.NEGATIVE_INFINITY
    this.origin[slot] = origin.here
    this.keeps[slot] = 0
    this.pulled[slot] = 0
    this.lane[slot] = 0
    this.awaits[slot] = 0
    return slot
  }

  give(slot: number): void {
    this.state[slot] = state.free
    if (this.further[slot] === 1) this.furtherPieces.delete(slot)
    this.#free.push(slot)
  }

  /** Puts slots in order of their admission. Most lists have one or two. */
  sortByAdmission(slots: number[]): void {
    // Mostly one or a few, in order already; the sort of the language makes two arrays for any.
    if (slots.length > 32) slots.sort(this.#byAdmission)
    else this.#insertionSort(slots)
  }

  readonly #byAdmission = (a: number, b: number): number => this.admission[a]! - this.admission[b]!

  #insertionSort(slots: number[]): void {
    const {admission} = this
    for (let sorted = 1; sorted < slots.length; sorted++) {
      const slot = slots[sorted]!
      const key = admission[slot]!
      let at = sorted
      for (; at > 0 && admission[slots[at - 1]!]! > key; at--) slots[at] = slots[at - 1]!
      slots[at] = slot
    }
  }

  #grow(): void {
    const from = this.#capacity
    const capacity = Math.max(64, from * 2)
    const memory = {
      often: enlarged(this.#memory.often, capacity * stride),
      seldom: enlarged(this.#memory.seldom, capacity * stride),
      floats: enlarged(this.#memory.floats, capacity * stride),
    }
    const {buffer} = memory.floats
    for (const [at, name] of often.entries())
      this[name] = new Int32Array(memory.often.buffer, 4 * at)
    for (const [at, name] of seldom.entries())
      this[name] = new Int32Array(memory.seldom.buffer, 4 * at)
    for (const [at, name] of floats.entries()) this[name] = new Float64Array(buffer, 8 * at)
    this.#memory = memory
    for (let place = capacity - 1; place >= from; place--) this.#free.push(place * stride)
    this.#capacity = capacity
  }
}
