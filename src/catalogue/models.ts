/** The face of the model catalogue: a name or a path → the shape of a model. */

import {readFile, stat} from 'node:fs/promises'
import {basename, dirname, join} from 'node:path'
import {closest} from '../edit-distance.js'
import {Problem} from '../errors.js'
import {whyUnreadable} from '../unreadable.js'
import type {Sampling} from './engine-profile.js'
import {readSampling} from './generation-config.js'
import {parseJson} from './json-text.js'
import type {ModelFile} from './model-file.js'
import {readModelIndex} from './model-index.js'
import {formatOfName, matchModelName, withoutOrganisation} from './model-names.js'
import type {ModelShape} from './model-shape.js'
import {type WeightFormat, withWeightFormat} from './weight-format.js'

export interface FoundModel {
  readonly model: ModelShape
  /** What was taken when the name did not match exactly, and what was assumed. */
  readonly notes: readonly string[]
  /** Every Hugging Face id of the same shape; a profile made for one of them holds for all. */
  readonly ids: readonly string[]
  /** How tokens are chosen when a request says nothing: what the model's generation_config.json asks for. */
  readonly sampling: Sampling
}

export interface ListedModel {
  readonly model: ModelShape
  readonly ids: readonly string[]
  /** Where the facts come from. */
  readonly source: string
}

/** The shipped models, by file name. */
export const listModels = async (): Promise<readonly ListedModel[]> =>
  (await readModelIndex()).map((file) => ({
    model: shapeOf(file, file.ids[0]!),
    ids: file.ids,
    source: file.source,
  }))

/**
 * Loads a model by Hugging Face id (case, organisation and the usual endings do not matter), or by the path of a
 * `config.json`, of a folder that holds one, or of a model file of ours.
 * @throws Problem MODEL_UNKNOWN, MODEL_UNSUPPORTED, MODEL_BAD_CONFIG
 */
export const loadModel = async (nameOrPath: string): Promise<FoundModel> => {
  const name = nameOrPath.trim()
  if (looksLikePath(name)) return loadPath(name)
  const entries = await readModelIndex()
  const match = matchModelName(name, entries)
  if (match.kind === 'exact') return found(match.entry, match.id, [])
  if (await isFile(join(name, 'config.json'))) return loadPath(name)
  if (match.kind === 'loose') return loosely(name, match.entry, match.id)
  throw match.kind === 'ambiguous' ? ambiguous(name, match.ids) : unknown(name, entries)
}

const shapeOf = (file: ModelFile, id: string): ModelShape => ({id, ...file.shape})

const found = (file: ModelFile, id: string, notes: readonly string[]): FoundModel => ({
  model: shapeOf(file, id),
  notes,
  ids: file.ids,
  sampling: file.sampling ?? 'plain',
})

/** A name that asks for a format gets such weights, even if only the 16-bit model is known. */
const loosely = (name: string, file: ModelFile, id: string): FoundModel => {
  const result = found(file, id, [`Model ${name}: not in the catalogue, taken as ${id}.`])
  const format = formatOfName(name)
  if (format === undefined) return result
  const model = withWeightFormat(result.model, format)
  if (model === result.model) return result
  return {
    ...result,
    model,
    notes: [`Model ${name}: not in the catalogue, taken as ${id} with ${weightsText(format)}.`],
  }
}

const weightsText = (format: WeightFormat): string =>
  format === 'w4a16' ? '4-bit weights in groups of 128' : `${format.toUpperCase()} weights`

const ambiguous = (name: string, ids: readonly string[]): Problem =>
  new Problem('MODEL_UNKNOWN', `Model "${name}" could be any of ${ids.join(', ')}.`, {
    suggestions: ids.map((id) => `--model ${id}`),
  })

const unknown = (name: string, entries: readonly ModelFile[]): Problem => {
  const names = entries.flatMap(({ids}) => ids)
  const byTail = new Map(names.map((id) => [withoutOrganisation(id), id]))
  const close = closest(withoutOrganisation(name), byTail.keys(), 3).map(
    (tail) => byTail.get(tail)!,
  )
  return new Problem(
    'MODEL_UNKNOWN',
    `Model "${name}" is not in the catalogue, and it is no path of a config.json.`,
    {
      suggestions: [
        ...close.map((id) => `--model ${id}`),
        'llmsim model list',
        '--model PATH of a config.json from Hugging Face',
      ],
    },
  )
}

const looksLikePath = (name: string): boolean =>
  /\.(?:json|ya?ml)$/i.test(name) || /^(?:\.{0,2}[/\\]|\.{1,2}$|[A-Za-z]:[/\\])/.test(name)

const isFile = async (path: string): Promise<boolean> =>
  stat(path).then(
    (entry) => entry.isFile(),
    () => false,
  )

const loadPath = async (path: string): Promise<FoundModel> => {
  const folder = await stat(path).then(
    (entry) => entry.isDirectory(),
    () => {
      throw new Problem('MODEL_UNKNOWN', `Model ${path}: there is no such file or folder.`, {
        suggestions: ['llmsim model list'],
      })
    },
  )
  const file = folder ? join(path, 'config.json') : path
  if (folder && !(await isFile(file))) {
    throw new Problem('MODEL_UNKNOWN', `Model ${path}: the folder holds no config.json.`)
  }
  const text = await read(file)
  if (/\.ya?ml$/i.test(file)) {
    const {parseModelFile} = await import('./model-file.js')
    const parsed = await parseModelFile(text, file)
    return found(parsed, parsed.ids[0]!, [])
  }
  // The readers of foreign files are loaded only for those who bring one.
  const {readHuggingFaceConfig} = await import('./huggingface.js')
  const id = folder ? path : idOfFile(path)
  const loaded = readHuggingFaceConfig(parseJson(text, file, 'MODEL_BAD_CONFIG'), {
    file,
    id,
    modelOpt: await modelOptBeside(file),
  })
  const generation = join(dirname(file), 'generation_config.json')
  if (!(await isFile(generation))) {
    const note = `There is no generation_config.json beside ${file}: sampling with top-p or top-k is assumed, as most instruct models ask for it.`
    return {...loaded, notes: [...loaded.notes, note], ids: [id], sampling: 'filtered'}
  }
  const config = parseJson(await read(generation), generation, 'MODEL_BAD_CONFIG')
  return {...loaded, ids: [id], sampling: readSampling(config, generation)}
}

/** `…/Org--Name.json` stands for Org/Name; a config.json stands for its path. */
const idOfFile = (path: string): string => {
  const name = basename(path).replace(/\.json$/i, '')
  return name.includes('--') ? name.replace('--', '/') : path
}

const read = async (file: string): Promise<string> => {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new Problem('MODEL_BAD_CONFIG', `${file}: ${whyUnreadable(cause)}.`, {cause})
  }
}

const modelOptBeside = async (file: string): Promise<unknown> => {
  const beside = join(dirname(file), 'hf_quant_config.json')
  return (await isFile(beside))
    ? parseJson(await read(beside), beside, 'MODEL_BAD_CONFIG')
    : undefined
}
