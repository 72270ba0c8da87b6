/** What a run is asked for, before anything is looked up: the flags of `simulate`, typed. */
import {type EngineProfile, type Sampling, samplings} from '../catalogue/engine-profile.js'
import type {KvDtype} from '../catalogue/model-shape.js'
import type {WeightFormat} from '../catalogue/weight-format.js'
import type {EfficiencyScale} from '../latency/scaled-hardware.js'
import type {LayoutRequest} from './layout.js'

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
  readonly dtype?: WeightFormat | undefined
  readonly kvCacheDtype?: KvDtype | undefined
}

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
  /** LLMServingSim cluster file. */
  readonly cluster?: string | undefined
  readonly compat?: 'llmservingsim' | undefined
  readonly policy: string
  readonly router: string
  /** Where a request enters: over HTTP, or in the process that runs the engine. */
  readonly frontEnd: 'http' | 'chat' | 'in-process' | 'none'
  readonly seed: number
}

export const defaultModel = 'meta-llama/Llama-3.1-8B-Instruct'
