/**
 * All-reduce among tensor-parallel ranks: measured floors and bus bandwidths, linear in bytes between the
 * measured sizes. A link that nobody measured takes the shape of its kind: NVLink and other switched
 * fabrics that of an H100 board, PCIe that of L40S cards without peer-to-peer, a two-way bridge twice
 * that (aiconfigurator's tables of vLLM's custom all-reduce inside a CUDA graph).
 */
import {
  type CollectiveCurve,
  type CollectiveKind,
  collectiveKinds,
  type Link,
  type LinkKind,
  type MeasuredCollective,
} from '../catalogue/hardware-shape.js'
import {Problem} from '../errors.js'
import type {Chosen, CoefficientSource} from './gemm.js'
import type {Provenance} from './step-time.js'
import {allReduce, type CollectiveNs, type Dimension, hopNsOf, taken} from './topology.js'

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
export type AllReduce = CollectiveNs

export type {CoefficientSource} from './gemm.js'
export {joining, taken} from './topology.js'

/** How some devices are joined, and where the figures come from. */
export interface Joined {
  readonly dimensions: readonly Dimension[]
  /** Of the all-reduce. */
  readonly from: Provenance
  readonly detail: string
  /** Of the other collectives. */
  readonly library: {readonly from: Provenance; readonly detail: string}
}

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
): Chosen<AllReduce> => allReduceOf(joinedBy(link, degree, source))

export const allReduceOf = ({dimensions, from, detail}: Joined): Chosen<AllReduce> => ({
  coefficients: (bytes) => allReduce(dimensions, bytes).ns,
  from,
  detail,
})

/** @throws Problem PARALLELISM_INVALID when the link joins fewer devices, or there is none */
export function joinedBy(link: Link | null, degree: number, source: CoefficientSource): Joined {
  if (link === null)
    throw new Problem(
      'PARALLELISM_INVALID',
      `--tp ${degree}: this accelerator has no link to another one, so it runs with --tp 1 only.`,
      {suggestions: ['--tp 1']},
    )
  const {maxDevices, scaleOut} = link
  if (degree <= maxDevices) return onLink(link, degree, source)
  if (scaleOut) {
    const {kind, gbPerS} = scaleOut
    const topology = [
      {
        kind: link.kind,
        wiring: 'switch',
        degree: maxDevices,
        gbPerS: link.gbPerS,
        devicesPerPort: 1,
      },
      {kind, wiring: 'switch', degree: Math.ceil(degree / maxDevices), gbPerS, devicesPerPort: 1},
    ] as const
    return joinedIn(topology, {devices: [...new Array(degree).keys()], link, source})
  }
  throw new Problem(
    'PARALLELISM_INVALID',
    `--tp ${degree}: link ${link.name} joins at most ${maxDevices} devices.`,
    {suggestions: [`--tp ${maxDevices}`, `--link ${link.name}+infiniband:50`]},
  )
}

/** One dimension of a cluster: what a link or a network joins. */
export type TopologyDimension = Omit<Dimension, 'own' | 'library' | 'latencyNs'> & {
  /** Absent: that of its kind, and what is measured of the device's own link counts. */
  readonly latencyNs?: number | undefined
}

interface Members {
  readonly devices: readonly number[]
  /** Of the device, if it has one. */
  readonly link: Link | null
  readonly source: CoefficientSource
}

/**
 * How devices with these numbers are joined by a topology.
 * @throws Problem PARALLELISM_INVALID where they are cut unequally, or are more than there are
 */
export function joinedIn(
  topology: readonly TopologyDimension[],
  {devices, link, source}: Members,
): Joined {
  let inside = 1
  const parts = taken(topology, devices).map((degree, at) => {
    const {latencyNs, ...dimension} = topology[at]!
    // A port is shared by those of its devices that take part.
    const devicesPerPort = Math.min(dimension.devicesPerPort, inside)
    inside *= degree
    const known = degree > 1 && latencyNs === undefined ? linkLike(dimension, link) : undefined
    const part = known && onLink(known, degree, source)
    const {own, library} = part?.dimensions[0] ?? {}
    return {
      dimension: {
        ...dimension,
        degree,
        devicesPerPort,
        latencyNs: latencyNs ?? hopNsOf(dimension.kind),
        own,
        ...(library && {library}),
      },
      part,
    }
  })
  const used = parts.filter(({dimension}) => dimension.degree > 1)
  const [only] = used
  if (used.length === 1 && only!.part) return {...only!.part, dimensions: [only!.dimension]}
  const detail = used.map(({dimension, part}) => dimensionText(dimension, part)).join('; ')
  return {
    dimensions: used.map(({dimension}) => dimension),
    ...{from: 'class default', detail},
    library: {from: 'class default', detail},
  }
}

function dimensionText({kind, degree, gbPerS, latencyNs}: Dimension, part: Joined | undefined) {
  if (part) return `${degree} devices on ${part.library.detail}`
  return `${degree} members at ${gbPerS} GB/s, ${latencyNs / 1000} µs a hop (${kind}, class default)`
}

/** The device's own link, or one of the kind that nobody measured; undefined for a network. */
function linkLike(
  dimension: Omit<TopologyDimension, 'latencyNs'>,
  link: Link | null,
): Link | undefined {
  const {kind, gbPerS, degree, wiring, devicesPerPort} = dimension
  if (kind === 'fabric' || kind === 'ethernet' || wiring === 'ring' || devicesPerPort > 1)
    return undefined
  const isOwn = link?.kind === kind && link.gbPerS === gbPerS && degree <= link.maxDevices
  if (isOwn) return link
  return {name: kind, kind, gbPerS, maxDevices: degree, allReduce: null, library: {}}
}

/** Devices on one link: the engine's own all-reduce, and what is known of the library. */
function onLink(link: Link, degree: number, source: CoefficientSource): Joined {
  const {coefficients: own, from, detail} = ownAllReduce(link, degree, source)
  const library: {[Kind in CollectiveKind]?: CollectiveNs} = {}
  for (const kind of collectiveKinds) {
    const measured = source === 'measured' ? link.library[kind] : undefined
    if (measured) library[kind] = measuredCollective(measured, kind, degree)
    // A pair of PCIe cards says little of four: what is known of the all-reduce says more.
    else if (link.kind === 'pcie') library[kind] = kind === 'all-reduce' ? own : half(own)
  }
  const dimension: Dimension = {
    ...{kind: link.kind, wiring: 'switch', degree, gbPerS: link.gbPerS},
    ...{latencyNs: hopNsOf(link.kind), devicesPerPort: 1, own, library},
  }
  const gathered = source === 'measured' ? link.library['all-gather'] : undefined
  const known = gathered
    ? ({from: 'calibrated', detail: `${link.name}: ${gathered.source}`} as const)
    : ({from: 'class default', detail: `${link.name}: ${lawText[lawName(link.kind)]}`} as const)
  return {dimensions: [dimension], from, detail, library: known}
}

const lawText = {
  pcie: 'half of its all-reduce',
  switched: 'two protocols of NCCL, fitted to NVLink devices',
}
const lawName = (kind: LinkKind) => (kind === 'pcie' ? 'pcie' : 'switched')

const half =
  (whole: CollectiveNs): CollectiveNs =>
  (bytes) =>
    whole(bytes) / 2

function ownAllReduce(link: Link, degree: number, source: CoefficientSource): Chosen<AllReduce> {
  const measured = source === 'measured' ? link.allReduce : null
  if (measured)
    return {
      coefficients: measuredCollective(measured, 'all-reduce', degree),
      from: 'calibrated',
      detail: `${link.name}: ${measured.source}`,
    }
  const nearest = degree <= 2 ? 2 : degree <= 4 ? 4 : 8
  const kind = kindDefaults[link.kind]
  const curve = {
    floorUs: kind.floorUs[Math.log2(nearest) - 1]!,
    busGbS: kind.shares[nearest].map((share) => share * link.gbPerS),
  }
  return {
    coefficients: collectiveTable({
      ...{curve, messageBytes: classMessageBytes},
      ...{kind: 'all-reduce', taken: nearest, degree},
    }),
    from: 'class default',
    detail: `${link.name}: default of ${link.kind} links at ${link.gbPerS} GB/s`,
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
