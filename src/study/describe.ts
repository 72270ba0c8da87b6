/** What was built, in words for people and as the `config` of a run. */

import type {EngineConfig} from '../engine/engine-config.js'
import {count, counted} from '../report/figures.js'
import type {TieredKv} from '../tiers/tier-groups.js'
import type {TraceFacts} from '../trace/parts.js'
import {autoscaleConfig, describeAutoscale} from './autoscaling.js'
import type {DeployedEngine, Deployment} from './deployment.js'
import {bandLine, bandText, errorBand} from './error-bands.js'
import {hostLinkOf, isBehindHostLink} from './kv-links.js'
import {describeTiers, tiersConfig} from './kv-tiers.js'
import {describeLora, loraConfig} from './lora.js'
import {missingGuides, notesOf, servedModels} from './run-notes.js'
import {describeSpeculation, speculationConfig} from './speculation.js'
import {describeTraffic} from './traffic.js'

const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1)

/** Parts what stands above the tables, what ran, from what stands below them: how far to trust it, and where it is from. */
const foot = ''

/** Lines around the tables: the trace, the engines; behind `foot` errors, notes, memory, where each time comes from. */
export function describeRun(
  trace: TraceFacts,
  deployment: Deployment,
  traceName: string,
): string[] {
  const {compat} = deployment.request
  const band = bandLine(deployment)
  return [
    `${traceLine(trace, traceName)}; seed ${deployment.request.seed}`,
    ...engineLines(deployment),
    ...trafficLine(deployment),
    ...(deployment.speculator ? [describeSpeculation(deployment.speculator)] : []),
    ...(deployment.request.autoscale
      ? [describeAutoscale(deployment.request.autoscale, deployment.engines.length)]
      : []),
    ...(deployment.request.lora && deployment.engines[0]!.adapters
      ? [describeLora(deployment.request.lora, deployment.engines[0]!.adapters)]
      : []),
    ...(compat === undefined ? [] : [`clock: ${compat}, artefacts included (docs/compat.md)`]),
    foot,
    ...notesOf(trace, deployment).map((note) => `note: ${note}`),
    ...(band === undefined ? [] : [band]),
    ...sourceLines(deployment),
    ...tierLines(deployment),
    ...(deployment.power?.sources ?? []).map((source) => `power: ${source}`),
  ]
}

/** The slowest host link is named where KV that engines hand on crosses some. */
function trafficLine({traffic, replicas, engines, kvLinks}: Deployment): string[] {
  const crossed = engines
    .filter(({instance}) => isBehindHostLink(instance, traffic.network))
    .map(({instance}) => hostLinkOf(instance)! * instance.tp * instance.pp)
  const isKnown = kvLinks !== undefined && crossed.length > 0
  return describeTraffic(traffic, replicas, isKnown ? Math.min(...crossed) : undefined)
}

/** The same without a trace: what stands ready. */
export function describeEngines(deployment: Deployment): string[] {
  return [
    ...engineLines(deployment),
    ...sourceLines(deployment),
    ...tierLines(deployment),
    ...trafficLine(deployment),
    ...deployment.notes.map((note) => `note: ${note}`),
  ]
}

interface Kind {
  readonly line: string
  readonly config: EngineRecord
  readonly engine: DeployedEngine
  count: number
}

/** Engines share their lines where all of `config` is alike. */
function engineKinds(deployment: Deployment): Kind[] {
  const kinds = new Map<string, Kind>()
  for (const engine of deployment.engines) {
    const line = engineLine(engine)
    const config = engineConfig(engine, undefined)
    const key = JSON.stringify([line, config])
    const kind = kinds.get(key) ?? {line, config, engine, count: 0}
    kind.count++
    kinds.set(key, kind)
  }
  return [...kinds.values()]
}

function engineLines(deployment: Deployment): string[] {
  const all = engineKinds(deployment)
  return all.map(
    (kind) => `${kind.count > 1 ? `${kind.count} × ` : ''}${kind.line}${differences(kind, all)}`,
  )
}

/** Memory and terms of the step of every kind of engine; of several, behind its name, or its place in the head. */
function sourceLines(deployment: Deployment): string[] {
  const all = engineKinds(deployment)
  const names = all.map(({engine}) => {
    const {role} = engine.instance
    return `${role === undefined ? '' : `${role}: `}${devicesText(engine)}`
  })
  const areUnlike = new Set(names).size === names.length
  return all.flatMap(({engine}, at) => {
    const own = [
      memoryLine(engine),
      ...engine.latency.provenance.map(({term, from, detail}) => `${term}: ${from}; ${detail}`),
    ]
    if (all.length === 1) return own
    const name = areUnlike ? names[at]! : `${names[at]} (${at + 1} of ${all.length} above)`
    return own.map((line) => `${name}: ${line}`)
  })
}

/** Settings that neither the line of an engine nor that of its memory has. */
const unsaid = [
  ...(['kv_cache_dtype', 'max_model_len', 'long_prefill_token_threshold'] as const),
  ...(['enable_prefix_caching', 'enable_chunked_prefill', 'sampling'] as const),
]

/** Those in which an engine differs from others of the same line. */
function differences({line, config}: Kind, all: readonly Kind[]): string {
  const others = all.filter((kind) => kind.line === line)
  return unsaid
    .filter((name) => others.some((other) => other.config[name] !== config[name]))
    .map((name) => `, ${name} ${config[name] ?? 'unlimited'}`)
    .join('')
}

/** Engines whose tiers are alike share a line, which names them where others have none or different ones. */
function tierLines({engines, tiers}: Deployment): string[] {
  const alike = new Map<string, number[]>()
  for (const [at, {instance, settled}] of engines.entries()) {
    const tiered = tiers[at]
    if (tiered === undefined) continue
    const line = describeTiers({instance, config: settled.config}, tiered)
    alike.set(line, [...(alike.get(line) ?? []), at])
  }
  return [...alike].map(([line, own]) => {
    if (own.length === engines.length) return `KV below the device: ${line}`
    return `KV below ${own.length === 1 ? 'engine' : 'engines'} ${own.join(', ')}: ${line}`
  })
}

/** The head of a comparison: the trace, a line or two for each device, notes of all. */
export function describeDevices(
  trace: TraceFacts,
  deployments: readonly Deployment[],
  traceName: string,
): string[] {
  const notes = deployments.flatMap(({engines, notes}) => {
    const device = engines[0]!.instance.hardwareName
    return notes.map((note) => (note.includes(device) ? note : `${device}: ${note}`))
  })
  return [
    traceLine(trace, traceName),
    ...(deployments[0] ? [modelText(deployments[0].engines[0]!)] : []),
    foot,
    ...[
      ...trace.notes,
      ...notes,
      ...(deployments[0]
        ? [...servedModels(trace, deployments[0]), ...missingGuides(trace, deployments[0])]
        : []),
    ].map((note) => `note: ${note}`),
    ...deployments.map(deviceLine),
    ...deviceTierLines(deployments),
  ]
}

function traceLine(trace: TraceFacts, name: string): string {
  const mean = (tokens: number) => count(tokens / trace.length)
  const lengths = `mean ${mean(trace.inputTokens)} in, ${mean(trace.outputTokens)} out`
  return `trace ${name}: ${counted(trace.length, 'request')} (${trace.format}), ${lengths}`
}

function engineLine(engine: DeployedEngine): string {
  const {model, role} = engine.instance
  const weights = model.quantization?.method ?? model.dtype
  return `${role === undefined ? '' : `${role}: `}${model.id} (${weights}) on ${devicesText(engine)}: ${limitsText(engine)}, ${scheduleText(engine)}`
}

const modelText = (engine: DeployedEngine): string => {
  const {model} = engine.instance
  return `${model.id} (${model.quantization?.method ?? model.dtype}), ${scheduleText(engine)}`
}

/** A device of a comparison: its limits, errors to expect, and which terms of its step time come from where. */
function deviceLine(deployment: Deployment): string {
  const {engines} = deployment
  const engine = engines[0]!
  const band = errorBand(deployment)
  const terms = new Map<string, string[]>()
  for (const {term, from} of engine.latency.provenance)
    terms.set(from, [...(terms.get(from) ?? []), term])
  const sources = [...terms].map(([from, names]) => `${from}: ${names.join(', ')}`)
  const many = engines.length > 1 ? `${engines.length} × ` : ''
  return [
    `${many}${devicesText(engine)}: ${limitsText(engine)}`,
    ...(band === undefined ? [] : [`expect ${bandText(band)}`]),
    ...sources,
  ].join('; ')
}

/** Devices differ in their links. */
function deviceTierLines(deployments: readonly Deployment[]): string[] {
  const lines = deployments.map(tierLines)
  const [first = []] = lines
  const areAlike = lines.every((own) => own.join() === first.join())
  if (areAlike) return first
  return lines.flatMap((own, at) =>
    own.map((line) => `${deployments[at]!.engines[0]!.instance.hardwareName}: ${line}`),
  )
}

function devicesText({instance}: DeployedEngine): string {
  const {hardwareName, tp, pp, ep, link} = instance
  if (tp * pp === 1) return hardwareName
  const cut = [
    ...(tp > 1 ? [`tp ${tp}`] : []),
    ...(pp > 1 ? [`pp ${pp}`] : []),
    ...(ep > 1 ? [`ep ${ep}`] : []),
    ...(link ? [link.name] : []),
  ]
  return `${tp * pp} × ${hardwareName} (${cut.join(', ')})`
}

/** An engine in a few words: what it is for, its devices, and its model where others have another. */
export function engineName({engines}: Deployment, at: number): string {
  const engine = engines[at]
  if (engine === undefined) return ''
  const {role, model} = engine.instance
  const isMixed = engines.some(({instance}) => instance.model.id !== model.id)
  const words = [role, devicesText(engine), isMixed ? model.id : undefined]
  return words.filter((word) => word !== undefined).join(': ')
}

function limitsText({settled}: DeployedEngine): string {
  const {maxNumSeqs, maxNumBatchedTokens} = settled.config
  const seats = maxNumSeqs === Number.MAX_SAFE_INTEGER ? 'any number of' : count(maxNumSeqs)
  const isUnlimited = maxNumBatchedTokens === Number.MAX_SAFE_INTEGER
  const budget = isUnlimited ? 'any number of' : count(maxNumBatchedTokens)
  return `${seats} seats, ${budget} tokens a step`
}

const scheduleText = ({instance, settled}: DeployedEngine): string =>
  `${instance.profile.id}, ${settled.config.policy.name}, ${schedulingText(settled.config)}${instance.settings.enforceEager ? ', no CUDA graphs' : ''}`

const blocksText = ({numGpuBlocks, blockSize}: EngineConfig): string =>
  `${count(numGpuBlocks)} KV blocks of ${blockSize} tokens`

/** Pages, what a token takes of them, and how many tokens that are as vLLM prints it at its start. */
function pagesText(config: EngineConfig): string {
  const groups = config.kvGroups!
  const each = groups.reduce((sum, {pages}) => sum + pages, 0)
  const tokens = Math.floor(config.numGpuBlocks / each) * config.blockSize
  const seen = groups.map(({sees, window, pages}) => {
    const what = sees === 'everything' ? 'the whole context' : `${sees}s of ${count(window)} tokens`
    return `${pages} for ${what}`
  })
  return `${count(config.numGpuBlocks)} KV pages of ${config.blockSize} tokens, ${each} a block (${seen.join(', ')}): ${count(tokens)} tokens kept whole`
}

function memoryLine({settled}: DeployedEngine): string {
  const {memory, config, gpuMemoryUtilization, blocksFrom} = settled
  const blocks = config.kvGroups ? pagesText(config) : blocksText(config)
  if (memory === undefined) return `memory: ${blocks} (${blocksFrom})`
  const parts = [
    `weights ${gigabytes(memory.weights.total - (memory.offloadedBytes ?? 0))}`,
    ...(memory.bufferBytes ? [`buffer ${gigabytes(memory.bufferBytes)}`] : []),
    `activations ${gigabytes(memory.activationBytes)}`,
    `runtime ${gigabytes(memory.runtimeBytes)}`,
  ]
  return `memory: ${gpuMemoryUtilization} × ${gigabytes(memory.memoryBytes)} GB − ${parts.join(' − ')} = ${gigabytes(memory.kvBytes)} GB: ${blocks}`
}

/** The resolved configuration, as it stands in run.json: no machine paths, nothing that changes between equal runs. */
export function configOf(trace: TraceFacts, deployment: Deployment, traceName: string) {
  const {request, layout} = deployment
  return {
    trace: {name: traceName, format: trace.format, requests: trace.length},
    layout,
    router: deployment.traffic.router,
    traffic: deployment.traffic,
    policy: typeof request.policy === 'string' ? request.policy : deployment.policy.name,
    compat: request.compat ?? null,
    front_end: request.frontEnd,
    seed: request.seed,
    ...(request.autoscale && {autoscaling: autoscaleConfig(request.autoscale)}),
    ...(request.lora &&
      deployment.engines[0]!.adapters && {
        lora: loraConfig(request.lora, deployment.engines[0]!.adapters),
      }),
    ...(deployment.speculator && {speculation: speculationConfig(deployment.speculator)}),
    engines: deployment.engines.map((engine, at) => engineConfig(engine, deployment.tiers[at])),
    expected_error_percent: errorBand(deployment) ?? null,
    notes: notesOf(trace, deployment),
  }
}

type EngineRecord = ReturnType<typeof engineConfig>

function engineConfig(engine: DeployedEngine, tiered: TieredKv | undefined) {
  const {instance, settled, latency} = engine
  const {config, memory, gpuMemoryUtilization} = settled
  const unlimited = (value: number) => (value === Number.MAX_SAFE_INTEGER ? null : value)
  return {
    hardware: instance.hardwareName,
    link: instance.link?.name ?? null,
    engine: instance.profile.id,
    sampling: instance.sampling,
    model: instance.model.id,
    dtype: instance.model.quantization?.method ?? instance.model.dtype,
    kv_cache_dtype: instance.settings.kvCacheDtype ?? 'auto',
    tp: instance.tp,
    pp: instance.pp,
    ep: instance.ep,
    max_num_seqs: unlimited(config.maxNumSeqs),
    max_num_batched_tokens: unlimited(config.maxNumBatchedTokens),
    long_prefill_token_threshold: config.longPrefillTokenThreshold,
    max_model_len: unlimited(config.maxModelLen),
    block_size: config.blockSize,
    num_gpu_blocks: config.numGpuBlocks,
    ...(config.kvGroups && {kv_cache_groups: config.kvGroups}),
    gpu_memory_utilization: gpuMemoryUtilization,
    enable_prefix_caching: config.enablePrefixCaching,
    enable_chunked_prefill: config.enableChunkedPrefill,
    async_scheduling: config.depth > 1,
    enforce_eager: instance.settings.enforceEager ?? false,
    memory_bytes: memory && {
      device: memory.memoryBytes,
      weights: memory.weights.total,
      ...(memory.offloadedBytes !== undefined && {
        weights_elsewhere: memory.offloadedBytes,
        weight_buffer: memory.bufferBytes,
      }),
      activation: memory.activationBytes,
      runtime: memory.runtimeBytes,
      kv: memory.kvBytes,
    },
    ...(tiered && {kv_offload: tiersConfig({instance, config}, tiered)}),
    latency: {source: latency.source, provenance: latency.provenance},
  }
}

function schedulingText({depth, stages = 1}: DeployedEngine['settled']['config']): string {
  if (stages > 1) return `${stages} batches in flight`
  return depth === 1 ? 'synchronous' : 'asynchronous'
}
