/** A Hugging Face `config.json` → what llmsim knows of the model. */

import {Problem} from '../errors.js'
import {ConfigFields, isObject, type JsonObject, shown} from './config-fields.js'
import {type Family, families, type Layer} from './huggingface-layers.js'
import {type QuantizationSource, quantizationOf} from './huggingface-quantization.js'
import type {LayerGroup, ModelShape} from './model-shape.js'
import {fp8Weights} from './weight-format.js'

export interface ConfigSource extends QuantizationSource {
  /** Hugging Face id, or the path that stands for it. */
  readonly id: string
}

export interface LoadedModel {
  readonly model: ModelShape
  /** What the user should know of how the model was found and read. */
  readonly notes: readonly string[]
}

const DTYPES: Readonly<Record<string, ModelShape['dtype']>> = {
  bfloat16: 'bf16',
  float16: 'fp16',
  half: 'fp16',
  float32: 'fp32',
  float: 'fp32',
}

/**
 * Reads the shape of a language model out of its Hugging Face configuration.
 * Multimodal wrappers count with their language model (`text_config`) only.
 * @throws Problem MODEL_UNSUPPORTED, MODEL_BAD_CONFIG
 */
export const readHuggingFaceConfig = (config: unknown, source: ConfigSource): LoadedModel => {
  if (!isObject(config)) {
    throw new Problem(
      'MODEL_BAD_CONFIG',
      `${source.file}: a model configuration must be a JSON object, got ${shown(config)}.`,
    )
  }
  const outer = new ConfigFields(config, source.file)
  const inner = outer.child('text_config') ?? outer.child('language_config')
  const text = inner ?? outer
  const architecture = architectureOf(outer, text)
  const modelType = outer.textOr(null, 'model_type') ?? text.textOr('', 'model_type')
  const family = familyOf(architecture, {modelType, text, source})
  const layers = family.layers(text)
  const plain: ModelShape = {
    id: source.id,
    architecture,
    modelType,
    hiddenSize: text.size('hidden_size'),
    vocabSize: isGemma3(text) ? text.sizeOr(262208, 'vocab_size') : text.size('vocab_size'),
    maxPositionEmbeddings: isGemma3(text)
      ? text.sizeOr(131072, 'max_position_embeddings')
      : text.size('max_position_embeddings'),
    tiedEmbeddings: tiedOf(outer, text, family),
    dtype: dtypeOf(outer, text),
    quantization: null,
    groups: groupLayers(layers),
  }
  const section = quantizationSection(config, inner)
  const {model, notes} = withQuantization(plain, {section, layers, source})
  const said = readingNotes(outer, text)
  text.checkSlips()
  return {
    model,
    notes: [...said, ...notes].map((note) => `${source.id}: ${note}`),
  }
}

const architectureOf = (outer: ConfigFields, text: ConfigFields): string => {
  const names = outer.textsOr(text.textsOr([], 'architectures'), 'architectures')
  const first = names[0]
  if (first === undefined) {
    throw outer.wrong(['architectures'], 'must name the architecture of the model', undefined)
  }
  return first
}

const familyOf = (
  architecture: string,
  from: {modelType: string; text: ConfigFields; source: ConfigSource},
): Family => {
  const known = families.find((family) => family.architectures.includes(architecture))
  if (known === undefined) throw unsupported(architecture, from.source.file)
  // A wrapper can hold a language model of another family (Mistral 3 wraps Mistral).
  const textType = from.text.textOr(from.modelType, 'model_type')
  const exact = families.find((family) => family.modelTypes.includes(textType))
  if (exact === undefined && textType !== '') {
    throw unsupported(`${architecture} with model_type "${textType}"`, from.source.file)
  }
  return exact ?? known
}

const unsupported = (name: string, file: string): Problem =>
  new Problem('MODEL_UNSUPPORTED', `${file}: the architecture ${name} is not modelled.`, {
    suggestions: [`Modelled are ${families.flatMap((family) => family.architectures).join(', ')}.`],
  })

/** Gemma 3's files leave out what equals transformers' defaults: vocabulary, context, heads. */
const isGemma3 = (text: ConfigFields): boolean => text.textOr('', 'model_type').startsWith('gemma3')

const tiedOf = (outer: ConfigFields, text: ConfigFields, family: Family): boolean =>
  text.has('tie_word_embeddings')
    ? text.flagOr(false, 'tie_word_embeddings')
    : outer.flagOr(family.tiedByDefault, 'tie_word_embeddings')

const checkpointDtype = (outer: ConfigFields, text: ConfigFields): ModelShape['dtype'] => {
  const from = text.has('torch_dtype', 'dtype') ? text : outer
  const name = from.textOr('bfloat16', 'torch_dtype', 'dtype').replace(/^torch\./, '')
  const dtype = DTYPES[name]
  if (dtype === undefined) {
    throw from.wrong(
      ['torch_dtype', 'dtype'],
      `must be one of ${Object.keys(DTYPES).join(', ')}`,
      name,
    )
  }
  return dtype
}

/** What was assumed or left out while reading. */
const readingNotes = (outer: ConfigFields, text: ConfigFields): string[] => [
  ...(checkpointDtype(outer, text) === 'fp32'
    ? ['its 32-bit checkpoint runs as bf16, as vLLM would run it.']
    : []),
  ...(outer.has('vision_config', 'audio_config')
    ? ['only the language model is counted; vision and audio parts are left out.']
    : []),
]

/** vLLM serves 32-bit checkpoints in 16 bits unless told otherwise. */
const dtypeOf = (outer: ConfigFields, text: ConfigFields): ModelShape['dtype'] => {
  const dtype = checkpointDtype(outer, text)
  return dtype === 'fp32' ? 'bf16' : dtype
}

/** Equal layers become one group, in the order of first appearance. */
const groupLayers = (layers: readonly Layer[]): LayerGroup[] => {
  const groups = new Map<string, {count: number; layer: Layer}>()
  for (const layer of layers) {
    const key = JSON.stringify(layer)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, {count: 1, layer})
    else group.count += 1
  }
  return [...groups.values()].map(({count, layer}) => ({count, ...layer}))
}

/** The section may stand outside or inside of the language model's part. */
const quantizationSection = (
  outer: JsonObject,
  inner: ConfigFields | undefined,
): {value: unknown; path: string} => {
  const outside = outer.quantization_config ?? outer.compression_config
  if (outside !== undefined && outside !== null) {
    return {value: outside, path: 'quantization_config'}
  }
  return {
    value: inner?.raw('quantization_config', 'compression_config'),
    path: inner?.pathOf('quantization_config') ?? 'quantization_config',
  }
}

const withQuantization = (
  plain: ModelShape,
  from: {section: {value: unknown; path: string}; layers: readonly Layer[]; source: ConfigSource},
): LoadedModel => {
  const {section, layers, source} = from
  const quantization = quantizationOf(section, layers, source)
  if (quantization !== null) return {model: {...plain, quantization}, notes: []}
  if (!/(^|[-_/])fp8($|[-_.])/i.test(source.id)) return {model: plain, notes: []}
  return {
    model: {...plain, quantization: fp8Weights},
    notes: ['taken as FP8 because its name says so; its configuration names no quantisation.'],
  }
}
