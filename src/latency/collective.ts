/**
 * All-reduce among tensor-parallel ranks: measured floors and bus bandwidths, linear in bytes between the
 * measured sizes. A link that nobody measured takes the shape of its kind: NVLink and other switched
 * fabrics that of an H100 board, PCIe that of L40S cards without peer-to-peer, a two-way bridge twice
 * that (aiconfigurator's tables of vLLM's custom all-reduce inside a CUDA graph).
 */
import type {
  CollectiveCurve,
  CollectiveKind,
  Link,
  LinkKind,
  MeasuredCollective,
} from '../catalogue/hardware-shape.js'
import {Problem} from '../errors.js'
import type {Chosen, CoefficientSource} from './gemm.js'
import {allReduce, hopNs, innermost} from './topology.js'

const classMessageBytes: readonly number[] = [131_072, 2_097_152, 16_777_216, 134_217_728]

/** Floor, and bus bandwidth as shares of the link's rate at `classMessageBytes`. */
interface KindDefaults {
  readonly floorUs: readonly [number, number, number]
  readonly shares: Readonly<Record<2 | 4 | 8, readonly number[]>>
}

const switched: KindDefaults['shares'] = {
  2: [0.062, 0.376, 0.458, 0.636],
  4: [0.076, 0.376, 0.567, 0.722],
  8: [0.064, 0.42, 0.706, 0.904],
}

const kindDefaults: Readonly<Record<LinkKind, KindDefaults>> = {
  nvlink: {floorUs: [4.5, 4.8, 5], shares: switched},
  'nvlink-bridge': {
    floorUs: [5.4, 5.4, 5.4],
    shares: {
      2: [0.43, 0.64, 0.68, 0.68],
      4: [0.43, 0.64, 0.68, 0.68],
      8: [0.43, 0.64, 0.68, 0.68],
    },
  },
  pcie: {
    floorUs: [5.4, 13.6, 25.8],
    shares: {
      2: [0.375, 0.56, 0.59, 0.59],
      4: [0.103, 0.116, 0.119, 0.116],
      8: [0.066, 0.056, 0.059, 0.0625],
    },
  },
  fabric: {floorUs: [8, 9, 11], shares: switched},
  ethernet: {floorUs: [15, 18, 22], shares: switched},
  ici: {floorUs: [5, 6, 8], shares: switched},
}

/** Time in ns of one all-reduce of so many bytes. */
export type AllReduce = (bytes: number) => number

/**
 * The all-reduce among `degree` devices on a link. A degree between two known ones costs what the next
 * larger does; beyond the largest the floor grows with the depth of the tree.
 *
 * @throws Problem PARALLELISM_INVALID when the link joins fewer devices, or there is none
 */
export const allReduceOn = (
  link: Link | null,
  degree: number,
  source: CoefficientSource,
): Chosen<AllReduce> => {
  if (link === null)
    throw new Problem(
      'PARALLELISM_INVALID',
      `--tp ${degree}: this accelerator has no link to another one, so it runs with --tp 1 only.`,
      {suggestions: ['--tp 1']},
    )
  if (degree > link.maxDevices && link.scaleOut) return allReduceAcross(link, degree, source)
  if (degree > link.maxDevices)
    throw new Problem(
      'PARALLELISM_INVALID',
      `--tp ${degree}: link ${link.name} joins at most ${link.maxDevices} devices.`,
      {suggestions: [`--tp ${link.maxDevices}`, `--link ${link.name}+infiniband:50`]},
    )
  const measured = source === 'measured' ? link.allReduce : null
  if (measured)
    return {
      coefficients: measuredCollective(measured, 'all-reduce', degree),
      from: 'calibrated',
      detail: `${link.name}: ${measured.source}`,
    }
  const taken = degree <= 2 ? 2 : degree <= 4 ? 4 : 8
  const kind = kindDefaults[link.kind]
  const curve = {
    floorUs: kind.floorUs[Math.log2(taken) - 1]!,
    busGbS: kind.shares[taken].map((share) => share * link.gbPerS),
  }
  return {
    coefficients: collectiveTable({
      ...{curve, messageBytes: classMessageBytes},
      ...{kind: 'all-reduce', taken, degree},
    }),
    from: 'class default',
    detail: `${link.name}: default of ${link.kind} links at ${link.gbPerS} GB/s`,
  }
}

/** Full groups on the link, joined by its network: inside of a group what is known of the link, outside the topology. */
function allReduceAcross(link: Link, degree: number, source: CoefficientSource): Chosen<AllReduce> {
  const {maxDevices, scaleOut} = link
  const inside = allReduceOn(link, maxDevices, source)
  const dimensions = innermost(
    [
      {
        ...{kind: link.kind, wiring: 'switch', degree: maxDevices, gbPerS: link.gbPerS},
        ...{latencyNs: hopNs[link.kind], devicesPerPort: 1, measured: inside.coefficients},
      },
      {
        ...{kind: scaleOut!.kind, wiring: 'switch', degree: Math.ceil(degree / maxDevices)},
        ...{gbPerS: scaleOut!.gbPerS, latencyNs: hopNs[scaleOut!.kind], devicesPerPort: 1},
      },
    ],
    degree,
  )
  return {
    coefficients: (bytes) => allReduce(dimensions, bytes).ns,
    from: 'class default',
    detail: `${degree / maxDevices} groups of ${maxDevices}: ${inside.detail}; between them ring or halving-doubling at ${scaleOut!.gbPerS} GB/s, ${hopNs[scaleOut!.kind] / 1000} µs a hop (tuning constants of NCCL)`,
  }
}

/**
 * Time in ns of a collective by message size, from its measured curves. A degree between two known ones
 * costs what the next larger does; beyond the largest the floor grows with the depth of the tree.
 */
export const measuredCollective = (
  measured: MeasuredCollective,
  kind: CollectiveKind,
  degree: number,
): AllReduce => {
  const {degrees, messageBytes} = measured
  const entry = degrees.find((candidate) => candidate.degree >= degree) ?? degrees.at(-1)!
  return collectiveTable({curve: entry.curve, messageBytes, kind, taken: entry.degree, degree})
}

/** Share of the message that one device sends: twice in an all-reduce, which scatters and gathers. */
export const passesOf = (kind: CollectiveKind, degree: number): number =>
  ((kind === 'all-reduce' ? 2 : 1) * (degree - 1)) / degree

/** A curve that was measured for `taken` devices, for `degree` of them. */
export interface CollectiveTable {
  readonly curve: CollectiveCurve
  readonly messageBytes: readonly number[]
  readonly kind: CollectiveKind
  readonly taken: number
  readonly degree: number
}

/** Time in ns by bytes: the floor, then linear between the measured sizes. */
export const collectiveTable = (table: CollectiveTable): AllReduce => {
  const {curve, messageBytes, kind, taken, degree} = table
  const depth = degree > taken ? Math.log2(degree) / Math.log2(taken) : 1
  const floorNs = curve.floorUs * 1000 * depth
  const passes = passesOf(kind, Math.max(degree, taken))
  const sizes = [0, ...messageBytes]
  const times = [floorNs]
  // GB/s is bytes per ns. A larger message never arrives sooner.
  for (const [index, bus] of curve.busGbS.entries())
    times.push(Math.max(times[index]!, (passes * messageBytes[index]!) / bus))
  const lastRate = passes / curve.busGbS.at(-1)!
  return (bytes) => {
    const last = sizes.length - 1
    if (bytes >= sizes[last]!) return times[last]! + (bytes - sizes[last]!) * lastRate
    let at = 0
    while (bytes >= sizes[at + 1]!) at += 1
    const share = (bytes - sizes[at]!) / (sizes[at + 1]! - sizes[at]!)
    return times[at]! + share * (times[at + 1]! - times[at]!)
  }
}
