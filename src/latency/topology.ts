/**
 * Collectives among devices that several kinds of links join, dimension by dimension: eight devices on NVLink, four
 * such nodes on InfiniBand. Each algorithm is a sum of latencies and of bytes at a rate (the α–β model: Thakur et al.,
 * "Optimization of collective communication operations in MPICH", 2005), in one of two protocols, and the fastest is
 * taken, as NCCL does. Where a link has measured curves, those are what its dimension takes.
 */
import type {CollectiveKind, LinkKind} from '../catalogue/hardware-shape.js'
import {Problem} from '../errors.js'

/** How the members of a dimension are wired. `switch`: every two at full rate. `ring`: neighbours only. */
export type Wiring = 'switch' | 'ring'

/** ns of a collective by bytes, not rounded. */
export type CollectiveNs = (bytes: number) => number

/** Innermost first: device number = Σ place in a dimension × degrees of those inside of it. */
export interface Dimension {
  readonly kind: LinkKind
  readonly wiring: Wiring
  /** Members: devices, or groups of devices of the dimension inside. */
  readonly degree: number
  /** Per direction and port. */
  readonly gbPerS: number
  /** Of one hop of a collective. */
  readonly latencyNs: number
  /** Devices that share a port: 1, or all of a group below (one network card in a node). */
  readonly devicesPerPort: number
  /** Of the engine's own all-reduce, which serves a group in this dimension alone. */
  readonly own?: CollectiveNs | undefined
  /** Of the collective library; wins over what follows from rate and latency. */
  readonly library?: {readonly [Kind in CollectiveKind]?: CollectiveNs}
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

/** Of NCCL: what every call costs, and the share of a port's rate that it reaches. */
interface Protocol {
  readonly baseNs: number
  readonly share: number
}

interface LibraryLaw {
  /** Flags with every few bytes, at once; whole buffers, at a better rate. */
  readonly protocols: readonly [low: Protocol, simple: Protocol]
  readonly hopNs: number
}

/**
 * Fitted to NCCL's tables of A100, H100, H200, B200, B300 and GB200 (aiconfigurator; all-reduce, all-gather,
 * reduce-scatter and all-to-all of 512 B to 512 MiB among 2, 4 and 8): median error 12 %, on a device that was left out
 * 9 to 34 % (an H100's calls cost half of the others').
 */
const switched: LibraryLaw = {
  protocols: [
    {baseNs: 8960, share: 0.27},
    {baseNs: 24_800, share: 0.66},
  ],
  hopNs: 860,
}

/** Between nodes nobody has measured: the calls of devices on a switch, and a hop of NCCL's tuning constants (LL128, network). */
const network: LibraryLaw = {...switched, hopNs: 4000}

const laws: Readonly<Record<LinkKind, LibraryLaw>> = {
  nvlink: switched,
  'nvlink-bridge': switched,
  ici: switched,
  /** Of pairs of L40S and RTX PRO 6000; the hop from the growth of small messages over 2, 4 and 8. */
  pcie: {
    protocols: [
      {baseNs: 4800, share: 0.33},
      {baseNs: 18_500, share: 0.6},
    ],
    hopNs: 1250,
  },
  fabric: network,
  ethernet: network,
}

/** One hop of a collective where nothing else is known. */
export const hopNsOf = (kind: LinkKind): number => laws[kind].hopNs

/** What one dimension does in a collective: hops one after the other, and bytes that a device sends. */
interface Phase {
  readonly dimension: Dimension
  readonly hops: number
  readonly sent: number
}

/** A way to do a collective: phases of one call, behind what was measured. */
interface Way {
  readonly measuredNs: number
  readonly phases: readonly Phase[]
  readonly by: Algorithm
}

/** Bytes per ns that one device has of its port while all of them send. */
const rateOf = ({gbPerS, devicesPerPort}: Dimension): number => gbPerS / devicesPerPort

function timeOf({measuredNs, phases, by}: Way): CollectiveTime {
  if (phases.length === 0) return {ns: measuredNs, by}
  const inProtocol = (which: 0 | 1): number => {
    let baseNs = 0
    let ns = 0
    for (const {dimension, hops, sent} of phases) {
      const protocol = laws[dimension.kind].protocols[which]
      baseNs = Math.max(baseNs, protocol.baseNs)
      ns += hops * dimension.latencyNs + sent / (rateOf(dimension) * protocol.share)
    }
    // A measured part has paid for the call.
    return measuredNs > 0 ? measuredNs + ns : baseNs + ns
  }
  return {ns: Math.min(inProtocol(0), inProtocol(1)), by}
}

const fastest = (ways: readonly Way[]): CollectiveTime =>
  ways.map(timeOf).reduce((best, time) => (time.ns < best.ns ? time : best))

const used = (dimensions: readonly Dimension[]): readonly Dimension[] =>
  dimensions.filter(({degree}) => degree > 1)

/** Every rank ends with the sum of everybody's `bytes`. The engine's own kernel serves one dimension. */
export function allReduce(dimensions: readonly Dimension[], bytes: number): CollectiveTime {
  const [inner, ...outer] = used(dimensions)
  if (inner === undefined) return {ns: 0, by: 'direct'}
  if (outer.length === 0 && inner.own) return {ns: inner.own(bytes), by: 'measured'}
  return fastest(waysOf([inner, ...outer], bytes, 'all-reduce'))
}

/**
 * `all-gather`: every rank ends with everybody's part, `bytes` in all. `reduce-scatter`: with the part of the sum of
 * everybody's `bytes` that is its own.
 */
export function halfReduce(
  dimensions: readonly Dimension[],
  bytes: number,
  kind: 'all-gather' | 'reduce-scatter',
): CollectiveTime {
  const all = used(dimensions)
  if (all.length === 0) return {ns: 0, by: 'direct'}
  return fastest(waysOf(all, bytes, kind))
}

type RingKind = Exclude<CollectiveKind, 'all-to-all'>

/** How often the bytes go round: scattered and gathered, or one of them. */
const rounds = (kind: RingKind): number => (kind === 'all-reduce' ? 2 : 1)

function waysOf(dimensions: readonly Dimension[], bytes: number, kind: RingKind): Way[] {
  const [inner, ...outer] = dimensions as readonly [Dimension, ...Dimension[]]
  if (outer.length === 0) return waysIn(inner, bytes, kind)
  return [...hierarchical(inner, outer, {bytes, kind}), flatRing(dimensions, bytes, kind)]
}

function waysIn(dimension: Dimension, bytes: number, kind: RingKind): Way[] {
  const {degree, wiring, library} = dimension
  const measured = library?.[kind]
  if (measured) return [{measuredNs: measured(bytes), phases: [], by: 'measured'}]
  const times = rounds(kind)
  const sent = (times * (degree - 1) * bytes) / degree
  const way = (hops: number, more: number, by: Algorithm): Way => ({
    measuredNs: 0,
    phases: [{dimension, hops, sent: sent + more}],
    by,
  })
  const ring = way(times * (degree - 1), 0, 'ring')
  // NCCL's tables show rings where devices reach each other's memory; its trees join nodes.
  if (wiring === 'ring' || reachesMemory(dimension)) return [ring]
  const levels = Math.log2(degree)
  // Ranks beyond a power of two hand their data to a partner first.
  const isPower = Number.isInteger(levels)
  const hops = times * (Math.ceil(levels) + (isPower ? 0 : 1))
  return [ring, way(hops, isPower ? 0 : times * bytes, 'halving-doubling')]
}

/** Whether devices write into each other's memory. Network cards are given trees instead. */
const reachesMemory = ({kind}: Dimension): boolean => kind !== 'fabric' && kind !== 'ethernet'

/** Scattered inside, parts outside (all ports side by side), gathered inside. */
function hierarchical(
  inner: Dimension,
  outer: readonly Dimension[],
  {bytes, kind}: {bytes: number; kind: RingKind},
): Way[] {
  const part = bytes / inner.degree
  const inside = insideWay(inner, bytes, kind)
  return waysOf(outer, part, kind).map((outside) => ({
    measuredNs: inside.measuredNs + outside.measuredNs,
    phases: [...inside.phases, ...outside.phases],
    by: 'hierarchical',
  }))
}

function insideWay(inner: Dimension, bytes: number, kind: RingKind): Way {
  const halves: RingKind[] = kind === 'all-reduce' ? ['reduce-scatter', 'all-gather'] : [kind]
  const {library} = inner
  const isKnown = halves.every((half) => library?.[half])
  if (!isKnown) return waysIn({...inner, library: {}, wiring: 'ring'}, bytes, kind)[0]!
  let measuredNs = 0
  for (const half of halves) measuredNs += library![half]!(bytes)
  return {measuredNs, phases: [], by: 'measured'}
}

/** One ring through all devices; channels spread over all ports, so that no port carries more than its part. */
function flatRing(dimensions: readonly Dimension[], bytes: number, kind: RingKind): Way {
  const ranks = deviceCount(dimensions)
  const times = rounds(kind)
  const phases: Phase[] = []
  let inside = 1
  for (const dimension of dimensions) {
    const hops = times * (dimension.degree - 1) * (ranks / (inside * dimension.degree))
    // Of a group only one ring edge per channel leaves it: its ports together carry what a device inside carries.
    phases.push({dimension: {...dimension, gbPerS: dimension.gbPerS * inside}, hops, sent: 0})
    inside *= dimension.degree
  }
  const rate = ({dimension}: Phase) => rateOf(dimension) * laws[dimension.kind].protocols[1].share
  const slowest = phases.reduce((least, phase) => (rate(phase) < rate(least) ? phase : least))
  const sent = (times * (ranks - 1) * bytes) / ranks
  return {
    measuredNs: 0,
    phases: phases.map((phase) => (phase === slowest ? {...phase, sent} : phase)),
    by: 'ring',
  }
}

/**
 * Every rank has a part of its `bytes` for each other one, and sends it directly: those for its neighbours inside and
 * those for others leave by ports of their own, at the same time.
 */
export function allToAll(dimensions: readonly Dimension[], bytes: number): CollectiveTime {
  const all = used(dimensions)
  if (all.length === 0) return {ns: 0, by: 'direct'}
  const ranks = deviceCount(all)
  let inside = 1
  let ns = 0
  let by: Algorithm = 'direct'
  for (const dimension of all) {
    const {degree, library} = dimension
    // Devices that differ in this dimension, and in none outside of it.
    const sent = ((degree - 1) * inside * bytes) / ranks
    const measured = library?.['all-to-all']
    const time: CollectiveTime = measured
      ? {ns: measured((sent * degree) / (degree - 1)), by: 'measured'}
      : timeOf({measuredNs: 0, phases: [{dimension, hops: 1, sent}], by: 'direct'})
    if (time.ns > ns) ({ns, by} = time)
    inside *= degree
  }
  return {ns, by}
}

/** The outermost dimension in which two devices differ is the one that joins them; undefined: they are the same. */
export function joining<D extends {readonly degree: number}>(
  dimensions: readonly D[],
  a: number,
  b: number,
): D | undefined {
  let [left, right] = [a, b]
  let found: D | undefined
  for (const dimension of dimensions) {
    if (left % dimension.degree !== right % dimension.degree) found = dimension
    left = Math.floor(left / dimension.degree)
    right = Math.floor(right / dimension.degree)
  }
  return found
}

export const deviceCount = (dimensions: readonly {readonly degree: number}[]): number =>
  dimensions.reduce((product, {degree}) => product * degree, 1)

/**
 * The part of each dimension that some devices take, all of those inside of it alike.
 * @throws Problem PARALLELISM_INVALID where groups would be of unequal size
 */
export function taken(
  dimensions: readonly {readonly degree: number}[],
  devices: readonly number[],
): number[] {
  const left = new Set(devices)
  let groups = [...left]
  const degrees = dimensions.map(({degree}) => {
    const members = new Map<number, number>()
    for (const group of groups) {
      const outer = Math.floor(group / degree)
      members.set(outer, (members.get(outer) ?? 0) + 1)
    }
    groups = [...members.keys()]
    return Math.max(...members.values())
  })
  if (groups.length > 1 || groups[0]! > 0)
    throw new Problem(
      'PARALLELISM_INVALID',
      `${Math.max(...devices) + 1} devices are needed, and the topology has ${deviceCount(dimensions)}.`,
      {suggestions: ['A larger degree of the outermost dimension.', 'Fewer devices.']},
    )
  const product = degrees.reduce((all, degree) => all * degree, 1)
  if (product === left.size) return degrees
  throw cutting(devices, dimensions[0]!.degree)
}

function cutting(devices: readonly number[], degree: number): Problem {
  const count = devices.length
  const below = Math.floor(count / degree) * degree
  const first = Math.min(...devices)
  const message =
    below > 0
      ? `${count} devices do not fill groups of ${degree}: one group would be smaller than the others.`
      : `${count} devices from device ${first} on are cut unequally by groups of ${degree}.`
  const suggestion =
    below > 0
      ? `${below} or ${below + degree} devices`
      : `An order of instances in which none crosses the edge of a group of ${degree}.`
  return new Problem('PARALLELISM_INVALID', message, {suggestions: [suggestion]})
}
