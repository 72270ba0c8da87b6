/** Our own model files (`models/*.yaml`, or a user's): names and shape of one model, checked field by field. */

import {Problem} from '../errors.js'
import {ConfigFields, isObject, shown} from './config-fields.js'
import {type Sampling, samplings} from './engine-profile.js'
import type {
  AttentionShape,
  Dtype,
  LatentAttention,
  LayerGroup,
  MlpShape,
  ModelShape,
  Quantization,
} from './model-shape.js'
import {parseYaml} from './yaml-file.js'

export interface ModelFile {
  /** Every Hugging Face id that has exactly this shape; the first is the one to show. */
  readonly ids: readonly string[]
  /** Where the facts come from. */
  readonly source: string
  readonly shape: Omit<ModelShape, 'id'>
  /** What its generation_config.json asks for when a request says nothing; absent: plain. */
  readonly sampling?: Sampling
}

const CHECKPOINT_DTYPES = ['bf16', 'fp16', 'fp32'] as const
const WEIGHT_DTYPES: readonly Dtype[] = ['bf16', 'fp16', 'fp32', 'fp8', 'int8', 'w4a16', 'fp4']

/**
 * Parses a model file. Loads the YAML parser only when called.
 * @throws Problem MODEL_BAD_CONFIG with file:line:column or the path of the field
 */
export const parseModelFile = async (text: string, file: string): Promise<ModelFile> =>
  readModelFile((await parseYaml(text, {name: file, code: 'MODEL_BAD_CONFIG'})).value, file)

/** Checks an already parsed model file. @throws Problem MODEL_BAD_CONFIG */
export const readModelFile = (value: unknown, file: string): ModelFile => {
  if (!isObject(value)) {
    throw new Problem(
      'MODEL_BAD_CONFIG',
      `${file}: a model file must be a mapping, got ${shown(value)}.`,
    )
  }
  const fields = new ConfigFields(value, file)
  onlyKnown(fields, [
    'ids',
    'source',
    'sampling',
    'architecture',
    'modelType',
    'hiddenSize',
    'vocabSize',
    'maxPositionEmbeddings',
    'tiedEmbeddings',
    'dtype',
    'quantization',
    'groups',
  ])
  const ids = fields.textsOr([], 'ids')
  if (ids.length === 0)
    throw fields.wrong(['ids'], 'must list at least one name', fields.raw('ids'))
  const quantization = fields.child('quantization')
  return {
    ids,
    source: fields.textOr('', 'source'),
    ...(fields.has('sampling') && {sampling: oneOf(fields, 'sampling', samplings)}),
    shape: {
      architecture: requiredText(fields, 'architecture'),
      modelType: requiredText(fields, 'modelType'),
      hiddenSize: fields.size('hiddenSize'),
      vocabSize: fields.size('vocabSize'),
      maxPositionEmbeddings: fields.size('maxPositionEmbeddings'),
      tiedEmbeddings: fields.flagOr(false, 'tiedEmbeddings'),
      dtype: oneOf(fields, 'dtype', CHECKPOINT_DTYPES),
      quantization: quantization === undefined ? null : readQuantization(quantization),
      groups: readGroups(fields),
    },
  }
}

const onlyKnown = (fields: ConfigFields, known: readonly string[]): void => {
  const odd = fields.keys().find((key) => !known.includes(key))
  if (odd === undefined) return
  throw new Problem(
    'MODEL_BAD_CONFIG',
    `${fields.file}: ${fields.pathOf(odd)} is not a field of a model file.`,
    {suggestions: [`Fields here are ${known.join(', ')}.`]},
  )
}

const requiredText = (fields: ConfigFields, name: string): string => {
  const text = fields.textOr('', name)
  if (text === '') throw fields.wrong([name], 'must be a text', fields.raw(name))
  return text
}

const oneOf = <T extends string>(fields: ConfigFields, name: string, options: readonly T[]): T => {
  const text = fields.raw(name)
  const found = options.find((option) => option === text)
  if (found === undefined) throw fields.wrong([name], `must be one of ${options.join(', ')}`, text)
  return found
}

const readGroups = (fields: ConfigFields): LayerGroup[] => {
  const list = fields.raw('groups')
  if (!Array.isArray(list) || list.length === 0) {
    throw fields.wrong(['groups'], 'must be a list of layer groups', list)
  }
  return list.map((each: unknown, index) => {
    const path = `groups[${index}]`
    if (!isObject(each)) throw fields.wrong([path], 'must be a mapping', each)
    const group = new ConfigFields(each, fields.file, path)
    onlyKnown(group, ['count', 'attention', 'mlp'])
    return {
      count: group.size('count'),
      attention: readAttention(requiredChild(group, 'attention')),
      mlp: readMlp(requiredChild(group, 'mlp')),
    }
  })
}

const requiredChild = (fields: ConfigFields, name: string): ConfigFields => {
  const child = fields.child(name)
  if (child === undefined) throw fields.wrong([name], 'must be a mapping', undefined)
  return child
}

const readAttention = (fields: ConfigFields): AttentionShape => {
  if (oneOf(fields, 'kind', ['grouped', 'latent']) === 'latent') return readLatent(fields)
  onlyKnown(fields, [
    'kind',
    'queryHeads',
    'keyValueHeads',
    'headDim',
    'valueHeadDim',
    'window',
    'qkNorm',
  ])
  const headDim = fields.size('headDim')
  return {
    kind: 'grouped',
    queryHeads: fields.size('queryHeads'),
    keyValueHeads: fields.size('keyValueHeads'),
    headDim,
    valueHeadDim: fields.sizeOr(headDim, 'valueHeadDim'),
    window: fields.sizeOr(null, 'window'),
    qkNorm: fields.flagOr(false, 'qkNorm'),
  }
}

const readLatent = (fields: ConfigFields): LatentAttention => {
  onlyKnown(fields, [
    'kind',
    'queryHeads',
    'queryRank',
    'keyValueRank',
    'ropeHeadDim',
    'nopeHeadDim',
    'valueHeadDim',
    'sparseTopK',
    'indexer',
  ])
  const indexer = fields.child('indexer')
  return {
    kind: 'latent',
    queryHeads: fields.size('queryHeads'),
    queryRank: fields.sizeOr(null, 'queryRank'),
    keyValueRank: fields.size('keyValueRank'),
    ropeHeadDim: fields.size('ropeHeadDim'),
    nopeHeadDim: fields.size('nopeHeadDim'),
    valueHeadDim: fields.size('valueHeadDim'),
    sparseTopK: fields.sizeOr(null, 'sparseTopK'),
    ...(indexer === undefined
      ? {}
      : {indexer: {heads: indexer.size('heads'), headDim: indexer.size('headDim')}}),
  }
}

const readMlp = (fields: ConfigFields): MlpShape => {
  onlyKnown(fields, ['denseIntermediate', 'experts'])
  const experts = fields.child('experts')
  return {
    denseIntermediate: fields.countOr(0, 'denseIntermediate'),
    experts:
      experts === undefined
        ? null
        : {
            count: experts.size('count'),
            perToken: experts.size('perToken'),
            intermediate: experts.size('intermediate'),
          },
  }
}

const readQuantization = (fields: ConfigFields): Quantization => {
  onlyKnown(fields, ['method', 'dtype', 'bytesPerWeight', 'unquantized'])
  const bytesPerWeight = fields.raw('bytesPerWeight')
  if (typeof bytesPerWeight !== 'number' || !(bytesPerWeight > 0)) {
    throw fields.wrong(['bytesPerWeight'], 'must be a positive number', bytesPerWeight)
  }
  const unquantized = fields.textsOr([], 'unquantized')
  const parts = ['attention', 'denseMlp', 'experts', 'lmHead']
  const odd = unquantized.find((part) => !parts.includes(part))
  if (odd !== undefined)
    throw fields.wrong(['unquantized'], `must hold only ${parts.join(', ')}`, odd)
  return {
    method: requiredText(fields, 'method'),
    dtype: oneOf(fields, 'dtype', WEIGHT_DTYPES),
    bytesPerWeight,
    unquantized: {
      attention: unquantized.includes('attention'),
      denseMlp: unquantized.includes('denseMlp'),
      experts: unquantized.includes('experts'),
      lmHead: unquantized.includes('lmHead'),
    },
  }
}
