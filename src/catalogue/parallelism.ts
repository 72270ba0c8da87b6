/** How a model is cut over accelerators, and which cuts it allows. */

import {Problem} from '../errors.js'
import {layerCount, type ModelShape} from './model-shape.js'

export interface Parallelism {
  /** Tensor parallel ranks. */
  readonly tp: number
  /** Pipeline stages; 1 when absent. */
  readonly pp?: number
  /** Ranks over which experts are spread, data parallel ones included; 1 (experts are cut by tp) when absent. */
  readonly ep?: number
}

const dividesTensors = (model: ModelShape, tp: number): boolean =>
  model.groups.every(
    ({attention, mlp}) =>
      attention.queryHeads % tp === 0 &&
      (attention.kind === 'latent' ||
        attention.keyValueHeads % tp === 0 ||
        tp % attention.keyValueHeads === 0) &&
      mlp.denseIntermediate % tp === 0,
  )

/** Without expert parallelism tp cuts each expert; with it, only what is left of tp does. */
const dividesExperts = (model: ModelShape, tp: number, ep: number): boolean =>
  model.groups.every(
    ({mlp}) =>
      mlp.experts === null ||
      (mlp.experts.count % ep === 0 && mlp.experts.intermediate % expertTensorCut(tp, ep) === 0),
  )

/** Into how many pieces one expert is cut. */
export const expertTensorCut = (tp: number, ep: number): number =>
  ep < tp ? Math.ceil(tp / ep) : 1

/** Tensor parallel degrees up to `most` that this model allows (with `ep` as given). */
export const allowedTensorDegrees = (model: ModelShape, most: number, ep = 1): number[] =>
  Array.from({length: most}, (_, index) => index + 1).filter(
    (tp) => dividesTensors(model, tp) && dividesExperts(model, tp, ep),
  )

const expertCounts = (model: ModelShape): number[] =>
  model.groups.flatMap(({mlp}) => (mlp.experts === null ? [] : [mlp.experts.count]))

const divisors = (of: readonly number[]): number[] =>
  Array.from({length: Math.min(...of)}, (_, index) => index + 1).filter((size) =>
    of.every((count) => count % size === 0),
  )

const WIDEST = 64

const invalid = (message: string, name: string, options: readonly number[]): Problem =>
  new Problem('PARALLELISM_INVALID', message, {
    suggestions: [`--${name} may be ${options.join(', ')} for this model.`],
  })

/**
 * Checks that the model can be cut this way, as vLLM would.
 * @throws Problem PARALLELISM_INVALID with the sizes that work
 */
export const checkParallelism = (model: ModelShape, {tp, pp = 1, ep = 1}: Parallelism): void => {
  for (const [name, size] of Object.entries({tp, pp, ep})) {
    if (!Number.isSafeInteger(size) || size < 1) {
      throw new Problem(
        'PARALLELISM_INVALID',
        `--${name} must be a positive whole number, got ${size}.`,
      )
    }
  }
  checkPipeline(model, pp)
  checkExperts(model, tp, ep)
  if (dividesTensors(model, tp) && dividesExperts(model, tp, ep)) return
  throw invalid(
    `--tp ${tp} does not divide ${model.id}: ${tensorSizes(model)}.`,
    'tp',
    allowedTensorDegrees(model, WIDEST, ep),
  )
}

const tensorSizes = (model: ModelShape): string => {
  const sizes = model.groups.map(({attention, mlp}) => [
    `${attention.queryHeads} query heads`,
    ...(attention.kind === 'grouped' ? [`${attention.keyValueHeads} KV heads`] : []),
    ...(mlp.denseIntermediate > 0 ? [`an MLP of ${mlp.denseIntermediate}`] : []),
    ...(mlp.experts === null ? [] : [`experts of ${mlp.experts.intermediate}`]),
  ])
  return [...new Set(sizes.flat())].join(', ')
}

const checkPipeline = (model: ModelShape, pp: number): void => {
  const layers = layerCount(model)
  if (pp <= layers) return
  throw new Problem(
    'PARALLELISM_INVALID',
    `--pp ${pp} is more than the ${layers} layers of ${model.id}.`,
    {suggestions: [`--pp may be 1 to ${layers} for this model.`]},
  )
}

const checkExperts = (model: ModelShape, tp: number, ep: number): void => {
  if (ep === 1) return
  const counts = expertCounts(model)
  if (counts.length === 0) {
    throw invalid(`--ep ${ep} needs a model with experts; ${model.id} has none.`, 'ep', [1])
  }
  if (counts.some((count) => count % ep !== 0)) {
    throw invalid(
      `--ep ${ep} does not divide the ${counts[0]} experts of ${model.id}.`,
      'ep',
      divisors(counts),
    )
  }
  if (ep < tp && tp % ep !== 0) {
    throw invalid(
      `--ep ${ep} must divide --tp ${tp} or be a multiple of it.`,
      'ep',
      divisors(counts).filter((size) => size >= tp || tp % size === 0),
    )
  }
}

/** What one pipeline stage has of a model. */
export interface StageCut {
  readonly layers: number
  /** The first stage has the embedding, the last the head. */
  readonly isFirst: boolean
  readonly isLast: boolean
}

/** The stages of a model cut at whole layers. */
export const stageCuts = (model: ModelShape, pp: number): StageCut[] =>
  stageLayers(layerCount(model), pp).map((layers, stage) => ({
    layers,
    isFirst: stage === 0,
    isLast: stage === pp - 1,
  }))

/**
 * Layers of each pipeline stage as vLLM deals them out: what is left over goes to the stages before the last,
 * because the last one also holds the head (vLLM, get_pp_indices).
 */
export const stageLayers = (layers: number, pp: number): number[] => {
  const base = Math.floor(layers / pp)
  const left = layers % pp
  return Array.from({length: pp}, (_, stage) =>
    stage >= pp - 1 - left && stage < pp - 1 ? base + 1 : base,
  )
}
