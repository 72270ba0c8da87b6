/** What an engine profile says of one release of a serving engine: its defaults, and what its host costs. */
import type {ArchitectureClass} from './hardware-shape.js'
import type {ReserveLaw} from './memory.js'

/** How tokens are chosen: every logit kept, top-p or top-k, or those with a repetition penalty as well. */
export const samplings = ['plain', 'filtered', 'penalised'] as const
export type Sampling = (typeof samplings)[number]

/** Choosing the next token on every rank, from the whole vocabulary. */
export interface SamplerTerms {
  readonly stepNs: number
  /** Per entry of the vocabulary and step. */
  readonly perEntryNs: number
  /** Per sequence and entry of the vocabulary, on an H100; it scales with the memory bandwidth. */
  readonly perSequenceEntryNs: number
}

export interface SizeDefaults {
  readonly maxNumSeqs: number
  readonly maxNumBatchedTokens: number
}

export interface EngineDefaults {
  /** Devices of 70 GiB or more, the A100 apart. */
  readonly largeDevice: SizeDefaults
  readonly smallDevice: SizeDefaults
  readonly gpuMemoryUtilization: number
  readonly blockSize: number
  readonly asyncScheduling: boolean
  readonly enablePrefixCaching: boolean
  readonly enableChunkedPrefill: boolean
  /** Whether layers that see a window, or a chunk, keep no more KV than that (vLLM's hybrid KV cache manager). */
  readonly hybridKvCache: {readonly window: boolean; readonly chunk: boolean}
}

export interface EngineProfile {
  readonly id: string
  readonly name: string
  /** Releases (major.minor) that it stands for. */
  readonly releases: readonly string[]
  readonly defaults: EngineDefaults
  /** Latency before the engine, per request, in ns: over HTTP on the same machine, and inside the process. */
  readonly frontEnd: {
    readonly httpNs: number
    readonly inProcessNs: number
    readonly perTokenNs: number
    /** Chat completions, streamed: time per sequence and token, which the next step waits for. */
    readonly chatTokenNs: number
  }
  /** GPU time per step that the host and its small kernels cost, in ns. */
  readonly host: {
    readonly stepNs: number
    readonly layerNs: number
    readonly sequenceNs: number
    /** Per step without asynchronous scheduling: the GPU waits while the next batch is planned. */
    readonly synchronousStepNs: number
    /** Of a layer, where no CUDA graph has room for the step: its kernels are launched one by one. Undefined: unknown. */
    readonly eagerLayerNs: number | undefined
    /** Of a layer in such a step: what the GPU idles between kernels. */
    readonly launchGapNs: number
  }
  readonly sampler: {readonly [kind in Exclude<Sampling, 'penalised'>]: SamplerTerms}
  /** What a repetition penalty adds to the sampler. */
  readonly penalty: SamplerTerms
  readonly memory: ReserveLaw
  /** Where it runs experts in MXFP4 (gpt-oss) with Marlin, though newer releases have a faster kernel. */
  readonly marlinMxfp4: readonly ArchitectureClass[]
  readonly source: string
}
