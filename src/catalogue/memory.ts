/**
 * How many KV blocks fit, as vLLM's profiling run finds it:
 * memory × utilisation − weights − peak of a forward pass and of the sampler − what runtime and libraries keep.
 */

import {Problem} from '../errors.js'
import {expertPaddingBytes, type Tiles} from './expert-padding.js'
import type {KvGroup} from './kv-groups.js'
import {kvLayoutOf} from './kv-layout.js'
import {layerLinears} from './linear-layers.js'
import {stageKvBytesPerToken, stageWeightBytes, type WeightBytes} from './model-arithmetic.js'
import {type KvDtype, layerCount, type ModelShape} from './model-shape.js'
import {
  allowedTensorDegrees,
  checkParallelism,
  type Parallelism,
  stageLayers,
} from './parallelism.js'
import {bytesOf} from './weight-format.js'

/** What one release of vLLM keeps besides weights and KV. Found by fitting; see each law. */
export interface ReserveLaw {
  /** Peak bytes per logit (max_num_seqs × vocabulary) in the sampler's profiling run. */
  readonly samplerBytesPerLogit: number
  /** CUDA context, libraries, fragmentation: constant part without and with NCCL. */
  readonly runtimeBytes: {readonly single: number; readonly parallel: number}
  readonly source: string
}

export interface MemoryRequest {
  readonly model: ModelShape
  /** Memory of one accelerator as its driver reports it. */
  readonly memoryBytes: number
  /** To which kernels pad MXFP4 experts; absent: they are as large as they are. */
  readonly mxfp4Tiles?: Tiles | undefined
  readonly parallelism: Parallelism
  readonly maxNumSeqs: number
  readonly maxNumBatchedTokens: number
  /** Defaults: 0.9, 16, auto. */
  readonly gpuMemoryUtilization?: number
  readonly blockSize?: number
  readonly kvDtype?: KvDtype
  /** What sliding-window layers keep; default: the whole context, as without vLLM's hybrid KV cache manager. */
  readonly windows?: 'kept whole' | 'kept as far as seen'
  readonly reserve: ReserveLaw
  /** By pipeline stage; absent: all weights lie on the accelerators. */
  readonly outside?: readonly OutsideBytes[] | undefined
  /** What to try where not a block fits; absent: other sizes of tp, and fewer bits. */
  readonly remedies?: ((plan: MemoryPlan, fits: Fits) => readonly string[]) | undefined
}

/** Whether at least one block is left after that change of the request. */
export type Fits = (change: Partial<MemoryRequest>) => boolean

/** Weights of one accelerator that lie elsewhere, and what it keeps free to fetch them into. */
export interface OutsideBytes {
  readonly offloadedBytes: number
  readonly bufferBytes: number
}

/** Where the memory of the tightest rank goes: budget = weights (less those outside) + buffer + activation + runtime + kv (+ less than one block). */
export interface MemoryPlan {
  readonly memoryBytes: number
  /** memory × utilisation: all that vLLM may use. */
  readonly budgetBytes: number
  readonly weights: WeightBytes
  /** Of these, what lies outside of the device; absent: nothing. */
  readonly offloadedBytes?: number
  /** Kept free for them to be fetched into; absent: none. */
  readonly bufferBytes?: number
  /** Peak of the profiling run: a full batch through the widest layer, or the sampler at all seats. */
  readonly activationBytes: number
  readonly runtimeBytes: number
  /** Bytes of all blocks. */
  readonly kvBytes: number
  readonly blockBytes: number
  /** Pages, where layers lie in groups that have blocks of their own. */
  readonly blocks: number
  readonly groups?: readonly KvGroup[]
  /** blocks × block size; of groups, as many tokens as all of them could keep whole, which is what vLLM prints. */
  readonly tokens: number
  /** Pipeline stage that has room for the fewest blocks. */
  readonly stage: number
}

const bytesAsGb = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`

/**
 * Plans the memory of the tightest rank.
 * @throws Problem MODEL_TOO_LARGE when not a single block fits, PARALLELISM_INVALID, FLAG_BAD_VALUE
 */
export const planMemory = (request: MemoryRequest): MemoryPlan => {
  checkRequest(request)
  checkParallelism(request.model, request.parallelism)
  const plan = tightestStage(request)
  if (!holdsToken(plan)) throw tooLarge(request, plan)
  return plan
}

/** Whether there is a block in each group of layers. */
const holdsToken = ({blocks, groups = []}: MemoryPlan): boolean =>
  blocks >=
  Math.max(
    1,
    groups.reduce((sum, {pages}) => sum + pages, 0),
  )

const checkRequest = (request: MemoryRequest): void => {
  const {gpuMemoryUtilization: share = 0.9, memoryBytes} = request
  if (!(share > 0 && share <= 1)) {
    const hint = share > 1 && share <= 100 ? ` (did you mean ${share / 100}?)` : ''
    throw new Problem(
      'FLAG_BAD_VALUE',
      `--gpu-memory-utilization must be above 0 and at most 1, got ${share}${hint}.`,
    )
  }
  const sizes = {
    'max-num-seqs': request.maxNumSeqs,
    'max-num-batched-tokens': request.maxNumBatchedTokens,
    'block-size': request.blockSize ?? 16,
  }
  for (const [flag, value] of Object.entries(sizes)) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new Problem(
        'FLAG_BAD_VALUE',
        `--${flag} must be a positive whole number, got ${value}.`,
      )
    }
  }
  if (!(memoryBytes > 0)) {
    throw new Problem(
      'HARDWARE_BAD_FILE',
      `Accelerator memory must be positive, got ${memoryBytes} bytes.`,
    )
  }
}

const tightestStage = (request: MemoryRequest): MemoryPlan => {
  const {model, parallelism, memoryBytes, gpuMemoryUtilization = 0.9, blockSize = 16} = request
  const {kvDtype = 'auto', reserve} = request
  const {tp, pp = 1} = parallelism
  const budgetBytes = Math.floor(memoryBytes * gpuMemoryUtilization)
  const activationBytes = activationPeak(request, reserve)
  const {single, parallel} = reserve.runtimeBytes
  const runtimeBytes = tp * pp === 1 ? single : parallel
  const layout =
    request.windows === 'kept as far as seen' ? kvLayoutOf(model, {tp, pp, kvDtype}) : undefined
  const perToken = layout?.pageBytesPerToken ?? stageKvBytesPerToken(model, {tp, pp, kvDtype})
  const plans = paddedWeights(request).map((weights, stage) => {
    const blockBytes = perToken[stage]! * blockSize
    const {offloadedBytes = 0, bufferBytes = 0} = request.outside?.[stage] ?? {}
    const here = Math.max(0, weights.total - offloadedBytes) + bufferBytes
    const room = budgetBytes - here - activationBytes - runtimeBytes
    const blocks = Math.floor(room / blockBytes)
    return {
      memoryBytes,
      budgetBytes,
      weights,
      ...(offloadedBytes > 0 && {offloadedBytes, bufferBytes}),
      activationBytes,
      runtimeBytes,
      kvBytes: blocks * blockBytes,
      blockBytes,
      blocks,
      ...(layout && {groups: layout.groups}),
      tokens: Math.floor(blocks / (layout?.pagesPerBlock ?? 1)) * blockSize,
      stage,
    }
  })
  return plans.reduce((least, each) => (each.blocks < least.blocks ? each : least))
}

/** Weights by stage, and what kernels add to those of experts. */
const paddedWeights = ({model, parallelism, mxfp4Tiles}: MemoryRequest): WeightBytes[] => {
  const padding = expertPaddingBytes(model, parallelism, mxfp4Tiles)
  const layers = layerCount(model)
  const stages = stageLayers(layers, parallelism.pp ?? 1)
  return stageWeightBytes(model, parallelism).map((weights, stage) => {
    const own = (padding * stages[stage]!) / layers
    return {...weights, experts: weights.experts + own, total: weights.total + own}
  })
}

/**
 * The larger of two peaks. Forward: hidden states and residual of a full batch, and what the widest layer adds.
 * Sampler: hidden states are still there while all seats sample.
 */
const activationPeak = (request: MemoryRequest, reserve: ReserveLaw): number => {
  const {model, parallelism, maxNumSeqs, maxNumBatchedTokens: tokens} = request
  const element = bytesOf(model.dtype)
  const hidden = 2 * tokens * model.hiddenSize * element
  const widest = Math.max(...model.groups.map((_, index) => layerPeak(model, index, parallelism)))
  const sampler = Math.min(maxNumSeqs, tokens) * model.vocabSize * reserve.samplerBytesPerLogit
  return Math.ceil(hidden + Math.max(sampler, tokens * widest * element))
}

/** Values per token that are alive at once around the widest matrix: its input and its output. */
const layerPeak = (model: ModelShape, index: number, parallelism: Parallelism): number =>
  Math.max(
    ...layerLinears(model, model.groups[index]!, parallelism).map(
      ({k, n, usesPerToken}) => (k + n) * Math.max(1, usesPerToken),
    ),
  )

/** Bytes of weights on the accelerator, and of the buffer into which others are fetched. */
export const weightsHere = ({weights, offloadedBytes = 0, bufferBytes = 0}: MemoryPlan): number =>
  weights.total - offloadedBytes + bufferBytes

const tooLarge = (request: MemoryRequest, plan: MemoryPlan): Problem => {
  const {model, parallelism} = request
  const here = weightsHere(plan)
  const needed = here + plan.activationBytes + plan.runtimeBytes + plan.blockBytes
  const missing = needed - plan.budgetBytes
  const fits: Fits = (change) => holdsToken(tightestStage({...request, ...change}))
  const buffer =
    plan.bufferBytes && `, ${bytesAsGb(plan.bufferBytes)} of them kept free for those fetched ahead`
  const remedies = request.remedies ?? (() => plainRemedies(model, parallelism, fits))
  return new Problem(
    'MODEL_TOO_LARGE',
    `${model.id} does not fit: each accelerator needs ${bytesAsGb(needed)} (weights ${bytesAsGb(here)}${buffer || ''}) ` +
      `and may use ${bytesAsGb(plan.budgetBytes)}; ${bytesAsGb(missing)} are missing.`,
    {suggestions: remedies(plan, fits)},
  )
}

const plainRemedies = (model: ModelShape, parallelism: Parallelism, fits: Fits): string[] => {
  const tp = largerDegrees(model, parallelism).find((size) =>
    fits({parallelism: {...parallelism, tp: size}}),
  )
  return [
    tp === undefined ? 'No --tp fits on this hardware.' : `--tp ${tp} would fit.`,
    ...fewerBits(model),
  ]
}

/** Tensor parallel degrees above the one that was asked for. */
export const largerDegrees = (model: ModelShape, {tp, ep}: Parallelism): number[] =>
  allowedTensorDegrees(model, 64, ep).filter((size) => size > tp)

export const fewerBits = ({quantization}: ModelShape): string[] =>
  quantization === null ? ['--dtype fp8 halves the weights.'] : []
