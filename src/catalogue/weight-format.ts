/** `--dtype`: run a model with weights in a format that its checkpoint may not have. */

import type {Dtype, ModelShape, Quantization} from './model-shape.js'

/** What `--dtype` accepts. */
export const weightFormats = ['bf16', 'fp16', 'fp8', 'int8', 'w4a16', 'fp4'] as const
export type WeightFormat = (typeof weightFormats)[number]

/** Bytes of a 4-bit weight in groups of `size` with a 16-bit scale and, when asymmetric, a 4-bit zero point. */
export const fourBitBytes = (size: number, zeroPoints: 'zero-points' | 'symmetric'): number =>
  0.5 + 2 / size + (zeroPoints === 'zero-points' ? 0.5 / size : 0)

/** 4 bits and one 8-bit scale per 16 weights (NVIDIA's NVFP4). */
export const NVFP4_BYTES = 0.5 + 1 / 16
/** 4 bits and one 8-bit scale per 32 weights (OCP microscaling). */
export const MXFP4_BYTES = 0.5 + 1 / 32

/** Every linear layer but the head; vLLM quantises no embedding and, by default, no head. */
const linearLayers: Quantization['unquantized'] = {
  attention: false,
  denseMlp: false,
  experts: false,
  lmHead: true,
}

/** FP8 with one scale per tensor or channel: what vLLM makes of a 16-bit checkpoint with `--quantization fp8`. */
export const fp8Weights: Quantization = {
  method: 'fp8',
  dtype: 'fp8',
  bytesPerWeight: 1,
  unquantized: linearLayers,
}

const overrides: Readonly<Record<Exclude<WeightFormat, 'bf16' | 'fp16'>, Quantization>> = {
  fp8: fp8Weights,
  int8: {method: 'int8', dtype: 'int8', bytesPerWeight: 1, unquantized: linearLayers},
  // AWQ's usual group of 128 with zero points.
  w4a16: {
    method: 'w4a16',
    dtype: 'w4a16',
    bytesPerWeight: fourBitBytes(128, 'zero-points'),
    unquantized: linearLayers,
  },
  fp4: {method: 'nvfp4', dtype: 'fp4', bytesPerWeight: NVFP4_BYTES, unquantized: linearLayers},
}

/** The same model with its linear layers in `format`; a format that the checkpoint has already keeps its own layout. */
export const withWeightFormat = (model: ModelShape, format: WeightFormat): ModelShape => {
  if (format === 'bf16' || format === 'fp16') return {...model, dtype: format, quantization: null}
  if (model.quantization?.dtype === format) return model
  return {...model, quantization: overrides[format]}
}

const BYTES: Readonly<Record<Dtype, number>> = {
  fp32: 4,
  bf16: 2,
  fp16: 2,
  fp8: 1,
  int8: 1,
  w4a16: fourBitBytes(128, 'zero-points'),
  fp4: NVFP4_BYTES,
}

/** Bytes of one weight in a format, scales included. */
export const bytesOf = (dtype: Dtype): number => BYTES[dtype]
