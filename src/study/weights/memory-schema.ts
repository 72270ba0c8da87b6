/** The section `memory` of a cluster file. docs/cluster.md. */

import {z} from 'zod'
import {
  firstByteUs,
  largestNumber,
  longestLatencyUs,
  slowestGbPerS,
} from '../../catalogue/link-defaults.js'
import {
  type MemoryDevice,
  type MemoryDevices,
  type MemoryKind,
  memoryKinds,
} from '../../catalogue/memory-devices.js'

const positive = z.number().positive().max(largestNumber)
const rate = z.number().min(slowestGbPerS).max(largestNumber)

const reached = {
  latency_us: z.number().min(0).max(longestLatencyUs).default(firstByteUs),
  devices: z.int().min(1).optional(),
}

/** Host memory is there anyway; CXL memory is what the file says of it. */
const host = z.strictObject({
  capacity_gb: positive.optional(),
  bandwidth_gb_s: rate.optional(),
  ...reached,
})
const added = z.strictObject({capacity_gb: positive, bandwidth_gb_s: rate, ...reached})

export const memorySchema = z.strictObject({cpu: host.optional(), cxl: added.optional()})

export const memoryKeys = Object.keys(host.shape)

/** The memories that a file describes. */
export function memoriesOf(given: z.infer<typeof memorySchema> | undefined): MemoryDevices {
  const found: {[Kind in MemoryKind]?: MemoryDevice} = {}
  for (const kind of memoryKinds) {
    const memory = given?.[kind]
    if (memory === undefined) continue
    found[kind] = {
      capacityBytes: memory.capacity_gb === undefined ? undefined : memory.capacity_gb * 1e9,
      gbPerS: memory.bandwidth_gb_s,
      latencyNs: memory.latency_us * 1000,
      devices: memory.devices,
    }
  }
  return found
}
