/** One engine to be: where its model, device and settings come from, whichever file or flag named them. */

import {existsSync} from 'node:fs'
import {dirname, join} from 'node:path'
import type {EngineProfile, Sampling} from '../catalogue/engine-profile.js'
import {linkOf, loadHardware} from '../catalogue/hardware.js'
import type {Hardware, Link} from '../catalogue/hardware-shape.js'
import type {ModelShape} from '../catalogue/model-shape.js'
import {type FoundModel, loadModel} from '../catalogue/models.js'
import {type WeightFormat, weightFormats} from '../catalogue/weight-format.js'
import type {ClusterFile, ClusterInstance} from '../compat/cluster-json.js'
import {Problem} from '../errors.js'
import {scaled} from '../latency/scaled-hardware.js'
import {engineChoice, samplingChoice} from './engine-choice.js'
import type {KvOffloadRequest} from './kv-tiers.js'
import {type Layout, resolveLayout} from './layout.js'
import type {PimRequest} from './pim.js'
import {expertDegree, hasExperts, inFormat, type Placed, ranksOf} from './ranks.js'
import {
  blockMultiple,
  defaultModel,
  type EngineSettings,
  type FileTraffic,
  nearestBlockSize,
  type RunRequest,
} from './run-request.js'
import {unreadFlag} from './unread-flag.js'
import type {MemoryShares} from './weights/placement.js'
import type {WeightRequest} from './weights/rules.js'
import type {Wired} from './wiring.js'

export interface Instance {
  /** Name of the device as the user wrote it: the folder of its profiles. */
  readonly hardwareName: string
  /** Undefined where only a profile is asked for and the catalogue does not know the device. */
  readonly hardware: Hardware | undefined
  readonly link: Link | null
  readonly found: FoundModel
  /** The model in the weight format that was asked for. */
  readonly model: ModelShape
  readonly tp: number
  readonly pp: number
  readonly ep: number
  readonly settings: EngineSettings
  readonly profile: EngineProfile
  readonly sampling: Sampling
  /** Absent: it runs prompts and decodes. */
  readonly role?: 'prefill' | 'decode' | undefined
  /** What a cluster file says of the machine; undefined where flags describe it. */
  readonly machine: Machine | undefined
  /** Memory below its devices that keeps KV. */
  readonly kvOffload?: KvOffloadRequest | undefined
  /** Where its KV lies in memory that computes. */
  readonly pim?: PimRequest | undefined
  /** Which of its weights lie outside of its devices. */
  readonly weights?: WeightRequest | undefined
  /** By stage, how they come; absent: over the links of its devices alone. */
  readonly memoryShares?: readonly MemoryShares[] | undefined
  /** Where a topology says how its ranks are joined; absent: its link does. */
  readonly wired?: Wired | undefined
  /** Bytes of host memory for each of its devices; absent: nobody says how much there is. */
  readonly hostBytes?: number | undefined
  /** Throws what fails of it again, with its place in a cluster file; absent: flags describe it. */
  readonly blame?: ((error: unknown) => Promise<never>) | undefined
}

export interface Machine {
  readonly file: ClusterFile
  readonly instance: ClusterInstance
  /** Whether ranks wait for ranks of other engines or hand a lag on: then they run node by node under --compat. */
  readonly isCoupled: boolean
}

export interface Placement {
  readonly instances: readonly Placed[]
  /** What a cluster file says about traffic; flags go before it. */
  readonly traffic?: FileTraffic | undefined
  readonly layout: Layout
  readonly notes: readonly string[]
}

/** The engines that a request describes. @throws Problem for whatever does not exist or does not divide */
export async function placeInstances(request: RunRequest): Promise<Placement> {
  const {cluster} = request
  if (cluster === undefined) return fromFlags(request)
  checkAlone(request, cluster)
  if (!/\.ya?ml$/i.test(cluster)) return fromClusterFile(request, cluster)
  const {placeYaml} = await import('./place-yaml.js')
  return placeYaml(request, cluster)
}

async function fromFlags(request: RunRequest): Promise<Placement> {
  if (request.hardware === undefined) {
    throw new Problem('FLAG_MISSING', 'Missing --hardware NAME: which accelerator to model.', {
      suggestions: ['--hardware RTX3090', 'llmsim hardware list'],
    })
  }
  const layout = resolveLayout(request.layout)
  const loaded = await loadHardware(request.hardware)
  const hardware = scaled(loaded, request.efficiencyScale ?? loaded.efficiencyScale)
  const found = await loadModel(request.model)
  const model = inFormat(found.model, request.engine.dtype)
  const engine = await engineChoice(request)
  const instance: Instance = {
    hardwareName: hardware.id,
    hardware,
    link: linkOf(hardware, request.link),
    found,
    model,
    tp: layout.tp,
    pp: layout.pp,
    ep: expertDegree(model, {...layout, ep: request.layout.ep}),
    settings: request.engine,
    pim: request.pim,
    weights: request.weights,
    kvOffload: request.kvOffload,
    profile: engine.profile,
    sampling: samplingChoice(request, found),
    machine: undefined,
  }
  const {prefill = 0} = request.layout
  const notes = [...engine.notes, ...found.notes]
  const instances = Array.from({length: layout.instances}, (_, at) => {
    const role = at < prefill ? ('prefill' as const) : ('decode' as const)
    return ranksOf(prefill === 0 ? instance : {...instance, role}, layout.dp, at)
  }).flat()
  if (layout.dp > 1 && !hasExperts(model))
    notes.push(`--dp ${layout.dp}: ranks of a dense model are independent engines.`)
  return {instances, layout, notes}
}

/** A cluster file says what layout and hardware flags would. */
function checkAlone(request: RunRequest, path: string): void {
  const given = Object.entries(request.layout).find(([, size]) => size !== undefined)
  if (given) {
    throw new Problem(
      'FLAG_CONFLICT',
      `--${given[0]} and --cluster: the cluster file already says how devices are used.`,
      {
        suggestions: [`Leave --${given[0]} out, or change ${path}.`],
      },
    )
  }
  if (request.hardware !== undefined) {
    throw new Problem(
      'FLAG_CONFLICT',
      '--hardware and --cluster: the cluster file already names the hardware.',
      {
        suggestions: ['Leave one of the two out.'],
      },
    )
  }
}

async function fromClusterFile(request: RunRequest, path: string): Promise<Placement> {
  const {readClusterFile} = await import('../compat/cluster-json.js')
  const file = readClusterFile(path)
  // Every instance of such a file names its model.
  const others = file.instances.some(({modelName}) => modelName !== request.model)
  if (request.model !== defaultModel && others) throw unreadFlag('--model', path)
  const made: Instance[] = []
  const notes = new Set(file.notes)
  for (const instance of file.instances) {
    const one = await instanceOf(request, file, instance)
    for (const note of one.found.notes) notes.add(note)
    made.push(one)
  }
  const isCoupled =
    made.every(({role}) => role === undefined) &&
    made.some(({ep, machine}) => ep > 1 || machine!.instance.dpGroup !== undefined)
  const instances = made.map((one) => ({...one, machine: {...one.machine!, isCoupled}}))
  const npu = instances.reduce((sum, {tp, pp}) => sum + tp * pp, 0)
  const {tp, pp, ep} = instances[0]!
  const placed = instances.map((instance) => placedOf(instance, request, file))
  return {
    instances: request.compat === undefined ? await withWeights(placed, file) : placed,
    layout: {npu, tp, pp, dp: 1, ep, instances: instances.length},
    notes: [...notes],
  }
}

/** Weights where the file places them; a flag goes before it. */
async function withWeights(placed: readonly Placed[], file: ClusterFile): Promise<Placed[]> {
  const {sharingNodes, weightsOfPlacement} = await import('./weights/json-placement.js')
  const given = placed.map((one) => {
    const {weights, machine, model} = one.instance
    return weights
      ? one
      : {...one, instance: {...one.instance, weights: weightsOfPlacement(machine!.instance, model)}}
  })
  return sharingNodes(given, file)
}

/**
 * Ranks of a group make their passes together: those with experts always, dense ones only where LLMServingSim's clock
 * is repeated.
 */
function placedOf(instance: Instance, {compat}: RunRequest, file: ClusterFile): Placed {
  const name = instance.machine!.instance.dpGroup
  if (name === undefined || (compat === undefined && !hasExperts(instance.model))) return {instance}
  const names = [...new Set(file.instances.map(({dpGroup}) => dpGroup))]
  return {instance, group: names.indexOf(name)}
}

async function instanceOf(
  request: RunRequest,
  file: ClusterFile,
  instance: ClusterInstance,
): Promise<Instance> {
  const found = await modelOf(instance, request.cluster!)
  const {dtype, kvCacheDtype, ...limits} = instance.settings
  const place = `${request.cluster}: ${instance.path}`
  const settings: EngineSettings = {
    ...request.engine,
    ...limits,
    ...(dtype === undefined ? {} : {dtype: formatOf(dtype, `${place}.dtype`)}),
    ...(kvCacheDtype === undefined
      ? {}
      : {kvCacheDtype: kvFormatOf(kvCacheDtype, `${place}.kv_cache_dtype`)}),
    gpuMemoryUtilization: instance.memory.utilization ?? request.engine.gpuMemoryUtilization,
  }
  checkBlockSize(request, `${place}.block_size`, limits.blockSize)
  const model = inFormat(found.model, settings.dtype)
  const hardware = await knownHardware(request, instance)
  return {
    hardwareName: instance.hardware,
    hardware: hardware && withMemory(hardware, instance),
    link: hardware === undefined ? null : linkOf(hardware, request.link),
    found,
    model,
    tp: instance.tp,
    pp: instance.pp,
    role: instance.role,
    ep: instance.ep ?? (hasExperts(model) ? instance.tp : 1),
    settings,
    pim: request.pim ?? pimOfFile(request, file, instance),
    weights: request.weights,
    kvOffload: request.kvOffload,
    profile: (await engineChoice(request)).profile,
    sampling: samplingChoice(request, found),
    machine: {file, instance, isCoupled: false},
    blame: async (error) => {
      if (!(error instanceof Problem)) throw error
      const {code, message, suggestions} = error
      if (message.startsWith(`${request.cluster}: `)) throw error
      throw new Problem(code, `${place}: ${message}`, {cause: error, suggestions})
    },
  }
}

/** That simulator takes any size; the engine that is modelled without --compat does not. */
function checkBlockSize({compat}: RunRequest, place: string, size = blockMultiple): void {
  if (compat !== undefined || size % blockMultiple === 0) return
  throw new Problem(
    'CLUSTER_BAD_FILE',
    `${place} is ${size}, and vLLM takes multiples of ${blockMultiple} only.`,
    {suggestions: [`"block_size": ${nearestBlockSize(size)}`, '--compat llmservingsim']},
  )
}

/** Channels of a node are shared out over its devices. With --compat that clock has its own way. */
function pimOfFile(
  {compat}: RunRequest,
  {instances}: ClusterFile,
  {pim, node}: ClusterInstance,
): PimRequest | undefined {
  if (pim === undefined || compat !== undefined) return undefined
  const devices = instances
    .filter((other) => other.node === node && other.pim !== undefined)
    .reduce((sum, {tp, pp}) => sum + tp * pp, 0)
  const channels = Math.max(1, Math.floor(pim.channels / devices))
  return {spec: pim.spec.name, channels, subBatches: pim.subBatches}
}

/** The catalogue's model, or the config.json that LLMServingSim keeps beside its cluster files. */
async function modelOf({modelName}: ClusterInstance, cluster: string): Promise<FoundModel> {
  try {
    return await loadModel(modelName)
  } catch (error) {
    const beside = join(dirname(cluster), '..', 'model', `${modelName}.json`)
    if (!(error instanceof Problem) || error.code !== 'MODEL_UNKNOWN' || !existsSync(beside)) {
      throw error
    }
    const found = await loadModel(beside)
    // Profiles are filed under the name, not under the path.
    return {...found, model: {...found.model, id: modelName}, ids: [modelName]}
  }
}

/** Under --compat with a profile the device need not be in the catalogue: the cluster file says all there is. */
async function knownHardware(
  request: RunRequest,
  instance: ClusterInstance,
): Promise<Hardware | undefined> {
  try {
    return await loadHardware(instance.hardware)
  } catch (error) {
    const isUnknown = error instanceof Problem && error.code === 'HARDWARE_UNKNOWN'
    if (isUnknown && request.compat !== undefined) return undefined
    throw error
  }
}

const withMemory = (hardware: Hardware, {memory}: ClusterInstance): Hardware => ({
  ...hardware,
  memoryGib: memory.sizeGib,
  usableBytes: Math.min(
    memory.sizeGib * 2 ** 30,
    (hardware.usableBytes / hardware.memoryGib) * memory.sizeGib,
  ),
  bandwidthGbS: memory.bandwidthGb,
})

const spelledOut: Readonly<Record<string, WeightFormat>> = {bfloat16: 'bf16', float16: 'fp16'}

function formatOf(name: string, place: string): WeightFormat {
  const format = spelledOut[name] ?? name
  const known = weightFormats.find((candidate) => candidate === format)
  if (known) return known
  throw new Problem(
    'CLUSTER_BAD_FILE',
    `${place} must be one of bfloat16, float16, fp8, int8, got "${name}".`,
  )
}

function kvFormatOf(name: string, place: string): 'auto' | 'fp8' {
  if (name === 'auto' || name === 'fp8') return name
  throw new Problem('CLUSTER_BAD_FILE', `${place} must be auto or fp8, got "${name}".`)
}
