/** Percentiles with linear interpolation between order statistics (numpy's default, Hyndman–Fan type 7). */
import type {WeightedSamples} from './outcomes.js'

export interface Distribution {
  readonly count: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p95: number
  readonly p99: number
  readonly max: number
  /** How far the percentiles may lie from the exact ones; 0: they are exact. */
  readonly relativeError: number
}

/** The quantiles of a Distribution, in its order. */
const quantiles = [0.5, 0.9, 0.95, 0.99, 1] as const

const between = (low: number, high: number, fraction: number): number =>
  // Not low + (high − low)·fraction: equal ends must give exactly that end.
  low === high ? low : low * (1 - fraction) + high * fraction

/** Values at the quantiles `qs` (0…1) of `sorted`, ascending. NaN for an empty array. */
export function quantilesOfSorted(sorted: Float64Array, qs: readonly number[]): number[] {
  const last = sorted.length - 1
  return qs.map((q) => {
    if (last < 0) return Number.NaN
    const position = q * last
    const low = Math.floor(position)
    return between(sorted[low]!, sorted[Math.min(low + 1, last)]!, position - low)
  })
}

/** Mean and percentiles of samples (in their own unit); undefined when there are none. */
export function describe(samples: Float64Array): Distribution | undefined {
  let sum = 0
  for (let i = 0; i < samples.length; i++) sum += samples[i]!
  return distribution(samples, undefined, {count: samples.length, sum, relativeError: 0})
}

/** The same for samples that carry a count, as if each were repeated that often. */
export function describeWeighted(samples: WeightedSamples): Distribution | undefined {
  const {relativeError = 0} = samples
  const values = samples.values.subarray(0, samples.length)
  const counts = samples.counts.subarray(0, samples.length)
  let count = 0
  let sum = 0
  for (let i = 0; i < counts.length; i++) {
    count += counts[i]!
    sum += values[i]! * counts[i]!
  }
  const found = distribution(values, counts, {count, sum: samples.sum ?? sum, relativeError})
  return found && {...found, max: samples.max ?? found.max}
}

interface Totals {
  readonly count: number
  readonly sum: number
  readonly relativeError: number
}

function distribution(
  values: Float64Array,
  counts: Float64Array | undefined,
  {count, sum, relativeError}: Totals,
): Distribution | undefined {
  if (count === 0) return undefined
  const positions = quantiles.map((q) => q * (count - 1))
  const ranks = positions.flatMap((position) => {
    const low = Math.floor(position)
    return [low, Math.min(low + 1, count - 1)]
  })
  const at = valuesAtRanks(values, counts, {count, ranks})
  const [p50, p90, p95, p99, max] = positions.map((position, i) =>
    between(at[2 * i]!, at[2 * i + 1]!, position - Math.floor(position)),
  )
  return {
    count,
    mean: sum / count,
    p50: p50!,
    p90: p90!,
    p95: p95!,
    p99: p99!,
    max: max!,
    relativeError,
  }
}

/** Up to so many samples a typed array sorts itself faster than code that has not run before counts them. */
const mostSorted = 1 << 15
/** Below this many entries with counts sorting them all is as fast. */
const fewSamples = 2048
const mostBuckets = 1 << 16

interface Wanted {
  /** Σ of counts. */
  readonly count: number
  readonly ranks: readonly number[]
}

/**
 * Values at ranks (from 0, ascending) of samples repeated by their counts. Sorting millions of samples took most of
 * the time of a summary, and a few ranks need no order among the others: samples are counted in buckets by the leading
 * bits of their floats, and only the buckets that hold a rank are sorted.
 */
function valuesAtRanks(
  values: Float64Array,
  counts: Float64Array | undefined,
  {count, ranks}: Wanted,
): number[] {
  if (count <= mostSorted) {
    const sorted = repeated(values, counts, count).sort()
    return ranks.map((rank) => sorted[rank]!)
  }
  if (values.length < fewSamples) return sortedRanks(values, counts, ranks)
  // The upper half of a double of at least 0 orders doubles as it orders as an integer.
  const halves = new Uint32Array(values.buffer, values.byteOffset, values.length * 2)
  let least = 0xffffffff
  let most = 0
  for (let i = 0; i < values.length; i++) {
    const upper = halves[2 * i + 1]!
    if (upper < least) least = upper
    if (upper > most) most = upper
  }
  // A sign bit: a negative sample.
  if (most >= 0x80000000) return sortedRanks(values, counts, ranks)
  let shift = 0
  // Some samples a bucket: new memory costs more than sorting them.
  const wanted = Math.min(mostBuckets, values.length >>> 2)
  while ((most - least) >>> shift >= wanted) shift++
  const buckets = new Uint16Array(values.length)
  const weight = new Float64Array(((most - least) >>> shift) + 1)
  for (let i = 0; i < values.length; i++) {
    const bucket = (halves[2 * i + 1]! - least) >>> shift
    buckets[i] = bucket
    weight[bucket]! += counts === undefined ? 1 : counts[i]!
  }
  return ranksInBuckets(values, counts, {ranks, weight, buckets})
}

interface Buckets {
  readonly ranks: readonly number[]
  readonly weight: Float64Array
  /** Of each sample. */
  readonly buckets: Uint16Array
}

function ranksInBuckets(
  values: Float64Array,
  counts: Float64Array | undefined,
  {ranks, weight, buckets}: Buckets,
): number[] {
  const found = ranks.map((rank) => {
    let before = 0
    let bucket = 0
    while (before + weight[bucket]! <= rank) before += weight[bucket++]!
    return {bucket, rank: rank - before}
  })
  const isWanted = new Uint8Array(weight.length)
  for (const {bucket} of found) isWanted[bucket] = 1
  const members = new Map<number, number[]>(found.map(({bucket}) => [bucket, []]))
  for (let i = 0; i < buckets.length; i++) {
    if (isWanted[buckets[i]!] === 1) members.get(buckets[i]!)!.push(i)
  }
  const at = new Map<number, Float64Array>()
  for (const [bucket, samples] of members) {
    const own = Float64Array.from(samples, (i) => values[i]!)
    const ownCounts = counts && Float64Array.from(samples, (i) => counts[i]!)
    const wanted = found.filter((one) => one.bucket === bucket).map(({rank}) => rank)
    at.set(bucket, Float64Array.from(sortedRanks(own, ownCounts, wanted)))
  }
  const taken = new Map<number, number>()
  return found.map(({bucket}) => {
    const next = taken.get(bucket) ?? 0
    taken.set(bucket, next + 1)
    return at.get(bucket)![next]!
  })
}

/** `count` samples, each value as often as its count says. */
function repeated(
  values: Float64Array,
  counts: Float64Array | undefined,
  count: number,
): Float64Array {
  if (counts === undefined) return values.slice()
  const all = new Float64Array(count)
  let at = 0
  for (let i = 0; i < values.length; i++) {
    const end = at + counts[i]!
    while (at < end) all[at++] = values[i]!
  }
  return all
}

function sortedRanks(
  values: Float64Array,
  counts: Float64Array | undefined,
  ranks: readonly number[],
): number[] {
  if (counts === undefined || counts.every((count) => count === 1)) {
    const sorted = values.slice().sort()
    return ranks.map((rank) => sorted[rank]!)
  }
  const order = new Uint32Array(values.length).map((_, i) => i)
  order.sort((a, b) => values[a]! - values[b]!)
  return ranks.map((rank) => {
    let left = rank
    let i = 0
    while (left >= counts[order[i]!]!) left -= counts[order[i++]!]!
    return values[order[i]!]!
  })
}
