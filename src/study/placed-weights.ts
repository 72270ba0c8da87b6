/** Weights that a cluster file of LLMServingSim places off the device: what its clock takes for that, and where it is not known. */
import type {PlacedWeights} from '../compat/weight-placement.js'
import {Problem} from '../errors.js'
import {elementBytes} from './engine-settings.js'
import type {Instance} from './instance.js'

/** @throws Problem NOT_BUILT for engines whose loads no published result shows */
export function placedWeights(instance: Instance): PlacedWeights {
  const {model, machine, tp, pp, role} = instance
  const {file, instance: own} = machine!
  const isPlain = tp === 1 && pp === 1 && role === undefined && !machine!.isCoupled
  if (!isPlain) throw unknown(instance, 'only an engine of one device is known to stream them')
  return {
    placement: own.placement!,
    model,
    bytesPerElement: elementBytes(instance),
    host: own.hostMemory,
    cxl: file.cxl,
  }
}

/** Weights are streamed on its own clock alone. @throws Problem NOT_BUILT */
export function checkPlacement(instance: Instance, clock: 'its own' | 'another'): void {
  if (instance.machine?.instance.placement === undefined || clock === 'its own') return
  throw unknown(instance, 'they are streamed with --compat llmservingsim and a profile only')
}

const unknown = ({machine}: Instance, reason: string): Problem =>
  new Problem(
    'NOT_BUILT',
    `${machine!.instance.path}.placement: weights off the device: ${reason}.`,
    {suggestions: ['Leave placement out.', '--cpu-offload-gb, with a device named by flags']},
  )
