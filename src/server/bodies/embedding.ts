/**
 * Vectors of texts: every token adds a few numbers at places of its own (a sparse random projection, Li, Hastie and
 * Church, 2006). Texts with tokens in common point the same way, equal texts are equal, and nothing else is meant.
 */
import {derivedId} from '../../trace/block-ids.js'

const placesPerToken = 16

/** Of length 1, as float32. */
export function embeddingOf(ids: ArrayLike<number>, dimensions: number): Float32Array {
  const sums = new Float64Array(dimensions)
  for (let i = 0; i < ids.length; i++) {
    for (let k = 0; k < placesPerToken; k++) {
      const place = derivedId(ids[i]!, k)
      sums[Math.floor(place / 2) % dimensions]! += place % 2 === 0 ? 1 : -1
    }
  }
  const length = Math.sqrt(sums.reduce((sum, value) => sum + value * value, 0))
  if (length === 0) sums[0] = 1
  return Float32Array.from(sums, (value) => value / (length || 1))
}
