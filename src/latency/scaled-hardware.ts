/** A device whose dense kernels and attention reach other shares of its peaks than its file says. */
import type {EfficiencyScale, Hardware} from '../catalogue/hardware-shape.js'
import {classDefaults} from './class-defaults.js'

interface Efficient {
  readonly computeEfficiency?: number
  readonly memoryEfficiency?: number
}

/** Where the file has no figures of its own, those of the class are scaled. Nothing exceeds its peak. */
export function scaled(hardware: Hardware, scale: EfficiencyScale | undefined): Hardware {
  if (scale === undefined) return hardware
  const times = <T extends object>(fit: T): T => {
    const {computeEfficiency: compute, memoryEfficiency: memory} = fit as Efficient
    return {
      ...fit,
      ...(compute !== undefined && {computeEfficiency: Math.min(1, compute * scale.compute)}),
      ...(memory !== undefined && {memoryEfficiency: Math.min(1, memory * scale.memory)}),
    }
  }
  const {kernels} = hardware
  const byClass = classDefaults[hardware.architecture]
  const source = 'the defaults of its class, scaled by a calibration'
  const own = <T extends object>(fit: (T & {source: string}) | null | undefined, other: T) =>
    times(fit ?? {...other, source})
  return {
    ...hardware,
    kernels: {
      ...kernels,
      gemm: {...mapped(kernels.gemm, times), bf16: own(kernels.gemm.bf16, byClass.gemm)},
      decodeAttention: own(kernels.decodeAttention, byClass.decodeAttention),
      prefillAttention: own(kernels.prefillAttention, byClass.prefillAttention),
      mixedAttention: kernels.mixedAttention && times(kernels.mixedAttention),
      moe: kernels.moe && times(kernels.moe),
    },
  }
}

const mapped = <T extends object>(fits: T, change: <F extends object>(fit: F) => F): T =>
  Object.fromEntries(Object.entries(fits).map(([name, fit]) => [name, change(fit as object)])) as T
