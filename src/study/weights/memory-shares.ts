/** Who draws on which memory: what each holds must fit, and devices that stream at the same time share its bandwidth. */
import {firstByteUs} from '../../catalogue/link-defaults.js'
import type {MemoryDevices} from '../../catalogue/memory-devices.js'
import {SchemaFault} from '../../catalogue/schema-section.js'
import {fairRates} from '../../cluster/shared-links.js'
import {Problem} from '../../errors.js'
import {type Away, type OutsideKind, outsideKinds} from './stage-weights.js'

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
      const rates = ratesWithin(
        members.map(({linkGbPerS}) => linkGbPerS ?? Number.POSITIVE_INFINITY),
        memory?.gbPerS ?? Number.POSITIVE_INFINITY,
      )
      for (const [i, {at}] of members.entries())
        shares[at]![kind] = {
          gbPerS: rates[i]!,
          latencyNs: memory?.latencyNs ?? 1000 * firstByteUs,
        }
    }
  }
  return shares
}

/** Each at most its limit, all together at most the whole: a link of its own for each, and one that all cross. */
export function ratesWithin(limits: readonly number[], whole: number): number[] {
  const shared = limits.length
  const ways = limits.map((_, own) => ({
    links: [own, shared].map((link) => ({link, share: 1})),
    latencyNs: 0,
  }))
  return fairRates((link) => limits[link] ?? whole, ways)
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
        ...(weights > 0 ? ['Leave more of the weights on the npu.'] : []),
        ...(kept > 0 ? ['A smaller capacity_gb of the tier that keeps KV there.'] : []),
        'devices: 8, if each 8 have one of their own',
      ],
    },
  )
}
