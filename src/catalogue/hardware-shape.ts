/** What llmsim knows of an accelerator: datasheet facts, links, and the coefficients of its kernels. */

import type {PowerSection} from './power-figures.js'

/**
 * Devices that behave alike, for the coefficients of a device that nobody has measured. GeForce-class
 * cards are classes of their own: they halve the rate of 16-bit products that accumulate in fp32.
 */
export const architectureClasses = [
  'turing',
  'ampere',
  'ampere-consumer',
  'ada',
  'ada-consumer',
  'hopper',
  'blackwell',
  'blackwell-consumer',
  'xe2',
  'cdna3',
  'cdna4',
  'gaudi',
  'tpu',
  'apple',
] as const
export type ArchitectureClass = (typeof architectureClasses)[number]

/** Formats that a device may have arithmetic units for. */
export const peakDtypes = ['bf16', 'fp16', 'fp8', 'int8', 'fp4'] as const
export type PeakDtype = (typeof peakDtypes)[number]

/**
 * How the GEMMs of a layer run; the last three decode their weights and multiply in 16 bit. `mxfp4` is that of
 * gpt-oss's experts, which have kernels of their own.
 */
export const gemmClasses = ['bf16', 'fp8', 'int8', 'fp4', 'w8a16', 'w4a16', 'mxfp4'] as const
export type GemmClass = (typeof gemmClasses)[number]

/** Where coefficients were taken from, and how well they fit. */
export interface Fit {
  readonly source: string
  /** Measurements behind the fit. */
  readonly samples?: number
  readonly meanErrorPercent?: number
  readonly biasPercent?: number
  /** Mean error on shapes that were left out of a fit to the others. */
  readonly leftOutErrorPercent?: number
  /** Attention: rows that a step may hold, of which the fit saw a part, and their mean error. */
  readonly heldSamples?: number
  readonly heldErrorPercent?: number
  readonly errorBySize?: readonly SizeError[]
}

/** Error of the rows of one range of sizes. */
export interface SizeError {
  readonly range: string
  readonly samples: number
  readonly meanErrorPercent: number
  readonly biasPercent: number
}

/**
 * t = launch + (compute^p + memory^p + walk^p)^(1/p), where compute = flops/(peak·computeEfficiency),
 * memory = bytes/(bandwidth·memoryEfficiency) and walk = tileWalkUs·k/1000.
 */
export interface GemmCoefficients {
  readonly computeEfficiency: number
  readonly memoryEfficiency: number
  readonly launchUs: number
  readonly exponent: number
  /** µs per 1000 of k: one tile has to walk along all of it, however few tiles there are. Absent: 0. */
  readonly tileWalkUs?: number
  /**
   * Rows at which a square tile's operands take as long to fetch as to multiply. Present: compute is that of whole tiles
   * in whole waves over the multiprocessors. Absent: no such steps.
   */
  readonly tileTraffic?: number
  /** Share of the compute efficiency that is left in products of 10^12 FLOPs and more, at sustained power. Absent: 1. */
  readonly sustainedShare?: number
  /** 10¹² FLOPs of a product at which it starts to fall to that share. */
  readonly sustainedFrom?: number
}

/**
 * t = launch + √((bytes/(bandwidth·memory))² + (block·B·kvHeads)²) + combine·[context split] + perSequence·B·min(kvHeads, 8)^headExponent + sqrt·√context
 *   + fill·min(1, B·kvHeads/(2·multiprocessors))·min(1, context/512)
 */
export interface DecodeAttentionCoefficients {
  readonly launchUs: number
  readonly memoryEfficiency: number
  readonly perSequenceUs: number
  readonly headExponent: number
  readonly sqrtUs: number
  /** What it costs to fill every multiprocessor with two thread blocks and to drain it. Absent: 0. */
  readonly fillUs?: number
  /** Least time of a thread block, however short its context, over all that run at once. Absent: 0. */
  readonly blockUs?: number
  /** The kernel that adds up the parts of split contexts, from 128 to 256 tokens on. Absent: part of the launch. */
  readonly combineUs?: number
  /**
   * Two copies around FlashAttention 2 that bring the query heads of a group together, where there is more than one KV
   * head and more than one decode. Absent: 0.
   */
  readonly regroupUs?: number
  /**
   * µs per 1000 tokens that one thread block takes to walk along a context, where kernels do not split it
   * over several (FlashAttention 2): decodes without grouped queries, chunks, and decodes beside chunks.
   * Absent: 0.
   */
  readonly serialWalkUs?: number
  /** Kernels of 2024, which also walk that way with grouped queries. Absent: no. */
  readonly neverSplits?: boolean
  /**
   * Share of that walk along the longest context, beyond the mean one, that the others do not hide where contexts are
   * not split. Absent: 0.5, as on the cards that were measured.
   */
  readonly skewShare?: number
}

/**
 * t = launch + 4·heads·headDim·(pairs + ramp·(tokens + chunkTokens·chunks))/(peak·compute)
 *   + perKvTokenUs·tokens·kvHeads/1000 + chunkWalkUs·(longest chunk)/1000 + bytes of the cached context
 */
export interface PrefillAttentionCoefficients {
  readonly launchUs: number
  readonly computeEfficiency: number
  /** Extra keys per query row that stand for tile edges and ramp-up: MFU = e·s/(s + 2·ramp) for a prompt of s. */
  readonly rampTokens: number
  /** Tokens that a chunk costs on top of its own, for the tile that it does not fill. Absent: 0. */
  readonly chunkTokens?: number
  /** µs per 1000 tokens and KV head. Absent: 0. */
  readonly perKvTokenUs?: number
  /** µs per 1000 tokens of the longest chunk: its last tile walks along all of them when the others are done. Absent: 0. */
  readonly chunkWalkUs?: number
  /** Like that of decodes, for a chunk along what is cached of its request. Absent: that of decodes. */
  readonly serialWalkUs?: number
  /** Efficiency at other head sizes as a share of that at 128, by size, ascending. Absent: the usual levels. */
  readonly headSizeLevels?: readonly (readonly [number, number])[]
}

/** Decode rows in a step that also prefills, on kernels that then lose GQA packing and split-KV. */
export interface MixedAttentionCoefficients {
  readonly computeEfficiency: number
  /** Per sequence and query head. */
  readonly perRowUs: number
  /** Share of the chunks' work that a long walk of a decode does not hide. Absent: 0. */
  readonly exposedShare?: number
  /**
   * µs of one multiprocessor for a tile that holds nothing: the grid has as many tiles for each sequence as the longest
   * chunk needs. Absent: 0.
   */
  readonly emptyTileUs?: number
}

export interface Kernels {
  readonly gemm: {readonly [Class in GemmClass]?: GemmCoefficients & Fit}
  readonly decodeAttention: (DecodeAttentionCoefficients & Fit) | null
  readonly prefillAttention: (PrefillAttentionCoefficients & Fit) | null
  readonly mixedAttention: (MixedAttentionCoefficients & Fit) | null
  /** Fused experts, same law as a GEMM, bytes of the experts that are touched. */
  readonly moe: {readonly [Class in GemmClass]?: GemmCoefficients & Fit}
}

export const collectiveKinds = ['all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all'] as const
export type CollectiveKind = (typeof collectiveKinds)[number]

export const linkKinds = ['nvlink', 'nvlink-bridge', 'pcie', 'fabric', 'ethernet', 'ici'] as const
export type LinkKind = (typeof linkKinds)[number]

/** A measured collective among some number of devices. */
export interface CollectiveCurve {
  /** Time of the smallest message. */
  readonly floorUs: number
  /**
   * Bus bandwidth at each of the message sizes: what a device sends, over the time. 2(n−1)/n·bytes for an
   * all-reduce, (n−1)/n·bytes for the others, whose message is the whole gathered or scattered one.
   */
  readonly busGbS: readonly number[]
}

/** One collective on one link, as measured for some numbers of devices. */
export interface MeasuredCollective extends Fit {
  readonly medianErrorPercent?: number
  readonly messageBytes: readonly number[]
  /** By number of devices, ascending. */
  readonly degrees: readonly {readonly degree: number; readonly curve: CollectiveCurve}[]
}

/** What joins groups of devices: one port for each device. */
export interface ScaleOut {
  readonly kind: 'fabric' | 'ethernet'
  /** Per direction and port. */
  readonly gbPerS: number
}

export interface Link {
  readonly name: string
  readonly kind: LinkKind
  /** Per direction and device. */
  readonly gbPerS: number
  /** Most devices that it joins. */
  readonly maxDevices: number
  /** Of the engine's own kernel, which serves tensor parallelism. */
  readonly allReduce: MeasuredCollective | null
  /** Of the collective library, where it was measured. */
  readonly library: {readonly [Kind in CollectiveKind]?: MeasuredCollective}
  /** Beyond `maxDevices`: groups of so many, joined by this. */
  readonly scaleOut?: ScaleOut | undefined
}

/** Factors on the compute and the memory efficiency of dense kernels and attention. */
export interface EfficiencyScale {
  readonly compute: number
  readonly memory: number
}

export interface Hardware {
  /** What a calibration to a serving run found beyond the kernels' own figures. */
  readonly efficiencyScale?: EfficiencyScale
  /** What `--hardware` takes. */
  readonly id: string
  /** The vendor's name of the product. */
  readonly name: string
  readonly vendor: string
  readonly aliases: readonly string[]
  /** Ids of the cards that its file extends, nearest first: servers take it for one of these. */
  readonly extended: readonly string[]
  /** Figures that no known device has, one sentence each. Absent: none. */
  readonly unusual?: readonly string[]
  readonly architecture: ArchitectureClass
  /** GiB as sold. */
  readonly memoryGib: number
  /** Memory that a process can see, as the driver reports it. */
  readonly usableBytes: number
  /** 10^9 bytes per second. */
  readonly bandwidthGbS: number
  /** Dense tensor throughput, no sparsity; absent: no units for that format. */
  readonly peakTflops: {readonly [D in PeakDtype]?: number}
  readonly l2Mb: number | null
  readonly multiprocessors: number | null
  /** Of the board, W. */
  readonly powerW: number
  /** What is known beyond that; `powerFiguresOf` fills the gaps. */
  readonly power: PowerSection | null
  /** Typical on-demand cloud price, a default to override; null: nobody rents it out, or nobody said. */
  readonly priceUsdPerHour: number | null
  /** The first is the default; empty for a device that is used alone. */
  readonly links: readonly Link[]
  readonly kernels: Kernels
  /** GEMM, prefill and decode attention are fitted to measurements, with their errors in the file. */
  readonly calibrated: boolean
  /** Where the figures of the file come from. */
  readonly source: string
  /** What a user should know before trusting the figures. */
  readonly notes: readonly string[]
}
