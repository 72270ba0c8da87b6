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

/** How the GEMMs of a layer run; the last two decode their weights and multiply in 16 bit. */
export const gemmClasses = ['bf16', 'fp8', 'int8', 'fp4', 'w8a16', 'w4a16'] as const
export type GemmClass = (typeof gemmClasses)[number]

/** Where coefficients were taken from, and how well they fit. */
export interface Fit {
  readonly source: string
  /** Measurements behind the fit. */
  readonly samples?: number
  readonly meanErrorPercent?: number
  readonly biasPercent?: number
}

/** t = launch + ((flops/(peak·compute))^exponent + (bytes/(bandwidth·memory))^exponent)^(1/exponent) */
export interface GemmCoefficients {
  readonly computeEfficiency: number
  readonly memoryEfficiency: number
  readonly launchUs: number
  readonly exponent: number
}

/** t = launch + bytes/(bandwidth·memory) + perSequence·B·min(kvHeads, 8)^headExponent + sqrt·√context */
export interface DecodeAttentionCoefficients {
  readonly launchUs: number
  readonly memoryEfficiency: number
  readonly perSequenceUs: number
  readonly headExponent: number
  readonly sqrtUs: number
}

/** t = launch + 4·heads·headDim·(pairs + ramp·tokens)/(peak·compute) + context bytes */
export interface PrefillAttentionCoefficients {
  readonly launchUs: number
  readonly computeEfficiency: number
  /** Extra keys per query row that stand for tile edges and ramp-up: MFU = e·s/(s + 2·ramp) for a prompt of s. */
  readonly rampTokens: number
}

/** Decode rows in a step that also prefills, on kernels that then lose GQA packing and split-KV. */
export interface MixedAttentionCoefficients {
  readonly computeEfficiency: number
  /** Per sequence and query head. */
  readonly perRowUs: number
}

export interface Kernels {
  readonly gemm: {readonly [Class in GemmClass]?: GemmCoefficients & Fit}
  readonly decodeAttention: (DecodeAttentionCoefficients & Fit) | null
  readonly prefillAttention: (PrefillAttentionCoefficients & Fit) | null
  readonly mixedAttention: (MixedAttentionCoefficients & Fit) | null
  /** Fused experts, same law as a GEMM, bytes by the distinct-expert law. */
  readonly moe: (GemmCoefficients & Fit) | null
}

export const linkKinds = ['nvlink', 'nvlink-bridge', 'pcie', 'fabric', 'ethernet', 'ici'] as const
export type LinkKind = (typeof linkKinds)[number]

/** A measured all-reduce among `degree` devices. */
export interface AllReduceCurve {
  /** Time of the smallest message. */
  readonly floorUs: number
  /** Bus bandwidth 2(n−1)/n·bytes/time at each of the link's message sizes. */
  readonly busGbS: readonly number[]
}

export interface Link {
  readonly name: string
  readonly kind: LinkKind
  /** Per direction and device. */
  readonly gbPerS: number
  /** Most devices that it joins. */
  readonly maxDevices: number
  readonly allReduce: {
    readonly source: string
    readonly messageBytes: readonly number[]
    /** By number of devices, ascending. */
    readonly degrees: readonly {readonly degree: number; readonly curve: AllReduceCurve}[]
  } | null
}

export interface Hardware {
  /** What `--hardware` takes. */
  readonly id: string
  /** The vendor's name of the product. */
  readonly name: string
  readonly vendor: string
  readonly aliases: readonly string[]
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
  /** Typical on-demand cloud price, a default to override. */
  readonly priceUsdPerHour: number
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
