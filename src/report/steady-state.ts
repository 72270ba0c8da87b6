/** Whether a run had a steady state at all: did the system keep up with what arrived, whatever the order it served it in? */
import type {Outcomes} from '../stats/outcomes.js'
import {compact} from './figures.js'
import type {RequestColumns} from './measures.js'

export interface SteadyState {
  /** More was asked than the system serves: the longer the trace, the worse its latencies. */
  readonly growing: boolean
  /** Overloads below this share of what is asked, 0–1, are lost in the chance of so few arrivals. */
  readonly tells_from: number
  /** Tokens (prompt and output) per second that were asked for over the span of arrivals. */
  readonly asked_tokens_per_s: number
  /** Tokens per second that were served in the last two thirds of that span. */
  readonly served_tokens_per_s: number
  /** The warning, where the queue grew. */
  readonly warning?: string
}

/** Fewer arrivals than this say nothing about growth. */
const fewestArrivals = 30
/** Where a third of the span has a smaller share of the arrivals, they came in one burst and have no rate. */
const thinnestThird = 0.05
/** Growth of the time in the system, in seconds per second, that is taken for real. */
const slowdownFloor = 0.05
/** The first so many requests say how long one takes before others queue or share its batch. */
const firstRequests = 30
/** Where they take more than this share of the span, growth is that of a system that fills up, unless it goes well beyond that. */
const fillingSpan = 1 / 4
/** Where they take more than this share of it, nothing can be told. */
const tooFull = 1 / 2
/** Dispersion of 16 counts that 1 % of random ones exceed: χ² of 15 degrees of freedom is 30.58 then. */
const mostAtRandom = 30.58 / 15
/** No overload below this is told from none. */
const finest = 0.01

/** Requests of a run, and which of them came without waiting for another (default: all). */
export interface OpenRequests {
  readonly trace: RequestColumns
  readonly outcomes: Outcomes
  readonly isOpen?: ((row: number) => boolean) | undefined
  /** So many requests of the run stand behind each of these; default 1. */
  readonly weight?: number
}

/**
 * Whether more was asked than served. A system that keeps up lets its queue run empty again and again; one that does not
 * always has a part of all that was asked standing in it, in whatever order it serves. Two signs, of either of which one
 * is enough, and more must have been asked than served:
 *
 * * from the middle of the span of arrivals to its end, a share (see below) of all that had come (of the
 *   requests, their prompt tokens or their output tokens) waits to be scheduled for the first time;
 * * requests take longer and longer although none waits there: see `Course.takesLonger`.
 *
 * That share is 1/√arrivals, the relative standard deviation of so many random arrivals, and 1 % at least. Arrivals in
 * bursts vary more, and hide an overload from each other: `tells_from` is as many times that share as their number in a
 * sixteenth of the span varies more than at random.
 * Only requests that came by themselves tell: a turn or a client that waits for an answer slows down with the system.
 * Undefined where the question makes no sense: too few such arrivals, or all in one burst.
 */
export function findSteadyState(
  {trace, outcomes, isOpen, weight = 1}: OpenRequests,
  engines: number,
): SteadyState | undefined {
  const rows = openRows(outcomes, isOpen)
  const [start, end] = spanOf(outcomes, rows)
  const span = end - start
  if (rows.length < fewestArrivals || !(span > 0)) return undefined
  const course = new Course({trace, outcomes}, rows, {start, span})
  if (course.isBurst()) return undefined
  const asked = (weight * askedTokens(trace, outcomes)) / (span / 1e9)
  const served =
    (weight * servedTokens(trace, outcomes, start + span / 3, end)) / ((span * 2) / 3 / 1e9)
  const floor = Math.max(finest, 1 / Math.sqrt(rows.length * weight))
  const telling = Math.min(1, floor * course.burstiness(weight))
  const growing = asked > served && (course.leastWaiting() >= floor || course.takesLonger(floor))
  const who = engines === 1 ? 'the engine sustains' : `the ${engines} engines sustain`
  return {
    growing,
    tells_from: telling,
    asked_tokens_per_s: asked,
    served_tokens_per_s: served,
    ...(growing && {
      warning: `queue still growing: no steady state, ${who} ${compact(served)} tok/s, this trace asks ${compact(asked)}`,
    }),
  }
}

/** Those that came by themselves and were let in: what is rejected on arrival never stands in the queue. */
function openRows(
  {length, arrivedAt, reasons}: Outcomes,
  isOpen: OpenRequests['isOpen'],
): Int32Array {
  const rows = new Int32Array(length)
  let count = 0
  const mayBeRejected = reasons.size > 0
  for (let row = 0; row < length; row++) {
    if (Number.isNaN(arrivedAt[row]!) || (mayBeRejected && reasons.has(row))) continue
    if (isOpen === undefined || isOpen(row)) rows[count++] = row
  }
  return rows.subarray(0, count)
}

function spanOf({arrivedAt}: Outcomes, rows: Int32Array): [start: number, end: number] {
  let start = Number.POSITIVE_INFINITY
  let end = Number.NEGATIVE_INFINITY
  for (const row of rows) {
    const at = arrivedAt[row]!
    if (at < start) start = at
    if (at > end) end = at
  }
  return [start, end]
}

/** The span of arrivals is looked at at so many moments; a multiple of four. */
const moments = 512
/** Sums of one quantity over time: first what falls into each part of the span, after `add up` all until its end. */
type Sums = Float64Array

/** What is counted of a request: itself, its prompt tokens, its output tokens. */
const quantities = 3

/** How much had come, had been scheduled and had left by each moment of the span of arrivals. */
class Course {
  readonly #come: readonly Sums[]
  readonly #waiting: readonly Sums[]
  readonly #left: Sums = new Float64Array(moments)
  /** Time in the system, as a share of the span, of the first requests. */
  readonly #firstTake = {sum: 0, least: Number.POSITIVE_INFINITY, count: 0}

  constructor(
    {trace, outcomes}: Pick<OpenRequests, 'trace' | 'outcomes'>,
    rows: Int32Array,
    {start, span}: {readonly start: number; readonly span: number},
  ) {
    const {arrivedAt, scheduledAt, finishedAt} = outcomes
    const sums = (): Sums[] => Array.from({length: quantities}, () => new Float64Array(moments))
    this.#come = sums()
    this.#waiting = sums()
    const partOf = (at: number): number =>
      Math.min(moments - 1, Math.floor(((at - start) / span) * moments))
    const end = start + span
    for (const row of rows) {
      const amounts = [1, trace.inputTokens[row]!, trace.outputTokens[row]!]
      const came = partOf(arrivedAt[row]!)
      // A client that hangs up leaves the queue, too.
      const finished = finishedAt[row]!
      const scheduled = Number.isNaN(scheduledAt[row]!) ? finished : scheduledAt[row]!
      for (let q = 0; q < quantities; q++) {
        this.#come[q]![came]! += amounts[q]!
        this.#waiting[q]![came]! += amounts[q]!
        if (scheduled <= end) this.#waiting[q]![partOf(scheduled)]! -= amounts[q]!
      }
      if (finished <= end) this.#left[partOf(finished)]! += 1
      if (this.#firstTake.count === firstRequests) continue
      const take = (finished - arrivedAt[row]!) / span
      this.#firstTake.sum += take
      if (take < this.#firstTake.least) this.#firstTake.least = take
      this.#firstTake.count += 1
    }
    for (const all of [...this.#come, ...this.#waiting, this.#left])
      for (let i = 1; i < moments; i++) all[i]! += all[i - 1]!
  }

  /** Whether all had come before any of the first was done, or hardly anything came in one of the thirds of the span. */
  isBurst(): boolean {
    const {least} = this.#firstTake
    if (least > 1 && least < Number.POSITIVE_INFINITY) return true
    const [requests] = this.#come
    const until = (third: number): number => requests![Math.ceil((moments * third) / 3) - 1]!
    const all = until(3)
    const thirds = [until(1), until(2) - until(1), all - until(2)]
    return thirds.some((part) => part < thinnestThird * all)
  }

  /**
   * How many times the number that comes in a sixteenth of the span varies as much as that of random arrivals: the root
   * of its index of dispersion (Cox and Lewis, 1966), where each request stands for `weight`. 1 where random arrivals vary
   * as much in one trace of a hundred.
   */
  burstiness(weight: number): number {
    const parts = 16
    const [requests] = this.#come
    const until = (part: number): number => requests![(moments / parts) * part - 1] ?? 0
    const counts = Array.from({length: parts}, (_, i) => weight * (until(i + 1) - until(i)))
    const mean = counts.reduce((a, b) => a + b, 0) / parts
    const variance = counts.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (parts - 1)
    const dispersion = variance / mean
    return dispersion > mostAtRandom ? Math.sqrt(dispersion) : 1
  }

  /** The least share of all that had come that waited, in the second half of the span; of the quantity that waits most. */
  leastWaiting(): number {
    let most = 0
    for (let q = 0; q < quantities; q++) {
      let least = 1
      for (let i = moments / 2; i < moments; i++)
        least = Math.min(least, this.#waiting[q]![i]! / this.#come[q]![i]!)
      if (least > most) most = least
    }
    return most
  }

  /**
   * Whether requests take longer and longer, as with more and more of them in one batch, or in a queue behind the prompt:
   * the time from the k-th arrival to the k-th departure (the same in every order) never falls, in the last quarter, to
   * its mean in the second quarter and what an overload of `floor` adds on the way: 3/4 − 3/8 of the span × `floor`.
   * It must also be a quarter longer, as longer batches of a trace that gets busier take a little longer, too; or, where
   * the first requests take so much of the span that the system is still filling up, three quarters longer than they did.
   */
  takesLonger(floor: number): boolean {
    const first = this.#firstTake.sum / this.#firstTake.count
    if (!(first <= tooFull)) return false
    const ages = this.#ages()
    const early = ages.subarray(moments / 4, moments / 2)
    const before = early.reduce((a, b) => a + b, 0) / early.length
    const late = ages.subarray((moments * 3) / 4).reduce((a, b) => (b < a ? b : a))
    const isLonger = first <= fillingSpan ? late >= 1.25 * before : late >= 1.75 * first
    return isLonger && late - before >= (3 / 8) * Math.max(slowdownFloor, floor)
  }

  /** At each moment, how long ago (as a share of the span) as many had come as have left. */
  #ages(): Float64Array {
    const [come] = this.#come
    let at = 0
    return this.#left.map((left, i) => {
      while (at < i && come![at]! <= left) at++
      return (i - at) / moments
    })
  }
}

function askedTokens({inputTokens, outputTokens}: RequestColumns, outcomes: Outcomes): number {
  const {length, arrivedAt, reasons} = outcomes
  const mayBeRejected = reasons.size > 0
  let tokens = 0
  for (let row = 0; row < length; row++) {
    if (Number.isNaN(arrivedAt[row]!) || (mayBeRejected && reasons.has(row))) continue
    tokens += inputTokens[row]! + outputTokens[row]!
  }
  return tokens
}

/** Tokens served between two times: prompts at their first token, output evenly from there to the finish. */
function servedTokens(
  {inputTokens}: RequestColumns,
  {length, firstTokenAt, finishedAt, producedTokens}: Outcomes,
  from: number,
  to: number,
): number {
  let tokens = 0
  for (let row = 0; row < length; row++) {
    const first = firstTokenAt[row]!
    const finish = finishedAt[row]!
    if (Number.isNaN(first)) continue
    if (first >= from && first < to) tokens += inputTokens[row]!
    const overlap = (finish < to ? finish : to) - (first > from ? first : from)
    const output = producedTokens[row]!
    if (finish > first && overlap > 0) tokens += (output * overlap) / (finish - first)
    else if (finish === first && first >= from && first < to) tokens += output
  }
  return tokens
}

/** So much of the work says how fast it is served: the last requests leave a system that is no longer full. */
const bulk = 0.9

/**
 * Requests per second that are served, in any order: `bulk` of them over the time from the first arrival until so much
 * of their number has left and of their prompt and output tokens has been served; or all over the whole run, where that
 * is more, as with the heaviest requests first. 0: nothing was served.
 */
export function servedRate(trace: RequestColumns, outcomes: Outcomes): number {
  const {length, arrivedAt, finishedAt, firstTokenAt, producedTokens} = outcomes
  let start = Number.POSITIVE_INFINITY
  let end = Number.NEGATIVE_INFINITY
  const all = {requests: 0, input: 0, output: 0}
  for (let row = 0; row < length; row++) {
    if (arrivedAt[row]! < start) start = arrivedAt[row]!
    if (Number.isNaN(firstTokenAt[row]!)) continue
    if (finishedAt[row]! > end) end = finishedAt[row]!
    all.requests += 1
    all.input += trace.inputTokens[row]!
    all.output += producedTokens[row]!
  }
  if (all.requests === 0) return 0
  const isBulkServed = (at: number): boolean => {
    const {requests, input, output} = servedBy(at, trace, outcomes)
    return (
      requests >= bulk * all.requests && input >= bulk * all.input && output >= bulk * all.output
    )
  }
  let [early, late] = [start, end]
  // To a thousandth of the run.
  for (let step = 0; step < 10; step++) {
    const middle = (early + late) / 2
    if (isBulkServed(middle)) late = middle
    else early = middle
  }
  return Math.max((bulk * all.requests) / (late - start), all.requests / (end - start)) * 1e9
}

function servedBy(
  at: number,
  {inputTokens}: RequestColumns,
  {length, firstTokenAt, finishedAt, producedTokens}: Outcomes,
) {
  const served = {requests: 0, input: 0, output: 0}
  for (let row = 0; row < length; row++) {
    const first = firstTokenAt[row]!
    if (!(first <= at)) continue
    const finish = finishedAt[row]!
    served.input += inputTokens[row]!
    if (finish <= at) served.requests += 1
    const part = finish <= at ? 1 : (at - first) / (finish - first)
    served.output += part * producedTokens[row]!
  }
  return served
}
