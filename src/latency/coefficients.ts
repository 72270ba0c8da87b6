/** The coefficients that a device runs with: its own where it has them, its class's elsewhere. */
import type {
  DecodeAttentionCoefficients,
  Fit,
  GemmClass,
  GemmCoefficients,
  Hardware,
  MixedAttentionCoefficients,
  PrefillAttentionCoefficients,
} from '../catalogue/hardware-shape.js'
import {classDefaults} from './class-defaults.js'
import {atLevel, type Chosen, type CoefficientSource, gemmCoefficients} from './gemm.js'

export interface Coefficients {
  readonly requested: CoefficientSource
  /** `roofline` when at least the GEMMs of this device were measured. */
  readonly source: 'roofline' | 'datasheet'
  readonly gemm: (gemmClass: GemmClass) => GemmCoefficients
  readonly gemmChoice: (gemmClass: GemmClass) => Chosen<GemmCoefficients>
  readonly decodeAttention: Chosen<DecodeAttentionCoefficients>
  readonly prefillAttention: Chosen<PrefillAttentionCoefficients>
  readonly mixedAttention: Chosen<MixedAttentionCoefficients | null>
  readonly moe: (gemmClass: GemmClass) => GemmCoefficients
  readonly moeChoice: (gemmClass: GemmClass) => Chosen<GemmCoefficients>
}

export const coefficientsFor = (hardware: Hardware, requested: CoefficientSource): Coefficients => {
  const defaults = classDefaults[hardware.architecture]
  const {kernels} = hardware
  const choose = <T>(own: (T & Fit) | null, byClass: T): Chosen<T> =>
    own && requested === 'measured'
      ? {coefficients: own, from: 'calibrated', detail: own.source}
      : {coefficients: byClass, from: 'class default', detail: `class ${hardware.architecture}`}
  const gemmChoice = (gemmClass: GemmClass) => gemmCoefficients(hardware, gemmClass, requested)
  const moeChoice = (gemmClass: GemmClass): Chosen<GemmCoefficients> => {
    const isWeightOnly = gemmClass === 'w4a16' || gemmClass === 'mxfp4'
    // Where gpt-oss's kernel was not measured, vLLM takes that of 4-bit integers.
    const own = kernels.moe[gemmClass] ?? (isWeightOnly ? kernels.moe.w4a16 : undefined)
    if (own && requested === 'measured')
      return {coefficients: own, from: 'calibrated', detail: own.source}
    const byClass = defaults.quantizedExperts?.[gemmClass]
    if (byClass) return choose<GemmCoefficients>(null, byClass)
    const base = choose<GemmCoefficients>(kernels.moe.bf16 ?? null, defaults.moe)
    return {
      coefficients: atLevel(base.coefficients, gemmClass),
      from: 'class default',
      detail:
        gemmClass === 'bf16' ? base.detail : `${base.detail}, times the level of ${gemmClass}`,
    }
  }
  return {
    requested,
    source: requested === 'measured' && kernels.gemm.bf16 ? 'roofline' : 'datasheet',
    gemm: (gemmClass) => gemmChoice(gemmClass).coefficients,
    gemmChoice,
    decodeAttention: choose(kernels.decodeAttention, defaults.decodeAttention),
    prefillAttention: choose(kernels.prefillAttention, defaults.prefillAttention),
    mixedAttention: choose<MixedAttentionCoefficients | null>(
      kernels.mixedAttention,
      defaults.mixedAttention,
    ),
    moe: (gemmClass) => moeChoice(gemmClass).coefficients,
    moeChoice,
  }
}
