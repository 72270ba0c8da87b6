/** What code may ask of a deployment: the rule of each field of a request, as the flags hold theirs. */

import type {EngineProfile, SamplerTerms} from '../catalogue/engine-profile.js'
import {architectureClasses, type EfficiencyScale} from '../catalogue/hardware-shape.js'
import {largestNumber, longestLatencyUs, slowestGbPerS} from '../catalogue/link-defaults.js'
import type {ReserveLaw} from '../catalogue/memory.js'
import type {BlockPart} from '../catalogue/model-arithmetic.js'
import {pimSpecs} from '../catalogue/pim.js'
import {weightFormats} from '../catalogue/weight-format.js'
import {type AutoscaleConfig, signals} from '../cluster/autoscaler.js'
import type {GateClass} from '../cluster/gate.js'
import {routers, type ScoreWeights} from '../cluster/router.js'
import type {SchedulingPolicy} from '../engine/policy.js'
import {mostDrafts} from '../engine/speculation.js'
import type {ExpertLoad} from '../latency/expert-load.js'
import type {GivenRequest} from '../study/deployment.js'
import {
  type KvOffloadRequest,
  nearerOf,
  type TierRequest,
  tierKinds,
  tierWrites,
} from '../study/kv-tiers.js'
import {type LoraRequest, mostAdapters, mostOverhead} from '../study/lora.js'
import type {PimRequest} from '../study/pim.js'
import {
  all2allBackends,
  blockMultiple,
  type EngineSettings,
  latencySources,
  type NetworkRates,
  nearestBlockSize,
  type RunRequest,
  samplingChoices,
  type TrafficRequest,
} from '../study/run-request.js'
import type {SpeculationRequest} from '../study/speculation.js'
import {
  namedParts,
  outerLayers,
  type WeightMap,
  type WeightRequest,
  type WeightRule,
  weightPlaces,
} from '../study/weights/rules.js'
import {
  behaviour,
  call,
  choice,
  either,
  flag,
  holding,
  list,
  maybe,
  number,
  shape,
  tagged,
  text,
  whole,
} from './kinds.js'

export const count = whole({least: 1})
const amount = number({least: 0})
export const duration = whole({least: 0, unit: 'ns', example: 60e9})
const milliseconds = number({least: 0, most: Math.floor(largestNumber / 1e6), unit: 'ms'})
const share = number({above: 0, most: 1, example: 0.9})
const rate = number({least: slowestGbPerS, unit: 'GB/s', example: 64})
const latency = number({least: 0, most: longestLatencyUs, unit: 'µs', example: 1})
/** The generators take 32 bits: larger seeds would repeat smaller ones. */
export const seed = whole({least: 0, most: 2 ** 32 - 1, example: 0})
const router = choice(Object.keys(routers))

const samplerTerms = shape<SamplerTerms>({
  stepNs: amount,
  perEntryNs: amount,
  perSequenceEntryNs: amount,
})
const deviceLimits = shape<EngineProfile['defaults']['largeDevice']>({
  maxNumSeqs: count,
  maxNumBatchedTokens: count,
})

const engineProfile = shape<EngineProfile>(
  {
    id: text('a name', 'mine'),
    name: text('a name', 'mine'),
    releases: list(text('a release', '0.19')),
    defaults: shape<EngineProfile['defaults']>({
      largeDevice: deviceLimits,
      smallDevice: deviceLimits,
      gpuMemoryUtilization: share,
      blockSize: count,
      asyncScheduling: flag,
      enablePrefixCaching: flag,
      enableChunkedPrefill: flag,
      hybridKvCache: shape<EngineProfile['defaults']['hybridKvCache']>({
        window: flag,
        chunk: flag,
      }),
    }),
    frontEnd: shape<EngineProfile['frontEnd']>({
      httpNs: amount,
      inProcessNs: amount,
      perTokenNs: amount,
      chatTokenNs: amount,
    }),
    host: shape<EngineProfile['host']>({
      stepNs: amount,
      layerNs: amount,
      sequenceNs: amount,
      synchronousStepNs: amount,
      eagerLayerNs: maybe(amount),
      launchGapNs: amount,
    }),
    sampler: shape<EngineProfile['sampler']>({plain: samplerTerms, filtered: samplerTerms}),
    penalty: samplerTerms,
    memory: shape<ReserveLaw>({
      samplerBytesPerLogit: amount,
      runtimeBytes: shape<ReserveLaw['runtimeBytes']>({single: amount, parallel: amount}),
      source: text('where the figures come from', 'measured'),
    }),
    marlinMxfp4: list(choice(architectureClasses)),
    source: text('where the figures come from', 'measured'),
  },
  {what: 'an engine profile'},
)

const engine = shape<EngineSettings>({
  maxNumSeqs: maybe(count),
  maxNumBatchedTokens: maybe(count),
  longPrefillTokenThreshold: maybe(whole({least: 0})),
  blockSize: maybe(count),
  maxModelLen: maybe(count),
  numGpuBlocksOverride: maybe(count),
  gpuMemoryUtilization: maybe(share),
  enablePrefixCaching: maybe(flag),
  enableChunkedPrefill: maybe(flag),
  reserveFullPrompt: maybe(flag),
  asyncScheduling: maybe(flag),
  enforceEager: maybe(flag),
  dtype: maybe(choice(weightFormats)),
  kvCacheDtype: maybe(choice(['auto', 'fp8'])),
  all2allBackend: maybe(choice(all2allBackends)),
  disableHybridKvCacheManager: maybe(flag),
})

const layout = shape<RunRequest['layout']>({
  npu: maybe(count),
  tp: maybe(count),
  pp: maybe(count),
  dp: maybe(count),
  ep: maybe(count),
  instances: maybe(count),
  prefill: maybe(count),
  decode: maybe(count),
})

const policy = behaviour<Partial<SchedulingPolicy>>(
  {
    name: maybe(text('a name', 'mine')),
    key: maybe(call<SchedulingPolicy['key']>()),
    victim: maybe(choice(['last-admitted', 'largest-key'])),
  },
  {
    what: 'an object with key(request)',
    example: "{name: 'shortest', key: (request) => request.inputTokens}",
  },
)

type LoadOf<Name extends ExpertLoad['kind']> = Extract<ExpertLoad, {kind: Name}>
const expertLoad = tagged('kind', {
  even: shape<LoadOf<'even'>>({kind: choice(['even'])}, {example: "{kind: 'even'}"}),
  'power law': shape<LoadOf<'power law'>>(
    {kind: choice(['power law']), exponent: amount},
    {example: "{kind: 'power law', exponent: 0.5}"},
  ),
  counts: shape<LoadOf<'counts'>>({
    kind: choice(['counts']),
    counts: holding(list(amount, {least: 1}), (counts, at) => {
      if (counts.every((uses) => uses === 0))
        throw at.fault('has no expert that was ever used', ['counts: [3, 1, 0, 4]'])
    }),
  }),
})

const gateClass = shape<GateClass>({
  name: text('a name', 'batch'),
  upToPriority: number({example: 0}),
  rate: maybe(
    shape<NonNullable<GateClass['rate']>>({
      of: choice(['requests', 'tokens']),
      perSecond: number({above: 0}),
      burst: number({above: 0}),
    }),
  ),
  maxWaiting: maybe(count),
})

const traffic = shape<TrafficRequest>({
  decodeRouter: maybe(router),
  viewAgeMs: maybe(milliseconds),
  stream: maybe(choice(['at the end', 'by layer'])),
  stayBelow: maybe(whole({least: 0})),
  network: maybe(
    shape<Partial<NetworkRates>>({
      bandwidthGbS: maybe(rate),
      latencyUs: maybe(latency),
      behindHostLink: maybe(either(flag, choice(['where slower']))),
    }),
  ),
  weights: maybe(shape<ScoreWeights>({prefix: amount, tiers: amount, queue: amount, kv: amount})),
  admission: maybe(list(gateClass)),
})

export const autoscale = holding(
  shape<AutoscaleConfig>({
    signal: choice(signals),
    target: number({above: 0}),
    windowNs: whole({least: 1, unit: 'ns', example: 15e9}),
    provisionNs: duration,
    coldStartNs: duration,
    stabilisationNs: duration,
    minInstances: count,
  }),
  ({signal, target}, at) => {
    if (signal === 'queue' || target <= 1) return
    throw at
      .field('target')
      .wrong(`a number above 0 and of at most 1, a share, for ${signal}`, target, ['0.8'])
  },
)

const lora = shape<LoraRequest>({
  maxLoras: count,
  rank: count,
  loadMs: maybe(milliseconds),
  overhead: maybe(number({least: 0, most: mostOverhead})),
  adapters: maybe(whole({least: 1, most: mostAdapters})),
})

const speculation = holding(
  shape<SpeculationRequest>({
    tokens: whole({least: 1, most: mostDrafts}),
    rates: list(number({least: 0, most: 1, example: 0.7}), {least: 1}),
    draftModel: maybe(text('an id, or the path of a config.json', 'meta-llama/Llama-3.2-1B')),
  }),
  ({tokens, rates: {length}}, at) => {
    if (length === 1 || length === tokens) return
    throw at
      .field('rates')
      .fault(`has ${length} rates for ${tokens} tokens: one for all, or one for each`, [
        'rates: [0.7]',
        `tokens: ${length}`,
      ])
  },
)

const weightRule = shape<WeightRule>({
  blocks: maybe(text("numbers and ranges of blocks such as '0-3,8'", '0-3,8')),
  parts: maybe(list(choice(namedParts), {least: 1})),
  layers: maybe(list(choice(outerLayers), {least: 1})),
  on: choice(weightPlaces),
})
const weightPlace = choice(weightPlaces)
const weightMap = shape<WeightMap>({
  blocks: list(
    shape<Record<BlockPart, WeightMap['blocks'][number][BlockPart]>>({
      attention: weightPlace,
      mlp: weightPlace,
      experts: weightPlace,
      other: weightPlace,
    }),
  ),
  layers: shape<WeightMap['layers']>({embedding: weightPlace, lm_head: weightPlace}),
})
const weights = shape<WeightRequest>({
  place: either(
    shape<{readonly gib: number}>(
      {gib: number({above: 0, unit: 'GiB of each device', example: 10})},
      {what: '{gib}', example: '{gib: 10}', by: 'gib'},
    ),
    shape<{readonly rules: readonly WeightRule[]}>(
      {rules: list(weightRule, {least: 1})},
      {what: '{rules}', example: "{rules: [{blocks: '0-3', on: 'cpu'}]}", by: 'rules'},
    ),
    shape<{readonly map: WeightMap}>({map: weightMap}, {what: '{map}', by: 'map'}),
  ),
  prefetch: either(whole({least: 0, most: 999_999, example: 1}), choice(['in place'])),
  gbPerS: maybe(rate),
})

const tier = shape<TierRequest>({
  kind: choice(tierKinds),
  bytes: number({above: 0, unit: 'bytes', example: 64 * 2 ** 30}),
  write: choice(tierWrites),
  isShared: flag,
  readGbPerS: maybe(rate),
  writeGbPerS: maybe(rate),
  latencyUs: maybe(latency),
  pendingBytes: maybe(number({above: 0, unit: 'bytes', example: 2 ** 30})),
})
const tiers = holding(list(tier, {least: 1}), (given, at) => {
  const kinds = given.map(({kind}) => kind)
  const twice = kinds.find((kind, i) => kinds.indexOf(kind) < i)
  const nearer = nearerOf(kinds)
  const order = [`in this order: ${tierKinds.join(', ')}`]
  if (twice !== undefined) throw at.fault(`has ${twice} twice`, order)
  if (nearer !== undefined)
    throw at.fault(`has ${nearer} behind a tier that is further from the device`, order)
})
const kvOffload = shape<KvOffloadRequest>({
  tiers,
  hostGbPerS: maybe(rate),
  from: maybe(choice(['file'])),
})

const pim = shape<PimRequest>({
  spec: choice(pimSpecs.map(({name}) => name)),
  channels: maybe(count),
  gbPerS: maybe(rate),
  latencyUs: maybe(latency),
  subBatches: flag,
})

const fields = shape<GivenRequest>(
  {
    model: maybe(text('an id, or the path of a config.json', 'meta-llama/Llama-3.1-8B-Instruct')),
    engineProfile: maybe(
      either(text('the name or path of an engine profile', 'vllm-0.19'), engineProfile),
    ),
    efficiencyScale: maybe(
      shape<EfficiencyScale>({compute: number({above: 0}), memory: number({above: 0})}),
    ),
    sampling: maybe(choice(samplingChoices)),
    hardware: maybe(text('the name of an accelerator, or the path of its file', 'H100')),
    link: maybe(text('the name of a link of the accelerator', 'nvlink')),
    layout: maybe(layout),
    engine: maybe(engine),
    latency: maybe(choice(latencySources)),
    profiles: maybe(text('a folder of profile bundles', './profiles')),
    cluster: maybe(text('the path of a cluster file', './cluster.yaml')),
    compat: maybe(choice(['llmservingsim'])),
    policy: maybe(either(text('the name of a policy, or the path of a module', 'fcfs'), policy)),
    expertLoad: maybe(expertLoad),
    traffic: maybe(traffic),
    router: maybe(router),
    frontEnd: maybe(choice(['http', 'chat', 'in-process', 'none'])),
    seed: maybe(seed),
    autoscale: maybe(autoscale),
    lora: maybe(lora),
    speculation: maybe(speculation),
    weights: maybe(weights),
    kvOffload: maybe(kvOffload),
    pim: maybe(pim),
    pricePerHour: maybe(number({least: 0, unit: 'US dollars', example: 2.6})),
  },
  {what: "a request such as {hardware: 'H100'}", example: "{hardware: 'H100'}"},
)

/** All of it may be left out but `hardware` or `cluster`. */
export const runRequest = holding(fields, ({compat, engine: settings}, at) => {
  const size = settings?.blockSize
  if (size === undefined || size % blockMultiple === 0 || compat !== undefined) return
  throw at
    .field('engine')
    .field('blockSize')
    .wrong(`a multiple of ${blockMultiple}, as vLLM takes no others`, size, [
      String(nearestBlockSize(size)),
    ])
})
