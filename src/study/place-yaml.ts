/** From a cluster file of ours to the engines that it places. */
import {linkOf, loadHardware} from '../catalogue/hardware.js'
import type {MemoryDevices} from '../catalogue/memory-devices.js'
import {loadModel} from '../catalogue/models.js'
import {SchemaFault} from '../catalogue/schema-section.js'
import {Problem} from '../errors.js'
import type {TopologyDimension} from '../latency/collective.js'
import {scaled} from '../latency/scaled-hardware.js'
import {
  type ClusterYaml,
  clusterProblem,
  type InstanceYaml,
  type KvOffloadYaml,
  readClusterYaml,
} from './cluster-file.js'
import {engineChoice, samplingChoice} from './engine-choice.js'
import type {Instance, Placement} from './instance.js'
import {instanceProblem} from './instance-fault.js'
import type {KvOffloadRequest} from './kv-tiers.js'
import type {PimRequest} from './pim.js'
import {expertDegree, inFormat, type Placed, ranksOf} from './ranks.js'
import {
  blockMultiple,
  defaultModel,
  type EngineSettings,
  type FileTraffic,
  type NetworkRates,
  nearestBlockSize,
  type RunRequest,
} from './run-request.js'
import {unreadFlag} from './unread-flag.js'
import {
  checkRules,
  emptyMemories,
  sharingMemories,
  weightsOfYaml,
} from './weights/cluster-weights.js'
import {memoriesOf} from './weights/memory-schema.js'
import {topologyOf, wire} from './wiring.js'

/** The engines and the traffic that a file describes. */
export async function placeYaml(request: RunRequest, path: string): Promise<Placement> {
  const file = await readClusterYaml(path)
  try {
    return await placeFile(request, path, file)
  } catch (error) {
    throw error instanceof SchemaFault ? await clusterProblem(path, error) : error
  }
}

async function placeFile(request: RunRequest, path: string, file: ClusterYaml): Promise<Placement> {
  if (request.compat === undefined) checkBlockSizes(file)
  checkRead(request, path, file)
  const memories = memoriesOf(file.memory)
  const instances: Placed[] = []
  const notes = new Set<string>()
  let group = 0
  let npu = 0
  const topology = file.topology && topologyOf(file.topology)
  const hostBytes = hostBytesOf(file, memories)
  for (const [i, given] of file.instances.entries()) {
    const blame = async (error: unknown): Promise<never> => {
      throw error instanceof Problem ? await instanceProblem(path, {file, at: i}, error) : error
    }
    const {instance: own, dp} = await yamlInstance(request, file, given).catch(blame)
    const instance = {...own, blame, hostBytes}
    if (given.weights) checkRules(instance, i, memories)
    for (const note of instance.found.notes) notes.add(note)
    const alike = new Map<string, Instance>()
    for (let copy = 0; copy < given.count; copy++) {
      const placed = topology ? await wired(topology, {instance, dp, first: npu, blame}) : instance
      const {name = ''} = placed.wired ?? {}
      const one = alike.get(name) ?? placed
      alike.set(name, one)
      instances.push(...ranksOf(one, dp, group++))
      npu += instance.tp * instance.pp * dp
    }
  }
  const {tp, pp, ep} = instances[0]!.instance
  return {
    instances: sharingMemories(instances, memories),
    layout: {npu, tp, pp, dp: 1, ep, instances: instances.length},
    traffic: trafficOf(file),
    notes: [...notes, ...emptyMemories(instances, memories).map((note) => `${path}: ${note}`)],
  }
}

/** Of each device that shares the host memory of the file. */
function hostBytesOf({instances}: ClusterYaml, {cpu}: MemoryDevices): number | undefined {
  const all = instances.reduce((sum, {count, tp, pp, dp}) => sum + count * tp * pp * dp, 0)
  return cpu?.capacityBytes && cpu.capacityBytes / (cpu.devices ?? all)
}

/** A flag that every instance of the file overrules. @throws Problem FLAG_CONFLICT */
function checkRead({model, engine}: RunRequest, path: string, file: ClusterYaml): void {
  const settings = file.instances.map((own) => settingsOf({...file.engine, ...own.engine}))
  const names = Object.keys(engine) as (keyof EngineSettings)[]
  const overruled = names.find(
    (name) => engine[name] !== undefined && settings.every((own) => own[name] !== undefined),
  )
  if (overruled !== undefined) throw unreadFlag(flagOf(overruled), path)
  const named = file.model !== undefined || file.instances.every((own) => own.model !== undefined)
  if (model !== defaultModel && named) throw unreadFlag('--model', path)
}

const flagOf = (setting: keyof EngineSettings): string =>
  setting === 'reserveFullPrompt'
    ? '--scheduler-reserve-full-isl'
    : `--${setting.replaceAll(/[A-Z]/g, (part) => `-${part.toLowerCase()}`)}`

/** As --block-size is checked. @throws SchemaFault */
function checkBlockSizes(file: ClusterYaml): void {
  const places = [file, ...file.instances].map(({engine}, at) => ({
    size: engine?.block_size,
    path: [...(at === 0 ? [] : ['instances', at - 1]), 'engine', 'block_size'],
  }))
  for (const {size, path} of places) {
    if (size === undefined || size % blockMultiple === 0) continue
    throw new SchemaFault(path, `is ${size}, and vLLM takes multiples of ${blockMultiple} only`, {
      suggestions: [`block_size: ${nearestBlockSize(size)}`],
    })
  }
}

interface Place {
  readonly instance: Instance
  readonly dp: number
  /** Number of its first device. */
  readonly first: number
  readonly blame: (error: unknown) => Promise<never>
}

async function wired(
  topology: readonly TopologyDimension[],
  {instance, dp, first, blame}: Place,
): Promise<Instance> {
  const {tp, pp, ep} = instance
  try {
    return {...instance, wired: wire(topology, first, {tp, pp, dp, ep})}
  } catch (error) {
    return blame(error)
  }
}

async function yamlInstance(
  request: RunRequest,
  file: ClusterYaml,
  given: InstanceYaml,
): Promise<{instance: Instance; dp: number}> {
  const loaded = await loadHardware(given.hardware ?? file.hardware!)
  const hardware = scaled(loaded, request.efficiencyScale ?? loaded.efficiencyScale)
  const found = await loadModel(given.model ?? file.model ?? request.model)
  const settings = {
    ...request.engine,
    ...settingsOf({...file.engine, ...given.engine}),
  }
  const model = inFormat(found.model, settings.dtype)
  const {tp, pp, dp, role} = given
  const ep = expertDegree(model, {tp, dp, ep: given.ep})
  const link = linkOf(hardware, given.link ?? file.link ?? request.link)
  const hardwareName = hardware.id
  const instance = {hardwareName, hardware, link, found, model, tp, pp, ep, role, settings}
  const {profile} = await engineChoice(request)
  const sampling = samplingChoice(request, found)
  const pim = pimOf(given) ?? request.pim
  const weights = weightsOfYaml(given) ?? request.weights
  const asked = given.kv_offload ?? file.kv_offload
  const kvOffload = asked ? {...kvOffloadFrom(asked), from: 'file' as const} : request.kvOffload
  return {
    instance: {...instance, profile, sampling, pim, weights, kvOffload, machine: undefined},
    dp,
  }
}

const pimOf = ({pim}: InstanceYaml): PimRequest | undefined =>
  pim && {
    spec: pim.spec,
    channels: pim.channels,
    gbPerS: pim.bandwidth_gb_s,
    latencyUs: pim.latency_us,
    subBatches: pim.sub_batches,
  }

const kvOffloadFrom = ({tiers, host_link_gb_s}: KvOffloadYaml): KvOffloadRequest => ({
  hostGbPerS: host_link_gb_s,
  tiers: tiers.map((tier) => ({
    kind: tier.tier,
    bytes: tier.capacity_gb * 1e9,
    write: tier.write,
    isShared: tier.shared,
    readGbPerS: tier.read_gb_s,
    writeGbPerS: tier.write_gb_s,
    latencyUs: tier.latency_us,
    pendingBytes: tier.max_pending_gb === undefined ? undefined : tier.max_pending_gb * 1e9,
  })),
})

function settingsOf(given: NonNullable<ClusterYaml['engine']>): EngineSettings {
  return givenOnly({
    maxNumSeqs: given.max_num_seqs,
    maxNumBatchedTokens: given.max_num_batched_tokens,
    maxModelLen: given.max_model_len,
    blockSize: given.block_size,
    numGpuBlocksOverride: given.num_gpu_blocks_override,
    longPrefillTokenThreshold: given.long_prefill_token_threshold,
    gpuMemoryUtilization: given.gpu_memory_utilization,
    enablePrefixCaching: given.enable_prefix_caching,
    enableChunkedPrefill: given.enable_chunked_prefill,
    reserveFullPrompt: given.scheduler_reserve_full_isl,
    asyncScheduling: given.async_scheduling,
    disableHybridKvCacheManager: given.disable_hybrid_kv_cache_manager,
    enforceEager: given.enforce_eager,
    dtype: given.dtype,
    kvCacheDtype: given.kv_cache_dtype,
    all2allBackend: given.all2all_backend,
  })
}

/** Without the keys that nobody gave. */
type Given<Named> = {[Key in keyof Named]?: Exclude<Named[Key], undefined>}
const givenOnly = <Named extends object>(named: Named): Given<Named> =>
  Object.fromEntries(
    Object.entries(named).filter(([, value]) => value !== undefined),
  ) as Given<Named>

/** Links that end in the devices themselves, beside PCIe. */
const ofDevices: ReadonlySet<string> = new Set(['nvlink', 'nvlink-bridge', 'ici'])

/** A rate that somebody gives may be that of anything. */
const ratesOf = (
  network: ClusterYaml['network'],
): {[Key in keyof NetworkRates]: NetworkRates[Key] | undefined} => ({
  bandwidthGbS: network?.bandwidth_gb_s,
  latencyUs: network?.latency_us,
  behindHostLink:
    network?.behind_host_link ??
    (network?.bandwidth_gb_s === undefined ? undefined : 'where slower'),
})

function trafficOf(file: ClusterYaml): FileTraffic {
  const {router, decode_router, router_view_age_ms, hand_off, network, admission} = file
  // Instances may lie anywhere: KV takes the way that all of them have.
  const outermost = file.topology?.at(-1)
  const ofTopology: Partial<NetworkRates> = outermost
    ? {
        bandwidthGbS: outermost.bandwidth_gb_s / outermost.devices_per_port,
        behindHostLink: ofDevices.has(outermost.kind) ? false : 'where slower',
      }
    : {}
  return {
    router: router?.name,
    weights: router?.weights,
    decodeRouter: decode_router?.name,
    viewAgeMs: router_view_age_ms,
    stream: hand_off?.stream,
    stayBelow: hand_off?.stay_below,
    network: network || outermost ? {...ofTopology, ...givenOnly(ratesOf(network))} : undefined,
    admission: admission?.map(({name, up_to_priority, max_waiting, ...rates}) => ({
      name,
      upToPriority: up_to_priority,
      ...(max_waiting === undefined ? {} : {maxWaiting: max_waiting}),
      ...rateOf(rates),
    })),
  }
}

function rateOf({
  requests_per_s: requests,
  tokens_per_s: tokens,
  burst,
}: {
  requests_per_s?: number | undefined
  tokens_per_s?: number | undefined
  burst?: number | undefined
}) {
  const perSecond = requests ?? tokens
  if (perSecond === undefined) return {}
  const of: 'requests' | 'tokens' = requests === undefined ? 'tokens' : 'requests'
  return {rate: {of, perSecond, burst: burst ?? Math.max(1, perSecond)}}
}
