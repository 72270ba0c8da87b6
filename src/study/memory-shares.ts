/** Who draws on which memory: what each holds must fit, and devices that stream at the same time share its bandwidth. */
import {defaultLatencyUs, type MemoryDevices} from '../catalogue/memory-devices.js'
import {SchemaFault} from '../catalogue/schema-section.js'
import {Problem} from '../errors.js'
import {type Away, type OutsideKind, outsideKinds} from './outside-weights.js'

/** How one device reaches a memory. */
export interface MemoryShare {
  readonly gbPerS: number
  readonly latencyNs: number
}

export type MemoryShares = {readonly [Kind in OutsideKind]?: MemoryShare}

/** What one device of a cluster has outside, in the order of the file. */
export interface Streamer {
  readonly away: Away
  /** Of the KV that is kept there. */
  readonly kept: Away
  /** GB/s of its link to the host; undefined: no file says. */
  readonly linkGbPerS: number | undefined
}

/**
 * The share of each device, as if all streamed all the time: max-min fair, and no more than its link.
 * @throws SchemaFault where a memory is too small, Problem FLAG_BAD_VALUE where there is none
 */
export function sharesOf(streamers: readonly Streamer[], memories: MemoryDevices): MemoryShares[] {
  const shares: {[Kind in OutsideKind]?: MemoryShare}[] = streamers.map(() => ({}))
  for (const kind of outsideKinds) {
    const memory = memories[kind]
    const perMemory = memory?.devices ?? streamers.length
    for (let first = 0; first < streamers.length; first += perMemory) {
      const beside = streamers.map((one, at) => ({...one, at})).slice(first, first + perMemory)
      const members = beside.filter(({away}) => away[kind] > 0)
      const needed = members.reduce((sum, {away}) => sum + away[kind], 0)
      const kept = beside.reduce((sum, one) => sum + one.kept[kind], 0)
      if (memory?.capacityBytes !== undefined && needed + kept > memory.capacityBytes)
        throw tooSmall(kind, memory.capacityBytes, {weights: needed, kept})
      if (kind === 'cxl' && memory === undefined && needed > 0) throw noCxl()
      const rates = fairRates(
        members.map(({linkGbPerS}) => linkGbPerS ?? Number.POSITIVE_INFINITY),
        memory?.gbPerS ?? Number.POSITIVE_INFINITY,
      )
      for (const [i, {at}] of members.entries())
        shares[at]![kind] = {
          gbPerS: rates[i]!,
          latencyNs: memory?.latencyNs ?? 1000 * defaultLatencyUs,
        }
    }
  }
  return shares
}

/** Each at most its limit, all together at most the whole, the smallest as large as can be. */
export function fairRates(limits: readonly number[], whole: number): number[] {
  const rates = limits.map(() => 0)
  const order = [...limits.keys()].sort((a, b) => limits[a]! - limits[b]!)
  let left = whole
  for (const [served, at] of order.entries()) {
    rates[at] = Math.min(limits[at]!, left / (order.length - served))
    if (left !== Number.POSITIVE_INFINITY) left -= rates[at]
  }
  return rates
}

const noCxl = (): Problem =>
  new Problem('FLAG_BAD_VALUE', '--weights …:cxl: no CXL memory is described.', {
    suggestions: [
      '--cluster FILE.yaml with memory: {cxl: {capacity_gb: 256, bandwidth_gb_s: 28}}',
      "--weights 'blocks 16-31:cpu'",
    ],
  })

function tooSmall(
  kind: OutsideKind,
  capacity: number,
  {weights, kept}: {weights: number; kept: number},
): SchemaFault {
  const needed = weights + kept
  const what = kept === 0 ? 'weights' : weights === 0 ? 'KV' : 'weights and KV'
  const gb = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`
  return new SchemaFault(
    ['memory', kind, 'capacity_gb'],
    `is ${gb(capacity)}, and the ${what} placed there come to ${gb(needed)}: ${gb(needed - capacity)} too many`,
    {
      suggestions: [
        'Leave more of them on the npu.',
        'devices: 8, if each 8 have one of their own',
      ],
    },
  )
}
