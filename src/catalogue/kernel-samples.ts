/**
 * Kernel times as somebody measured them, whatever file they came from: the input of the fits in
 * `latency/fit`. Times are in µs; a sample is one shape, measured once.
 */
import type {CollectiveKind, GemmClass} from './hardware-shape.js'

/** m rows through a weight matrix of k × n. */
export interface GemmSample {
  readonly gemmClass: GemmClass
  readonly m: number
  readonly n: number
  readonly k: number
  readonly timeUs: number
}

/** One attention kernel over `prefills` equal chunks and `decodes` equal decodes. */
export interface AttentionSample {
  readonly queryHeads: number
  readonly kvHeads: number
  readonly headDim: number
  /** Tokens that a query sees; null is the whole context. */
  readonly window: number | null
  /** 1 for an fp8 cache, else 2. */
  readonly kvElementBytes: number
  readonly prefills: number
  readonly chunk: number
  /** Tokens of each chunk's request that are already in the cache. */
  readonly cached: number
  readonly decodes: number
  /** Tokens in the cache of each decode, before this step. */
  readonly context: number
  readonly timeUs: number
}

/** How much longer decodes of unequal context take: time = mean + alpha·(longest − mean), looked up at equal contexts. */
export interface SkewSample {
  readonly queryHeads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly decodes: number
  /** Tokens of a chunk in the same kernel; 0 for decodes alone. */
  readonly chunk: number
  readonly alpha: number
}

/** Routed experts of one layer as one rank holds them, fused into one kernel. */
export interface MoeSample {
  readonly gemmClass: GemmClass
  readonly tokens: number
  readonly hiddenSize: number
  /** Of the whole layer, before it is cut. */
  readonly intermediate: number
  readonly perToken: number
  readonly experts: number
  readonly tp: number
  readonly ep: number
  /** How tokens choose: evenly, or by a power law. */
  readonly routing: 'balanced' | 'power-law'
  /** Experts of the rank that the tokens touched. */
  readonly activated: number
  readonly timeUs: number
}

/** One collective; `bytes` is the size of the message as the table counts it. */
export interface CollectiveSample {
  readonly kind: CollectiveKind
  /** `custom`: the kernel of the engine inside a CUDA graph; `custom-eager`: the same without. */
  readonly kernel: 'custom' | 'custom-eager' | 'nccl'
  readonly devices: number
  readonly bytes: number
  readonly timeUs: number
}

/** A small kernel that only moves bytes. */
export interface ElementwiseSample {
  readonly kernel: string
  readonly bytes: number
  readonly timeUs: number
}

/** Everything that one source tells of one device. */
export interface KernelSamples {
  readonly gemm: readonly GemmSample[]
  readonly attention: readonly AttentionSample[]
  readonly skew: readonly SkewSample[]
  readonly moe: readonly MoeSample[]
  readonly collectives: readonly CollectiveSample[]
  readonly elementwise: readonly ElementwiseSample[]
}

export const noSamples: KernelSamples = {
  gemm: [],
  attention: [],
  skew: [],
  moe: [],
  collectives: [],
  elementwise: [],
}

/** All samples of several sources, in their order. */
export const joinSamples = (parts: readonly KernelSamples[]): KernelSamples => ({
  gemm: parts.flatMap((part) => part.gemm),
  attention: parts.flatMap((part) => part.attention),
  skew: parts.flatMap((part) => part.skew),
  moe: parts.flatMap((part) => part.moe),
  collectives: parts.flatMap((part) => part.collectives),
  elementwise: parts.flatMap((part) => part.elementwise),
})
