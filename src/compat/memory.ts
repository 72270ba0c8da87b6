/** LLMServingSim's own memory arithmetic: no activations, no runtime reserve, tied embeddings counted twice. */
import type {ModelShape} from '../catalogue/model-shape.js'
import {Problem} from '../errors.js'

export interface CompatMemoryRequest {
  readonly model: ModelShape
  readonly sizeGib: number
  readonly utilization: number
  readonly tp: number
  /** 1 when absent. */
  readonly pp?: number
  readonly ep: number
  readonly blockSize: number
  /** 2 for 16-bit, 1 for fp8 and int8, 4 for fp32. */
  readonly bytesPerElement: number
  readonly kvBytesPerElement: number
}

export interface CompatMemory {
  readonly budgetBytes: number
  readonly weightBytes: number
  readonly blockBytes: number
  readonly blocks: number
}

/** @throws Problem MODEL_TOO_LARGE, MODEL_UNSUPPORTED for shapes that LLMServingSim does not know */
export function compatMemory(request: CompatMemoryRequest): CompatMemory {
  const {model, tp, pp = 1, blockSize, kvBytesPerElement} = request
  const group = model.groups[0]!
  const {attention} = group
  if (attention.kind !== 'grouped') {
    throw new Problem(
      'MODEL_UNSUPPORTED',
      `--compat llmservingsim does not know latent attention (${model.id}).`,
    )
  }
  const layers = model.groups.reduce((sum, {count}) => sum + count, 0)
  const kv = attention.keyValueHeads * attention.headDim
  const budgetBytes = Math.trunc(request.sizeGib * 2 ** 30 * request.utilization)
  // The same for every stage.
  const weightBytes = weightsOf(request, Math.floor(layers / pp))
  const blockBytes = Math.floor((2 * kv * layers * kvBytesPerElement) / (tp * pp)) * blockSize
  const blocks = Math.floor((budgetBytes - weightBytes) / blockBytes)
  if (blocks < 1) {
    const gib = (bytes: number) => (bytes / 2 ** 30).toFixed(1)
    throw new Problem(
      'MODEL_TOO_LARGE',
      `${model.id} has ${gib(weightBytes)} GiB of weights per device; ${gib(budgetBytes)} GiB leave no room for KV blocks.`,
      {suggestions: ['A larger --tp, or a device with more memory.']},
    )
  }
  return {budgetBytes, weightBytes, blockBytes, blocks}
}

function weightsOf(request: CompatMemoryRequest, layers: number): number {
  const {model, tp, ep, bytesPerElement: fp} = request
  const {attention, mlp} = model.groups[0]!
  if (attention.kind !== 'grouped') return 0
  const h = model.hiddenSize
  const rows = Math.floor(model.vocabSize / tp)
  const q = attention.queryHeads * attention.headDim
  const kv = attention.keyValueHeads * attention.headDim
  const ffn = Math.floor(mlp.denseIntermediate / tp)
  const dense = h * 2 * ffn * fp + ffn * h * fp
  const experts =
    mlp.experts === null
      ? dense
      : h * mlp.experts.count * fp +
        Math.floor(mlp.experts.count / ep) * 3 * h * mlp.experts.intermediate * fp
  const layer =
    2 * h * fp + h * Math.floor((q + 2 * kv) / tp) * fp + Math.floor(q / tp) * h * fp + experts
  return rows * h * fp + layers * layer + h * fp + h * rows * fp
}
