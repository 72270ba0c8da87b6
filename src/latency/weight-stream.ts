/**
 * Weights that lie outside of the device's memory and cross a link in every step (host memory over PCIe, or CXL). Those
 * that are read in place hide behind the layers that own them; those that are fetched ahead hide behind the whole step.
 */
import type {StepTime} from './step-time.js'

export interface WeightStream {
  /** Of one device: all of its weights, and the part that lies elsewhere. */
  readonly weightBytes: number
  readonly offloadedBytes: number
  /** 10^9 bytes per second, of one device. */
  readonly gbPerS: number
  /** `read`: kernels read them in place (vLLM's --cpu-offload-gb). `prefetch`: copied ahead, layer by layer. */
  readonly mode: 'read' | 'prefetch'
}

/** ns in which the weights outside cross the link once. */
export const streamNs = ({offloadedBytes, gbPerS}: WeightStream): number => offloadedBytes / gbPerS

/**
 * A step of t ns whose share s of the weights needs S ns on the link: max(t, S) when fetched ahead,
 * (1 − s)·t + max(s·t, S) when read in place. Never shorter than without; monotone because t is.
 */
export function withWeightStream(time: StepTime, stream: WeightStream): StepTime {
  const link = streamNs(stream)
  if (stream.mode === 'prefetch') return (shape) => Math.max(time(shape), Math.round(link))
  const share = stream.offloadedBytes / stream.weightBytes
  return (shape) => {
    const own = time(shape)
    return own + Math.max(0, Math.round(link - share * own))
  }
}
