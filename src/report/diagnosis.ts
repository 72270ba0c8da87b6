/** What limited a run, in one sentence. */
import type {EngineTotals} from '../stats/outcomes.js'
import {count, share} from './figures.js'

/** What held requests back: KV blocks, seats (`max_num_seqs`), the token budget, or nothing. */
export type Bound = 'kv' | 'seats' | 'budget' | 'none'

export interface Cause {
  readonly bound: Bound
  /** Share 0–1 of the engines' busy time during which admission was held back. */
  readonly held_back: number | null
  readonly cause: string
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
  return `${name}${tail}${full}; requests were held back for ${share(heldShare)} of busy time`
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
  return `not saturated, latency is step time: ${queue}; on average ${fullness(engines, running, blocks)}`
}
