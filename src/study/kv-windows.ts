/** What sliding-window layers keep: as far as they see, where vLLM's hybrid KV cache manager is on; else the whole context. */
import {type KvGroup, longestRequest} from '../catalogue/kv-groups.js'
import {kvLayoutOf} from '../catalogue/kv-layout.js'
import type {EngineConfig} from '../engine/engine-config.js'
import {Problem} from '../errors.js'
import type {Instance} from './instance.js'
import type {RunRequest} from './run-request.js'

export interface Windows {
  /** Absent: all layers keep the whole context. */
  readonly groups: readonly KvGroup[] | undefined
  readonly notes: readonly string[]
}

const keptWhole: Windows = {groups: undefined, notes: []}

/** @throws Problem FLAG_CONFLICT where the manager is asked for and cannot be had */
export function windowsOf(instance: Instance, request: RunRequest): Windows {
  const {settings, profile, model, tp, pp} = instance
  const isAsked = settings.disableHybridKvCacheManager === false
  if (request.compat !== undefined) {
    if (isAsked) throw refused('what LLMServingSim does')
    return keptWhole
  }
  const layout = kvLayoutOf(model, {tp, pp, kvDtype: settings.kvCacheDtype ?? 'auto'})
  if (layout === undefined)
    return isAsked ? {groups: undefined, notes: [idle(model.id)]} : keptWhole
  const [local] = layout.groups
  const isHybrid = layout.groups.length > 1
  // A window that all layers share is no hybrid's: the flag does not reach it.
  if (isHybrid && settings.disableHybridKvCacheManager === true) return keptWhole
  const obstacle = obstacleOf(instance, request)
  if (obstacle !== undefined) {
    if (isAsked) throw refused(`that ${obstacle}`)
    return {groups: undefined, notes: [noteOf(obstacle)]}
  }
  const kind = local!.sees === 'chunk' ? 'chunk' : 'window'
  const isOn = isAsked || profile.defaults.hybridKvCache[kind]
  if (isOn || !isHybrid) return {groups: layout.groups, notes: []}
  return {
    groups: undefined,
    notes: [`layers that see a ${kind} keep KV of the whole context, as ${profile.id} has it.`],
  }
}

/** What stands in the way of KV by groups. */
function obstacleOf({role, kvOffload, pim}: Instance, {speculation}: RunRequest) {
  if (role !== undefined) return 'KV is handed on to other engines'
  if (kvOffload !== undefined) return 'memory below the device keeps KV'
  if (pim !== undefined) return 'KV lies in memory that computes'
  if (speculation?.draftModel !== undefined) return 'a draft model keeps KV beside it'
  return undefined
}

const noteOf = (obstacle: string): string =>
  `sliding-window layers keep KV of the whole context, as ${obstacle}.`

const idle = (model: string): string =>
  `--no-disable-hybrid-kv-cache-manager changes nothing: ${model} has no layers that keep less than the whole context.`

const refused = (what: string): Problem =>
  new Problem(
    'FLAG_CONFLICT',
    `--no-disable-hybrid-kv-cache-manager: ${what} is modelled only with KV of the whole context in every layer.`,
    {suggestions: ['Leave --no-disable-hybrid-kv-cache-manager out.']},
  )

/** Tokens of the longest request for which `blocks` blocks, or pages of groups, are enough; at most `most`. */
export function roomFor(
  blocks: number,
  most: number,
  {
    kvGroups,
    blockSize,
    maxNumBatchedTokens,
  }: Pick<EngineConfig, 'kvGroups' | 'blockSize' | 'maxNumBatchedTokens'>,
): number {
  if (kvGroups === undefined) return Math.min(most, blocks * blockSize)
  return longestRequest(kvGroups, blocks, most, {blockSize, maxNumBatchedTokens})
}
