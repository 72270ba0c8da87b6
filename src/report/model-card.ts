/** What `model list` and `model show` print: sizes in units that a person reads, never wider than 80 columns. */

import {
  activeParameterCount,
  headFlopsPerToken,
  kvBytesPerToken,
  linearFlopsPerToken,
  parameterCount,
  weightBytesPerRank,
} from '../catalogue/model-arithmetic.js'
import {
  type AttentionShape,
  type KvDtype,
  layerCount,
  type ModelShape,
} from '../catalogue/model-shape.js'
import type {FoundModel, ListedModel} from '../catalogue/models.js'
import {allowedTensorDegrees, checkParallelism} from '../catalogue/parallelism.js'
import {type WeightFormat, withWeightFormat} from '../catalogue/weight-format.js'

/** Figures of one model on one rank of `tp`. */
export interface ModelCard {
  readonly id: string
  readonly ids: readonly string[]
  readonly notes: readonly string[]
  readonly shape: ModelShape
  readonly tp: number
  readonly parameters: number
  readonly active_parameters: number
  readonly layers: number
  readonly weight_bytes_per_rank: number
  readonly kv_bytes_per_token_per_rank: number
  /** Linear layers of one token, over all ranks. */
  readonly linear_flops_per_token: number
  /** The head, per sampled token, over all ranks. */
  readonly head_flops_per_token: number
  /** Tensor parallel degrees up to 64 that the model allows. */
  readonly tp_allowed: readonly number[]
}

export interface CardOptions {
  readonly tp: number
  readonly kvDtype: KvDtype
  readonly dtype?: WeightFormat
}

/** @throws Problem PARALLELISM_INVALID when tp does not divide the model */
export const modelCard = (found: FoundModel, {tp, kvDtype, dtype}: CardOptions): ModelCard => {
  const shape = dtype === undefined ? found.model : withWeightFormat(found.model, dtype)
  checkParallelism(shape, {tp})
  return {
    id: shape.id,
    ids: found.ids,
    notes: found.notes,
    shape,
    tp,
    parameters: parameterCount(shape),
    active_parameters: activeParameterCount(shape),
    layers: layerCount(shape),
    weight_bytes_per_rank: weightBytesPerRank(shape, {tp}).total,
    kv_bytes_per_token_per_rank: kvBytesPerToken(shape, {tp, kvDtype}),
    linear_flops_per_token: linearFlopsPerToken(shape),
    head_flops_per_token: headFlopsPerToken(shape),
    tp_allowed: allowedTensorDegrees(shape, 64),
  }
}

export interface ModelRow {
  readonly id: string
  readonly ids: readonly string[]
  readonly parameters: number
  readonly weight_bytes: number
  readonly kv_bytes_per_token: number
}

export const modelRows = (models: readonly ListedModel[]): ModelRow[] =>
  models.map(({model, ids}) => ({
    id: model.id,
    ids,
    parameters: parameterCount(model),
    weight_bytes: weightBytesPerRank(model).total,
    kv_bytes_per_token: kvBytesPerToken(model),
  }))

const billions = (count: number): string =>
  `${(count / 1e9).toFixed(count >= 99.95e9 ? 0 : count >= 9.995e9 ? 1 : 2)} B`
const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`
const kibibytes = (bytes: number): string => `${Number((bytes / 1024).toFixed(1))} KiB`
const gigaflops = (flops: number): string => `${(flops / 1e9).toFixed(2)} GFLOP`

/** The catalogue as a table. */
export const modelListText = async (rows: readonly ModelRow[]): Promise<string> =>
  frameless(
    ['model', 'params', 'weights', 'KV/token'],
    rows.map((row) => [
      row.id,
      billions(row.parameters),
      gigabytes(row.weight_bytes),
      kibibytes(row.kv_bytes_per_token),
    ]),
  )

/** One model as a list of facts. */
export const modelCardText = async (card: ModelCard): Promise<string> => {
  const {shape} = card
  const rank = card.tp === 1 ? '' : ` on each of ${card.tp} ranks`
  const active = shape.groups.some(({mlp}) => mlp.experts !== null)
    ? `, ${billions(card.active_parameters)} active per token`
    : ''
  const facts: [string, string][] = [
    ['architecture', shape.architecture],
    ['parameters', `${billions(card.parameters)}${active}`],
    ['context', `${shape.maxPositionEmbeddings} tokens`],
    [
      'hidden, vocabulary',
      `${shape.hiddenSize}, ${shape.vocabSize}${shape.tiedEmbeddings ? ' (tied)' : ''}`,
    ],
    ...shape.groups.flatMap(({count, attention, mlp}): [string, string][] => [
      [`${count} layers`, attentionText(attention)],
      ['', mlpText(mlp)],
    ]),
    ['weights', `${gigabytes(card.weight_bytes_per_rank)}${rank}, ${formatText(shape)}`],
    ['KV cache', `${card.kv_bytes_per_token_per_rank} B per token${rank}`],
    ['linear layers', `${gigaflops(card.linear_flops_per_token)} per token`],
    ['head', `${gigaflops(card.head_flops_per_token)} per sampled token`],
    ['--tp', card.tp_allowed.join(', ')],
    ...card.ids
      .filter((id) => id !== card.id)
      .map((id, index): [string, string] => [index === 0 ? 'same shape' : '', id]),
  ]
  const body = await frameless([card.id, ''], facts, 'left')
  return [body, ...card.notes.map((note) => `Note: ${note}`)].join('\n')
}

const attentionText = (attention: AttentionShape): string => {
  if (attention.kind === 'latent') {
    const sparse =
      attention.sparseTopK === null ? '' : `, at most ${attention.sparseTopK} tokens seen`
    return `MLA, ${attention.queryHeads} heads, latent ${attention.keyValueRank} + ${attention.ropeHeadDim}${sparse}`
  }
  const window = attention.window === null ? '' : `, window ${attention.window}`
  return `${attention.queryHeads} heads, ${attention.keyValueHeads} KV, head ${attention.headDim}${window}`
}

const mlpText = (mlp: ModelShape['groups'][number]['mlp']): string => {
  const {experts, denseIntermediate} = mlp
  if (experts === null) return `MLP ${denseIntermediate}`
  const shared = denseIntermediate === 0 ? '' : `, beside a dense ${denseIntermediate}`
  return `${experts.perToken} of ${experts.count} experts of ${experts.intermediate}${shared}`
}

const formatText = ({quantization, dtype}: ModelShape): string => {
  if (quantization === null) return dtype
  const kept = Object.entries(quantization.unquantized)
    .filter(([, whole]) => whole)
    .map(([part]) => PARTS[part] ?? part)
  const rest = kept.length === 0 ? '' : `; ${kept.join(', ')} in ${dtype}`
  return `${quantization.method} (${Number((quantization.bytesPerWeight * 8).toFixed(2))} bits${rest})`
}

const PARTS: Readonly<Record<string, string>> = {
  attention: 'attention',
  denseMlp: 'dense MLPs',
  experts: 'experts',
  lmHead: 'head',
}

const frameless = async (
  head: readonly string[],
  rows: readonly (readonly string[])[],
  align: 'left' | 'right' = 'right',
): Promise<string> => {
  const {default: Table} = await import('cli-table3')
  const sides = ['top', 'bottom', 'left', 'right', 'mid']
  const corners = ['top-mid', 'top-left', 'top-right', 'bottom-mid', 'bottom-left', 'bottom-right']
  const joints = ['left-mid', 'mid-mid', 'right-mid']
  const none = Object.fromEntries([...sides, ...corners, ...joints].map((place) => [place, '']))
  const table = new Table({
    head: [...head],
    colAligns: head.map((_, column) => (column === 0 ? 'left' : align)),
    chars: {...none, middle: '  '},
    style: {head: [], border: [], 'padding-left': 0, 'padding-right': 0},
  })
  table.push(...rows.map((row) => [...row]))
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}
