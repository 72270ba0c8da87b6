/**
 * `quantization_config` → which parts of the model are stored and computed in which format.
 * Sources: the quantisation configurations that vLLM reads (fp8, compressed-tensors, AWQ, GPTQ, MXFP4, ModelOpt).
 */

import {Problem} from '../errors.js'
import {ConfigFields, isObject, shown} from './config-fields.js'
import type {Layer} from './huggingface-layers.js'
import type {Dtype, Quantization} from './model-shape.js'
import {modulePatterns} from './module-patterns.js'
import {fourBitBytes, MXFP4_BYTES, NVFP4_BYTES} from './weight-format.js'

export interface QuantizationSource {
  /** Named in messages. */
  readonly file: string
  /** Parsed `hf_quant_config.json` (NVIDIA ModelOpt) where there is one beside the configuration. */
  readonly modelOpt?: unknown
}

interface Format {
  readonly method: string
  readonly dtype: Dtype
  readonly bytesPerWeight: number
}

interface Reading extends Format {
  /** Modules that stay in 16 bits, as the configuration lists them. */
  readonly ignored: readonly string[]
  /** Modules that are meant at all; empty: every linear layer. */
  readonly targets: readonly string[]
  readonly lmHead: boolean
}

const methods: Readonly<Record<string, (config: ConfigFields) => Reading>> = {
  fp8: (config) =>
    everyLinear(config, {method: 'fp8', dtype: 'fp8', bytesPerWeight: fp8Bytes(config)}),
  fbgemm_fp8: (config) =>
    everyLinear(config, {method: 'fbgemm_fp8', dtype: 'fp8', bytesPerWeight: 1}),
  'compressed-tensors': (config) => compressedTensors(config),
  awq: (config) => everyLinear(config, integerFormat(config, 'awq')),
  gptq: (config) => everyLinear(config, integerFormat(config, 'gptq')),
  'auto-round': (config) => everyLinear(config, integerFormat(config, 'auto-round')),
  mxfp4: (config) => ({
    // vLLM's MXFP4 kernels keep 16-bit activations; only experts are stored this way.
    ...everyLinear(config, {method: 'mxfp4', dtype: 'w4a16', bytesPerWeight: MXFP4_BYTES}),
    targets: ['experts'],
  }),
  modelopt: (config) => modelOpt(config),
  modelopt_fp4: (config) => modelOpt(config),
  bitsandbytes: (config) => bitsAndBytes(config),
}

/**
 * The quantisation of a checkpoint, or null when it has none.
 * @throws Problem MODEL_BAD_CONFIG, MODEL_UNSUPPORTED (a method that is not modelled)
 */
export const quantizationOf = (
  section: {readonly value: unknown; readonly path: string},
  layers: readonly Layer[],
  source: QuantizationSource,
): Quantization | null => {
  const found = section.value ?? modelOptSection(source.modelOpt)
  if (found === undefined || found === null) return null
  if (!isObject(found)) {
    throw new Problem(
      'MODEL_BAD_CONFIG',
      `${source.file}: ${section.path} must be an object, got ${shown(found)}.`,
    )
  }
  const config = new ConfigFields(found, source.file, section.path)
  const method = config.textOr(
    config.has('config_groups') ? 'compressed-tensors' : '',
    'quant_method',
  )
  const read = Object.hasOwn(methods, method) ? methods[method] : undefined
  if (read === undefined) {
    throw new Problem(
      'MODEL_UNSUPPORTED',
      `${source.file}: ${config.pathOf('quant_method')} "${method}" is not modelled.`,
      {suggestions: [`Modelled are ${Object.keys(methods).join(', ')}.`]},
    )
  }
  return placed(read(config), layers, config)
}

/** The file that NVIDIA ships beside config.json, in the words of `quantization_config`. */
const modelOptSection = (file: unknown): unknown => {
  const inner = isObject(file) ? file.quantization : undefined
  return isObject(inner) && inner.quant_algo ? {quant_method: 'modelopt', ...inner} : undefined
}

const placed = (reading: Reading, layers: readonly Layer[], config: ConfigFields): Quantization => {
  const ignored = modulePatterns(reading.ignored, config)
  const meant = modulePatterns(reading.targets, config)
  // A part that has no module in this model is called quantised: nothing depends on it.
  const stays = (part: readonly string[]): boolean => {
    const left = part.filter(
      (name) => ignored(name) || (reading.targets.length > 0 && !meant(name)),
    )
    return part.length > 0 && left.length * 2 > part.length
  }
  const parts = probes(layers)
  const {method, dtype, bytesPerWeight} = reading
  return {
    method,
    dtype,
    bytesPerWeight,
    unquantized: {
      attention: stays(parts.attention),
      denseMlp: stays(parts.denseMlp),
      experts: stays(parts.experts),
      lmHead: !reading.lmHead,
    },
  }
}

/** Names of the modules of each part, as checkpoints call them, without the prefix of the whole model. */
const probes = (layers: readonly Layer[]) => {
  const attention: string[] = []
  const denseMlp: string[] = []
  const experts: string[] = []
  for (const [index, {attention: shape, mlp}] of layers.entries()) {
    const names = shape.kind === 'latent' ? LATENT : GROUPED
    attention.push(...names.map((name) => `layers.${index}.self_attn.${name}`))
    if (mlp.experts !== null) {
      experts.push(...PROJECTIONS.map((name) => `layers.${index}.mlp.experts.0.${name}`))
    }
    if (mlp.denseIntermediate > 0) {
      const place = mlp.experts === null ? 'mlp' : 'mlp.shared_experts'
      denseMlp.push(...PROJECTIONS.map((name) => `layers.${index}.${place}.${name}`))
    }
  }
  return {attention, denseMlp, experts}
}

const GROUPED = ['q_proj', 'k_proj', 'v_proj', 'o_proj']
const LATENT = ['q_a_proj', 'q_b_proj', 'kv_a_proj_with_mqa', 'kv_b_proj', 'o_proj']
const PROJECTIONS = ['gate_proj', 'up_proj', 'down_proj']

const everyLinear = (config: ConfigFields, format: Format): Reading => ({
  ...format,
  ignored: config.textsOr([], 'modules_to_not_convert', 'ignored_layers', 'ignore'),
  targets: [],
  lmHead: config.flagOr(false, 'lm_head'),
})

/** One fp32 scale per block, where there are blocks. */
const fp8Bytes = (config: ConfigFields): number => {
  const block = config.countsOr([], 'weight_block_size')
  if (block.length === 0) return 1
  const size = block.reduce((product, side) => product * side, 1)
  if (block.length !== 2 || size === 0) {
    throw config.wrong(['weight_block_size'], 'must be two positive whole numbers', block)
  }
  return 1 + 4 / size
}

/** AWQ, GPTQ and their kin: `bits` per weight in groups with a 16-bit scale and a packed zero point. */
const integerFormat = (config: ConfigFields, method: string): Format => {
  const bits = config.size('bits', 'w_bit')
  const size = groupSize(config, ['group_size', 'q_group_size'])
  if (bits === 4) {
    return {method, dtype: 'w4a16', bytesPerWeight: fourBitBytes(size, 'zero-points')}
  }
  if (bits === 8) return {method, dtype: 'bf16', bytesPerWeight: 1 + 2 / size + 1 / size}
  throw config.wrong(['bits', 'w_bit'], 'must be 4 or 8', bits)
}

/** -1 or nothing: one scale for a whole row, too long to matter. */
const groupSize = (config: ConfigFields, names: readonly string[]): number =>
  config.raw(...names) === -1
    ? Number.POSITIVE_INFINITY
    : config.sizeOr(Number.POSITIVE_INFINITY, ...names)

const compressedTensors = (config: ConfigFields): Reading => {
  const groups = config.child('config_groups')
  const group = groups === undefined ? undefined : firstGroup(groups)
  const weights = group?.child('weights')
  if (group === undefined || weights === undefined) {
    throw config.wrong(
      ['config_groups'],
      'must hold a group with weights',
      config.raw('config_groups'),
    )
  }
  const targets = group.textsOr(['Linear'], 'targets')
  return {
    ...everyLinear(config, tensorFormat(weights, group.child('input_activations'))),
    // Targets are names of classes or modules; the class of all linear layers means everything.
    targets: targets.includes('Linear') ? [] : targets,
  }
}

/** The group of all linear layers where there is one, else the first. */
const firstGroup = (groups: ConfigFields): ConfigFields | undefined => {
  const all = groups.keys().map((key) => groups.child(key))
  return all.find((group) => group?.textsOr(['Linear'], 'targets').includes('Linear')) ?? all[0]
}

const tensorFormat = (weights: ConfigFields, activations: ConfigFields | undefined): Format => {
  const method = 'compressed-tensors'
  const bits = weights.size('num_bits')
  const kind = weights.textOr('int', 'type')
  const size = groupSize(weights, ['group_size'])
  if (bits === 8) {
    const scale = weights.has('block_structure') ? 4 / (128 * 128) : 2 / size
    const narrow: Dtype = kind === 'float' ? 'fp8' : 'int8'
    return {method, dtype: activations === undefined ? 'bf16' : narrow, bytesPerWeight: 1 + scale}
  }
  if (bits !== 4) throw weights.wrong(['num_bits'], 'must be 4 or 8', bits)
  if (kind === 'float') {
    const bytesPerWeight = size === 32 ? MXFP4_BYTES : NVFP4_BYTES
    return {method, dtype: activations === undefined ? 'w4a16' : 'fp4', bytesPerWeight}
  }
  const zeroPoints = weights.flagOr(true, 'symmetric') ? 'symmetric' : 'zero-points'
  return {method, dtype: 'w4a16', bytesPerWeight: fourBitBytes(size, zeroPoints)}
}

/** NVIDIA ModelOpt names its algorithm. */
const modelOpt = (config: ConfigFields): Reading => {
  const algorithm = config.textOr('', 'quant_algo').toUpperCase()
  const ignored = config.textsOr([], 'ignore', 'exclude_modules', 'modules_to_not_convert')
  const base = {ignored, targets: [], lmHead: false}
  if (algorithm.includes('W4A16')) {
    return {
      ...base,
      method: 'modelopt',
      dtype: 'w4a16',
      bytesPerWeight: fourBitBytes(128, 'symmetric'),
    }
  }
  if (algorithm.includes('FP4')) {
    return {...base, method: 'nvfp4', dtype: 'fp4', bytesPerWeight: NVFP4_BYTES}
  }
  if (algorithm.startsWith('FP8')) {
    return {...base, method: 'modelopt', dtype: 'fp8', bytesPerWeight: 1}
  }
  throw config.wrong(['quant_algo'], 'must be FP8, NVFP4 or W4A16', config.raw('quant_algo'))
}

const bitsAndBytes = (config: ConfigFields): Reading => {
  const method = 'bitsandbytes'
  const four = config.flagOr(false, 'load_in_4bit', '_load_in_4bit')
  const format: Format = four
    ? {method, dtype: 'w4a16', bytesPerWeight: 0.5 + 4 / 64}
    : {method, dtype: 'bf16', bytesPerWeight: 1}
  return {
    ...everyLinear(config, format),
    ignored: config.textsOr([], 'llm_int8_skip_modules', 'modules_to_not_convert'),
  }
}
