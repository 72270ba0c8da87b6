/**
 * Coefficients of a device that nobody has measured, by architecture class: those of its nearest measured
 * relative where there is one (ampere: A100, ada: L40S, ada-consumer: RTX 4090, hopper: H100, blackwell: B200,
 * blackwell-consumer: RTX PRO 6000, xe2: B60; ampere-consumer: the bandwidth and the walk of the RTX A6000), else
 * an estimate between the measured ones. Expect tens of percent of error: on measured H100 serving runs, datasheet-style figures
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
  /** 16-bit experts. */
  readonly moe: GemmCoefficients
  /** Experts in formats whose kernel was measured on a device of the class; the others are `moe` at their level. */
  readonly quantizedExperts?: Partial<Readonly<Record<GemmClass, GemmCoefficients>>>
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
  more: Partial<DecodeAttentionCoefficients> = {},
): DecodeAttentionCoefficients => ({
  ...more,
  launchUs: row[0],
  memoryEfficiency: row[1],
  perSequenceUs: row[2],
  headExponent: row[3],
  sqrtUs: row[4],
})
const prefill = (
  row: readonly [number, number, number],
  more: Partial<PrefillAttentionCoefficients> = {},
): PrefillAttentionCoefficients => ({
  ...more,
  launchUs: row[0],
  computeEfficiency: row[1],
  rampTokens: row[2],
})
/**
 * Fits for RTX 4090 and RTX PRO 6000 (88 and 95 % of their prefill efficiency), estimates for all other classes: about
 * 75 % of it, as decodes beside a chunk were never measured there.
 */
const mixed = (row: readonly [number, number]): MixedAttentionCoefficients => ({
  ...besideChunk,
  computeEfficiency: row[0],
  perRowUs: row[1],
})

/** FlashAttention 2 beside a chunk: the middle of RTX 4090 and RTX PRO 6000, whose shares are alike. */
const besideChunk = {exposedShare: 0.32, emptyTileUs: 0.26}

/** vLLM's Marlin kernels for experts on the L40S: the same instructions run on every Turing, Ampere and Ada card. */
const marlin = {w4a16: gemm([0.628, 0.814, 49, 1.74]), mxfp4: gemm([0.457, 0.766, 46, 3.22])}

/** With the kernel for FP8 of the L40S. */
const adaExperts = {...marlin, fp8: gemm([0.524, 0.783, 31, 1.3])}

export const classDefaults: Readonly<Record<ArchitectureClass, ClassDefaults>> = {
  turing: {
    gemm: gemm([0.8, 0.75, 4, 2]),
    decodeAttention: decode([14.4, 0.75, 0.0726, 0, 0.156], {serialWalkUs: 50}),
    prefillAttention: prefill([15, 0.45, 140], {chunkWalkUs: 19, serialWalkUs: 50}),
    mixedAttention: mixed([0.34, 0.003]),
    moe: gemm([0.4, 0.75, 30, 1]),
    quantizedExperts: marlin,
  },
  ampere: {
    gemm: gemm([0.853, 0.752, 4, 1.82]),
    decodeAttention: decode([11, 0.815, 0, 0, 0.08], {
      ...{fillUs: 10.2, serialWalkUs: 22.9},
      ...{blockUs: 0.032, combineUs: 4.8, regroupUs: 5.7},
    }),
    prefillAttention: prefill([9.4, 0.59, 137], {
      ...{perKvTokenUs: 0.78, chunkTokens: 47},
      ...{chunkWalkUs: 18.9, serialWalkUs: 22.8},
    }),
    mixedAttention: mixed([0.447, 0.003]),
    moe: gemm([0.536, 0.767, 46, 1]),
    quantizedExperts: marlin,
  },
  'ampere-consumer': {
    gemm: gemm([0.85, 0.82, 4, 2]),
    decodeAttention: decode([8.6, 0.92, 0.006, 1.1, 0.031], {
      ...{fillUs: 27, serialWalkUs: 47.9},
      ...{blockUs: 0.025, combineUs: 1.7, regroupUs: 3.2},
    }),
    prefillAttention: prefill([5.8, 0.8, 366], {serialWalkUs: 47.9}),
    mixedAttention: mixed([0.587, 0.006]),
    moe: gemm([0.5, 0.82, 30, 1]),
    quantizedExperts: marlin,
  },
  ada: {
    gemm: gemm([0.654, 0.78, 4, 2.07]),
    decodeAttention: decode([7.3, 0.827, 0.0147, 1.2, 0.053], {
      ...{fillUs: 1.1, serialWalkUs: 18.1},
      ...{blockUs: 0.0088, combineUs: 2.5, regroupUs: 2.9},
    }),
    prefillAttention: prefill([6.5, 0.52, 92], {
      ...{perKvTokenUs: 0.47, chunkTokens: 59},
      ...{chunkWalkUs: 9.8, serialWalkUs: 18.1},
    }),
    mixedAttention: mixed([0.388, 0.003]),
    moe: gemm([0.654, 0.794, 25, 1.23]),
    quantizedExperts: adaExperts,
  },
  'ada-consumer': {
    gemm: gemm([0.97, 0.91, 4, 2.6]),
    decodeAttention: decode([8.6, 0.943, 0.006, 1.1, 0.031], {
      ...{fillUs: 27, serialWalkUs: 33},
      ...{blockUs: 0.0083, combineUs: 1.7, regroupUs: 3.2},
    }),
    prefillAttention: prefill([5.8, 0.884, 366], {serialWalkUs: 33}),
    mixedAttention: mixed([0.774, 0.006]),
    moe: gemm([0.6, 0.88, 30, 1]),
    quantizedExperts: adaExperts,
  },
  hopper: {
    gemm: gemm([0.803, 0.867, 3.4, 3.8]),
    decodeAttention: decode([11.2, 0.959, 0.019, 0.73, 0.035], {
      ...{fillUs: 4.5, blockUs: 0.0123, combineUs: 1},
    }),
    prefillAttention: prefill([12.7, 0.71, 412], {perKvTokenUs: 0.49, chunkWalkUs: 3.9}),
    mixedAttention: null,
    moe: gemm([0.66, 0.905, 40, 1.19]),
    quantizedExperts: {
      fp8: gemm([0.385, 0.89, 44, 1.15]),
      w4a16: gemm([0.299, 0.876, 50, 1]),
      mxfp4: gemm([0.653, 0.8, 55, 1.36]),
    },
  },
  blackwell: {
    gemm: gemm([0.708, 0.805, 2.7, 3]),
    decodeAttention: decode([8.9, 0.942, 0, 0, 0.031], {
      fillUs: 3.3,
      blockUs: 0.0102,
      combineUs: 0.3,
    }),
    prefillAttention: prefill([10.4, 0.646, 432], {
      ...{perKvTokenUs: 0.3, chunkTokens: 98, chunkWalkUs: 9.1},
    }),
    mixedAttention: null,
    moe: gemm([0.363, 0.903, 24, 2.09]),
    quantizedExperts: {
      fp8: gemm([0.218, 0.954, 44, 1]),
      fp4: gemm([0.49, 0.908, 27, 1.01]),
      w4a16: gemm([0.11, 0.477, 74, 1.12]),
      mxfp4: gemm([0.264, 0.632, 32, 1.33]),
    },
  },
  'blackwell-consumer': {
    gemm: gemm([0.844, 0.945, 4, 2.3]),
    decodeAttention: decode([6.7, 0.956, 0.0122, 0.74, 0.039], {
      ...{fillUs: 29.2, serialWalkUs: 22.5},
      ...{blockUs: 0.0051, combineUs: 3.4, regroupUs: 3.3},
    }),
    prefillAttention: prefill([7.2, 0.555, 53], {chunkWalkUs: 15.7, serialWalkUs: 22.5}),
    mixedAttention: mixed([0.53, 0]),
    moe: gemm([0.381, 0.933, 35, 2.14]),
    quantizedExperts: {
      fp8: gemm([0.35, 0.925, 40, 1.78]),
      fp4: gemm([0.635, 0.889, 58, 1.89]),
      w4a16: gemm([0.535, 0.895, 32, 2.54]),
      mxfp4: gemm([0.512, 0.848, 35, 2.45]),
    },
  },
  xe2: {
    gemm: gemm([0.91, 0.92, 20.4, 3.2]),
    decodeAttention: decode([59.7, 1, 0, 0, 0], {blockUs: 0.054}),
    prefillAttention: prefill([38.6, 0.653, 79], {chunkTokens: 92, chunkWalkUs: 26.4}),
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
  mxfp4: {compute: 0.45 / 0.7, memory: 0.85, extraLaunchUs: 0},
}
