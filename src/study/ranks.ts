/** How the model of an instance is cut over devices and data-parallel ranks. */
import type {ModelShape} from '../catalogue/model-shape.js'
import {type WeightFormat, withWeightFormat} from '../catalogue/weight-format.js'
import {Problem} from '../errors.js'
import type {Instance} from './instance.js'

/** One engine of the cluster: ranks with the same group make their passes together. */
export interface Placed {
  readonly instance: Instance
  readonly group?: number | undefined
}

/** Data-parallel ranks: tied together where they share experts, otherwise engines like others. */
export function ranksOf(instance: Instance, dp: number, group: number): Placed[] {
  const isTied = dp > 1 && hasExperts(instance.model)
  return Array.from({length: dp}, () => (isTied ? {instance, group} : {instance}))
}

export const hasExperts = (model: ModelShape): boolean =>
  model.groups.some(({mlp}) => mlp.experts !== null)

interface Cut {
  readonly tp: number
  readonly dp: number
  readonly ep: number | undefined
}

/** Over how many devices the experts of a stage are spread; ranks that are tied together share all of theirs. */
export function expertDegree(model: ModelShape, {tp, dp, ep}: Cut): number {
  if (dp === 1 || !hasExperts(model)) return ep ?? 1
  if (ep === undefined || ep === tp * dp) return tp * dp
  throw new Problem(
    'PARALLELISM_INVALID',
    `--ep ${ep}: the experts of ${dp} data-parallel ranks with tp ${tp} are spread over all ${tp * dp} devices.`,
    {suggestions: [`--ep ${tp * dp}`, 'Leave --ep out: it follows.']},
  )
}

export const inFormat = (model: ModelShape, format: WeightFormat | undefined): ModelShape =>
  format === undefined ? model : withWeightFormat(model, format)
