/** `--pim`: KV in memory that computes. What that holds, what a step takes with it, and what it does not go with. */

import {firstByteUs} from '../catalogue/link-defaults.js'
import {layerCount} from '../catalogue/model-shape.js'
import {pimSpecNamed} from '../catalogue/pim.js'
import {Problem} from '../errors.js'
import {type PimMemory, pimTimes, withPim} from '../latency/pim.js'
import {emptyShape, type StepTimeModel} from '../latency/step-time.js'
import {withSubBatches} from '../latency/sub-batches.js'
import type {Instance} from './instance.js'
import type {RunRequest} from './run-request.js'

export interface PimRequest {
  readonly spec: string
  /** Of each device; absent: 64, which are 512 GiB of DDR4 as in LLMServingSim's example. */
  readonly channels?: number | undefined
  /** Between a device and its PIM memory; absent: the PCIe link of its file. */
  readonly gbPerS?: number | undefined
  readonly latencyUs?: number | undefined
  readonly subBatches: boolean
}

const defaultChannels = 64

/** @throws Problem FLAG_CONFLICT, FLAG_BAD_VALUE, FLAG_MISSING for what cannot be laid out so */
export function pimMemoryOf(instance: Instance, request: RunRequest): PimMemory | undefined {
  const {pim, hardware} = instance
  if (pim === undefined) return undefined
  const other = conflictOf(instance, request)
  if (other !== undefined) {
    throw new Problem('FLAG_CONFLICT', `--pim and ${other}.`, {
      suggestions: ['Leave one of the two out.'],
    })
  }
  const gbPerS = pim.gbPerS ?? hardware?.links.find(({kind}) => kind === 'pcie')?.gbPerS
  if (gbPerS === undefined) {
    throw new Problem(
      'FLAG_MISSING',
      `Missing --pim-bandwidth GB/S: the file of ${instance.hardwareName} has no PCIe link.`,
      {suggestions: ['--pim-bandwidth 64']},
    )
  }
  return {
    spec: pimSpecNamed(pim.spec),
    channels: pim.channels ?? defaultChannels,
    link: {gbPerS, latencyNs: (pim.latencyUs ?? firstByteUs) * 1000},
  }
}

function conflictOf(
  {pp, role, settings, weights}: Instance,
  request: RunRequest,
): string | undefined {
  if (request.compat !== undefined) return `--compat ${request.compat}: its clock has its own PIM`
  if (pp > 1) return `--pp ${pp}: stages that attend in memory are not modelled`
  if (role === 'prefill') return 'a prefill instance: it decodes nothing'
  if (settings.kvCacheDtype === 'fp8') return '--kv-cache-dtype fp8: its MAC units take 16 bit'
  if (request.speculation !== undefined)
    return '--num-speculative-tokens: a decode with drafts is not one vector'
  if (weights !== undefined)
    return 'weights outside of the device: both would use the same link, which is not modelled'
  return undefined
}

export const pimBytes = ({spec, channels}: PimMemory): number =>
  channels * spec.channelGib * 2 ** 30

/** The step times of an engine whose decodes attend in memory. @throws Problem FLAG_CONFLICT */
export function pimLatency(
  latency: StepTimeModel,
  memory: PimMemory,
  {model, tp, pim}: Instance,
): StepTimeModel {
  const times = pimTimes({model, tp, memory})
  const {stepTime: time, outsideLayers: outside} = latency
  const isCut = pim!.subBatches && outside !== undefined
  const {spec, channels, link} = memory
  const detail = `${channels} channels of ${spec.name}, ${link.gbPerS} GB/s and ${link.latencyNs / 1000} µs away: LLMServingSim's published line, never measured`
  return {
    ...latency,
    stepTime: isCut
      ? withSubBatches({time, outside, layers: layerCount(model), pim: times})
      : withPim(time, times, emptyShape()),
    provenance: [
      // No step mixes both in one kernel any more.
      ...latency.provenance
        .filter(({term}) => term !== 'attention of mixed steps')
        .map((line) => (line.term === 'attention' ? {...line, term: 'attention of chunks'} : line)),
      {term: 'attention of decodes', from: 'class default', detail},
      ...(isCut
        ? [{term: 'sub-batches', from: 'class default', detail: 'two, where shorter'} as const]
        : []),
    ],
    notes: [
      ...latency.notes,
      `All KV lies in PIM memory (${spec.name}, ${channels} channels a device), where decodes attend; its figures are simulated ones.`,
    ],
  }
}
