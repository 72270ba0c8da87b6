/** Model shapes for the tests of step time, written by hand from the published configurations. */
import type {
  AttentionShape,
  GroupedAttention,
  LayerGroup,
  ModelShape,
} from '#llmsim/catalogue/model-shape.js'

const grouped = (queryHeads: number, keyValueHeads: number, headDim = 128): GroupedAttention => ({
  kind: 'grouped',
  queryHeads,
  keyValueHeads,
  headDim,
  valueHeadDim: headDim,
  window: null,
  qkNorm: false,
})

const dense = (count: number, attention: AttentionShape, intermediate: number): LayerGroup => ({
  count,
  attention,
  mlp: {denseIntermediate: intermediate, experts: null},
})

const model = (
  id: string,
  sizes: {hiddenSize: number; vocabSize: number},
  groups: LayerGroup[],
): ModelShape => ({
  id,
  architecture: 'LlamaForCausalLM',
  modelType: 'llama',
  ...sizes,
  maxPositionEmbeddings: 131_072,
  tiedEmbeddings: false,
  dtype: 'bf16',
  quantization: null,
  groups,
})

export const llama8b = model('Llama-3.1-8B', {hiddenSize: 4096, vocabSize: 128_256}, [
  dense(32, grouped(32, 8), 14_336),
])

export const llama70b = model('Llama-3.1-70B', {hiddenSize: 8192, vocabSize: 128_256}, [
  dense(80, grouped(64, 8), 28_672),
])

export const qwen32b = model('Qwen3-32B', {hiddenSize: 5120, vocabSize: 151_936}, [
  dense(64, {...grouped(64, 8), qkNorm: true}, 25_600),
])

export const qwenMoe = model('Qwen3-30B-A3B', {hiddenSize: 2048, vocabSize: 151_936}, [
  {
    count: 48,
    attention: {...grouped(32, 4), qkNorm: true},
    mlp: {denseIntermediate: 0, experts: {count: 128, perToken: 8, intermediate: 768}},
  },
])

/** Every other layer sees 1024 tokens. */
export const windowed = model('windowed', {hiddenSize: 2560, vocabSize: 262_208}, [
  dense(17, {...grouped(8, 4, 256), window: 1024}, 10_240),
  dense(17, grouped(8, 4, 256), 10_240),
])

/** DeepSeek-V2-Lite-like: latent attention, a dense first layer, shared experts. */
export const latent = model('latent', {hiddenSize: 2048, vocabSize: 102_400}, [
  dense(
    1,
    {
      kind: 'latent',
      queryHeads: 16,
      queryRank: null,
      keyValueRank: 512,
      ropeHeadDim: 64,
      nopeHeadDim: 128,
      valueHeadDim: 128,
      sparseTopK: null,
    },
    10_944,
  ),
  {
    count: 26,
    attention: {
      kind: 'latent',
      queryHeads: 16,
      queryRank: 1536,
      keyValueRank: 512,
      ropeHeadDim: 64,
      nopeHeadDim: 128,
      valueHeadDim: 128,
      sparseTopK: 2048,
    },
    mlp: {denseIntermediate: 2816, experts: {count: 64, perToken: 6, intermediate: 1408}},
  },
])

export const allModels = [llama8b, llama70b, qwen32b, qwenMoe, windowed, latent]
