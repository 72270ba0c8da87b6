/** Parameters, bytes and FLOPs of a model, whole and per rank. */

import {
  keyValueHeadsOnRank,
  type LinearLayer,
  layerLinears,
  lmHeadLinear,
  oneRank,
  vocabularyRows,
} from './linear-layers.js'
import {
  type AttentionShape,
  type KvDtype,
  type LayerGroup,
  layerCount,
  type ModelShape,
} from './model-shape.js'
import {type Parallelism, stageLayers} from './parallelism.js'
import {bytesOf} from './weight-format.js'

/** Bytes of weights on one rank, by part. */
export interface WeightBytes {
  readonly embedding: number
  readonly attention: number
  readonly denseMlp: number
  readonly experts: number
  /** Routers and normalisation: kept in the checkpoint's own format. */
  readonly other: number
  readonly lmHead: number
  readonly total: number
}

/** Two normalisations before the two halves of a layer. */
const NORMS_PER_LAYER = 2

const sumOver = <T>(items: readonly T[], value: (item: T) => number): number =>
  items.reduce((sum, item) => sum + value(item), 0)

const weightsOf = (linear: LinearLayer): number => linear.k * linear.n * linear.copies

/** Parameters of the language model: every expert, embeddings and head (tied ones once). */
export const parameterCount = (model: ModelShape): number =>
  layerParameters(model, weightsOf) +
  model.hiddenSize * model.vocabSize * (model.tiedEmbeddings ? 1 : 2)

/** Parameters that one token is multiplied with: the experts it is routed to and the head, but no embedding table. */
export const activeParameterCount = (model: ModelShape): number =>
  layerParameters(model, ({k, n, usesPerToken}) => k * n * usesPerToken) +
  model.hiddenSize * model.vocabSize

const layerParameters = (model: ModelShape, weights: (linear: LinearLayer) => number): number =>
  model.hiddenSize +
  sumOver(
    model.groups,
    (group) =>
      group.count *
      (sumOver(layerLinears(model, group), weights) + NORMS_PER_LAYER * model.hiddenSize),
  )

/**
 * Weight bytes of one rank of every pipeline stage, the first stage first. Layers count with the average of the model
 * where its groups differ. A tied head is a copy of its own only when it lies on another stage than the embedding.
 */
export const stageWeightBytes = (
  model: ModelShape,
  parallelism: Parallelism = oneRank,
): WeightBytes[] => {
  const {tp, pp = 1} = parallelism
  const layers = layerCount(model)
  const all = layerBytes(model, parallelism)
  const own = bytesOf(model.dtype)
  const table = vocabularyRows(model, tp) * model.hiddenSize * own
  const head = lmHeadLinear(model, tp)
  return stageLayers(layers, pp).map((count, stage) => {
    const share = count / layers
    const last = stage === pp - 1
    const sharesTable = model.tiedEmbeddings && pp === 1
    const parts = {
      embedding: stage === 0 ? table : 0,
      attention: all.attention * share,
      denseMlp: all.denseMlp * share,
      experts: all.experts * share,
      other: all.other * share + (last ? model.hiddenSize * own : 0),
      lmHead: last && !sharesTable ? weightsOf(head) * head.bytesPerWeight : 0,
    }
    return {...parts, total: sumOver(Object.values(parts), (bytes) => bytes)}
  })
}

/** Weight bytes of one block on one rank, by part; the average of the model where its blocks differ. */
export const blockWeightBytes = (
  model: ModelShape,
  parallelism: Parallelism = oneRank,
): Readonly<Record<BlockPart, number>> => {
  const all = layerBytes(model, parallelism)
  const layers = layerCount(model)
  return {
    attention: all.attention / layers,
    mlp: all.denseMlp / layers,
    experts: all.experts / layers,
    other: all.other / layers,
  }
}

/** `mlp`: the dense one, or the shared experts; `other`: router and normalisation. */
export const blockParts = ['attention', 'mlp', 'experts', 'other'] as const
export type BlockPart = (typeof blockParts)[number]

/** Weight bytes of the heaviest rank. */
export const weightBytesPerRank = (
  model: ModelShape,
  parallelism: Parallelism = oneRank,
): WeightBytes =>
  stageWeightBytes(model, parallelism).reduce((most, each) =>
    each.total > most.total ? each : most,
  )

const layerBytes = (model: ModelShape, parallelism: Parallelism) => {
  const bytes = {attention: 0, denseMlp: 0, experts: 0, other: 0}
  const norms = NORMS_PER_LAYER * model.hiddenSize * bytesOf(model.dtype)
  for (const group of model.groups) {
    for (const linear of layerLinears(model, group, parallelism)) {
      const part = linear.part === 'router' || linear.part === 'lmHead' ? 'other' : linear.part
      bytes[part] += group.count * weightsOf(linear) * linear.bytesPerWeight
    }
    bytes.other += group.count * norms
  }
  return bytes
}

export interface KvOptions {
  readonly tp?: number
  readonly pp?: number
  readonly kvDtype?: KvDtype
}

/** Bytes of one key or value. */
export const keyValueBytes = (model: ModelShape, kvDtype: KvDtype): number =>
  kvDtype === 'fp8' ? 1 : bytesOf(model.dtype)

/**
 * Bytes that one token occupies in the KV cache of one layer on one rank. The latent of MLA is whole on every rank;
 * the selector of sparse attention keeps an FP8 key with one fp32 scale per 128 values.
 */
export const kvBytesPerTokenPerLayer = (
  attention: AttentionShape,
  tp: number,
  elementBytes: number,
): number => {
  if (attention.kind === 'grouped') {
    const values = attention.headDim + attention.valueHeadDim
    return keyValueHeadsOnRank(attention, tp) * values * elementBytes
  }
  const {keyValueRank, ropeHeadDim, indexer} = attention
  const selector =
    indexer === undefined ? 0 : indexer.headDim + 4 * Math.ceil(indexer.headDim / 128)
  return (keyValueRank + ropeHeadDim) * elementBytes + selector
}

/** KV bytes per token on one rank of every pipeline stage; all layers are taken to keep the whole context. */
export const stageKvBytesPerToken = (
  model: ModelShape,
  {tp = 1, pp = 1, kvDtype = 'auto'}: KvOptions = {},
): number[] => {
  const element = keyValueBytes(model, kvDtype)
  const all = sumOver(
    model.groups,
    ({count, attention}) => count * kvBytesPerTokenPerLayer(attention, tp, element),
  )
  const layers = layerCount(model)
  return stageLayers(layers, pp).map((count) => (all * count) / layers)
}

/** KV bytes per token on the rank that holds most layers. */
export const kvBytesPerToken = (model: ModelShape, options: KvOptions = {}): number =>
  Math.max(...stageKvBytesPerToken(model, options))

/** FLOPs of the linear layers of one layer for one token on one rank (2 per weight that the token meets). */
export const linearFlopsPerLayer = (
  model: ModelShape,
  group: LayerGroup,
  parallelism: Parallelism = oneRank,
): number =>
  sumOver(
    layerLinears(model, group, parallelism),
    ({k, n, usesPerToken}) => 2 * k * n * usesPerToken,
  )

/** FLOPs of all layers' linear parts for one token, over all ranks; without the head. */
export const linearFlopsPerToken = (model: ModelShape): number =>
  sumOver(model.groups, (group) => group.count * linearFlopsPerLayer(model, group))

/** FLOPs of the head for one sampled token, over all ranks. */
export const headFlopsPerToken = (model: ModelShape): number =>
  2 * model.hiddenSize * model.vocabSize

/** Bytes of a 16-bit LoRA adapter of this rank on one device: two thin matrices for every linear layer but experts. */
export const adapterBytes = (
  model: ModelShape,
  rank: number,
  {tp, pp = 1, ep = 1}: Parallelism,
): number =>
  2 *
  rank *
  Math.ceil(
    sumOver(
      model.groups,
      (group) =>
        group.count *
        sumOver(layerLinears(model, group, {tp, ep}), ({k, n, part}) =>
          part === 'experts' ? 0 : k + n,
        ),
    ) / pp,
  )
