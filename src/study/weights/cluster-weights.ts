/** Weights of a cluster file: rules checked where they stand, and memories shared by all who stream from them. */
import type {MemoryDevices} from '../../catalogue/memory-devices.js'
import {SchemaFault} from '../../catalogue/schema-section.js'
import type {InstanceYaml} from '../cluster-file.js'
import type {Instance} from '../instance.js'
import type {Placed} from '../ranks.js'
import {type MemoryShare, type MemoryShares, type Streamer, sharesOf} from './memory-shares.js'
import {placedStages, streamerOf} from './placement.js'
import {type WeightRequest, weightMap} from './rules.js'
import {type Away, outsideKinds, stageAway} from './stage-weights.js'

/** What an instance of the file asks for. */
export const weightsOfYaml = ({
  weights,
  weight_prefetch: prefetch = 1,
}: InstanceYaml): WeightRequest | undefined => weights && {place: {rules: weights}, prefetch}

/** @throws SchemaFault, from the top of the file */
export function checkRules({weights, model}: Instance, at: number, memories: MemoryDevices): void {
  if (weights === undefined || !('rules' in weights.place)) return
  const {rules} = weights.place
  const within = ({path, message, suggestions}: SchemaFault): SchemaFault =>
    new SchemaFault(['instances', at, 'weights', ...path], message, {suggestions})
  try {
    weightMap(rules, model)
  } catch (error) {
    throw error instanceof SchemaFault ? within(error) : error
  }
  const rule = rules.findIndex(({on}) => on === 'cxl')
  if (rule < 0 || memories.cxl !== undefined) return
  throw within(
    new SchemaFault([rule, 'on'], 'is cxl, and the file describes no such memory', {
      suggestions: ['memory: {cxl: {capacity_gb: 256, bandwidth_gb_s: 28}}', 'on: cpu'],
    }),
  )
}

/**
 * The same instances with the rates at which their weights come; copies that fare alike stay one. Devices are those of the
 * file in its order: ranks of a stage, then stages, then the next engine.
 * @throws SchemaFault where a memory is too small
 */
export function sharingMemories(placed: readonly Placed[], memories: MemoryDevices): Placed[] {
  const isPlain = ({weights, kvOffload}: Instance) => weights === undefined && !kvOffload
  if (placed.every(({instance}) => isPlain(instance))) return [...placed]
  const pooled = new Set<string>()
  const streamers = placed.flatMap(({instance}) => devicesOf(instance, pooled))
  const shares = sharesOf(streamers, memories)
  const alike = new Map<Instance, Map<string, Instance>>()
  let first = 0
  return placed.map((one) => {
    const {instance} = one
    const {tp, pp} = instance
    const stages = Array.from({length: pp}, (_, stage) =>
      slowest(shares.slice(first + stage * tp, first + (stage + 1) * tp)),
    )
    first += tp * pp
    if (instance.weights === undefined) return one
    const known = alike.get(instance) ?? new Map<string, Instance>()
    alike.set(instance, known)
    const name = JSON.stringify(stages)
    const same = known.get(name) ?? {...instance, memoryShares: stages}
    known.set(name, same)
    return {...one, instance: same}
  })
}

/** A note for each memory of the file in which nothing lies. */
export function emptyMemories(placed: readonly Placed[], memories: MemoryDevices): string[] {
  const used = new Set<string>()
  for (const instance of new Set(placed.map((one) => one.instance))) {
    for (const {kind} of instance.kvOffload?.tiers ?? []) used.add(kind)
    const stages = instance.weights && placedStages(instance, instance.weights)
    for (const stage of stages ?? [])
      for (const kind of outsideKinds) if (stageAway(stage)[kind] > 0) used.add(kind)
  }
  return outsideKinds
    .filter((kind) => memories[kind] !== undefined && !used.has(kind))
    .map(
      (kind) =>
        `memory.${kind} changes nothing: no weights and no KV tier of an instance lie there.`,
    )
}

/** `pooled`: tiers that all engines share, and that were counted with one of them. */
function devicesOf(instance: Instance, pooled: Set<string>): Streamer[] {
  const {weights, tp, pp} = instance
  const kept = keptBy(instance, pooled)
  const stages = weights && placedStages(instance, weights)
  return Array.from({length: pp}, (_, stage) =>
    Array.from({length: tp}, () => streamerOf(instance, stages?.[stage], kept)),
  ).flat()
}

/** The KV that one device of an engine keeps outside. */
function keptBy({kvOffload, tp, pp}: Instance, pooled: Set<string>): Away {
  const kept = {cpu: 0, cxl: 0}
  for (const {kind, bytes, isShared} of kvOffload?.tiers ?? []) {
    if (kind === 'nvme' || (isShared && pooled.has(kind))) continue
    if (isShared) pooled.add(kind)
    kept[kind] += bytes / (tp * pp)
  }
  return kept
}

/** Ranks of a stage wait for the one whose weights come last. */
function slowest(ranks: readonly MemoryShares[]): MemoryShares {
  const all: {-readonly [Kind in keyof MemoryShares]: MemoryShare} = {}
  for (const share of ranks) {
    for (const kind of outsideKinds) {
      const [own, least] = [share[kind], all[kind]]
      if (own && (least === undefined || own.gbPerS < least.gbPerS)) all[kind] = own
    }
  }
  return all
}
