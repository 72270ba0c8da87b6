/** Loads engine profiles: `engines/*.yaml` by name or release, a user's own file by path. */
import {readdir, readFile} from 'node:fs/promises'
import {basename, dirname, extname, relative, resolve} from 'node:path'
import {fileURLToPath} from 'node:url'
import {closest} from '../edit-distance.js'
import {Problem} from '../errors.js'
import {isObject, type JsonObject, shown} from './config-fields.js'
import type {EngineDefaults, EngineProfile, SamplerTerms, SizeDefaults} from './engine-profile.js'
import {readPlainYaml} from './plain-yaml.js'

const folder = fileURLToPath(new URL('../../engines/', import.meta.url))

export const defaultEngine = 'vllm-0.19'

export interface FoundEngine {
  readonly profile: EngineProfile
  /** What was taken when the release has no profile of its own. */
  readonly notes: readonly string[]
}

/**
 * The profile of that name (vllm-0.19), of the release that it covers (vllm-0.17.1), or the one that a
 * `.yaml` file describes, which may say `extends: NAME` and change some figures only.
 *
 * @throws Problem ENGINE_UNKNOWN, ENGINE_BAD_FILE
 */
export const loadEngine = async (nameOrPath: string): Promise<FoundEngine> => {
  const name = nameOrPath.trim()
  if (isPath(name)) return {profile: await readProfile(resolve(name)), notes: []}
  const all = await listEngines()
  const direct = all.find(({id}) => plain(id) === plain(name))
  if (direct) return {profile: direct, notes: []}
  const release = /^(?:vllm[-_ ]?)?v?(\d+\.\d+)(?:\.\w+)?$/i.exec(name)?.[1]
  const covering = all.find(({releases}) => release !== undefined && releases.includes(release))
  if (covering) {
    const note = `--engine ${name}: taken as ${covering.id}, which stands for ${covering.name}.`
    return {profile: covering, notes: [note]}
  }
  const known = all.map(({id}) => id)
  throw new Problem(
    'ENGINE_UNKNOWN',
    `--engine: there is no profile "${name}"; there are ${known.join(', ')}, and a path to a .yaml file describes your own.`,
    {suggestions: closest(name, known, 3).map((id) => `--engine ${id}`)},
  )
}

/** Every profile of the catalogue, in alphabetical order. */
export const listEngines = async (): Promise<EngineProfile[]> => {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.yaml')).sort()
  return Promise.all(names.map((name) => readProfile(`${folder}${name}`)))
}

const plain = (text: string): string => text.toLowerCase().replaceAll(/[\s_-]/g, '')
const isPath = (text: string): boolean => /\.ya?ml$/i.test(text) || /[/\\]/.test(text)

const readProfile = async (path: string): Promise<EngineProfile> => {
  const document = await extended(path, [])
  return profileOf(new Fields(document, shownPath(path), ''), stem(path))
}

const stem = (path: string): string => basename(path, extname(path))

/** The file with everything that it inherits; `behind` are the files that extend it. */
const extended = async (path: string, behind: readonly string[]): Promise<JsonObject> => {
  const own = await readDocument(path)
  const base = own.extends
  if (base === undefined || base === null) return own
  const name = shownPath(path)
  if (typeof base !== 'string' || base === '')
    throw badFile(`${name}: extends must name a profile or a file, got ${shown(base)}.`)
  const basePath = isPath(base) ? resolve(dirname(path), base) : `${folder}${base}.yaml`
  if (basePath === path || behind.includes(basePath))
    throw badFile(`${name}: extends leads back to this file.`)
  const inherited = await extended(basePath, [...behind, path])
  const {extends: _, ...rest} = merged(inherited, own)
  const id = own.id ?? stem(path)
  return {...rest, id, name: own.name ?? id, releases: own.releases ?? []}
}

/** Own keys over inherited ones, map by map. */
const merged = (under: JsonObject, over: JsonObject): JsonObject => {
  const result: Record<string, unknown> = {...under}
  for (const [key, value] of Object.entries(over)) {
    const below = under[key]
    result[key] = isObject(below) && isObject(value) ? merged(below, value) : value
  }
  return result
}

const readDocument = async (path: string): Promise<JsonObject> => {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    const why =
      error.code === 'ENOENT' ? 'the file does not exist' : `cannot be read (${error.code})`
    throw badFile(`${shownPath(path)}: ${why}.`)
  })
  const document = readPlainYaml(text) ?? (await readFullYaml(path, text))
  if (isObject(document)) return document
  throw badFile(`${shownPath(path)}:1:1: an engine profile must be a map, got ${shown(document)}.`)
}

const readFullYaml = async (path: string, text: string): Promise<unknown> => {
  const {LineCounter, parseDocument} = await import('yaml')
  const lineCounter = new LineCounter()
  const document = parseDocument(text, {lineCounter, prettyErrors: false})
  const error = document.errors[0]
  if (error === undefined) return document.toJS()
  const {line, col} = lineCounter.linePos(error.pos[0])
  const reason = error.message.split('\n')[0]
  throw badFile(`${shownPath(path)}:${line}:${col}: not valid YAML: ${reason}.`)
}

const badFile = (message: string): Problem =>
  new Problem('ENGINE_BAD_FILE', message, {
    suggestions: ['extends: vllm-0.19 inherits whatever the file does not name'],
  })

/** A map of the file, read key by key; every fault names the path of its key. */
class Fields {
  readonly #values: JsonObject
  readonly #file: string
  readonly #path: string

  constructor(values: JsonObject, file: string, path: string) {
    this.#values = values
    this.#file = file
    this.#path = path
  }

  only(known: readonly string[]): this {
    const odd = Object.keys(this.#values).find((key) => !known.includes(key))
    if (odd === undefined) return this
    throw badFile(
      `${this.#file}: ${this.#pathOf(odd)} is not a known key; known are ${known.join(', ')}.`,
    )
  }

  child(key: string): Fields {
    const value = this.#values[key]
    if (isObject(value)) return new Fields(value, this.#file, this.#pathOf(key))
    throw this.#wrong(key, 'must be a map of keys')
  }

  amount(key: string): number {
    const value = this.#values[key]
    if (typeof value === 'number' && value >= 0 && Number.isFinite(value)) return value
    throw this.#wrong(key, 'must be a number of at least 0')
  }

  share(key: string): number {
    const value = this.amount(key)
    if (value > 0 && value <= 1) return value
    throw this.#wrong(key, 'must be above 0 and at most 1')
  }

  size(key: string): number {
    const value = this.#values[key]
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1) return value
    throw this.#wrong(key, 'must be a whole number of at least 1')
  }

  flag(key: string): boolean {
    const value = this.#values[key]
    if (typeof value === 'boolean') return value
    throw this.#wrong(key, 'must be true or false')
  }

  text(key: string, fallback?: string): string {
    const value = this.#values[key] ?? fallback
    if (typeof value === 'string' && value.trim() !== '') return value
    throw this.#wrong(key, 'must be a text')
  }

  texts(key: string): readonly string[] {
    const value = this.#values[key]
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value
    throw this.#wrong(key, 'must be a list of texts')
  }

  #pathOf(key: string): string {
    return this.#path === '' ? key : `${this.#path}.${key}`
  }

  #wrong(key: string, rule: string): Problem {
    const value = this.#values[key]
    const got = value === undefined || value === null ? 'but it is missing' : `got ${shown(value)}`
    return badFile(`${this.#file}: ${this.#pathOf(key)} ${rule}, ${got}.`)
  }
}

const topKeys = [
  ...['id', 'name', 'releases', 'extends', 'defaults', 'front_end', 'host', 'sampler', 'memory'],
  'source',
]

const profileOf = (file: Fields, fileName: string): EngineProfile => {
  file.only(topKeys)
  const frontEnd = file
    .child('front_end')
    .only(['http_ms', 'in_process_ms', 'per_token_us', 'chat_token_us'])
  const host = file
    .child('host')
    .only(['step_us', 'layer_us', 'sequence_us', 'synchronous_step_us'])
  const sampler = file.child('sampler').only(['plain', 'filtered', 'penalty'])
  const memory = file.child('memory').only(['sampler_bytes_per_logit', 'runtime_gb', 'source'])
  const runtime = memory.child('runtime_gb').only(['single', 'parallel'])
  const id = file.text('id', fileName)
  return {
    id,
    name: file.text('name', id),
    releases: file.texts('releases'),
    defaults: defaultsOf(file.child('defaults')),
    frontEnd: {
      httpNs: frontEnd.amount('http_ms') * 1e6,
      inProcessNs: frontEnd.amount('in_process_ms') * 1e6,
      perTokenNs: frontEnd.amount('per_token_us') * 1e3,
      chatTokenNs: frontEnd.amount('chat_token_us') * 1e3,
    },
    host: {
      stepNs: host.amount('step_us') * 1e3,
      layerNs: host.amount('layer_us') * 1e3,
      sequenceNs: host.amount('sequence_us') * 1e3,
      synchronousStepNs: host.amount('synchronous_step_us') * 1e3,
    },
    sampler: {
      plain: samplerOf(sampler.child('plain')),
      filtered: samplerOf(sampler.child('filtered')),
    },
    penalty: samplerOf(sampler.child('penalty')),
    memory: {
      samplerBytesPerLogit: memory.amount('sampler_bytes_per_logit'),
      runtimeBytes: {
        single: runtime.amount('single') * 1e9,
        parallel: runtime.amount('parallel') * 1e9,
      },
      source: memory.text('source'),
    },
    source: file.text('source'),
  }
}

const samplerOf = (fields: Fields): SamplerTerms => {
  fields.only(['step_us', 'per_entry_ns', 'per_sequence_entry_ns'])
  return {
    stepNs: fields.amount('step_us') * 1e3,
    perEntryNs: fields.amount('per_entry_ns'),
    perSequenceEntryNs: fields.amount('per_sequence_entry_ns'),
  }
}

const defaultsOf = (fields: Fields): EngineDefaults => {
  fields.only([
    ...['large_device', 'small_device', 'gpu_memory_utilization', 'block_size'],
    ...['async_scheduling', 'enable_prefix_caching', 'enable_chunked_prefill'],
  ])
  return {
    largeDevice: sizesOf(fields.child('large_device')),
    smallDevice: sizesOf(fields.child('small_device')),
    gpuMemoryUtilization: fields.share('gpu_memory_utilization'),
    blockSize: fields.size('block_size'),
    asyncScheduling: fields.flag('async_scheduling'),
    enablePrefixCaching: fields.flag('enable_prefix_caching'),
    enableChunkedPrefill: fields.flag('enable_chunked_prefill'),
  }
}

const sizesOf = (fields: Fields): SizeDefaults => {
  fields.only(['max_num_seqs', 'max_num_batched_tokens'])
  return {
    maxNumSeqs: fields.size('max_num_seqs'),
    maxNumBatchedTokens: fields.size('max_num_batched_tokens'),
  }
}

const shownPath = (path: string): string => {
  const fromHere = relative('', path)
  return fromHere.startsWith('..') ? path : fromHere
}
