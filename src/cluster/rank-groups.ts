/** The groups of a cluster whose ranks run together: of members that are replicas, and of those that are polled. */
import {DpGroup, type RankGroup} from './dp-group.js'
import {realClock} from './idle-clock.js'
import {PolledRanks} from './polled-ranks.js'
import type {Replica} from './replica.js'
import type {SimulationConfig} from './simulation-config.js'

export function rankGroups(
  {replicas: configs, clock = realClock}: SimulationConfig,
  replicas: readonly Replica[],
): RankGroup[] {
  const polled = configs.flatMap(({ranks: work, group}, instance) =>
    work ? [{replica: replicas[instance]!, work, group}] : [],
  )
  const members = new Map<number, Replica[]>()
  for (const [instance, {group, ranks}] of configs.entries()) {
    if (group === undefined || ranks) continue
    members.set(group, [...(members.get(group) ?? []), replicas[instance]!])
  }
  return [
    ...[...members.values()].map((ranks) => new DpGroup(ranks)),
    ...(polled.length > 0 ? [new PolledRanks(polled, clock)] : []),
  ]
}
