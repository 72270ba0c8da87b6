/** The warm-up: the start of a run that is left out of its statistics. */
import {Problem} from '../errors.js'
import {durationWords, parseDuration, showDuration} from './duration.js'

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
    `--warmup: "${text}" is neither ${durationWords} nor a whole number of requests.`,
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
export const rowsAfter = (warmup: Warmup | undefined, arrivedAt: Float64Array): Uint32Array =>
  new WarmupFilter(warmup).rows(arrivedAt)

/** Tells the rows that count, part by part; the parts come in order of arrival. */
export class WarmupFilter {
  readonly #warmup: Warmup | undefined
  /** Requests that are still to be left out, or when the warm-up ends. */
  #left: number
  #end = Number.NaN

  constructor(warmup: Warmup | undefined) {
    this.#warmup = warmup
    this.#left = warmup?.kind === 'requests' ? warmup.count : 0
  }

  /** Rows of the next part. */
  rows(arrivedAt: Float64Array): Uint32Array {
    // Not Uint32Array.from: it goes through an iterator, ten times slower.
    const all = new Uint32Array(arrivedAt.length)
    for (let row = 0; row < all.length; row++) all[row] = row
    if (this.#warmup === undefined) return all
    if (this.#warmup.kind === 'requests') return this.#afterFirst(all, arrivedAt)
    if (Number.isNaN(this.#end)) {
      const first = arrivedAt.reduce(
        (least, at) => (at < least ? at : least),
        Number.POSITIVE_INFINITY,
      )
      this.#end = first + this.#warmup.ns
    }
    return all.filter((row) => !(arrivedAt[row]! < this.#end))
  }

  #afterFirst(all: Uint32Array, arrivedAt: Float64Array): Uint32Array {
    if (this.#left === 0) return all
    const inOrder = all.filter((row) => !Number.isNaN(arrivedAt[row]!))
    inOrder.sort((a, b) => arrivedAt[a]! - arrivedAt[b]! || a - b)
    const out = new Set(inOrder.subarray(0, this.#left))
    this.#left -= out.size
    return all.filter((row) => !out.has(row))
  }
}
