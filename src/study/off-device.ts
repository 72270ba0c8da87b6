/** What a cluster file of LLMServingSim places off the device: what its clock takes for that, and where it is not known. */
import {layerCount} from '../catalogue/model-shape.js'
import type {HostCopies} from '../compat/llmservingsim.js'
import {DecodingPrompts, pimStep} from '../compat/pim-attention.js'
import {PlannedChunks, subBatchStep} from '../compat/sub-batches.js'
import type {PlacedWeights} from '../compat/weight-placement.js'
import type {RequestPool} from '../engine/request-pool.js'
import {Problem} from '../errors.js'
import type {ProfileTimes} from '../latency/profile/profile.js'
import {elementBytes} from './engine-settings.js'
import type {Instance} from './instance.js'
import {together} from './listeners.js'

/** @throws Problem NOT_BUILT for engines whose loads no published result shows */
export function placedWeights(instance: Instance): PlacedWeights {
  const {model, machine} = instance
  const {file, instance: own} = machine!
  if (!isPlain(instance))
    throw unknown(own.path, 'only an engine of one device is known to stream them')
  return {
    placement: own.placement!,
    model,
    bytesPerElement: elementBytes(instance),
    host: own.hostMemory,
    cxl: file.cxl,
  }
}

const isPlain = ({machine, tp, pp, role}: Instance): boolean =>
  tp === 1 && pp === 1 && role === undefined && !machine!.isCoupled

/** Decode attention in PIM memory. @throws Problem NOT_BUILT for engines that no published result shows */
export function inPim(instance: Instance, times: ProfileTimes, copies: HostCopies) {
  const {model, machine} = instance
  const {file, instance: own} = machine!
  if (!isPlain(instance) || file.instances.length > 1 || own.placement) {
    throw new Problem(
      'NOT_BUILT',
      `${own.path}.enable_attn_offloading: PIM is known of one engine with one device and its weights there.`,
      {suggestions: ['Leave enable_attn_offloading out.', '--pim, without --compat']},
    )
  }
  const prompts = new DecodingPrompts()
  const chunks = new PlannedChunks()
  const request = {
    host: own.pim!,
    model,
    layers: layerCount(model),
    bytesPerElement: elementBytes(instance),
    times,
    copies,
    prompts,
  }
  return {
    stepTime: own.pim!.subBatches ? subBatchStep(request, chunks) : pimStep(request),
    listener: (requests: RequestPool) =>
      together([prompts.listen(requests), chunks.listen(requests)]),
  }
}

/** What is off the device has its own clock. @throws Problem NOT_BUILT with another one */
export function checkOffDevice(
  {machine, pim, weights}: Instance,
  clock: 'its own' | 'another',
): void {
  if (machine === undefined || clock === 'its own') return
  const {placement, pim: asked, path} = machine.instance
  if (placement !== undefined && weights === undefined)
    throw unknown(path, 'that clock streams them with a profile only')
  if (asked === undefined || pim !== undefined) return
  throw new Problem(
    'NOT_BUILT',
    `${path}.enable_attn_offloading: --compat llmservingsim needs a profile for it.`,
    {suggestions: ['--profiles DIR', 'Leave --compat out.']},
  )
}

const unknown = (path: string, reason: string): Problem =>
  new Problem('NOT_BUILT', `${path}.placement: weights off the device: ${reason}.`, {
    suggestions: ['Leave placement out.', 'Leave --compat out.'],
  })
