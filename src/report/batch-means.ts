/** How far the mean of a correlated series may by chance be from that of the process behind it. */

export interface MeanOfSeries {
  readonly mean: number
  /** For each of `scales`, what the mean is off by, as a share of it, in one case of two hundred. */
  readonly chances: readonly number[]
}

/**
 * Lengths of batches, as parts of a series, and Student's t that 0.5 % of cases exceed for the degrees of freedom that so
 * many overlapping batches have, 1.5 × (parts − 1): 10.5 and 4.5. Many short batches are surer of their variance; few long
 * ones hold whole cycles of what comes in cycles. The one that vouches for more is taken, in 1 % of cases wrongly.
 */
export const scales = [
  {parts: 8, quantile: 3.14},
  {parts: 4, quantile: 4.32},
] as const

export function meanOfSeries(series: Float64Array): MeanOfSeries {
  const mean = series.reduce((a, b) => a + b, 0) / series.length
  const chances = scales.map(
    ({parts, quantile}) =>
      (quantile * standardError(series, mean, Math.floor(series.length / parts))) / mean,
  )
  return {mean, chances}
}

/**
 * Standard error of the mean by overlapping batch means: as many means of `width` values in a row as there are, whose
 * variance holds whatever correlation reaches over less than `width` (Meketon and Schmeiser, "Overlapping batch means:
 * something for nothing?", 1984).
 */
function standardError(series: Float64Array, mean: number, width: number): number {
  const {length} = series
  let inBatch = 0
  for (let i = 0; i < width; i++) inBatch += series[i]!
  let squares = 0
  for (let i = width; ; i++) {
    squares += (inBatch / width - mean) ** 2
    if (i >= length) break
    inBatch += series[i]! - series[i - width]!
  }
  return Math.sqrt((squares * width) / ((length - width) * (length - width + 1)))
}
