/** Loads engine profiles: `engines/*.yaml` by name or release, a user's own file by path. */
import {readdirSync} from 'node:fs'
import {basename, dirname, extname, resolve} from 'node:path'
import {fileURLToPath} from 'node:url'
import {closest} from '../edit-distance.js'
import {Problem} from '../errors.js'
import {isObject, type JsonObject} from './config-fields.js'
import type {EngineDefaults, EngineProfile, SamplerTerms, SizeDefaults} from './engine-profile.js'
import {type ArchitectureClass, architectureClasses} from './hardware-shape.js'
import {SchemaFault, Section} from './schema-section.js'
import {readYamlFile, type YamlFile} from './yaml-file.js'

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
  const release = /^(?:vllm[-_ ]?)?v?(\d+\.\d+)(?:[.+]\w+)*$/i.exec(name)?.[1]
  const covering = all.find(({releases}) => release !== undefined && releases.includes(release))
  if (covering) {
    const note = `--engine ${name}: taken as ${covering.id}, which stands for ${covering.name}.`
    return {profile: covering, notes: [note]}
  }
  const known = all.map(({id}) => id)
  const near = closest(name, known, 3)
  throw new Problem(
    'ENGINE_UNKNOWN',
    `--engine: there is no profile "${name}"; there are ${known.join(', ')}, and a path to a .yaml file describes your own.`,
    {suggestions: (near.length > 0 ? near : [defaultEngine]).map((id) => `--engine ${id}`)},
  )
}

/** Every profile of the catalogue, in alphabetical order. */
export const listEngines = async (): Promise<EngineProfile[]> => {
  const names = readdirSync(folder)
    .filter((name) => name.endsWith('.yaml'))
    .sort()
  return Promise.all(names.map((name) => readProfile(`${folder}${name}`)))
}

const plain = (text: string): string => text.toLowerCase().replaceAll(/[\s_-]/g, '')
const isPath = (text: string): boolean => /\.ya?ml$/i.test(text) || /[/\\]/.test(text)

const stem = (path: string): string => basename(path, extname(path))

const readProfile = async (path: string): Promise<EngineProfile> => {
  const source = await readSource(path)
  const document = await extended(source, [])
  try {
    return profileOf(new Section(document, [], topKeys), stem(path))
  } catch (error) {
    if (!(error instanceof SchemaFault)) throw error
    const inherits = isObject(source.file.value) && source.file.value.extends !== undefined
    throw await source.file.problem(error, inherits ? error.suggestions : [inheritance])
  }
}

const inheritance = 'extends: vllm-0.19 inherits whatever the file does not name'

interface Source {
  readonly path: string
  readonly file: YamlFile
}

const readSource = async (path: string): Promise<Source> => ({
  path,
  file: await readYamlFile(path, 'ENGINE_BAD_FILE', [`--engine ${defaultEngine}`]),
})

/** The document with everything that it inherits; `behind` are the files that extend this one. */
const extended = async ({path, file}: Source, behind: readonly string[]): Promise<unknown> => {
  const own = file.value
  if (!isObject(own) || own.extends === undefined || own.extends === null) return own
  const base = own.extends
  if (typeof base !== 'string' || base === '')
    throw await file.problem(new SchemaFault(['extends'], 'must name a profile or a file'))
  const basePath = isPath(base) ? resolve(dirname(path), base) : `${folder}${base}.yaml`
  if (!isPath(base)) {
    const known = readdirSync(folder).map(stem)
    if (!known.includes(base))
      throw await file.problem(
        new SchemaFault(['extends'], `names "${base}", which is no engine profile`),
        known.filter((name) => name.startsWith('vllm')).map((name) => `extends: ${name}`),
      )
  }
  if (basePath === path || behind.includes(basePath))
    throw await file.problem(new SchemaFault(['extends'], 'leads back to this file'))
  const inherited = await extended(await readSource(basePath), [...behind, path])
  const {extends: _, ...rest} = merged(isObject(inherited) ? inherited : {}, own)
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

const topKeys = [
  ...['id', 'name', 'releases', 'extends', 'defaults', 'front_end', 'host', 'sampler', 'memory'],
  ...['experts', 'source'],
]

const profileOf = (file: Section, fileName: string): EngineProfile => {
  const frontEnd = file.section('front_end', [
    ...['http_ms', 'in_process_ms', 'per_token_us', 'chat_token_us'],
  ])
  const host = file.section('host', [
    ...['step_us', 'layer_us', 'sequence_us', 'synchronous_step_us'],
    ...['eager_layer_us', 'launch_gap_us'],
  ])
  const sampler = file.section('sampler', ['plain', 'filtered', 'penalty'])
  const memory = file.section('memory', ['sampler_bytes_per_logit', 'runtime_gb', 'source'])
  const runtime = memory.section('runtime_gb', ['single', 'parallel'])
  const id = file.has('id') ? file.text('id') : fileName
  return {
    id,
    name: file.has('name') ? file.text('name') : id,
    releases: releasesOf(file),
    defaults: defaultsOf(file),
    frontEnd: {
      httpNs: frontEnd.notNegative('http_ms') * 1e6,
      inProcessNs: frontEnd.notNegative('in_process_ms') * 1e6,
      perTokenNs: frontEnd.notNegative('per_token_us') * 1e3,
      chatTokenNs: frontEnd.notNegative('chat_token_us') * 1e3,
    },
    host: {
      stepNs: host.notNegative('step_us') * 1e3,
      layerNs: host.notNegative('layer_us') * 1e3,
      sequenceNs: host.notNegative('sequence_us') * 1e3,
      synchronousStepNs: host.notNegative('synchronous_step_us') * 1e3,
      eagerLayerNs: host.has('eager_layer_us')
        ? host.notNegative('eager_layer_us') * 1e3
        : undefined,
      launchGapNs: host.has('launch_gap_us') ? host.notNegative('launch_gap_us') * 1e3 : 0,
    },
    sampler: {
      plain: samplerOf(sampler, 'plain'),
      filtered: samplerOf(sampler, 'filtered'),
    },
    penalty: samplerOf(sampler, 'penalty'),
    memory: {
      samplerBytesPerLogit: memory.notNegative('sampler_bytes_per_logit'),
      runtimeBytes: {
        single: runtime.notNegative('single') * 1e9,
        parallel: runtime.notNegative('parallel') * 1e9,
      },
      source: memory.text('source'),
    },
    marlinMxfp4: marlinOf(file),
    source: file.text('source'),
  }
}

const marlinOf = (file: Section): readonly ArchitectureClass[] => {
  if (!file.has('experts')) return []
  const section = file.section('experts', ['marlin_mxfp4'])
  return section.texts('marlin_mxfp4').map((name) => {
    const known = architectureClasses.find((each) => each === name)
    if (known === undefined)
      throw section.fault('marlin_mxfp4', `must be a list of ${architectureClasses.join(', ')}`)
    return known
  })
}

/** A whole profile says which releases it stands for, be it none. */
const releasesOf = (file: Section): readonly string[] => {
  if (!file.has('releases')) throw file.fault('releases', 'must be a list of texts')
  return file.texts('releases')
}

const samplerOf = (parent: Section, key: string): SamplerTerms => {
  const section = parent.section(key, ['step_us', 'per_entry_ns', 'per_sequence_entry_ns'])
  return {
    stepNs: section.notNegative('step_us') * 1e3,
    perEntryNs: section.notNegative('per_entry_ns'),
    perSequenceEntryNs: section.notNegative('per_sequence_entry_ns'),
  }
}

const defaultsOf = (file: Section): EngineDefaults => {
  const section = file.section('defaults', [
    ...['large_device', 'small_device', 'gpu_memory_utilization', 'block_size'],
    ...['async_scheduling', 'enable_prefix_caching', 'enable_chunked_prefill'],
    'hybrid_kv_cache',
  ])
  const hybrid = section.has('hybrid_kv_cache')
    ? section.section('hybrid_kv_cache', ['window', 'chunk'])
    : undefined
  return {
    largeDevice: sizesOf(section, 'large_device'),
    smallDevice: sizesOf(section, 'small_device'),
    gpuMemoryUtilization: section.share('gpu_memory_utilization'),
    blockSize: section.count('block_size'),
    asyncScheduling: section.truth('async_scheduling'),
    enablePrefixCaching: section.truth('enable_prefix_caching'),
    enableChunkedPrefill: section.truth('enable_chunked_prefill'),
    hybridKvCache: {
      window: hybrid?.truth('window') ?? true,
      chunk: hybrid?.truth('chunk') ?? true,
    },
  }
}

const sizesOf = (parent: Section, key: string): SizeDefaults => {
  const section = parent.section(key, ['max_num_seqs', 'max_num_batched_tokens'])
  return {
    maxNumSeqs: section.count('max_num_seqs'),
    maxNumBatchedTokens: section.count('max_num_batched_tokens'),
  }
}
