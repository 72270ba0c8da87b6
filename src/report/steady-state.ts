/** Whether a run had a steady state at all: did the system keep up with what arrived, whatever the order it served it in? */
import type {Outcomes} from '../stats/outcomes.js'
import {Course, type Load} from './course.js'
import {compact, count, share} from './figures.js'
import type {RequestColumns} from './measures.js'

export interface SteadyState {
  /** More was asked than the system serves: the longer the trace, the worse its latencies. */
  readonly growing: boolean
  /** `cannot tell`: the queue may be growing, but so few requests, in such bursts, may do that by chance. */
  readonly verdict: 'overloaded' | 'keeps up' | 'cannot tell'
  /** Overloads below this share of what is served, 0–1 and more, are lost in the chance of so few arrivals. */
  readonly tells_from: number
  /** Where it cannot be told, about so many more requests, that came as these did, would tell: one digit, a tenth of the run at least; else null. */
  readonly needs_requests: number | null
  /** Tokens (prompt and output) per second that were asked for over the span of arrivals. */
  readonly asked_tokens_per_s: number
  /** Tokens per second that were served in the last two thirds of that span. */
  readonly served_tokens_per_s: number
  /** What there is to say, unless the system keeps up. */
  readonly warning?: string
}

/** Fewer arrivals than this say nothing about growth. */
const fewestArrivals = 30
/** A system keeps up whose load in the long run is this or less; what lies between it and 1 is not told from an overload. */
const keepsUp = 0.95
/** No overload below this is told from none. */
const finest = 0.01
/** Growth by latencies alone is told from this overload on: batches that fill look like a smaller one. */
const finestSlowdown = 0.05
/** So much longer, as a share of it, a trace must be at least to say anything new: fewer requests change the verdict by chance. */
const leastExtra = 0.1
/** From this overload on it is said that it cannot be told; the chance of where a queue ends looks like a smaller one. */
const worthAWord = 0.025

/** Requests of a run, and which of them came without waiting for another (default: all). */
export interface OpenRequests {
  readonly trace: RequestColumns
  readonly outcomes: Outcomes
  readonly isOpen?: ((row: number) => boolean) | undefined
  /** So many requests of the run stand behind each of these; default 1. */
  readonly weight?: number
}

/**
 * Whether more was asked than served. The load is what is asked for per time, over what is served per time in which
 * there is a queue (`Course.queueLoads`), or in which requests take longer and longer (`Course.slowdownLoads`). It is an
 * overload where it lies so far above `keepsUp` as arrivals and service that vary like these hardly ever do by chance
 * (`meanOfSeries`: by batch means, so that bursts count for what they are).
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
  const course = new Course({trace, outcomes, rows}, start, span)
  if (course.isBurst()) return undefined
  const asked = (weight * askedTokens(trace, outcomes)) / (span / 1e9)
  const served =
    (weight * servedTokens(trace, outcomes, start + span / 3, end)) / ((span * 2) / 3 / 1e9)
  const {verdict, doubt, telling, needs} = asked > served ? judge(course) : settled(course)
  const rates = {asked_tokens_per_s: asked, served_tokens_per_s: served}
  const state = {
    growing: verdict === 'overloaded',
    verdict,
    tells_from: telling,
    needs_requests: null,
    ...rates,
  }
  if (verdict === 'keeps up') return state
  if (verdict === 'overloaded') {
    const who = engines === 1 ? 'the engine serves' : `the ${engines} engines serve`
    const loads = `${who} ${compact(served)} tok/s, this trace asks ${compact(asked)}`
    return {...state, warning: `overloaded: the queue grows as long as requests come; ${loads}`}
  }
  const extra = Math.max(needs - 1, leastExtra)
  const more = oneDigit(weight * rows.length * extra)
  const time = roughTime((span / 1e9) * (more / (weight * rows.length)))
  return {
    ...state,
    needs_requests: more,
    warning: `cannot tell whether this is an overload: ${doubt}. About ${count(more)} more of them (${time}) would tell`,
  }
}

/** The verdict that needs no warning, in a line; undefined where there is another, or none. */
export function goodVerdict(state: SteadyState | null): string | undefined {
  if (state?.verdict !== 'keeps up') return undefined
  return `keeps up: the queue does not grow; an overload of ${share(state.tells_from)} or more would have shown`
}

/** So much more, as a share of a round, may be in the system after a round than after the one before. */
const sameLevel = 0.01

/** A trace that came so many times in a row, `ns` apart. */
export interface RepeatedRun {
  readonly outcomes: Outcomes
  readonly rounds: {readonly count: number; readonly ns: number}
}

/**
 * Whether the queue grows from round to round of a trace that follows itself: more requests are in the system at the end
 * of the last round than at the end of the one before. Where work is conserved, what is left after a round is the same as
 * after the one before if the queue ran empty on the way, and else more by just what was asked beyond what is served
 * (Lindley, 1952). That does not go by chance, so it tells every overload above `sameLevel`.
 */
export function growsByRound({outcomes, rounds}: RepeatedRun): boolean {
  const {length, arrivedAt, finishedAt} = outcomes
  const start = arrivedAt.reduce((least, at) => (at < least ? at : least))
  const left = (round: number): number => {
    const end = start + round * rounds.ns
    let count = 0
    // What was rejected has no end.
    for (let row = 0; row < length; row++)
      if (arrivedAt[row]! < end && finishedAt[row]! > end) count++
    return count
  }
  const most = Math.ceil((sameLevel * length) / rounds.count)
  return left(rounds.count) - left(rounds.count - 1) > most
}

/** One digit, upwards: what it is made from is itself known to a third or so. */
function oneDigit(value: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(value)))
  return Math.ceil(value / unit) * unit
}

/** The same in the largest unit of which there are two or more. */
function roughTime(value: number): string {
  if (value < 120) return `${oneDigit(value)} s`
  return value < 7200 ? `${oneDigit(value / 60)} min` : `${oneDigit(value / 3600)} h`
}

interface Judgement {
  readonly verdict: SteadyState['verdict']
  /** Why it cannot be told. */
  readonly doubt?: string
  /** Smallest overload that is told. */
  readonly telling: number
  /** How many times as many requests would tell. */
  readonly needs: number
}

const keepsUpAt = Math.log(keepsUp)

/** Least logarithm of a load that is told, of those that may be off by so much by chance. */
const tellable = (chance: number, least: number): number =>
  Math.max(Math.log1p(least), keepsUpAt + chance)

const unloaded = (course: Course): Judgement => ({
  verdict: 'keeps up',
  telling: Math.expm1(tellable(course.askedChance(), finest)),
  needs: 1,
})

/** What may show an overload, from the share `least` on. */
interface Sign extends Load {
  readonly least: number
}

function judge(course: Course): Judgement {
  const signs = [
    ...course.queueLoads().map((load) => ({...load, least: finest})),
    ...course.slowdownLoads().map((load) => ({...load, least: finestSlowdown})),
  ].filter(({excess}) => excess >= Math.log1p(worthAWord))
  if (signs.length === 0) return hinted(course)
  const margin = ({excess, chance, least}: Sign): number => excess - tellable(chance, least)
  const clearest = signs.reduce((best, sign) => (margin(sign) > margin(best) ? sign : best))
  const {excess, chance, least} = clearest
  const telling = Math.expm1(tellable(chance, least))
  const doubt = `${share(Math.expm1(excess))} more came than was served, but with so few requests like these only ${share(telling)} or more is not chance`
  const isSure = margin(clearest) >= 0
  return {
    telling,
    needs: needsFor(clearest),
    ...(isSure ? {verdict: 'overloaded'} : {verdict: 'cannot tell', doubt}),
  }
}

/**
 * Chance falls with the root of the number of requests. Where it is not chance that hides an overload, but that one
 * below `least` is not told at all, only a trace that is longer by itself shows where it leads.
 */
const needsFor = ({excess, chance, least}: Sign): number =>
  Math.max(excess < Math.log1p(least) ? 2 : 1, (chance / (excess - keepsUpAt)) ** 2)

/** Of a trace that is over before half of its requests are, nothing can be told but an overload. */
function settled(course: Course): Judgement {
  const unfinished = course.unfinished()
  if (unfinished <= 1 / 2) return unloaded(course)
  const doubt = `${share(unfinished)} of the requests had not been served when the last one came`
  // So many that the time that one takes is a quarter of the trace.
  return {...unloaded(course), verdict: 'cannot tell', doubt, needs: 4 * unfinished}
}

function hinted(course: Course): Judgement {
  const [hint] = course.slowdownHints()
  if (hint === undefined || hint.excess < Math.log1p(finestSlowdown)) return settled(course)
  const doubt =
    'requests take longer and longer, but the trace is too short to show whether that goes on'
  return {
    ...unloaded(course),
    verdict: 'cannot tell',
    doubt,
    needs: Math.max(2, needsFor({...hint, least: finestSlowdown})),
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
