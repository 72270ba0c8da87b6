/** What a run is asked for, before anything is looked up: the flags of `simulate`, typed. */
import {type EngineProfile, type Sampling, samplings} from '../catalogue/engine-profile.js'
import type {EfficiencyScale} from '../catalogue/hardware-shape.js'
import type {KvDtype} from '../catalogue/model-shape.js'
import type {WeightFormat} from '../catalogue/weight-format.js'
import type {AutoscaleConfig} from '../cluster/autoscaler.js'
import type {GateClass} from '../cluster/gate.js'
import type {ScoreWeights} from '../cluster/router.js'
import type {SchedulingPolicy} from '../engine/policy.js'
import type {ExpertLoad} from '../latency/expert-load.js'
import type {KvOffloadRequest} from './kv-tiers.js'
import type {LayoutRequest} from './layout.js'
import type {LoraRequest} from './lora.js'
import type {PimRequest} from './pim.js'
import type {SpeculationRequest} from './speculation.js'
import type {WeightRequest} from './weights/rules.js'

export const latencySources = ['auto', 'profile', 'roofline', 'datasheet'] as const
export type LatencySource = (typeof latencySources)[number]

export const samplingChoices = ['model', ...samplings] as const
export type SamplingChoice = 'model' | Sampling

/** Engine settings under vLLM's names; what is absent takes the instance's, or the default. */
export interface EngineSettings {
  readonly maxNumSeqs?: number | undefined
  readonly maxNumBatchedTokens?: number | undefined
  readonly longPrefillTokenThreshold?: number | undefined
  readonly blockSize?: number | undefined
  readonly maxModelLen?: number | undefined
  readonly numGpuBlocksOverride?: number | undefined
  readonly gpuMemoryUtilization?: number | undefined
  readonly enablePrefixCaching?: boolean | undefined
  readonly enableChunkedPrefill?: boolean | undefined
  readonly reserveFullPrompt?: boolean | undefined
  readonly asyncScheduling?: boolean | undefined
  /** Sliding-window layers keep KV of the whole context. */
  readonly disableHybridKvCacheManager?: boolean | undefined
  /** No CUDA graphs. */
  readonly enforceEager?: boolean | undefined
  readonly dtype?: WeightFormat | undefined
  readonly kvCacheDtype?: KvDtype | undefined
  readonly all2allBackend?: All2allBackend | undefined
}

/** How tokens reach the experts of data-parallel ranks, in vLLM's names; the first is its default. */
export const all2allBackends = ['allgather_reducescatter', 'deepep_high_throughput'] as const
export type All2allBackend = (typeof all2allBackends)[number]

export interface RunRequest {
  readonly model: string
  /** Engine profile: name, release, path, or the profile itself; default: vllm-0.19. */
  readonly engineProfile?: string | EngineProfile | undefined
  /** Factors on what the hardware file says, while a calibration looks for better ones. */
  readonly efficiencyScale?: EfficiencyScale | undefined
  /** How requests are sampled; default: as the model's generation_config.json asks. */
  readonly sampling?: SamplingChoice | undefined
  /** Absent only with a cluster file. */
  readonly hardware?: string | undefined
  readonly link?: string | undefined
  readonly layout: LayoutRequest
  readonly engine: EngineSettings
  readonly latency: LatencySource
  /** Folder of profile bundles. */
  readonly profiles?: string | undefined
  /** A cluster file: ours (YAML), or LLMServingSim's (JSON). */
  readonly cluster?: string | undefined
  readonly compat?: 'llmservingsim' | undefined
  /** Name, path of a module, or the policy itself. */
  readonly policy: string | Partial<SchedulingPolicy>
  /** How unevenly experts are used; even when absent. */
  readonly expertLoad?: ExpertLoad | undefined
  readonly traffic?: TrafficRequest | undefined
  /** Absent: the cluster file's, or least-requests. */
  readonly router?: string | undefined
  /** Where a request enters: over HTTP, or in the process that runs the engine. */
  readonly frontEnd: 'http' | 'chat' | 'in-process' | 'none'
  readonly seed: number
  readonly autoscale?: AutoscaleConfig | undefined
  readonly lora?: LoraRequest | undefined
  readonly speculation?: SpeculationRequest | undefined
  /** Weights outside of the devices, of every instance that places none of its own. */
  readonly weights?: WeightRequest | undefined
  /** Memory below the devices that keeps KV, of every instance that names none of its own. */
  readonly kvOffload?: KvOffloadRequest | undefined
  /** KV in memory that computes, of every instance that names none of its own. */
  readonly pim?: PimRequest | undefined
  /** US dollars per device and hour, instead of the catalogue's. */
  readonly pricePerHour?: number | undefined
}

/** What carries KV between instances: 10^9 bytes per second of each port, µs of a transfer. */
export interface NetworkRates {
  readonly bandwidthGbS: number
  readonly latencyUs: number
  /** Whether KV reaches it over the link between a device and its host; absent: where that can be. */
  readonly behindHostLink?: boolean | 'where slower' | undefined
}

/** How requests reach engines, and KV goes from one to another. What is absent takes the cluster file's, or the default. */
export interface TrafficRequest {
  readonly decodeRouter?: string | undefined
  readonly viewAgeMs?: number | undefined
  readonly stream?: 'at the end' | 'by layer' | undefined
  /** Prompts with at most so many uncached tokens stay where they decode. */
  readonly stayBelow?: number | undefined
  /** Between instances. */
  readonly network?: Partial<NetworkRates> | undefined
  readonly weights?: ScoreWeights | undefined
  readonly admission?: readonly GateClass[] | undefined
}

/** What a cluster file says. */
export interface FileTraffic extends TrafficRequest {
  readonly router?: string | undefined
}

/** vLLM's attention backends refuse others ("Block size must be a multiple of 16", v1/attention/backends/flash_attn.py). */
export const blockMultiple = 16

/** The size that vLLM takes and that is nearest to one that it does not. */
export const nearestBlockSize = (size: number): number =>
  Math.max(1, Math.round(size / blockMultiple)) * blockMultiple

export const defaultModel = 'meta-llama/Llama-3.1-8B-Instruct'
