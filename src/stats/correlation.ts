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
