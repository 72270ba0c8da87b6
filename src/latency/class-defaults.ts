/**
 * Coefficients of a device that nobody has measured, by architecture class: those of its nearest measured
 * relative where there is one (ampere: A100, ada: L40S, hopper: H100, …), else an estimate between the
 * measured ones. Expect tens of percent of error: on measured H100 serving runs, datasheet-style figures
 * are about 27 % off.
 */
import type {
  ArchitectureClass,
  DecodeAttentionCoefficients,
  GemmClass,
  GemmCoefficients,
  MixedAttentionCoefficients,
  PrefillAttentionCoefficients,
} from '../catalogue/hardware-shape.js'

export interface ClassDefaults {
  /** 16-bit; the other formats follow by `formatLevels`. */
  readonly gemm: GemmCoefficients
  readonly decodeAttention: DecodeAttentionCoefficients
  readonly prefillAttention: PrefillAttentionCoefficients
  /** null: kernels keep GQA packing in mixed steps (FlashAttention 3), or nobody knows. */
  readonly mixedAttention: MixedAttentionCoefficients | null
  readonly moe: GemmCoefficients
}

// Rows below read like the table they are: [compute, memory, launch µs, exponent] and so on.
const gemm = (row: readonly [number, number, number, number]): GemmCoefficients => ({
  computeEfficiency: row[0],
  memoryEfficiency: row[1],
  launchUs: row[2],
  exponent: row[3],
})
const decode = (
  row: readonly [number, number, number, number, number],
): DecodeAttentionCoefficients => ({
  launchUs: row[0],
  memoryEfficiency: row[1],
  perSequenceUs: row[2],
  headExponent: row[3],
  sqrtUs: row[4],
})
const prefill = (row: readonly [number, number, number]): PrefillAttentionCoefficients => ({
  launchUs: row[0],
  computeEfficiency: row[1],
  rampTokens: row[2],
})
const mixed = (row: readonly [number, number]): MixedAttentionCoefficients => ({
  computeEfficiency: row[0],
  perRowUs: row[1],
})

export const classDefaults: Readonly<Record<ArchitectureClass, ClassDefaults>> = {
  turing: {
    gemm: gemm([0.8, 0.75, 4, 2]),
    decodeAttention: decode([14.4, 0.75, 0.0726, 0, 0.156]),
    prefillAttention: prefill([15, 0.45, 400]),
    mixedAttention: mixed([0.32, 0.03]),
    moe: gemm([0.4, 0.75, 30, 1]),
  },
  ampere: {
    gemm: gemm([0.857, 0.734, 4, 1.82]),
    decodeAttention: decode([14.4, 0.811, 0.0726, 0, 0.156]),
    prefillAttention: prefill([15, 0.6, 410]),
    mixedAttention: mixed([0.42, 0.025]),
    moe: gemm([0.42, 0.74, 30, 1]),
  },
  'ampere-consumer': {
    gemm: gemm([0.85, 0.82, 4, 2]),
    decodeAttention: decode([12, 0.88, 0.0253, 1, 0.03]),
    prefillAttention: prefill([10, 0.8, 150]),
    mixedAttention: mixed([0.56, 0.035]),
    moe: gemm([0.5, 0.82, 30, 1]),
  },
  ada: {
    gemm: gemm([0.668, 0.784, 4, 2.09]),
    decodeAttention: decode([8.9, 0.807, 0.0281, 1, 0.109]),
    prefillAttention: prefill([9, 0.52, 230]),
    mixedAttention: mixed([0.364, 0.025]),
    moe: gemm([0.5, 0.88, 30, 1]),
  },
  'ada-consumer': {
    gemm: gemm([0.95, 0.92, 5, 2.3]),
    decodeAttention: decode([11.9, 0.91, 0.0253, 1, 0.029]),
    prefillAttention: prefill([9.5, 0.89, 150]),
    mixedAttention: mixed([0.665, 0.035]),
    moe: gemm([0.6, 0.88, 30, 1]),
  },
  hopper: {
    gemm: gemm([0.81, 0.85, 4, 3]),
    decodeAttention: decode([11.1, 0.973, 0.0303, 0.85, 0.0705]),
    prefillAttention: prefill([15, 0.69, 450]),
    mixedAttention: null,
    moe: gemm([0.55, 0.9, 30, 1]),
  },
  blackwell: {
    gemm: gemm([0.72, 0.78, 3.3, 2.4]),
    decodeAttention: decode([9, 0.95, 0.006, 0.85, 0.06]),
    prefillAttention: prefill([10, 0.6, 1030]),
    mixedAttention: null,
    moe: gemm([0.5, 0.85, 30, 1]),
  },
  'blackwell-consumer': {
    gemm: gemm([0.778, 0.9, 5, 1.66]),
    decodeAttention: decode([11.2, 0.813, 0.0151, 1, 0.067]),
    prefillAttention: prefill([9, 0.64, 366]),
    mixedAttention: mixed([0.43, 0.017]),
    moe: gemm([0.5, 0.88, 30, 1]),
  },
  xe2: {
    gemm: gemm([0.931, 0.954, 19.5, 3.02]),
    decodeAttention: decode([55, 0.985, 0.05, 0, 0.05]),
    prefillAttention: prefill([30, 0.7, 377]),
    mixedAttention: null,
    moe: gemm([0.5, 0.9, 80, 1]),
  },
  cdna3: {
    gemm: gemm([0.55, 0.7, 6, 2]),
    decodeAttention: decode([15, 0.65, 0.05, 1, 0.1]),
    prefillAttention: prefill([20, 0.35, 600]),
    mixedAttention: null,
    moe: gemm([0.35, 0.65, 40, 1]),
  },
  cdna4: {
    gemm: gemm([0.58, 0.72, 6, 2]),
    decodeAttention: decode([15, 0.68, 0.04, 1, 0.1]),
    prefillAttention: prefill([20, 0.38, 700]),
    mixedAttention: null,
    moe: gemm([0.36, 0.68, 40, 1]),
  },
  gaudi: {
    gemm: gemm([0.7, 0.75, 10, 2]),
    decodeAttention: decode([20, 0.7, 0.05, 1, 0.1]),
    prefillAttention: prefill([20, 0.4, 500]),
    mixedAttention: null,
    moe: gemm([0.35, 0.65, 40, 1]),
  },
  tpu: {
    gemm: gemm([0.75, 0.8, 5, 2.5]),
    decodeAttention: decode([15, 0.7, 0.05, 1, 0.1]),
    prefillAttention: prefill([20, 0.4, 500]),
    mixedAttention: null,
    moe: gemm([0.4, 0.75, 40, 1]),
  },
  apple: {
    gemm: gemm([0.8, 0.8, 10, 2]),
    decodeAttention: decode([20, 0.75, 0.05, 1, 0.1]),
    prefillAttention: prefill([30, 0.5, 300]),
    mixedAttention: null,
    moe: gemm([0.5, 0.75, 60, 1]),
  },
}

export interface FormatLevel {
  /** Share of the 16-bit compute efficiency that this format reaches of its own peak. */
  readonly compute: number
  readonly memory: number
  /** Quantising the activations is a kernel of its own. */
  readonly extraLaunchUs: number
}

/**
 * Efficiency of a GEMM format against 16 bit on the same device. Compute: aiconfigurator's utilisation
 * levels across formats (w16a16 0.70, w8a16 0.55, w4a16 0.45, fp8 0.45, nvfp4 0.30), which it applies
 * where it has no table. Memory and launch: fp8 against bf16 in its H100, L40S and RTX PRO 6000 tables.
 */
export const formatLevels: Readonly<Record<GemmClass, FormatLevel>> = {
  bf16: {compute: 1, memory: 1, extraLaunchUs: 0},
  fp8: {compute: 0.45 / 0.7, memory: 0.88, extraLaunchUs: 3},
  int8: {compute: 0.45 / 0.7, memory: 0.88, extraLaunchUs: 3},
  fp4: {compute: 0.3 / 0.7, memory: 0.75, extraLaunchUs: 3},
  w8a16: {compute: 0.55 / 0.7, memory: 0.88, extraLaunchUs: 0},
  w4a16: {compute: 0.45 / 0.7, memory: 0.85, extraLaunchUs: 0},
}
