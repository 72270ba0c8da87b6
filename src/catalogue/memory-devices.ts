/** Memories beside the accelerators, of the host and behind CXL: what they hold and how fast they give it. */

export const memoryKinds = ['cpu', 'cxl'] as const
export type MemoryKind = (typeof memoryKinds)[number]

/** One memory, and the accelerators that share it. */
export interface MemoryDevice {
  /** Undefined: nobody checks it. */
  readonly capacityBytes: number | undefined
  /** 10^9 bytes per second for all who share it; undefined: the link of each accelerator is the limit. */
  readonly gbPerS: number | undefined
  /** Until the first byte of a transfer. */
  readonly latencyNs: number
  /** Accelerators in the order of the cluster file that share one such memory; undefined: all of them share one. */
  readonly devices: number | undefined
}

export type MemoryDevices = {readonly [Kind in MemoryKind]?: MemoryDevice | undefined}
