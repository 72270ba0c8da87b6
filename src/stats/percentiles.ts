/** Exact percentiles with linear interpolation between order statistics (numpy's default, Hyndman–Fan type 7). */
import type {WeightedSamples} from './outcomes.js'

export interface Distribution {
  readonly count: number
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

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
  if (samples.length === 0) return undefined
  const sorted = samples.slice().sort()
  let sum = 0
  for (const value of sorted) sum += value
  const [p50, p90, p95, p99, max] = quantilesOfSorted(sorted, [0.5, 0.9, 0.95, 0.99, 1])
  return {
    count: sorted.length,
    mean: sum / sorted.length,
    p50: p50!,
    p90: p90!,
    p95: p95!,
    p99: p99!,
    max: max!,
  }
}

/** The same for samples that carry a count, as if each were repeated that often. */
export function describeWeighted(samples: WeightedSamples): Distribution | undefined {
  const order = new Uint32Array(samples.length).map((_, i) => i)
  order.sort((a, b) => samples.values[a]! - samples.values[b]!)
  let count = 0
  let sum = 0
  const upTo = new Float64Array(samples.length)
  const sorted = new Float64Array(samples.length)
  order.forEach((from, to) => {
    count += samples.counts[from]!
    sum += samples.values[from]! * samples.counts[from]!
    upTo[to] = count
    sorted[to] = samples.values[from]!
  })
  if (count === 0) return undefined
  const at = (rank: number): number => {
    let low = 0
    let high = upTo.length - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if (upTo[middle]! > rank) high = middle
      else low = middle + 1
    }
    return sorted[low]!
  }
  const quantile = (q: number): number => {
    const position = q * (count - 1)
    const low = Math.floor(position)
    return between(at(low), at(Math.min(low + 1, count - 1)), position - low)
  }
  return {
    count,
    mean: sum / count,
    p50: quantile(0.5),
    p90: quantile(0.9),
    p95: quantile(0.95),
    p99: quantile(0.99),
    max: quantile(1),
  }
}
