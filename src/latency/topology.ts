/**
 * Collectives among devices that several kinds of links join, dimension by dimension: eight devices on NVLink, four
 * such nodes on InfiniBand. Each algorithm is a sum of latencies and of bytes at a rate (the α–β model: Thakur et al.,
 * "Optimization of collective communication operations in MPICH", 2005), and the fastest is taken, as NCCL does.
 * Where a link has a measured all-reduce, that is what its dimension takes.
 */
import type {LinkKind} from '../catalogue/hardware-shape.js'
import {Problem} from '../errors.js'
import type {AllReduce} from './collective.js'

/** How the members of a dimension are wired. `switch`: every two at full rate. `ring`: neighbours only. */
export type Wiring = 'switch' | 'ring'

/** Innermost first: device number = Σ place in a dimension × degrees of those inside of it. */
export interface Dimension {
  readonly kind: LinkKind
  readonly wiring: Wiring
  /** Members: devices, or groups of devices of the dimension inside. */
  readonly degree: number
  /** Per direction and port. */
  readonly gbPerS: number
  readonly latencyNs: number
  /** Devices that share a port: 1, or all of a group below (one network card in a node). */
  readonly devicesPerPort: number
  /** Of so many bytes among its members; wins over what follows from rate and latency. */
  readonly measured?: AllReduce | undefined
}

export const algorithms = [
  'ring',
  'halving-doubling',
  'direct',
  'hierarchical',
  'measured',
] as const
export type Algorithm = (typeof algorithms)[number]

export interface CollectiveTime {
  /** ns, not rounded. */
  readonly ns: number
  readonly by: Algorithm
}

/** One hop of a ring with NCCL's LL128 protocol, from the constants of its tuning model (2.17–2.19): NVLink, PCIe, network. */
export const hopNs: Readonly<Record<LinkKind, number>> = {
  nvlink: 1900,
  'nvlink-bridge': 1900,
  ici: 1900,
  pcie: 2500,
  fabric: 4000,
  ethernet: 4000,
}

/** Bytes per ns that one device has of its port while all of them send. */
const rateOf = ({gbPerS, devicesPerPort}: Dimension): number => gbPerS / devicesPerPort

const fastest = (times: readonly CollectiveTime[]): CollectiveTime =>
  times.reduce((best, time) => (time.ns < best.ns ? time : best))

/**
 * Every rank ends with the part of the sum that is its own (or, the other way round, with everybody's part): half of
 * an all-reduce of so many bytes per rank.
 */
export function reduceScatter(dimension: Dimension, bytes: number): CollectiveTime {
  const {degree, latencyNs, wiring, measured} = dimension
  if (degree === 1) return {ns: 0, by: 'direct'}
  if (measured) return {ns: measured(bytes) / 2, by: 'measured'}
  const sent = ((degree - 1) / degree) * bytes
  const rate = rateOf(dimension)
  const times: CollectiveTime[] = [{ns: (degree - 1) * latencyNs + sent / rate, by: 'ring'}]
  if (wiring === 'switch') {
    const rounds = Math.ceil(Math.log2(degree))
    // Ranks beyond a power of two hand their data to a partner first.
    const extra = Number.isInteger(Math.log2(degree)) ? 0 : latencyNs + bytes / rate
    times.push({ns: rounds * latencyNs + sent / rate + extra, by: 'halving-doubling'})
    if (reachesMemory(dimension)) times.push({ns: latencyNs + sent / rate, by: 'direct'})
  }
  return fastest(times)
}

/** Whether devices write into each other's memory, so that all may send to one at once. Network cards are given no such algorithm. */
const reachesMemory = ({kind}: Dimension): boolean => kind !== 'fabric' && kind !== 'ethernet'

/** Every rank ends with the sum of everybody's `bytes`. */
export function allReduce(dimensions: readonly Dimension[], bytes: number): CollectiveTime {
  const used = dimensions.filter(({degree}) => degree > 1)
  const [inner, ...outer] = used
  if (inner === undefined) return {ns: 0, by: 'direct'}
  if (outer.length === 0) return inOneDimension(inner, bytes)
  return fastest([hierarchical(inner, outer, bytes), flatRing(used, bytes)])
}

function inOneDimension(dimension: Dimension, bytes: number): CollectiveTime {
  const {degree, latencyNs, measured} = dimension
  if (measured) return {ns: measured(bytes), by: 'measured'}
  const half = reduceScatter(dimension, bytes)
  const twice = {ns: 2 * half.ns, by: half.by}
  if (dimension.wiring === 'ring' || !reachesMemory(dimension)) return twice
  // One shot: everybody sends everything to everybody. Best for a few bytes.
  const sent = ((degree - 1) * bytes) / rateOf(dimension)
  return fastest([twice, {ns: latencyNs + sent, by: 'direct'}])
}

/** Reduce-scatter inside, all-reduce of the parts outside (all ports side by side), all-gather inside. */
function hierarchical(
  inner: Dimension,
  outer: readonly Dimension[],
  bytes: number,
): CollectiveTime {
  const inside = 2 * reduceScatter(inner, bytes).ns
  return {ns: inside + allReduce(outer, bytes / inner.degree).ns, by: 'hierarchical'}
}

/** One ring through all devices; channels spread over all ports, so that no port carries more than its part. */
function flatRing(dimensions: readonly Dimension[], bytes: number): CollectiveTime {
  const ranks = deviceCount(dimensions)
  let rate = Number.POSITIVE_INFINITY
  let inside = 1
  let latencyNs = 0
  for (const dimension of dimensions) {
    // Of a group only one ring edge per channel leaves it: its ports together carry what a device inside carries.
    rate = Math.min(rate, rateOf(dimension) * inside)
    latencyNs +=
      dimension.latencyNs * (dimension.degree - 1) * (ranks / (inside * dimension.degree))
    inside *= dimension.degree
  }
  const sent = ((ranks - 1) / ranks) * bytes
  return {ns: 2 * (latencyNs + sent / rate), by: 'ring'}
}

/** The outermost dimension in which two devices differ is the one that joins them; undefined: they are the same. */
export function joining(
  dimensions: readonly Dimension[],
  a: number,
  b: number,
): Dimension | undefined {
  let [left, right] = [a, b]
  let found: Dimension | undefined
  for (const dimension of dimensions) {
    if (left % dimension.degree !== right % dimension.degree) found = dimension
    left = Math.floor(left / dimension.degree)
    right = Math.floor(right / dimension.degree)
  }
  return found
}

export const deviceCount = (dimensions: readonly Dimension[]): number =>
  dimensions.reduce((product, {degree}) => product * degree, 1)

/**
 * The part of a topology that `ranks` neighbouring devices take: dimensions are filled from the inside.
 * @throws Problem PARALLELISM_INVALID where a dimension would be filled in part only, or there are too few devices
 */
export function innermost(dimensions: readonly Dimension[], ranks: number): Dimension[] {
  let left = ranks
  const taken: Dimension[] = []
  for (const dimension of dimensions) {
    const {degree} = dimension
    const members = Math.min(left, degree)
    if (left % members !== 0 || (left > degree && left % degree !== 0)) throw cutting(ranks, degree)
    // A measured curve belongs to the whole dimension.
    const {measured, ...rest} = dimension
    taken.push(members === degree ? dimension : {...rest, degree: members})
    left /= members
  }
  if (left === 1) return taken.filter(({degree}) => degree > 1)
  throw new Problem(
    'PARALLELISM_INVALID',
    `${ranks} devices: the topology has ${deviceCount(dimensions)}.`,
  )
}

const cutting = (ranks: number, degree: number): Problem => {
  const below = Math.floor(ranks / degree) * degree
  return new Problem(
    'PARALLELISM_INVALID',
    `${ranks} devices do not fill groups of ${degree}: one group would be smaller than the others.`,
    {suggestions: [`${below} or ${below + degree} devices`]},
  )
}
