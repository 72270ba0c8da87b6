/**
 * The matrices of a model as one rank holds them, fused as vLLM fuses them: what the step time multiplies and the
 * memory holds. Biases are left out: together below 0.1 % of the weights.
 */

import type {
  AttentionShape,
  Dtype,
  GroupedAttention,
  LatentAttention,
  LayerGroup,
  MlpShape,
  ModelShape,
} from './model-shape.js'
import {expertTensorCut, type Parallelism} from './parallelism.js'
import {bytesOf} from './weight-format.js'

export type ModelPart = 'attention' | 'router' | 'denseMlp' | 'experts' | 'lmHead'

/** How a matrix is spread: column: n is cut by tp; row: k is cut, an all-reduce follows; expert: by ep. */
export type Sharding = 'column' | 'row' | 'replicated' | 'expert'

/** One matrix of a layer on one rank: y[n] = x[k] · W. */
export interface LinearLayer {
  readonly name: string
  readonly part: ModelPart
  /** Input size on this rank. */
  readonly k: number
  /** Output size on this rank. */
  readonly n: number
  readonly sharding: Sharding
  /** How many such matrices the rank holds: its experts; else 1. */
  readonly copies: number
  /** How many of them one token meets on this rank, on average: experts per token × share held; else 1. */
  readonly usesPerToken: number
  /** Class of the arithmetic. */
  readonly dtype: Dtype
  /** Scales included. */
  readonly bytesPerWeight: number
}

type Matrix = Pick<LinearLayer, 'name' | 'k' | 'n' | 'sharding'>

/** vLLM pads vocabularies to this many rows, so that ranks share them evenly. */
const VOCABULARY_PADDING = 64

export const oneRank: Parallelism = {tp: 1}

/** The linear layers of one layer of a group on one rank, in the order in which they run. */
export const layerLinears = (
  model: ModelShape,
  group: LayerGroup,
  parallelism: Parallelism = oneRank,
): LinearLayer[] => [
  ...attentionMatrices(model.hiddenSize, group.attention, parallelism.tp).map((matrix) =>
    inFormat(model, 'attention', matrix),
  ),
  ...expertLinears(model, group.mlp, parallelism),
  ...denseMatrices(model.hiddenSize, group.mlp, parallelism.tp).map((matrix) =>
    inFormat(model, 'denseMlp', matrix),
  ),
]

/** The head on one rank; it runs on sampled rows only. */
export const lmHeadLinear = (model: ModelShape, tp = 1): LinearLayer =>
  inFormat(model, 'lmHead', {
    name: 'lm_head',
    k: model.hiddenSize,
    n: vocabularyRows(model, tp),
    sharding: 'column',
  })

/** Rows of the embedding and of the head on one rank. */
export const vocabularyRows = (model: ModelShape, tp: number): number =>
  tp === 1
    ? model.vocabSize
    : Math.ceil(model.vocabSize / (VOCABULARY_PADDING * tp)) * VOCABULARY_PADDING

/** KV heads that one rank holds: with more ranks than heads, every rank keeps a copy of one. */
export const keyValueHeadsOnRank = (attention: GroupedAttention, tp: number): number =>
  Math.max(1, attention.keyValueHeads / tp)

const attentionMatrices = (hidden: number, attention: AttentionShape, tp: number): Matrix[] =>
  attention.kind === 'grouped'
    ? groupedMatrices(hidden, attention, tp)
    : latentMatrices(hidden, attention, tp)

const groupedMatrices = (hidden: number, attention: GroupedAttention, tp: number): Matrix[] => {
  const {headDim, valueHeadDim} = attention
  const queryHeads = attention.queryHeads / tp
  const keyValues = keyValueHeadsOnRank(attention, tp) * (headDim + valueHeadDim)
  return [
    {name: 'qkv_proj', k: hidden, n: queryHeads * headDim + keyValues, sharding: 'column'},
    {name: 'o_proj', k: queryHeads * valueHeadDim, n: hidden, sharding: 'row'},
  ]
}

/** The down-projections are small and whole on every rank; only what has heads is cut. */
const latentMatrices = (hidden: number, attention: LatentAttention, tp: number): Matrix[] => {
  const {queryRank, keyValueRank, ropeHeadDim, nopeHeadDim, valueHeadDim} = attention
  const heads = attention.queryHeads / tp
  const queries = heads * (nopeHeadDim + ropeHeadDim)
  const latent = keyValueRank + ropeHeadDim
  const inputs: Matrix[] =
    queryRank === null
      ? [
          {name: 'q_proj', k: hidden, n: queries, sharding: 'column'},
          {name: 'kv_a_proj', k: hidden, n: latent, sharding: 'replicated'},
        ]
      : [
          {name: 'qkv_a_proj', k: hidden, n: queryRank + latent, sharding: 'replicated'},
          {name: 'q_b_proj', k: queryRank, n: queries, sharding: 'column'},
        ]
  const expanded = heads * (nopeHeadDim + valueHeadDim)
  return [
    ...inputs,
    ...indexerMatrices(hidden, attention),
    {name: 'kv_b_proj', k: keyValueRank, n: expanded, sharding: 'column'},
    {name: 'o_proj', k: heads * valueHeadDim, n: hidden, sharding: 'row'},
  ]
}

/** DeepSeek sparse attention: every rank selects for itself. */
const indexerMatrices = (hidden: number, {queryRank, indexer}: LatentAttention): Matrix[] => {
  if (indexer === undefined) return []
  const {heads, headDim} = indexer
  return [
    {name: 'indexer.wq_b', k: queryRank ?? hidden, n: heads * headDim, sharding: 'replicated'},
    {name: 'indexer.wk', k: hidden, n: headDim, sharding: 'replicated'},
    {name: 'indexer.weights_proj', k: hidden, n: heads, sharding: 'replicated'},
  ]
}

const denseMatrices = (hidden: number, {denseIntermediate}: MlpShape, tp: number): Matrix[] => {
  if (denseIntermediate === 0) return []
  const inner = denseIntermediate / tp
  return [
    {name: 'gate_up_proj', k: hidden, n: 2 * inner, sharding: 'column'},
    {name: 'down_proj', k: inner, n: hidden, sharding: 'row'},
  ]
}

const expertLinears = (
  model: ModelShape,
  {experts}: MlpShape,
  {tp, ep = 1}: Parallelism,
): LinearLayer[] => {
  if (experts === null) return []
  const hidden = model.hiddenSize
  const inner = experts.intermediate / expertTensorCut(tp, ep)
  const held = {copies: experts.count / ep, usesPerToken: experts.perToken / ep}
  const of = (name: string, k: number, n: number): LinearLayer => ({
    ...inFormat(model, 'experts', {name, k, n, sharding: 'expert'}),
    ...held,
  })
  return [
    inFormat(model, 'router', {
      name: 'router',
      k: hidden,
      n: experts.count,
      sharding: 'replicated',
    }),
    of('experts.gate_up_proj', hidden, 2 * inner),
    of('experts.down_proj', inner, hidden),
  ]
}

/** Routers are never quantised. */
const inFormat = (model: ModelShape, part: ModelPart, matrix: Matrix): LinearLayer => {
  const {quantization} = model
  const plain = quantization === null || part === 'router' || quantization.unquantized[part]
  return {
    ...matrix,
    part,
    copies: 1,
    usesPerToken: 1,
    dtype: plain ? model.dtype : quantization.dtype,
    bytesPerWeight: plain ? bytesOf(model.dtype) : quantization.bytesPerWeight,
  }
}
