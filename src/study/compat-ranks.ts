/** Where LLMServingSim's ranks must run node by node: their operations, over the links of a cluster file. */
import type {ClusterInstance, ClusterLink} from '../compat/cluster-json.js'
import type {HostCopies} from '../compat/llmservingsim.js'
import {type RankWork, rankWork} from '../compat/rank-work.js'
import type {ProfileTimes} from '../latency/profile/profile.js'
import {elementBytes} from './engine-settings.js'
import type {Instance, Machine} from './instance.js'

/** Undefined: no rank of the cluster waits for another engine's, so a step has a length of its own. */
export function ranksOfInstance(
  instance: Instance,
  times: readonly ProfileTimes[],
  copies: HostCopies,
): RankWork | undefined {
  const {machine, model, tp, ep} = instance
  if (!machine?.isCoupled) return undefined
  const {file, instance: own} = machine
  const group = groupOf(machine).length
  return rankWork({
    times,
    copies,
    links: linksOf(file.links, {tp, pp: times.length, group}),
    // Its network knows one memory bandwidth, that of the first instance.
    memoryBandwidthGb: file.instances[0]!.memory.bandwidthGb,
    tp,
    ep,
    group,
    node: own.node,
    hiddenSize: model.hiddenSize,
    experts: model.groups[0]!.mlp.experts?.count ?? 0,
    bytesPerElement: elementBytes(instance),
  })
}

const groupOf = ({file, instance}: Machine): readonly ClusterInstance[] =>
  instance.dpGroup === undefined
    ? [instance]
    : file.instances.filter(({dpGroup}) => dpGroup === instance.dpGroup)

/** Dimensions of one member are left out of the list of links. */
function linksOf(links: readonly ClusterLink[], sizes: {tp: number; pp: number; group: number}) {
  const {tp, pp, group} = sizes
  const place = {stage: 0, hop: tp > 1 ? 1 : 0, group: (tp > 1 ? 1 : 0) + (pp > 1 ? 1 : 0)}
  const at = (index: number) => links[Math.min(index, links.length - 1)]!
  return {stage: at(place.stage), hop: at(place.hop), group: at(group > 1 ? place.group : 0)}
}
