/**
 * Samples as they come, with bounded memory: kept as they are up to a size, from there on counted in buckets of their
 * leading bits.
 */
import type {WeightedSamples} from './outcomes.js'

/** Up to so many entries (equal neighbours are one) percentiles are exact. */
export const mostExactSamples = 2 ** 18

/**
 * Bits of the mantissa that a bucket keeps. Buckets are half as wide again as the error of their middle, so every
 * percentile from them lies within 2^−11 (0.05 %) of the exact one. Mean and maximum stay exact.
 */
const mantissaBits = 10
export const bucketError = 2 ** -(mantissaBits + 1)

/** Values are whole numbers from 0 to 2^53: bucket 0 is for those below 1. */
const lowestBucket = (1023 << mantissaBits) - 1
const buckets = (54 << mantissaBits) + 1

const float = new Float64Array(1)
const halves = new Uint32Array(float.buffer)

/** The upper half of a double orders doubles as it orders as an integer. */
function bucketOf(value: number): number {
  float[0] = value
  const bucket = (halves[1]! >>> (20 - mantissaBits)) - lowestBucket
  return value < 1 ? 0 : Math.min(bucket, buckets - 1)
}

function lowEdge(bucket: number): number {
  halves[0] = 0
  halves[1] = (bucket + lowestBucket) << (20 - mantissaBits)
  return float[0]!
}

/** A whole number in the middle; small ones have a bucket each and stand for themselves. */
const middleOf = (bucket: number): number =>
  bucket === 0 ? 0 : Math.floor((lowEdge(bucket) + lowEdge(bucket + 1)) / 2)

const firstCapacity = 1024
const growth = 16

/** Whole samples of at least 0, in no order; NaN is none. */
export class Samples {
  /** Entries kept as they are: all of them, or, once they are too many, those that are not in buckets yet. */
  length = 0
  values = new Float64Array(firstCapacity)
  counts = new Float64Array(firstCapacity)
  #buckets: Float64Array | undefined
  /** Sum and maximum of what was counted in buckets. */
  readonly #totals = new Float64Array(2)

  add(value: number, count: number): void {
    const {length, values} = this
    if (length > 0 && values[length - 1] === value) this.counts[length - 1]! += count
    else if (!Number.isNaN(value)) this.#append(value, count)
  }

  #append(value: number, count: number): void {
    if (this.length === this.values.length) this.#makeRoom()
    this.values[this.length] = value
    this.counts[this.length++] = count
  }

  /** What was added so far. Exact ones share memory with this. */
  settled(): WeightedSamples {
    if (this.#buckets === undefined) {
      const {length, values, counts} = this
      return {length, values, counts}
    }
    const held = this.#buckets
    this.#count(held)
    const [sum, max] = this.#totals as unknown as [number, number]
    const last = bucketOf(max)
    const values = new Float64Array(last + 1)
    const counts = new Float64Array(last + 1)
    let length = 0
    for (let bucket = 0; bucket <= last; bucket++) {
      if (held[bucket] === 0) continue
      // The middle of the topmost bucket may lie beyond the largest sample.
      values[length] = Math.min(middleOf(bucket), max)
      counts[length++] = held[bucket]!
    }
    return {length, values, counts, sum, max, relativeError: bucketError}
  }

  #makeRoom(): void {
    if (this.#buckets !== undefined) this.#count(this.#buckets)
    else if (this.length < mostExactSamples) this.#grow()
    else {
      this.#buckets = new Float64Array(buckets)
      this.#count(this.#buckets)
      this.values = new Float64Array(firstCapacity)
      this.counts = new Float64Array(firstCapacity)
    }
  }

  /** Entries go to their buckets, many at a time: one after another as they come, each waits for the memory of its own. */
  #count(held: Float64Array): void {
    const {length, values, counts} = this
    const totals = this.#totals
    // Nothing behind the loop: V8 compiles that while it runs, and would throw it away each time it ends.
    this.length = 0
    for (let i = 0; i < length; i++) {
      const value = values[i]!
      const count = counts[i]!
      held[bucketOf(value)]! += count
      totals[0]! += value * count
      if (value > totals[1]!) totals[1] = value
    }
  }

  /** Memory that nobody touched costs nothing, and every copy is touched anew: it grows in few large steps. */
  #grow(): void {
    const capacity = Math.min(mostExactSamples, this.length * growth)
    const values = new Float64Array(capacity)
    const counts = new Float64Array(capacity)
    values.set(this.values)
    counts.set(this.counts)
    this.values = values
    this.counts = counts
  }
}

/** Several sets of samples as one. */
export function pooled(parts: readonly WeightedSamples[]): WeightedSamples {
  if (parts.length === 1) return parts[0]!
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const values = new Float64Array(length)
  const counts = new Float64Array(length)
  let at = 0
  for (const part of parts) {
    values.set(part.values.subarray(0, part.length), at)
    counts.set(part.counts.subarray(0, part.length), at)
    at += part.length
  }
  if (parts.every((part) => part.relativeError === undefined)) return {length, values, counts}
  return {
    length,
    values,
    counts,
    sum: parts.reduce((total, part) => total + sumOf(part), 0),
    max: parts.reduce((most, part) => Math.max(most, largestOf(part)), 0),
    relativeError: Math.max(...parts.map((part) => part.relativeError ?? 0)),
  }
}

function sumOf({length, values, counts, sum}: WeightedSamples): number {
  if (sum !== undefined) return sum
  let total = 0
  for (let i = 0; i < length; i++) total += values[i]! * counts[i]!
  return total
}

const largestOf = ({length, values, max}: WeightedSamples): number =>
  max ?? values.subarray(0, length).reduce((most, value) => Math.max(most, value), 0)
