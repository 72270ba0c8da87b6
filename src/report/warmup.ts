/** The warm-up: the start of a run that is left out of its statistics. */
import {Problem} from '../errors.js'
import {parseDuration, showDuration} from './duration.js'

export type Warmup =
  | {readonly kind: 'time'; readonly ns: number}
  | {readonly kind: 'requests'; readonly count: number}

/** Reads `60s` (time from the first arrival) or `500` (requests, in order of arrival). */
export function parseWarmup(text: string): Warmup {
  const word = text.trim()
  if (/^\d+$/.test(word) && Number.isSafeInteger(Number(word))) {
    return {kind: 'requests', count: Number(word)}
  }
  const ns = parseDuration(word)
  if (ns !== undefined) return {kind: 'time', ns}
  throw new Problem(
    'FLAG_BAD_VALUE',
    `--warmup: "${text}" is neither a duration such as 60s nor a whole number of requests.`,
    {suggestions: ['--warmup 60s', '--warmup 500']},
  )
}

/** The way it was typed: `60s`, `500`. */
export const showWarmup = (warmup: Warmup): string =>
  warmup.kind === 'time' ? showDuration(warmup.ns) : String(warmup.count)

/**
 * Rows that count, ascending: those that arrived after the warm-up. `arrivedAt` in ns; a row that never
 * arrived (NaN) counts, so that no failure hides in the warm-up.
 */
export function rowsAfter(warmup: Warmup | undefined, arrivedAt: Float64Array): Uint32Array {
  // Not Uint32Array.from: it goes through an iterator, ten times slower.
  const all = new Uint32Array(arrivedAt.length)
  for (let row = 0; row < all.length; row++) all[row] = row
  if (warmup === undefined) return all
  if (warmup.kind === 'requests') {
    const inOrder = all.filter((row) => !Number.isNaN(arrivedAt[row]!))
    inOrder.sort((a, b) => arrivedAt[a]! - arrivedAt[b]! || a - b)
    const left = new Set(inOrder.subarray(0, warmup.count))
    return all.filter((row) => !left.has(row))
  }
  const first = arrivedAt.reduce((least, at) => (at < least ? at : least), Number.POSITIVE_INFINITY)
  const start = first + warmup.ns
  return all.filter((row) => !(arrivedAt[row]! < start))
}
