/**
 * What each layer of a model is made of, per family of Hugging Face configurations.
 * Sources: the publishers' config.json files and the defaults of the transformers configuration classes.
 */

import {Problem} from '../errors.js'
import type {ConfigFields} from './config-fields.js'
import type {AttentionShape, GroupedAttention, LatentAttention, MlpShape} from './model-shape.js'

export interface Layer {
  readonly attention: AttentionShape
  readonly mlp: MlpShape
}

export interface Family {
  readonly modelTypes: readonly string[]
  readonly architectures: readonly string[]
  /** Whether embeddings are tied when the file does not say. */
  readonly tiedByDefault: boolean
  /** One entry per layer, first layer first. */
  readonly layers: (config: ConfigFields) => Layer[]
}

const layersOf = (config: ConfigFields, make: (index: number) => Layer): Layer[] =>
  Array.from({length: config.size('num_hidden_layers')}, (_, index) => make(index))

/** A sliding window counts only where the context can outgrow it. */
const windowInUse = (config: ConfigFields, window: number | null): number | null =>
  window !== null && window < config.sizeOr(Number.POSITIVE_INFINITY, 'max_position_embeddings')
    ? window
    : null

interface GroupedDefaults {
  readonly heads?: number
  readonly keyValueHeads?: number
  readonly headDim?: number
  readonly qkNorm: boolean
}

const grouped = (config: ConfigFields, defaults: GroupedDefaults): GroupedAttention => {
  const queryHeads =
    defaults.heads === undefined
      ? config.size('num_attention_heads')
      : config.sizeOr(defaults.heads, 'num_attention_heads')
  const keyValueHeads = config.sizeOr(
    defaults.keyValueHeads ?? queryHeads,
    'num_key_value_heads',
    'num_kv_heads',
  )
  if (queryHeads % keyValueHeads !== 0) {
    throw config.wrong(
      ['num_key_value_heads'],
      `must divide num_attention_heads (${queryHeads})`,
      keyValueHeads,
    )
  }
  const headDim = headDimOf(config, queryHeads, defaults.headDim)
  return {
    kind: 'grouped',
    queryHeads,
    keyValueHeads,
    headDim,
    valueHeadDim: headDim,
    window: null,
    qkNorm: defaults.qkNorm,
  }
}

const headDimOf = (config: ConfigFields, queryHeads: number, fallback?: number): number => {
  if (config.has('head_dim')) return config.size('head_dim')
  if (fallback !== undefined) return fallback
  const hidden = config.size('hidden_size')
  if (hidden % queryHeads !== 0) {
    throw config.wrong(
      ['num_attention_heads'],
      `must divide hidden_size (${hidden}) when head_dim is not given`,
      queryHeads,
    )
  }
  return hidden / queryHeads
}

const dense = (intermediate: number): MlpShape => ({denseIntermediate: intermediate, experts: null})

const routed = (
  config: ConfigFields,
  count: number,
  sizes: {readonly intermediate: number; readonly shared: number},
): MlpShape => {
  const perToken = config.size('num_experts_per_tok', 'top_k_experts', 'experts_per_token')
  if (perToken > count) {
    throw config.wrong(['num_experts_per_tok'], `must not exceed the ${count} experts`, perToken)
  }
  return {
    denseIntermediate: sizes.shared,
    experts: {count, perToken, intermediate: sizes.intermediate},
  }
}

/** Which layers slide: `layer_types` where it is given, else what the family does by default. */
const slides = (config: ConfigFields, byDefault: (index: number) => boolean) => {
  const kinds = config.textsOr([], 'layer_types')
  const count = config.size('num_hidden_layers')
  if (kinds.length > 0 && kinds.length !== count) {
    throw config.wrong(['layer_types'], `must have ${count} entries, one per layer`, kinds.length)
  }
  const odd = kinds.find((kind) => !LAYER_KINDS.has(kind))
  if (odd !== undefined) {
    throw new Problem(
      'MODEL_UNSUPPORTED',
      `${config.file}: ${config.pathOf('layer_types')} holds "${odd}", a kind of layer that is not modelled.`,
      {suggestions: [`Modelled are ${[...LAYER_KINDS].join(', ')}.`]},
    )
  }
  return (index: number): boolean =>
    kinds.length > 0 ? kinds[index] !== 'full_attention' : byDefault(index)
}

const LAYER_KINDS = new Set(['full_attention', 'sliding_attention', 'chunked_attention'])

/** Grouped attention with a window in the layers that slide. */
const windowed = (
  config: ConfigFields,
  attention: GroupedAttention,
  byDefault: (index: number) => boolean,
): ((index: number) => GroupedAttention) => {
  const on = config.flagOr(true, 'use_sliding_window')
  const window = on ? windowInUse(config, config.sizeOr(null, 'sliding_window')) : null
  if (window === null) return () => attention
  const sliding = slides(config, byDefault)
  return (index) => (sliding(index) ? {...attention, window} : attention)
}

const always = () => true

/** Llama, Mistral, Phi-3: every layer alike. */
const plainLayers = (config: ConfigFields): Layer[] => {
  const attention = windowed(config, grouped(config, {qkNorm: false}), always)
  const mlp = dense(config.size('intermediate_size'))
  return layersOf(config, (index) => ({attention: attention(index), mlp}))
}

/** Qwen2 and Qwen3, dense: only layers from `max_window_layers` on slide, and only when switched on. */
const qwenAttention = (config: ConfigFields, qkNorm: boolean) => {
  const first = config.countOr(0, 'max_window_layers')
  const attention = grouped(config, {qkNorm})
  return config.flagOr(false, 'use_sliding_window')
    ? windowed(config, attention, (index) => index >= first)
    : () => attention
}

const qwenLayers =
  (qkNorm: boolean) =>
  (config: ConfigFields): Layer[] => {
    const attention = qwenAttention(config, qkNorm)
    const mlp = dense(config.size('intermediate_size'))
    return layersOf(config, (index) => ({attention: attention(index), mlp}))
  }

const qwenMoeLayers =
  (qkNorm: boolean) =>
  (config: ConfigFields): Layer[] => {
    const attention = qwenAttention(config, qkNorm)
    const step = config.sizeOr(1, 'decoder_sparse_step')
    const denseLayers = new Set(config.countsOr([], 'mlp_only_layers'))
    const experts = routed(config, config.size('num_experts', 'num_local_experts'), {
      intermediate: config.size('moe_intermediate_size'),
      shared: config.countOr(0, 'shared_expert_intermediate_size'),
    })
    const isDense = (index: number): boolean => denseLayers.has(index) || (index + 1) % step !== 0
    return layersOf(config, (index) => ({
      attention: attention(index),
      mlp: isDense(index) ? dense(config.size('intermediate_size')) : experts,
    }))
  }

/** Mixtral, Phi-MoE, gpt-oss, MiniMax-M2: `intermediate_size` is that of an expert. */
const expertLayers =
  (options: {qkNorm: boolean; slides: (index: number) => boolean}) =>
  (config: ConfigFields): Layer[] => {
    const plain = grouped(config, {qkNorm: options.qkNorm})
    const attention = windowed(config, plain, options.slides)
    const mlp = routed(config, config.size('num_local_experts', 'num_experts'), {
      intermediate: config.size('intermediate_size'),
      shared: config.countOr(0, 'shared_intermediate_size'),
    })
    return layersOf(config, (index) => ({attention: attention(index), mlp}))
  }

/** Llama 4: one layer in four sees everything, the others a chunk; routed layers have one shared expert of the same size. */
const llama4Layers = (config: ConfigFields): Layer[] => {
  const full = grouped(config, {qkNorm: config.flagOr(true, 'use_qk_norm')})
  const window = windowInUse(config, config.sizeOr(null, 'attention_chunk_size'))
  const ropeLayers = config.countsOr([], 'no_rope_layers')
  const every = config.sizeOr(4, 'no_rope_layer_interval')
  const chunked = (index: number): boolean =>
    ropeLayers.length > 0 ? ropeLayers[index] !== 0 : (index + 1) % every !== 0
  const step = config.sizeOr(1, 'interleave_moe_layer_step')
  const listed = config.countsOr([], 'moe_layers')
  const isRouted = (index: number): boolean =>
    listed.length > 0 ? listed.includes(index) : (index + 1) % step === 0
  const intermediate = config.size('intermediate_size')
  const experts = routed(config, config.size('num_local_experts'), {
    intermediate,
    shared: intermediate,
  })
  const denseMlp = dense(config.size('intermediate_size_mlp'))
  return layersOf(config, (index) => ({
    attention: window !== null && chunked(index) ? {...full, window} : full,
    mlp: isRouted(index) ? experts : denseMlp,
  }))
}

const latent = (config: ConfigFields): LatentAttention => {
  const sparseTopK = config.sizeOr(null, 'index_topk')
  return {
    kind: 'latent',
    queryHeads: config.size('num_attention_heads'),
    queryRank: config.sizeOr(null, 'q_lora_rank'),
    keyValueRank: config.size('kv_lora_rank'),
    ropeHeadDim: config.size('qk_rope_head_dim'),
    nopeHeadDim: config.size('qk_nope_head_dim'),
    valueHeadDim: config.size('v_head_dim'),
    sparseTopK,
    ...(sparseTopK === null
      ? {}
      : {
          indexer: {heads: config.size('index_n_heads'), headDim: config.size('index_head_dim')},
        }),
  }
}

/** DeepSeek's MLP: a few dense layers first, then routed experts with shared ones beside them. */
const deepseekMlp = (config: ConfigFields): ((index: number) => MlpShape) => {
  const denseMlp = dense(config.size('intermediate_size'))
  const experts = config.sizeOr(null, 'n_routed_experts')
  if (experts === null) return () => denseMlp
  const intermediate = config.size('moe_intermediate_size')
  const first = config.countOr(0, 'first_k_dense_replace')
  const every = config.sizeOr(1, 'moe_layer_freq')
  const mlp = routed(config, experts, {
    intermediate,
    shared: config.countOr(0, 'n_shared_experts') * intermediate,
  })
  return (index) => (index >= first && index % every === 0 ? mlp : denseMlp)
}

const deepseekLayers = (config: ConfigFields): Layer[] => {
  const attention = latent(config)
  const mlp = deepseekMlp(config)
  return layersOf(config, (index) => ({attention, mlp: mlp(index)}))
}

const glm4MoeLayers = (config: ConfigFields): Layer[] => {
  const attention = grouped(config, {qkNorm: config.flagOr(false, 'use_qk_norm')})
  const mlp = deepseekMlp(config)
  return layersOf(config, (index) => ({attention, mlp: mlp(index)}))
}

/** Gemma 2 slides in every other layer, the first included. */
const gemma2Layers = (config: ConfigFields): Layer[] => {
  const attention = windowed(config, grouped(config, {qkNorm: false}), (index) => index % 2 === 0)
  const mlp = dense(config.size('intermediate_size'))
  return layersOf(config, (index) => ({attention: attention(index), mlp}))
}

/** Gemma 3: five sliding layers, then a full one; its files leave out what equals transformers' defaults. */
const gemma3Layers = (config: ConfigFields): Layer[] => {
  const plain = grouped(config, {heads: 8, keyValueHeads: 4, headDim: 256, qkNorm: true})
  const every = config.sizeOr(6, 'sliding_window_pattern', '_sliding_window_pattern')
  const attention = windowed(config, plain, (index) => (index + 1) % every !== 0)
  const mlp = dense(config.size('intermediate_size'))
  return layersOf(config, (index) => ({attention: attention(index), mlp}))
}

/** Gemma 4: full layers have heads of their own size and number; experts stand beside a dense MLP. */
const gemma4Layers = (config: ConfigFields): Layer[] => {
  for (const name of ['hidden_size_per_layer_input', 'num_kv_shared_layers']) {
    if (config.countOr(0, name) > 0) {
      throw new Problem(
        'MODEL_UNSUPPORTED',
        `${config.file}: ${config.pathOf(name)} is not 0: per-layer inputs and shared KV layers are not modelled.`,
      )
    }
  }
  const local = grouped(config, {qkNorm: true})
  const globalDim = config.sizeOr(local.headDim, 'global_head_dim')
  const full: GroupedAttention = {
    ...local,
    keyValueHeads: config.sizeOr(local.keyValueHeads, 'num_global_key_value_heads'),
    headDim: globalDim,
    valueHeadDim: globalDim,
  }
  const window = windowInUse(config, config.sizeOr(null, 'sliding_window'))
  const sliding = slides(config, (index) => (index + 1) % 6 !== 0)
  const intermediate = config.size('intermediate_size')
  const mlp = config.flagOr(false, 'enable_moe_block')
    ? routed(config, config.size('num_experts'), {
        intermediate: config.size('moe_intermediate_size', 'expert_intermediate_size'),
        shared: intermediate,
      })
    : dense(intermediate)
  return layersOf(config, (index) => ({attention: sliding(index) ? {...local, window} : full, mlp}))
}

const family = (
  modelTypes: readonly string[],
  architectures: readonly string[],
  layers: Family['layers'],
): Family => ({modelTypes, architectures, tiedByDefault: false, layers})

const tied = (of: Family): Family => ({...of, tiedByDefault: true})

/** Every family that is modelled. A new one is one line here. */
export const families: readonly Family[] = [
  family(['llama'], ['LlamaForCausalLM'], plainLayers),
  family(
    ['llama4', 'llama4_text'],
    ['Llama4ForConditionalGeneration', 'Llama4ForCausalLM'],
    llama4Layers,
  ),
  family(
    ['mistral', 'mistral3'],
    ['MistralForCausalLM', 'Mistral3ForConditionalGeneration'],
    plainLayers,
  ),
  family(['mixtral'], ['MixtralForCausalLM'], expertLayers({qkNorm: false, slides: always})),
  family(['qwen2'], ['Qwen2ForCausalLM'], qwenLayers(false)),
  family(['qwen2_moe'], ['Qwen2MoeForCausalLM'], qwenMoeLayers(false)),
  family(['qwen3'], ['Qwen3ForCausalLM'], qwenLayers(true)),
  family(['qwen3_moe'], ['Qwen3MoeForCausalLM'], qwenMoeLayers(true)),
  family(['phi3'], ['Phi3ForCausalLM'], plainLayers),
  family(
    ['phimoe'],
    ['PhiMoEForCausalLM', 'PhimoeForCausalLM'],
    expertLayers({qkNorm: false, slides: always}),
  ),
  family(
    ['gpt_oss'],
    ['GptOssForCausalLM'],
    expertLayers({qkNorm: false, slides: (index) => index % 2 === 0}),
  ),
  family(['minimax_m2'], ['MiniMaxM2ForCausalLM'], expertLayers({qkNorm: true, slides: always})),
  family(['deepseek_v2'], ['DeepseekV2ForCausalLM'], deepseekLayers),
  family(
    ['deepseek_v3', 'deepseek_v32', 'kimi_k2', 'kimi_k25'],
    ['DeepseekV3ForCausalLM', 'DeepseekV32ForCausalLM', 'KimiK25ForConditionalGeneration'],
    deepseekLayers,
  ),
  family(['glm4_moe'], ['Glm4MoeForCausalLM'], glm4MoeLayers),
  family(['glm_moe_dsa'], ['GlmMoeDsaForCausalLM'], deepseekLayers),
  tied(family(['gemma2'], ['Gemma2ForCausalLM'], gemma2Layers)),
  tied(
    family(
      ['gemma3', 'gemma3_text'],
      ['Gemma3ForCausalLM', 'Gemma3ForConditionalGeneration'],
      gemma3Layers,
    ),
  ),
  tied(
    family(
      ['gemma4', 'gemma4_text'],
      ['Gemma4ForConditionalGeneration', 'Gemma4ForCausalLM'],
      gemma4Layers,
    ),
  ),
]
