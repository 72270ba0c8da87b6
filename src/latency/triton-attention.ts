/**
 * Attention with sinks (gpt-oss) where FlashAttention has none: vLLM's kernel in Triton (issue 22290, pull request 37949).
 * Its tiles have 16 rows, a few tokens with the query heads of their group, and each reads all keys and values again, from
 * the cache. Decodes beside a chunk stay packed, unlike in FlashAttention 2.
 */
import type {ArchitectureClass, Hardware} from '../catalogue/hardware-shape.js'
import type {ModelShape} from '../catalogue/model-shape.js'

const withoutSinks: readonly ArchitectureClass[] = [
  ...(['turing', 'ampere', 'ampere-consumer', 'ada', 'ada-consumer'] as const),
]

const rowsOfTile = 16

/** Rows of a tile where a model's attention runs on that kernel; undefined: it does not. */
export const tritonRows = (
  {modelType}: ModelShape,
  {architecture}: Hardware,
): number | undefined =>
  modelType === 'gpt_oss' && withoutSinks.includes(architecture) ? rowsOfTile : undefined

/** Where the time of its prompts comes from. */
export const tritonSource =
  'tiles of 16 rows in Triton, whose rate was measured on an H100 (vLLM pull request 20690)'
