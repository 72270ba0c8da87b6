/** What limited a run, in one sentence, and whether it had a steady state at all. */
import type {EngineTotals, Outcomes} from '../stats/outcomes.js'
import {compact, count, counted, share} from './figures.js'
import type {RequestColumns} from './measures.js'

/** What held requests back: KV blocks, seats (`max_num_seqs`), the token budget, or nothing. */
export type Bound = 'kv' | 'seats' | 'budget' | 'none'

export interface Cause {
  readonly bound: Bound
  /** Share 0–1 of the engines' busy time during which admission was held back. */
  readonly held_back: number | null
  readonly cause: string
}

export interface SteadyState {
  /** The queue grew over the whole span of arrivals: the longer the trace, the worse its latencies. */
  readonly growing: boolean
  /** Tokens (prompt and output) per second that were asked for over the span of arrivals. */
  readonly asked_tokens_per_s: number
  /** Tokens per second that were served in the last two thirds of that span. */
  readonly served_tokens_per_s: number
  /** The warning, where the queue grew. */
  readonly warning?: string
}

/** Below this share of busy time a queue is chance, not a bottleneck. */
const heldBackFloor = 0.05

const sum = (engines: readonly EngineTotals[], of: (e: EngineTotals) => number): number =>
  engines.reduce((total, engine) => total + of(engine), 0)

const ratio = (part: number, whole: number): number => (whole > 0 ? part / whole : 0)

/** Names what held requests back the longest, with how full the engines were during that time. */
export function findCause(engines: readonly EngineTotals[]): Cause {
  const busy = sum(engines, (e) => e.busyNs)
  const held = {
    kv: sum(engines, (e) => e.heldBack.blocks),
    seats: sum(engines, (e) => e.heldBack.seats),
    budget: sum(engines, (e) => e.heldBack.budget),
  }
  const all = held.kv + held.seats + held.budget
  if (busy === 0) {
    return {bound: 'none', held_back: null, cause: 'nothing ran: no engine executed a step'}
  }
  const heldShare = all / busy
  if (heldShare < heldBackFloor) {
    return {bound: 'none', held_back: heldShare, cause: notSaturated(engines, heldShare)}
  }
  const bound = (['kv', 'seats', 'budget'] as const).reduce((a, b) => (held[b] > held[a] ? b : a))
  return {bound, held_back: heldShare, cause: saturated(bound, engines, heldShare)}
}

const fullness = (engines: readonly EngineTotals[], running: number, blocks: number): string => {
  const seats = sum(engines, (e) => e.maxNumSeqs) / engines.length
  return `${count(running)} of ${count(seats)} seats, ${share(blocks)} of blocks`
}

const preempted = (engines: readonly EngineTotals[]): string => {
  const events = sum(engines, (e) => e.preemptions)
  return events > 0 ? `; ${counted(events, 'preemption')}` : ''
}

function saturated(
  bound: Exclude<Bound, 'none'>,
  engines: readonly EngineTotals[],
  heldShare: number,
): string {
  const time = sum(engines, (e) => e.heldBack.seats + e.heldBack.blocks + e.heldBack.budget)
  const running = ratio(
    sum(engines, (e) => e.heldBackRunningNs),
    time,
  )
  // Weighted by the size of each cache, so that engines of different sizes add up.
  const blocks = ratio(
    sum(engines, (e) => e.heldBackBlocksNs),
    sum(engines, (e) => e.blocks * (e.heldBack.seats + e.heldBack.blocks + e.heldBack.budget)),
  )
  const name = {kv: 'KV-bound', seats: 'seat-bound', budget: 'budget-bound'}[bound]
  const limit = {kv: '', seats: ' (max_num_seqs)', budget: ' under max_num_batched_tokens'}[bound]
  const full = fullness(engines, running, blocks).replace(
    ' seats',
    ` seats${bound === 'seats' ? limit : ''}`,
  )
  const tail = bound === 'budget' ? `: prompts waited for the token budget${limit}; ` : ': '
  return `${name}${tail}${full}${preempted(engines)}; requests were held back for ${share(heldShare)} of busy time`
}

function notSaturated(engines: readonly EngineTotals[], heldShare: number): string {
  const busy = sum(engines, (e) => e.busyNs)
  const running = ratio(
    sum(engines, (e) => e.runningNs),
    busy,
  )
  const blocks = ratio(
    sum(engines, (e) => e.blocksNs),
    sum(engines, (e) => e.blocks * e.busyNs),
  )
  const waited = 'request waited for a seat, blocks or the token budget'
  const queue =
    heldShare > 0 ? `a ${waited} for only ${share(heldShare)} of busy time` : `no ${waited}`
  return `not saturated, latency is step time: ${queue}; on average ${fullness(engines, running, blocks)}${preempted(engines)}`
}

/** Fewer arrivals than this say nothing about growth. */
const fewestArrivals = 30
/** Growth of the queueing delay, in seconds per second, that is taken for real: an overload of 5 %. */
const growthFloor = 0.05

/** Requests of a run, and which of them came without waiting for another (default: all). */
export interface OpenRequests {
  readonly trace: RequestColumns
  readonly outcomes: Outcomes
  readonly isOpen?: ((row: number) => boolean) | undefined
  /** So many requests of the run stand behind each of these; default 1. */
  readonly weight?: number
}

interface Thirds {
  readonly start: number
  readonly span: number
  /** Mean queueing delay (ns) of what arrived in each third; what was never scheduled waits to the end. */
  readonly delay: readonly [number, number, number]
}

/**
 * Whether the queue grew over the span of arrivals: the queueing delay rises from third to third, by at
 * least `growthFloor` of the time between them, and more was asked than served. Only requests that came by
 * themselves tell: a turn or a client that waits for an answer slows down with the system. Undefined where
 * the question makes no sense: too few such arrivals, or all at once.
 */
export function findSteadyState(
  {trace, outcomes, isOpen, weight = 1}: OpenRequests,
  engines: number,
): SteadyState | undefined {
  const thirds = delayByThird(outcomes, isOpen)
  if (thirds === undefined) return undefined
  const {start, span, delay} = thirds
  const asked = (weight * askedTokens(trace, outcomes)) / (span / 1e9)
  const from = start + span / 3
  const served =
    (weight * servedTokens(trace, outcomes, from, start + span)) / ((span * 2) / 3 / 1e9)
  const step = (growthFloor * span) / 3
  const rises = delay[2] - delay[1] >= step && delay[1] - delay[0] >= step / 2
  const growing = rises && asked > served
  const who = engines === 1 ? 'the engine sustains' : `the ${engines} engines sustain`
  return {
    growing,
    asked_tokens_per_s: asked,
    served_tokens_per_s: served,
    ...(growing && {
      warning: `queue still growing: no steady state, ${who} ${compact(served)} tok/s, this trace asks ${compact(asked)}`,
    }),
  }
}

function delayByThird(outcomes: Outcomes, isOpen: OpenRequests['isOpen']): Thirds | undefined {
  const {length, arrivedAt, scheduledAt, finishedAt, reasons} = outcomes
  let start = Number.POSITIVE_INFINITY
  let end = Number.NEGATIVE_INFINITY
  let last = Number.NEGATIVE_INFINITY
  let arrivals = 0
  for (let row = 0; row < length; row++) {
    const at = arrivedAt[row]!
    if (Number.isNaN(at)) continue
    if (at > last) last = at
    if (finishedAt[row]! > last) last = finishedAt[row]!
    if (isOpen !== undefined && !isOpen(row)) continue
    arrivals += 1
    if (at < start) start = at
    if (at > end) end = at
  }
  const span = end - start
  if (arrivals < fewestArrivals || span <= 0) return undefined
  const waits = [0, 0, 0]
  const counts = [0, 0, 0]
  const mayBeRejected = reasons.size > 0
  for (let row = 0; row < length; row++) {
    const at = arrivedAt[row]!
    if (Number.isNaN(at) || (isOpen !== undefined && !isOpen(row))) continue
    // Rejected on arrival: it never stood in the queue.
    if (mayBeRejected && reasons.has(row)) continue
    const third = Math.min(2, Math.floor(((at - start) / span) * 3))
    const left = scheduledAt[row]!
    waits[third]! += (Number.isNaN(left) ? finishedAt[row]! || last : left) - at
    counts[third]! += 1
  }
  if (counts.some((n) => n < fewestArrivals / 10)) return undefined
  const mean = (third: number): number => waits[third]! / counts[third]!
  return {start, span, delay: [mean(0), mean(1), mean(2)]}
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
