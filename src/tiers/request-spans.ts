/** Blocks of a request as the runs that tiers know. */
import type {BlockRange} from '../engine/kv-below.js'
import type {PrefixIdentity} from '../engine/prefix-identity.js'
import type {Runs} from './tier-pool.js'

/** A request as far as its blocks are known. */
export interface KnownBlocks {
  readonly identity: PrefixIdentity
  readonly row: number
  /** Blocks that others may share; those behind are its own. */
  readonly shareable: number
}

/** Span of the blocks that only the request of a row can find: no span of a trace has such a number. */
export const ownSpan = (row: number): number => row + 0.5

/** The span of a block, and which blocks of the request it covers, at most up to `limit`. */
export interface SpanAt {
  id: number
  start: number
  end: number
}

/** Fills in `at` for a block below `limit`. */
export function locate(known: KnownBlocks, block: number, limit: number, at: SpanAt): void {
  const {identity, row, shareable} = known
  if (block >= shareable) {
    at.id = ownSpan(row)
    at.start = 0
    at.end = limit
    return
  }
  const span = identity.spanAt(row, block)
  at.id = identity.spanId(row, span)
  at.start = identity.spanStart(row, span)
  at.end = Math.min(identity.spanEnd(row, span), shareable, limit)
}

/** The blocks of a request as a list, last first. */
export function listOf(known: KnownBlocks, {from, to}: BlockRange): Runs {
  const at: SpanAt = {id: 0, start: 0, end: 0}
  const runs: Runs = []
  for (let block = from; block < to; block = at.end) {
    locate(known, block, to, at)
    runs.push(at.id, block - at.start, at.end - at.start)
  }
  return lastFirst(runs)
}

/** Runs in the opposite order. */
export function lastFirst(runs: Runs): Runs {
  const turned: Runs = []
  for (let i = runs.length - 3; i >= 0; i -= 3) turned.push(runs[i]!, runs[i + 1]!, runs[i + 2]!)
  return turned
}

/** Blocks in a list. */
export function sizeOf(runs: Runs): number {
  let size = 0
  for (let i = 0; i < runs.length; i += 3) size += runs[i + 2]! - runs[i + 1]!
  return size
}
