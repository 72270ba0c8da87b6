/** Pearson's correlation of the pairs that are both known; undefined below two of them, or without spread. */
export function pearson(a: Float64Array, b: Float64Array): number | undefined {
  const pairs = [...a.keys()].filter((i) => !Number.isNaN(a[i]!) && !Number.isNaN(b[i]!))
  if (pairs.length < 2) return undefined
  const mean = (values: Float64Array) =>
    pairs.reduce((sum, i) => sum + values[i]!, 0) / pairs.length
  const [meanA, meanB] = [mean(a), mean(b)]
  let [together, alone, other] = [0, 0, 0]
  for (const i of pairs) {
    const [x, y] = [a[i]! - meanA, b[i]! - meanB]
    together += x * y
    alone += x * x
    other += y * y
  }
  return alone > 0 && other > 0 ? together / Math.sqrt(alone * other) : undefined
}

/** Standard error of the mean of a − b over the pairs that are both known; undefined below two of them. */
export function noiseOfDifference(a: Float64Array, b: Float64Array): number | undefined {
  const differences = a.map((value, i) => value - b[i]!).filter((value) => !Number.isNaN(value))
  const count = differences.length
  if (count < 2) return undefined
  const mean = differences.reduce((sum, value) => sum + value, 0) / count
  const squares = differences.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return Math.sqrt(squares / (count - 1) / count)
}
