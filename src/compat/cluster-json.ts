/**
 * Reads LLMServingSim's cluster JSON: instances with their parallelism, roles and data-parallel groups. What this
 * version cannot place is an error that names it.
 */
import {readFileSync} from 'node:fs'
import {parseJson} from '../catalogue/json-text.js'
import {slowestGbPerS} from '../catalogue/link-defaults.js'
import {Problem} from '../errors.js'
import {whyUnreadable} from '../unreadable.js'
import {type NodePower, readPower} from './cluster-power.js'
import {hostMemoryOf, type PimHost, readPimHost} from './pim-attention.js'
import {readPlacement, type WeightPlacement} from './weight-placement.js'

export interface ClusterInstance {
  /** JSON path, for messages. */
  readonly path: string
  /** Index of its node. */
  readonly node: number
  readonly modelName: string
  readonly hardware: string
  readonly memory: {
    readonly sizeGib: number
    readonly bandwidthGb: number
    readonly utilization: number | undefined
  }
  /** Of the node the instance is on. */
  readonly hostMemory: {readonly bandwidthGb: number; readonly latencyNs: number}
  readonly tp: number
  readonly pp: number
  readonly role: 'prefill' | 'decode' | undefined
  /** Ranks of the same group. */
  readonly dpGroup: string | undefined
  /** Undefined: tp for a model with experts, else 1. */
  readonly ep: number | undefined
  readonly settings: InstanceSettings
  /** Where decodes attend in the host memory of the node. */
  readonly pim?: PimHost & {readonly subBatches: boolean}
  /** Absent: all weights lie on the device. */
  readonly placement?: WeightPlacement
}

/** Per-instance overrides that LLMServingSim knows and this version has. */
export interface InstanceSettings {
  readonly maxNumSeqs?: number
  readonly maxNumBatchedTokens?: number
  readonly longPrefillTokenThreshold?: number
  readonly blockSize?: number
  readonly dtype?: string
  readonly kvCacheDtype?: string
  readonly enableChunkedPrefill?: boolean
  readonly enablePrefixCaching?: boolean
  readonly reserveFullPrompt?: boolean
}

export interface ClusterLink {
  readonly bandwidthGb: number
  readonly latencyNs: number
}

export interface ClusterFile {
  readonly link: ClusterLink
  /** Of each dimension of the network, the innermost first; one stands for all. */
  readonly links: readonly ClusterLink[]
  readonly instances: readonly ClusterInstance[]
  /** What each node draws; undefined unless every node says so. */
  readonly power: readonly NodePower[] | undefined
  /** Of each CXL device; absent: there are none. */
  readonly cxl?: {readonly bandwidthGb: number; readonly latencyNs: number}
  readonly notes: readonly string[]
}

/** How each override is read; 0 is LLMServingSim's word for no limit. */
const overrides = {
  max_num_seqs: (node) => ({maxNumSeqs: node.whole('max_num_seqs', 0)}),
  max_num_batched_tokens: (node) => ({
    maxNumBatchedTokens: node.whole('max_num_batched_tokens', 0),
  }),
  long_prefill_token_threshold: (node) => ({
    longPrefillTokenThreshold: node.whole('long_prefill_token_threshold', 0),
  }),
  block_size: (node) => ({blockSize: node.size('block_size')}),
  dtype: (node) => ({dtype: node.option('dtype')}),
  kv_cache_dtype: (node) => ({kvCacheDtype: node.option('kv_cache_dtype')}),
  enable_chunked_prefill: (node) => ({enableChunkedPrefill: node.flag('enable_chunked_prefill')}),
  enable_prefix_caching: (node) => ({enablePrefixCaching: node.flag('enable_prefix_caching')}),
  reserve_full_isl: (node) => ({reserveFullPrompt: node.flag('reserve_full_isl')}),
} as const satisfies Record<
  string,
  (node: Node) => {[K in keyof InstanceSettings]: InstanceSettings[K] | undefined}
>

/** Keys that change what is simulated in ways this version does not have. */
const notBuilt = ['enable_local_offloading']
const ignored = ['enable_block_copy']
const instanceKeys = [
  'model_name',
  'hardware',
  'npu_mem',
  'num_npus',
  'tp_size',
  'pp_size',
  'ep_size',
  'pd_type',
  'dp_group',
  'placement',
  'enable_attn_offloading',
  'enable_sub_batch_interleaving',
  ...Object.keys(overrides),
  ...notBuilt,
  ...ignored,
]

type Fields = Readonly<Record<string, unknown>>

/** One object of the file with its path: reads fields and says where they are when they are wrong. */
export class Node {
  readonly file: string
  readonly path: string
  readonly #fields: Fields

  constructor(file: string, path: string, value: unknown) {
    this.file = file
    this.path = path
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw this.fault('', 'must be an object')
    }
    this.#fields = value as Fields
  }

  fault(key: string, rule: string): Problem {
    const place = [this.path, key].filter((part) => part !== '').join('.')
    return new Problem('CLUSTER_BAD_FILE', `${this.file}: ${place || 'the file'} ${rule}.`)
  }

  get(key: string): unknown {
    return this.#fields[key]
  }

  keys(): string[] {
    return Object.keys(this.#fields)
  }

  text(key: string): string {
    const value = this.get(key)
    if (typeof value !== 'string' || value === '') throw this.fault(key, 'must be a text')
    return value
  }

  /** GB/s that something can have. */
  rate(key: string): number {
    const value = this.number(key, 'positive')
    if (value < slowestGbPerS) throw this.fault(key, `must be at least ${slowestGbPerS} GB/s`)
    return value
  }

  number(key: string, rule: 'positive' | 'not negative'): number {
    const value = this.get(key)
    const isGood = typeof value === 'number' && Number.isFinite(value) && value >= 0
    if (!isGood || (rule === 'positive' && value === 0)) {
      throw this.fault(key, `must be a number ${rule === 'positive' ? 'above 0' : 'of at least 0'}`)
    }
    return value
  }

  whole(key: string, least: 0 | 1): number | undefined {
    const value = this.get(key)
    if (value === undefined || value === null) return undefined
    if (!Number.isSafeInteger(value) || (value as number) < least) {
      throw this.fault(key, `must be a whole number of at least ${least}`)
    }
    return value as number
  }

  size(key: string): number | undefined {
    return this.whole(key, 1)
  }

  flag(key: string): boolean | undefined {
    const value = this.get(key) ?? undefined
    if (value !== undefined && typeof value !== 'boolean')
      throw this.fault(key, 'must be true or false')
    return value
  }

  option(key: string): string | undefined {
    return (this.get(key) ?? undefined) === undefined ? undefined : this.text(key)
  }

  /** A list, and the number of its elements that the file also states. */
  counted(key: string, countKey: string): Node[] {
    const items = this.list(key)
    const count = this.size(countKey)
    if (count !== undefined && count !== items.length)
      throw this.fault(countKey, `is ${count}, but ${key} has ${items.length}`)
    return items
  }

  object(key: string): Node {
    return new Node(this.file, [this.path, key].filter(Boolean).join('.'), this.get(key))
  }

  list(key: string): Node[] {
    const value = this.get(key)
    if (!Array.isArray(value) || value.length === 0)
      throw this.fault(key, 'must be a list that is not empty')
    const path = [this.path, key].filter(Boolean).join('.')
    return value.map((item, i) => new Node(this.file, `${path}[${i}]`, item))
  }
}

/** @throws Problem CLUSTER_BAD_FILE naming the JSON path, NOT_BUILT */
export function readClusterFile(file: string): ClusterFile {
  const root = new Node(file, '', parse(file))
  const notes: string[] = []
  const nodes = root.counted('nodes', 'num_nodes')
  const usesCxl = JSON.stringify(nodes.map((node) => node.get('instances'))).includes('"cxl:')
  const cxl = usesCxl ? readCxl(root) : undefined
  const power = nodes.flatMap((node) => (node.get('power') === undefined ? [] : readPower(node)))
  const knowsPower = power.length === nodes.length
  if (power.length > 0 && !knowsPower)
    notes.push(`${file}: a node has no power section, so none is used, as in LLMServingSim.`)
  const hostMemory = readHostMemory(nodes[0]!)
  const instances = nodes.flatMap((node, at) => {
    const pim = readPimHost(node.object('cpu_mem'))
    return node.counted('instances', 'num_instances').map((instance) => {
      const placement = readPlacement(instance, cxl?.devices ?? 0)
      const asked = pimOf(instance, pim)
      return {
        ...readInstance(instance, hostMemory),
        node: at,
        ...(placement && {placement}),
        ...(asked && {pim: asked}),
      }
    })
  })
  if (root.get('cxl_mem') !== undefined && cxl === undefined)
    notes.push(`${file}: cxl_mem is not used by any instance and ignored.`)
  checkGroups(file, instances)
  const links = readLinks(root)
  return {
    link: links[0]!,
    links,
    instances,
    power: knowsPower ? power : undefined,
    ...(cxl && {cxl}),
    notes,
  }
}

function parse(file: string): unknown {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new Problem('CLUSTER_BAD_FILE', `${file}: ${whyUnreadable(cause)}.`, {
      cause,
    })
  }
  return parseJson(text, file, 'CLUSTER_BAD_FILE')
}

/** Ranks of a group run the same passes, so they are cut alike; their experts are spread over all of them, or over each. */
function checkGroups(file: string, instances: readonly ClusterInstance[]): void {
  const firsts = new Map<string, ClusterInstance>()
  for (const instance of instances) {
    const {dpGroup, path, tp, ep} = instance
    if (dpGroup === undefined) continue
    const first = firsts.get(dpGroup) ?? instance
    firsts.set(dpGroup, first)
    const fault = (rule: string) =>
      new Problem('CLUSTER_BAD_FILE', `${file}: ${path}.dp_group: ${rule}.`)
    for (const [key, name] of [
      ['tp', 'tp_size'],
      ['pp', 'pp_size'],
      ['ep', 'ep_size'],
    ] as const) {
      if (instance[key] !== first[key])
        throw fault(`"${dpGroup}" needs the same ${name} as ${first.path}`)
    }
    const size = instances.filter((other) => other.dpGroup === dpGroup).length
    if (ep !== undefined && ep > tp && ep !== tp * size)
      throw fault(`ep_size ${ep} must be at most tp_size ${tp}, or ${tp * size}, all ranks`)
  }
}

/** LLMServingSim uses the first node's host memory for all nodes. */
function readHostMemory(node: Node): ClusterInstance['hostMemory'] {
  const memory = node.object('cpu_mem')
  const given = {
    bandwidthGb: memory.rate('mem_bw'),
    latencyNs: memory.number('mem_latency', 'not negative'),
  }
  const pim = readPimHost(memory)
  return pim ? hostMemoryOf(pim) : given
}

/** Undefined where the instance does not ask for it. */
function pimOf(instance: Node, host: PimHost | undefined): ClusterInstance['pim'] {
  const [offloads, interleaves] = ['enable_attn_offloading', 'enable_sub_batch_interleaving']
  const isAsked = instance.flag(offloads!) ?? false
  const subBatches = instance.flag(interleaves!) ?? false
  if (subBatches && !isAsked) throw instance.fault(interleaves!, `needs ${offloads}`)
  if (!isAsked) return undefined
  if (host === undefined)
    throw instance.fault(offloads!, 'needs pim_config in the cpu_mem of its node')
  return {...host, subBatches}
}

function readCxl(root: Node) {
  if (root.get('cxl_mem') === undefined) return undefined
  const memory = root.object('cxl_mem')
  return {
    bandwidthGb: memory.rate('mem_bw'),
    latencyNs: memory.number('mem_latency', 'not negative'),
    devices: memory.size('num_devices') ?? 1,
  }
}

/** One number for all dimensions of the network, or one per dimension, the innermost first. */
function readLinks(root: Node): ClusterLink[] {
  const bandwidths = perDimension(root, 'link_bw').map((one) => one.rate('link_bw'))
  const latencies = perDimension(root, 'link_latency').map((one) =>
    one.number('link_latency', 'not negative'),
  )
  return Array.from({length: Math.max(bandwidths.length, latencies.length)}, (_, at) => ({
    bandwidthGb: bandwidths[Math.min(at, bandwidths.length - 1)]!,
    latencyNs: latencies[Math.min(at, latencies.length - 1)]!,
  }))
}

/** A figure for all dimensions, or a list with one for each: what has each of them. */
function perDimension(root: Node, key: string): Node[] {
  const value = root.get(key)
  if (!Array.isArray(value) || value.length === 0) return [root]
  return value.map((item) => new Node(root.file, '', {[key]: item}))
}

const unbuilt = (node: Node, key: string): Problem =>
  new Problem('NOT_BUILT', `${node.file}: ${node.path}.${key}: "${key}" is not built yet.`, {
    suggestions: ['Use independent instances with tensor parallelism.'],
  })

function readInstance(
  instance: Node,
  hostMemory: ClusterInstance['hostMemory'],
): Omit<ClusterInstance, 'node'> {
  for (const key of instance.keys()) {
    if (!instanceKeys.includes(key))
      throw instance.fault(key, `is not known here (known: ${instanceKeys.join(', ')})`)
    const value = instance.get(key)
    const isOff = value === false || value === null || value === undefined
    if (notBuilt.includes(key) && !isOff) throw unbuilt(instance, key)
  }
  const role = instance.get('pd_type') ?? undefined
  if (role !== undefined && role !== 'prefill' && role !== 'decode')
    throw instance.fault('pd_type', 'must be prefill, decode or null')
  const dpGroup = instance.option('dp_group')
  const pp = instance.size('pp_size') ?? 1
  const npus = instance.size('num_npus')
  const tp = instance.size('tp_size') ?? (npus ?? pp) / pp
  if (!Number.isInteger(tp))
    throw instance.fault('num_npus', `is ${npus}, which pp_size ${pp} does not divide`)
  if (npus !== undefined && npus !== tp * pp) {
    throw instance.fault('num_npus', `is ${npus}, but tp_size · pp_size is ${tp * pp}`)
  }
  const memory = instance.object('npu_mem')
  const utilization =
    memory.get('mem_util') === undefined ? undefined : memory.number('mem_util', 'positive')
  if (utilization !== undefined && utilization > 1)
    throw memory.fault('mem_util', 'must be at most 1, as in 0.9')
  return {
    path: instance.path,
    modelName: instance.text('model_name'),
    hardware: instance.text('hardware'),
    memory: {
      sizeGib: memory.number('mem_size', 'positive'),
      bandwidthGb: memory.rate('mem_bw'),
      utilization,
    },
    hostMemory,
    tp,
    pp,
    role,
    dpGroup,
    ep: instance.size('ep_size'),
    settings: readSettings(instance),
  }
}

function readSettings(instance: Node): InstanceSettings {
  const given = Object.values(overrides).flatMap((read) => Object.entries(read(instance)))
  return Object.fromEntries(given.filter(([, value]) => value !== undefined))
}
