/** `--cluster FILE.yaml`: instances, routing, hand-off and admission in one file. docs/cluster.md. */

import {z} from 'zod'
import {largestNumber, longestLatencyUs, slowestGbPerS} from '../catalogue/link-defaults.js'
import {pimSpecs} from '../catalogue/pim.js'
import {SchemaFault} from '../catalogue/schema-section.js'
import {weightFormats} from '../catalogue/weight-format.js'
import {readYamlFile} from '../catalogue/yaml-file.js'
import {defaultWeights, routers} from '../cluster/router.js'
import {closest} from '../edit-distance.js'
import type {Problem} from '../errors.js'
import {nearerOf, type TierKind, tierKinds} from './kv-tiers.js'
import {mostEngines} from './layout.js'
import {all2allBackends} from './run-request.js'
import {memoryKeys, memorySchema} from './weights/memory-schema.js'
import {namedParts, outerLayers, weightPlaces} from './weights/rules.js'

const size = z.int().min(1)
const share = z.number().gt(0).max(1)
const positive = z.number().positive().max(largestNumber)
const rate = z.number().min(slowestGbPerS).max(largestNumber)
const latency = z.number().min(0).max(longestLatencyUs)

/** One of some words as flags spell them; blanks may stand for their hyphens. Read with blanks. */
const worded = <const Words extends readonly [string, ...string[]]>(words: Words) =>
  z
    .preprocess(
      (text) => (typeof text === 'string' ? text.replaceAll(' ', '-') : text),
      z.enum(words),
    )
    .transform((word) => word.replaceAll('-', ' ') as Spaced<Words[number]>)

type Spaced<Word extends string> = Word extends `${infer Head}-${infer Tail}`
  ? `${Head} ${Spaced<Tail>}`
  : Word

/** vLLM's flag names, with underscores. */
const engine = z
  .strictObject({
    max_num_seqs: size,
    max_num_batched_tokens: size,
    max_model_len: size,
    block_size: size,
    num_gpu_blocks_override: size,
    long_prefill_token_threshold: z.int().min(0),
    gpu_memory_utilization: share,
    enable_prefix_caching: z.boolean(),
    enable_chunked_prefill: z.boolean(),
    scheduler_reserve_full_isl: z.boolean(),
    async_scheduling: z.boolean(),
    disable_hybrid_kv_cache_manager: z.boolean(),
    enforce_eager: z.boolean(),
    dtype: z.enum(weightFormats),
    kv_cache_dtype: z.enum(['auto', 'fp8']),
    all2all_backend: z.enum(all2allBackends),
  })
  .partial()

/** Memory below the devices that keeps KV, nearest first. */
const tier = z.strictObject({
  tier: z.enum(tierKinds),
  capacity_gb: positive,
  write: worded(['through', 'on-eviction']).default('through'),
  shared: z.boolean().default(false),
  read_gb_s: rate.optional(),
  write_gb_s: rate.optional(),
  latency_us: latency.optional(),
  max_pending_gb: positive.optional(),
})
const kvOffload = z.strictObject({
  host_link_gb_s: rate.optional(),
  tiers: z.array(tier),
})

const kind = {
  model: z.string().min(1).optional(),
  hardware: z.string().min(1).optional(),
  link: z.string().min(1).optional(),
  engine: engine.optional(),
  kv_offload: kvOffload.optional(),
}

/** KV in memory that computes. */
const pim = z.strictObject({
  spec: z.enum(pimSpecs.map(({name}) => name) as [string, ...string[]]),
  channels: size.optional(),
  bandwidth_gb_s: rate.optional(),
  latency_us: latency.optional(),
  sub_batches: z.boolean().default(false),
})

/** Where some of the weights lie. */
const weights = z.strictObject({
  blocks: z.union([z.int().min(0).transform(String), z.string()]).optional(),
  parts: z.array(z.enum(namedParts)).min(1).optional(),
  layers: z.array(z.enum(outerLayers)).min(1).optional(),
  on: z.enum(weightPlaces),
})

const instance = z.strictObject({
  ...kind,
  count: size.default(1),
  role: z.enum(['prefill', 'decode']).optional(),
  tp: size.default(1),
  pp: size.default(1),
  dp: size.default(1),
  ep: size.optional(),
  pim: pim.optional(),
  weights: z.array(weights).min(1).optional(),
  weight_prefetch: z.union([z.int().min(0), worded(['in-place'])]).optional(),
})

/** As --kv-stream says it; in a file, also in words. */
const stream = z
  .preprocess((text) => streamWords[text as string] ?? text, z.enum(['end', 'layer']))
  .transform((word) => (word === 'end' ? 'at the end' : 'by layer'))
const streamWords: Readonly<Record<string, string>> = {'at the end': 'end', 'by layer': 'layer'}

const routerName = z.enum(Object.keys(routers) as [string, ...string[]])
const router = z.union([
  routerName.transform((name) => ({name, weights: undefined})),
  z.strictObject({
    name: routerName,
    weights: z
      .strictObject({
        prefix: z.number().min(0).max(largestNumber).default(defaultWeights.prefix),
        tiers: z.number().min(0).max(largestNumber).default(defaultWeights.tiers),
        queue: z.number().min(0).max(largestNumber).default(defaultWeights.queue),
        kv: z.number().min(0).max(largestNumber).default(defaultWeights.kv),
      })
      .optional(),
  }),
])

/** What joins the members of a dimension, innermost dimension first. */
const dimension = z.strictObject({
  kind: z.enum(['nvlink', 'nvlink-bridge', 'pcie', 'ici', 'infiniband', 'ethernet']),
  degree: size,
  bandwidth_gb_s: rate,
  latency_us: latency.optional(),
  wiring: z.enum(['switch', 'ring']).default('switch'),
  devices_per_port: size.default(1),
})

const admission = z.strictObject({
  name: z.string().min(1),
  up_to_priority: z.int(),
  max_waiting: z.int().min(0).optional(),
  requests_per_s: positive.optional(),
  tokens_per_s: positive.optional(),
  burst: positive.optional(),
})

const schema = z
  .strictObject({
    ...kind,
    instances: z.array(instance).min(1),
    router: router.optional(),
    decode_router: router.optional(),
    router_view_age_ms: z
      .number()
      .min(0)
      .max(largestNumber / 1e6)
      .optional(),
    hand_off: z
      .strictObject({
        stream: stream.optional(),
        stay_below: z.int().min(0).optional(),
      })
      .optional(),
    network: z
      .strictObject({
        bandwidth_gb_s: rate.optional(),
        latency_us: latency.optional(),
        behind_host_link: z.boolean().optional(),
      })
      .optional(),
    topology: z.array(dimension).min(1).optional(),
    memory: memorySchema.optional(),
    admission: z.array(admission).min(1).optional(),
  })
  .superRefine((file, context) => {
    const roles = new Set(file.instances.map(({role}) => role))
    const fault = (path: (string | number)[], message: string) =>
      context.addIssue({code: 'custom', path, message})
    if (roles.has('decode') && roles.size === 1)
      fault(['instances'], 'has decode instances only: nobody runs the prompts')
    if (roles.has('prefill') && !roles.has('decode'))
      fault(['instances'], 'has prefill instances and none with role: decode')
    for (const key of ['decode_router', 'hand_off', 'network'] as const) {
      if (file[key] !== undefined && !roles.has('decode'))
        fault([key], 'needs instances with role: decode, which get KV from others')
    }
    for (const key of ['router', 'decode_router'] as const) {
      const {name, weights: scores} = file[key] ?? {}
      if (scores !== undefined && name !== 'weighted')
        fault([key, 'weights'], `is read by the router weighted, not by ${name}`)
    }
    const tiers = (list: readonly {tier: TierKind}[], path: (string | number)[]) => {
      for (const [i, {tier: name}] of list.entries()) {
        const at = [...path, 'kv_offload', 'tiers', i, 'tier']
        if (list.findIndex((other) => other.tier === name) < i)
          fault(at, `stands there twice: ${name}`)
        else if (i > 0 && nearerOf([list[i - 1]!.tier, name]))
          fault(at, `is ${name}, nearer to the device than the tier before it`)
      }
    }
    tiers(file.kv_offload?.tiers ?? [], [])
    let engines = 0
    for (const [i, instance] of file.instances.entries()) {
      engines += instance.count * instance.dp
      if (engines > mostEngines) {
        fault(
          ['instances', i, 'count'],
          `makes ${engines} engines, and a run holds at most ${mostEngines}: simulate a part of them with a part of the requests`,
        )
        break
      }
      tiers(instance.kv_offload?.tiers ?? [], ['instances', i])
      if (instance.hardware === undefined && file.hardware === undefined)
        fault(['instances', i], 'lacks the key hardware, here or at the top of the file')
      if (instance.weight_prefetch !== undefined && instance.weights === undefined)
        fault(['instances', i, 'weight_prefetch'], 'needs weights, which it fetches')
    }
    for (const [i, {requests_per_s, tokens_per_s, burst}] of (file.admission ?? []).entries()) {
      const rates = [requests_per_s, tokens_per_s].filter((rate) => rate !== undefined).length
      if (rates > 1) fault(['admission', i], 'has two rates: requests_per_s or tokens_per_s')
      if (rates === 0 && burst !== undefined)
        fault(['admission', i, 'burst'], 'needs requests_per_s or tokens_per_s')
    }
  })

export type ClusterYaml = z.infer<typeof schema>
export type KvOffloadYaml = z.infer<typeof kvOffload>
export type DimensionYaml = z.infer<typeof dimension>
export type InstanceYaml = ClusterYaml['instances'][number]

/** @throws Problem CLUSTER_BAD_FILE with file:line:column, the path, and the rule */
export async function readClusterYaml(path: string): Promise<ClusterYaml> {
  const file = await readYamlFile(path, 'CLUSTER_BAD_FILE')
  const result = schema.safeParse(file.value)
  if (result.success) return result.data
  throw await file.problem(faultOf(causeAmong(result.error.issues), file.value))
}

/** A fault that shows only with the models and devices that the file names, told like others. */
export async function clusterProblem(path: string, fault: SchemaFault): Promise<Problem> {
  return (await readYamlFile(path, 'CLUSTER_BAD_FILE')).problem(fault)
}

/** `file:line:column` of what stands at a path. */
export async function placeInFile(path: string, keys: readonly PropertyKey[]): Promise<string> {
  return (await readYamlFile(path, 'CLUSTER_BAD_FILE')).place(keys)
}

export const instanceKeys: readonly string[] = Object.keys(instance.shape)
export const engineKeys: readonly string[] = Object.keys(engine.shape)

type Issue = z.core.$ZodIssue

/** A key that is misspelt is also a key that is missing: the cause before its effect. */
const causeAmong = (issues: readonly Issue[]): Issue =>
  issues.find(({code}) => code === 'unrecognized_keys') ?? issues[0]!

/** zod's finding in the words of this program. */
function faultOf(issue: Issue, given: unknown): SchemaFault {
  const {path} = issue
  const plain = (rule: string) => new SchemaFault(path, rule)
  switch (issue.code) {
    case 'unrecognized_keys': {
      const [key = ''] = issue.keys
      const known = keysAt(path)
      const [near] = closest(key, known)
      return new SchemaFault([...path, key], 'is not a known key', {
        at: 'key',
        suggestions: [
          ...(near === undefined ? [] : [`did you mean ${near}?`]),
          `Known: ${known.join(', ')}`,
        ],
      })
    }
    case 'invalid_type': {
      const value = valueAt(given, path)
      if (value === undefined) return plain(missing(issue))
      const list = path.at(-1) === 'instances' ? {suggestions: [listOfInstances(value)]} : {}
      return new SchemaFault(path, `must be ${article(issue.expected)}`, list)
    }
    case 'invalid_value': {
      const values = issue.values.map(String)
      const near = closest(String(valueAt(given, path)), values)
      const suggestions = near.map((value) => `${String(path.at(-1))}: ${value}`)
      return new SchemaFault(path, `must be one of ${values.join(', ')}`, {suggestions})
    }
    case 'invalid_union': {
      const either = path.at(-1) === 'blocks' ? blocksRule : prefetchRule
      if (path.at(-1) === 'blocks' || path.at(-1) === 'weight_prefetch') return plain(either)
      const names = Object.keys(routers).join(', ')
      // A map with a fault inside of it is meant as the map that it could be.
      if (typeof valueAt(given, path) === 'object') {
        const inside = causeAmong(issue.errors.at(-1)!)
        return faultOf({...inside, path: [...path, ...inside.path]}, given)
      }
      return new SchemaFault(path, 'must be the name of a router, or a map with its name', {
        suggestions: [`Routers: ${names}`],
      })
    }
    case 'too_small':
      if (issue.minimum === slowestGbPerS)
        return new SchemaFault(path, `must be ${bound(issue)}`, ofRates)
      return plain(issue.origin === 'array' ? 'must not be empty' : `must be ${bound(issue)}`)
    case 'too_big':
      return plain(`must be at most ${issue.maximum}`)
    default:
      return plain(issue.message)
  }
}

/** A number is meant as one of equal instances. */
const listOfInstances = (value: unknown): string =>
  `instances: [{hardware: H100, count: ${typeof value === 'number' && value >= 1 ? Math.floor(value) : 1}}]`

const ofRates = {suggestions: ['GB/s are 10^9 bytes per second: a network of 100 Gb/s has 12.5.']}
const blocksRule = 'must be numbers and ranges, as 0-3,8'
const prefetchRule = 'must be a number of blocks, or in-place'

const valueAt = (given: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | null)?.[key], given)

const missing = (issue: Issue & {expected?: string}): string =>
  `is missing; it must be ${article(issue.expected ?? 'value')}`
const bound = ({minimum, inclusive}: {minimum: number | bigint; inclusive?: boolean}): string =>
  inclusive === false ? `above ${minimum}` : `at least ${minimum}`
const words: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  string: 'a text',
  boolean: 'true or false',
  array: 'a list',
  object: 'a map',
}
const article = (type: string): string => words[type] ?? `a ${type}`

function keysAt(path: readonly PropertyKey[]): string[] {
  const last = path.filter((key) => typeof key === 'string').at(-1)
  if (last === 'engine') return [...engineKeys]
  if (last === 'instances') return [...instanceKeys]
  if (path[0] === 'instances' && last === 'weights') return Object.keys(weights.shape)
  if (last === 'weights') return ['prefix', 'tiers', 'queue', 'kv']
  if (last === 'router' || last === 'decode_router') return ['name', 'weights']
  if (last === 'pim') return Object.keys(pim.shape)
  if (last === 'kv_offload') return Object.keys(kvOffload.shape)
  if (last === 'tiers') return Object.keys(tier.shape)
  if (last === 'topology') return Object.keys(dimension.shape)
  if (last === 'admission') return Object.keys(admission.shape)
  if (last === 'hand_off') return ['stream', 'stay_below']
  if (last === 'memory') return Object.keys(memorySchema.shape)
  if (last !== undefined && last in memorySchema.shape) return memoryKeys
  if (last === 'network') return ['bandwidth_gb_s', 'latency_us', 'behind_host_link']
  return Object.keys(schema.shape)
}
