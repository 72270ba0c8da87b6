/** Which arithmetic a linear layer runs in on a device, and how many bytes its operands take. */
import type {GemmClass, Hardware} from '../catalogue/hardware-shape.js'
import type {Dtype, ModelShape} from '../catalogue/model-shape.js'

/** Parts of a model that may be quantised on their own. */
export type ModelPart = 'attention' | 'denseMlp' | 'experts' | 'lmHead' | 'router'

export interface Precision {
  readonly gemmClass: GemmClass
  /** FLOPs per ns at the datasheet's peak (10^9 FLOP/s). */
  readonly peakFlopsPerNs: number
  readonly weightBytes: number
  readonly activationBytes: number
}

/** What runs experts in MXFP4: kernels of their own, or Marlin, which decodes 4-bit weights of any kind. */
export type Mxfp4Kernel = 'own' | 'marlin'

interface Format {
  readonly dtype: Dtype
  /** Scales included; the usual size of the format when the checkpoint does not say. */
  readonly bytesPerWeight: number
}

// w4a16: groups of 64 to 128 weights share a 16-bit scale. fp4: nvfp4, 16 weights share an 8-bit scale.
const usualBytes: Readonly<Record<Dtype, number>> = {
  bf16: 2,
  fp16: 2,
  fp32: 4,
  fp8: 1,
  int8: 1,
  w4a16: 0.53125,
  fp4: 0.5625,
}

/** 16-bit tensor throughput in FLOPs per ns. */
export const peak16FlopsPerNs = (hardware: Hardware): number =>
  (hardware.peakTflops.bf16 ?? hardware.peakTflops.fp16 ?? 0) * 1000

/**
 * How a part of the model is computed: as `dtype` says where it is given, else as the checkpoint does.
 * Router and, unless the checkpoint says otherwise, lm_head stay in 16 bit. A format that the device has
 * no units for keeps its small weights and multiplies in 16 bit.
 */
export const precisionOf = (
  part: ModelPart,
  request: {
    model: ModelShape
    hardware: Hardware
    dtype?: Dtype | undefined
    mxfp4Experts?: Mxfp4Kernel | undefined
  },
): Precision => {
  const {dtype, bytesPerWeight} = formatOf(part, request.model, request.dtype)
  const hasOwnKernel =
    request.model.quantization?.method === 'mxfp4' && request.mxfp4Experts !== 'marlin'
  const {peakTflops} = request.hardware
  const peak16 = peak16FlopsPerNs(request.hardware)
  const native = (gemmClass: 'fp8' | 'int8' | 'fp4', activationBytes: number): Precision => {
    const peak = peakTflops[gemmClass]
    const weightOnly = gemmClass === 'fp4' ? 'w4a16' : 'w8a16'
    return peak === undefined
      ? sixteenBit(weightOnly, peak16, bytesPerWeight)
      : {gemmClass, peakFlopsPerNs: peak * 1000, weightBytes: bytesPerWeight, activationBytes}
  }
  if (dtype === 'fp8' || dtype === 'int8') return native(dtype, 1)
  if (dtype === 'fp4') return native(dtype, 0.5625)
  if (dtype === 'w4a16')
    return sixteenBit(
      hasOwnKernel && part === 'experts' ? 'mxfp4' : 'w4a16',
      peak16,
      bytesPerWeight,
    )
  // Tensor units take fp32 operands as tf32, at half the 16-bit rate.
  if (dtype === 'fp32')
    return {
      gemmClass: 'bf16',
      peakFlopsPerNs: peak16 / 2,
      weightBytes: bytesPerWeight,
      activationBytes: 4,
    }
  return sixteenBit('bf16', peak16, bytesPerWeight)
}

/** Operands of a GEMM class as the usual checkpoints have it; null: the device has no units for it. */
export const precisionOfClass = (gemmClass: GemmClass, hardware: Hardware): Precision | null => {
  const peak16 = peak16FlopsPerNs(hardware)
  if (gemmClass === 'bf16') return sixteenBit('bf16', peak16, 2)
  if (gemmClass === 'w8a16') return sixteenBit('w8a16', peak16, 1)
  if (gemmClass === 'w4a16' || gemmClass === 'mxfp4')
    return sixteenBit(gemmClass, peak16, usualBytes.w4a16)
  const peak = hardware.peakTflops[gemmClass]
  if (peak === undefined) return null
  const bytes = usualBytes[gemmClass]
  return {gemmClass, peakFlopsPerNs: peak * 1000, weightBytes: bytes, activationBytes: bytes}
}

const sixteenBit = (gemmClass: GemmClass, peak: number, weightBytes: number): Precision => ({
  gemmClass,
  peakFlopsPerNs: peak,
  weightBytes,
  activationBytes: 2,
})

const isSixteenBit = (dtype: Dtype): boolean => dtype === 'bf16' || dtype === 'fp16'

const formatOf = (part: ModelPart, model: ModelShape, dtype: Dtype | undefined): Format => {
  const usual = (of: Dtype): Format => ({dtype: of, bytesPerWeight: usualBytes[of]})
  // vLLM runs an fp32 checkpoint in 16 bit unless it is told otherwise.
  const plain = usual(isSixteenBit(model.dtype) ? model.dtype : 'bf16')
  if (part === 'router') return plain
  const quantization = model.quantization
  if (dtype !== undefined) {
    if (quantization?.dtype === dtype) return quantizedFormat(part, model) ?? plain
    return part === 'lmHead' && !isSixteenBit(dtype) && dtype !== 'fp32' ? plain : usual(dtype)
  }
  return quantizedFormat(part, model) ?? plain
}

/** null where the checkpoint leaves the part in 16 bit. */
const quantizedFormat = (part: ModelPart, model: ModelShape): Format | null => {
  const quantization = model.quantization
  if (!quantization || part === 'router' || quantization.unquantized[part]) return null
  return {dtype: quantization.dtype, bytesPerWeight: quantization.bytesPerWeight}
}
