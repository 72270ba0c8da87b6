/** Where the ranks of an instance lie in the topology of a cluster file. Devices are dealt out in the order of the file. */
import type {Link} from '../catalogue/hardware-shape.js'
import {Problem} from '../errors.js'
import {
  type CoefficientSource,
  type Joined,
  joinedIn,
  joining,
  type TopologyDimension,
  taken,
} from '../latency/collective.js'
import type {DimensionYaml} from './cluster-file.js'

/** The devices of each kind of group, by number; groups of a kind lie alike. */
export interface Wired {
  readonly topology: readonly TopologyDimension[]
  readonly tensor: readonly number[]
  readonly experts: readonly number[]
  /** What the slowest hop between stages crosses; undefined: there is one stage. */
  readonly hop: TopologyDimension | undefined
  /** The same for instances that lie alike. */
  readonly name: string
}

export interface Cut {
  readonly tp: number
  readonly pp: number
  readonly dp: number
  readonly ep: number
}

const kinds: Readonly<Record<string, TopologyDimension['kind']>> = {infiniband: 'fabric'}

export const topologyOf = (dimensions: readonly DimensionYaml[]): TopologyDimension[] =>
  dimensions.map((given) => ({
    kind: kinds[given.kind] ?? (given.kind as TopologyDimension['kind']),
    wiring: given.wiring,
    degree: given.degree,
    gbPerS: given.bandwidth_gb_s,
    devicesPerPort: given.devices_per_port,
    ...(given.latency_us === undefined ? {} : {latencyNs: given.latency_us * 1000}),
  }))

const range = (count: number): number[] => Array.from({length: count}, (_, at) => at)

/**
 * Ranks are numbered as vLLM numbers them: tensor-parallel ones next to each other, then stages, then data-parallel ones.
 * @throws Problem PARALLELISM_INVALID where groups of a kind would be cut differently, or devices run out
 */
export function wire(topology: readonly TopologyDimension[], first: number, cut: Cut): Wired {
  const {tp, pp, dp, ep} = cut
  const device = (rank: number, stage: number, tensor: number) =>
    first + (rank * pp + stage) * tp + tensor
  const tensors = range(dp).flatMap((rank) =>
    range(pp).map((stage) => range(tp).map((tensor) => device(rank, stage, tensor))),
  )
  const shared = range(pp).map((stage) =>
    range(dp).flatMap((rank) => range(tp).map((tensor) => device(rank, stage, tensor))),
  )
  const tensor = alike(topology, tensors, 'tp')
  const experts = ep > tp ? alike(topology, shared, 'ep') : tensor
  const hop = slowestHop(topology, tensors, pp)
  const name = JSON.stringify(
    [tensor, experts]
      .map((group) => taken(topology, group))
      .concat([hop === undefined ? [] : [topology.indexOf(hop)]]),
  )
  return {topology, tensor, experts, hop, name}
}

/** The first of some groups, if all take the same part of each dimension. */
function alike(
  topology: readonly TopologyDimension[],
  groups: readonly (readonly number[])[],
  flag: 'tp' | 'ep',
): readonly number[] {
  const [first] = groups
  const cuts = groups.map((group) => taken(topology, group).join(' × '))
  const other = cuts.findIndex((cut) => cut !== cuts[0])
  if (other < 0) return first!
  const starts = [first![0], groups[other]![0]]
  throw new Problem(
    'PARALLELISM_INVALID',
    `${flag} ${first!.length}: the ranks from device ${starts[0]} on lie in ${cuts[0]}, those from device ${starts[1]} on in ${cuts[other]} of the topology.`,
    {suggestions: ['An order of instances in which all of them lie alike.']},
  )
}

/** Ranks of a stage send to the same ranks of the next one; `tensors` has the stages of a rank one after the other. */
function slowestHop(
  topology: readonly TopologyDimension[],
  tensors: readonly (readonly number[])[],
  pp: number,
): TopologyDimension | undefined {
  const crossed = tensors.flatMap((stage, at) => {
    const next = (at + 1) % pp === 0 ? [] : tensors[at + 1]!
    return next.map((to, tensor) => joining(topology, stage[tensor]!, to)!)
  })
  if (crossed.length === 0) return undefined
  const rate = ({gbPerS, devicesPerPort}: TopologyDimension) => gbPerS / devicesPerPort
  return crossed.reduce((least, each) => (rate(each) < rate(least) ? each : least))
}

export const joinedBy = (
  {topology, tensor, experts}: Wired,
  link: Link | null,
  source: CoefficientSource,
): {tensor: Joined; experts: Joined} => ({
  tensor: joinedIn(topology, {devices: tensor, link, source}),
  experts: joinedIn(topology, {devices: experts, link, source}),
})

/** What a hop crosses, as a link of its own. */
export const hopLink = ({hop}: Wired): Link | undefined =>
  hop && {
    ...{name: hop.kind, kind: hop.kind, gbPerS: hop.gbPerS / hop.devicesPerPort},
    ...{maxDevices: hop.degree, allReduce: null, library: {}},
  }
