/** The flags that describe what is simulated, and the request they make. Names are vLLM's where vLLM has one. */
import {existsSync, readFileSync} from 'node:fs'
import {Flags} from '@oclif/core'
import {type WeightFormat, weightFormats} from '../catalogue/weight-format.js'
import {routers} from '../cluster/router.js'
import {Problem} from '../errors.js'
import {
  type All2allBackend,
  all2allBackends,
  blockMultiple,
  defaultModel,
  latencySources,
  nearestBlockSize,
  type RunRequest,
  type SamplingChoice,
  samplingChoices,
} from '../study/run-request.js'
import {whyUnreadable} from '../unreadable.js'
import {durationOrNumberNs} from './duration-flag.js'
import {rateFlag} from './positive-flag.js'

const size = (helpGroup: string, summary: string, min = 1) =>
  Flags.integer({helpGroup, helpValue: 'N', summary, min})

const choice = (helpGroup: string, summary: string) =>
  Flags.boolean({helpGroup, allowNo: true, summary})

export const engineFlags = {
  model: Flags.string({
    helpGroup: 'MODEL',
    default: defaultModel,
    helpValue: 'ID|PATH',
    summary: 'Hugging Face id, or path of a config.json.',
  }),
  dtype: Flags.option({
    helpGroup: 'MODEL',
    options: [...weightFormats] as const,
    summary: "Format of the weights (default: the checkpoint's).",
  })(),
  'kv-cache-dtype': Flags.option({
    helpGroup: 'MODEL',
    options: ['auto', 'fp8'] as const,
    summary: 'Format of the KV cache (default: auto, as the weights are computed).',
  })(),

  link: Flags.string({
    helpGroup: 'HARDWARE',
    helpValue: 'NAME',
    summary: 'Link between devices (default: the first); +infiniband:50 joins nodes.',
  }),
  npu: size('HARDWARE', 'Accelerators in all. Alone: one tensor-parallel engine over all.'),
  tp: size('HARDWARE', 'Tensor-parallel degree of an engine.'),
  pp: size('HARDWARE', 'Pipeline stages of an engine.'),
  dp: size('HARDWARE', 'Data-parallel ranks.'),
  ep: size('HARDWARE', 'Devices over which experts are spread.'),
  instances: size('HARDWARE', 'Independent engines.'),
  router: Flags.string({
    helpGroup: 'HARDWARE',
    helpValue: 'NAME',
    summary: `How requests are spread over engines (default: least-requests): ${Object.keys(routers).join(', ')}.`,
  }),
  'decode-router': Flags.string({
    helpGroup: 'HARDWARE',
    helpValue: 'NAME',
    summary: 'The same for engines that decode (default: least-requests).',
  }),
  'router-view-age': Flags.custom<number>({
    helpGroup: 'HARDWARE',
    helpValue: 'MS',
    parse: async (text) =>
      durationOrNumberNs('router-view-age', text, {
        ns: 1e6,
        name: 'a number of milliseconds',
        example: '200',
      }) / 1e6,
    summary: 'Routers see engines as they were at the last multiple of this (default: 0, now).',
  })(),
  prefill: size('HARDWARE', 'Instances that only prefill; needs --decode.'),
  decode: size('HARDWARE', 'Instances that decode what --prefill instances prefilled.'),
  'kv-stream': Flags.option({
    helpGroup: 'HARDWARE',
    options: ['end', 'layer'] as const,
    summary:
      'When KV goes to the decoding instance: at the end of the prompt (default), or by layer.',
  })(),
  'decode-stay-below': size(
    'HARDWARE',
    'Prompts with at most so many uncached tokens stay where they decode (default: 0).',
    0,
  ),
  'expert-load': Flags.string({
    helpGroup: 'LATENCY',
    helpValue: 'LOAD',
    summary:
      'Use of experts: even (default), power-law:EXPONENT, or a file of one count per expert.',
  }),
  'network-bandwidth': Flags.string({
    helpGroup: 'HARDWARE',
    helpValue: 'GB/S',
    summary: 'Between instances (default: 50).',
  }),
  cluster: Flags.string({
    helpGroup: 'HARDWARE',
    helpValue: 'FILE',
    summary:
      'Cluster file (docs/cluster.md), or LLMServingSim cluster JSON, instead of --hardware.',
  }),

  engine: Flags.string({
    helpGroup: 'ENGINE',
    default: 'vllm-0.19',
    helpValue: 'NAME|FILE',
    summary:
      'Profile of defaults and overheads: vllm-0.11, vllm-0.12, vllm-0.15, vllm-0.19, or a file.',
  }),
  sampling: Flags.option({
    helpGroup: 'ENGINE',
    options: samplingChoices,
    default: 'model' as const,
    summary: 'How tokens are chosen; model: as its generation_config.json asks.',
  })(),
  policy: Flags.string({
    helpGroup: 'ENGINE',
    default: 'fcfs',
    helpValue: 'NAME|FILE',
    summary: 'fcfs, priority, sjf, or a module of your own (docs/scheduler.md).',
  }),
  'max-num-seqs': size('ENGINE', 'Seats (default: 1024 on ≥ 70 GiB devices but A100, else 256).'),
  'max-num-batched-tokens': size(
    'ENGINE',
    'Tokens a step (default: 8192 where seats are 1024, else 2048).',
  ),
  'max-model-len': size('ENGINE', "Longest request (default: the model's, as blocks allow)."),
  'gpu-memory-utilization': Flags.custom<number>({
    helpGroup: 'ENGINE',
    helpValue: 'SHARE',
    summary: 'Share of the memory to use (default: 0.9).',
    parse: async (text) => shareOf(text),
  })(),
  'block-size': size('ENGINE', 'Tokens in a KV block (default: 16).'),
  'num-gpu-blocks-override': size('ENGINE', 'KV blocks, instead of what memory holds.'),
  'long-prefill-token-threshold': size(
    'ENGINE',
    'Most prompt tokens of a request a step (0: any).',
    0,
  ),
  'enable-prefix-caching': choice('ENGINE', 'Reuse the KV of shared prefixes (default: on).'),
  'enable-chunked-prefill': choice('ENGINE', 'Split long prompts over steps (default: on).'),
  'scheduler-reserve-full-isl': choice(
    'ENGINE',
    'Admit a request only when its whole prompt fits (default: on).',
  ),
  'async-scheduling': choice('ENGINE', 'Plan a step while the one before runs (default: on).'),
  'disable-hybrid-kv-cache-manager': choice(
    'ENGINE',
    'Sliding-window layers keep KV of the whole context (default: off).',
  ),
  'enforce-eager': choice('ENGINE', 'No CUDA graphs (default: off).'),

  'all2all-backend': Flags.option({
    helpGroup: 'ENGINE',
    options: all2allBackends,
    summary: 'How tokens reach experts of other ranks (default: allgather_reducescatter).',
  })(),

  latency: Flags.option({
    helpGroup: 'LATENCY',
    options: latencySources,
    default: 'auto' as const,
    summary: 'Source of step times; auto: a profile where --profiles has one.',
  })(),
  profiles: Flags.string({
    helpGroup: 'LATENCY',
    helpValue: 'DIR',
    summary: "Folder of LLMServingSim's profile bundles.",
  }),
  'front-end': Flags.option({
    helpGroup: 'LATENCY',
    options: ['http', 'chat', 'in-process', 'none'] as const,
    default: 'http' as const,
    summary: 'How requests reach the engine; chat: as streamed chat completions.',
  })(),
  compat: Flags.option({
    helpGroup: 'LATENCY',
    options: ['llmservingsim'] as const,
    summary: "Replay that simulator's clock, artefacts included (docs/compat.md).",
  })(),
  'price-per-hour': Flags.custom<number>({
    helpGroup: 'OUTPUT',
    helpValue: 'USD',
    summary: "Price of a device for an hour (default: the hardware file's).",
    parse: async (text) => priceOf(text),
  })(),
  seed: Flags.integer({
    helpGroup: 'OUTPUT',
    helpValue: 'N',
    default: 0,
    min: 0,
    // The generator takes 32 bits: larger ones would repeat smaller ones.
    max: 2 ** 32 - 1,
    summary: 'Seed of whatever is random; kept with the run (default: 0).',
  }),
}

function shareOf(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (value > 0 && value <= 1) return value
  throw new Problem(
    'FLAG_BAD_VALUE',
    `--gpu-memory-utilization ${text}: it must be a share of the memory, above 0 and at most 1.`,
    {
      suggestions: ['--gpu-memory-utilization 0.9'],
    },
  )
}

function blockSizeOf({'block-size': size, compat}: EngineFlagValues): number | undefined {
  if (size === undefined || size % blockMultiple === 0 || compat !== undefined) return size
  throw new Problem(
    'FLAG_BAD_VALUE',
    `--block-size ${size}: vLLM takes multiples of ${blockMultiple} only.`,
    {suggestions: [`--block-size ${nearestBlockSize(size)}`]},
  )
}

function priceOf(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (value >= 0 && value < Number.POSITIVE_INFINITY) return value
  throw new Problem('FLAG_BAD_VALUE', `--price-per-hour ${text}: it must be a number from 0 up.`, {
    suggestions: ['--price-per-hour 2.60'],
  })
}

/** What oclif makes of `engineFlags`. */
export interface EngineFlagValues {
  readonly model: string
  readonly engine: string
  readonly sampling: SamplingChoice
  readonly dtype?: WeightFormat | undefined
  readonly 'kv-cache-dtype'?: 'auto' | 'fp8' | undefined
  readonly link?: string | undefined
  readonly npu?: number | undefined
  readonly tp?: number | undefined
  readonly pp?: number | undefined
  readonly dp?: number | undefined
  readonly ep?: number | undefined
  readonly instances?: number | undefined
  readonly router?: string | undefined
  readonly 'decode-router'?: string | undefined
  readonly 'router-view-age'?: number | undefined
  readonly prefill?: number | undefined
  readonly decode?: number | undefined
  readonly 'kv-stream'?: 'end' | 'layer' | undefined
  readonly 'decode-stay-below'?: number | undefined
  readonly 'network-bandwidth'?: string | undefined
  readonly 'expert-load'?: string | undefined
  readonly cluster?: string | undefined
  readonly policy: string
  readonly 'max-num-seqs'?: number | undefined
  readonly 'max-num-batched-tokens'?: number | undefined
  readonly 'max-model-len'?: number | undefined
  readonly 'gpu-memory-utilization'?: number | undefined
  readonly 'block-size'?: number | undefined
  readonly 'num-gpu-blocks-override'?: number | undefined
  readonly 'long-prefill-token-threshold'?: number | undefined
  readonly 'enable-prefix-caching'?: boolean | undefined
  readonly 'enable-chunked-prefill'?: boolean | undefined
  readonly 'scheduler-reserve-full-isl'?: boolean | undefined
  readonly 'async-scheduling'?: boolean | undefined
  readonly 'disable-hybrid-kv-cache-manager'?: boolean | undefined
  readonly 'enforce-eager'?: boolean | undefined
  readonly 'all2all-backend'?: All2allBackend | undefined
  readonly latency: RunRequest['latency']
  readonly profiles?: string | undefined
  readonly 'front-end': RunRequest['frontEnd']
  readonly compat?: 'llmservingsim' | undefined
  readonly 'price-per-hour'?: number | undefined
  readonly seed: number
}

/** @throws Problem FLAG_BAD_VALUE */
function expertLoadOf(text: string): NonNullable<RunRequest['expertLoad']> {
  if (text === 'even') return {kind: 'even'}
  const exponent = /^power-law:(\d+(?:\.\d+)?)$/.exec(text)?.[1]
  if (exponent !== undefined) return {kind: 'power law', exponent: Number(exponent)}
  if (!existsSync(text)) {
    throw new Problem('FLAG_BAD_VALUE', `--expert-load ${text}: it is no load, and no such file.`, {
      suggestions: [
        '--expert-load even',
        '--expert-load power-law:0.5',
        'the path of a file of counts',
      ],
    })
  }
  return {kind: 'counts', counts: countsOf(text)}
}

/** @throws Problem FLAG_BAD_VALUE; how many counts there must be, only the model can say */
function countsOf(text: string): number[] {
  const words = wordsOf(text)
  const wrong = words.findIndex((word) => !(Number(word) >= 0 && Number.isFinite(Number(word))))
  const counts = words.map(Number)
  if (wrong < 0 && counts.some((count) => count > 0)) return counts
  const none = words.length === 0 ? 'it is empty' : 'no expert was ever used'
  const what = wrong < 0 ? none : `count ${wrong + 1} is "${words[wrong]}"`
  throw new Problem(
    'FLAG_BAD_VALUE',
    `--expert-load ${text}: ${what}; it must hold one count per expert.`,
    {
      suggestions: ['Numbers of at least 0, separated by spaces, commas or lines.'],
    },
  )
}

function wordsOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8')
      .split(/[\s,]+/)
      .filter(Boolean)
  } catch (cause) {
    throw new Problem('FLAG_BAD_VALUE', `--expert-load ${path}: ${whyUnreadable(cause)}.`, {cause})
  }
}

const streams = {end: 'at the end', layer: 'by layer'} as const

function trafficOf(flags: EngineFlagValues): RunRequest['traffic'] {
  const stream = flags['kv-stream']
  const bandwidthGbS = rateFlag('network-bandwidth', flags['network-bandwidth'], 50)
  return {
    decodeRouter: flags['decode-router'],
    viewAgeMs: flags['router-view-age'],
    stream: stream && streams[stream],
    stayBelow: flags['decode-stay-below'],
    network: bandwidthGbS === undefined ? undefined : {bandwidthGbS},
  }
}

/** A list of devices is a comparison, which simulate alone makes. @throws Problem FLAG_BAD_VALUE */
function checkOneDevice(hardware: string | undefined): void {
  if (!hardware?.includes(',') || existsSync(hardware)) return
  throw new Problem(
    'FLAG_BAD_VALUE',
    `--hardware ${hardware}: this command takes one accelerator; simulate compares several.`,
    {
      suggestions: [
        `--hardware ${hardware.split(',')[0]}`,
        'instances of several devices in a file: --cluster FILE',
      ],
    },
  )
}

/** The request that the flags make, on one kind of hardware. */
export function runRequestOf(flags: EngineFlagValues, hardware: string | undefined): RunRequest {
  const {model, link, npu, tp, pp, dp, ep, instances, router, cluster, policy} = flags
  const {prefill, decode} = flags
  checkOneDevice(hardware)
  return {
    model,
    engineProfile: flags.engine,
    sampling: flags.sampling,
    hardware,
    link,
    layout: {npu, tp, pp, dp, ep, instances, prefill, decode},
    engine: {
      maxNumSeqs: flags['max-num-seqs'],
      maxNumBatchedTokens: flags['max-num-batched-tokens'],
      longPrefillTokenThreshold: flags['long-prefill-token-threshold'],
      blockSize: blockSizeOf(flags),
      maxModelLen: flags['max-model-len'],
      numGpuBlocksOverride: flags['num-gpu-blocks-override'],
      gpuMemoryUtilization: flags['gpu-memory-utilization'],
      enablePrefixCaching: flags['enable-prefix-caching'],
      enableChunkedPrefill: flags['enable-chunked-prefill'],
      reserveFullPrompt: flags['scheduler-reserve-full-isl'],
      asyncScheduling: flags['async-scheduling'],
      disableHybridKvCacheManager: flags['disable-hybrid-kv-cache-manager'],
      enforceEager: flags['enforce-eager'],
      all2allBackend: flags['all2all-backend'],
      dtype: flags.dtype,
      kvCacheDtype: flags['kv-cache-dtype'],
    },
    latency: flags.latency,
    profiles: flags.profiles,
    cluster,
    compat: flags.compat,
    policy,
    router,
    traffic: trafficOf(flags),
    expertLoad: flags['expert-load'] === undefined ? undefined : expertLoadOf(flags['expert-load']),
    frontEnd: flags['front-end'],
    seed: flags.seed,
    pricePerHour: flags['price-per-hour'],
  }
}
