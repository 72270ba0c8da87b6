/** Autoscaling of a deployment: what can be asked for, and what it cost (docs/autoscaling.md). */
import type {AutoscaleConfig, FleetReport} from '../cluster/autoscaler.js'
import {Problem} from '../errors.js'
import type {Price} from '../report/cost.js'
import {showDuration} from '../report/duration.js'
import type {Instance} from './instance.js'
import type {RunRequest} from './run-request.js'

/** @throws Problem FLAG_CONFLICT */
export function checkAutoscale({autoscale, compat}: RunRequest, instances: number): void {
  if (autoscale === undefined) return
  if (compat !== undefined) {
    throw new Problem(
      'FLAG_CONFLICT',
      `--autoscale and --compat ${compat}: that simulator does not scale.`,
      {suggestions: ['Leave one of the two out.']},
    )
  }
  const {minInstances} = autoscale
  if (instances > minInstances) return
  throw new Problem(
    'FLAG_CONFLICT',
    `--autoscale between ${minInstances} and ${instances} instances: there is nothing to scale.`,
    {suggestions: [`--instances ${Math.max(4, 2 * minInstances)}`, '--min-instances 1']},
  )
}

/** The price of the devices that were there on average between `from` and `to`, ns. */
export function priceOfFleet(
  price: Price | undefined,
  fleet: FleetReport | undefined,
  {instances, from, to}: {instances: readonly Instance[]; from: number; to: number},
): Price | undefined {
  if (price === undefined || fleet === undefined || !(to > from)) return price
  const devices = instances.reduce((sum, {tp, pp}, i) => {
    const {length, starts, ends} = fleet.on[i]!
    let ns = 0
    for (let k = 0; k < length; k++)
      ns += Math.max(0, Math.min(to, ends[k]!) - Math.max(from, starts[k]!))
    return sum + (tp * pp * ns) / (to - from)
  }, 0)
  return {...price, devices}
}

/** For how long between `from` and `to` each instance was ready or draining, ns: there, and past its cold start. */
export function readyTimes(
  fleet: FleetReport,
  {coldStartNs, minInstances}: AutoscaleConfig,
  {from, to}: {from: number; to: number},
): number[] {
  return fleet.on.map(({length, starts, ends}, i) => {
    let ns = 0
    for (let k = 0; k < length; k++) {
      // The first ones are ready from the start.
      const cold = k === 0 && i < minInstances ? 0 : coldStartNs
      ns += Math.max(0, Math.min(to, ends[k]!) - Math.max(from, starts[k]! + cold))
    }
    return ns
  })
}

/** A line for the head of the tables. */
export function describeAutoscale(config: AutoscaleConfig, instances: number): string {
  const {signal, target, minInstances, windowNs, provisionNs, coldStartNs} = config
  const delay = `window ${showDuration(windowNs)} + provisioning ${showDuration(provisionNs)} + cold start ${showDuration(coldStartNs)}`
  return `autoscaling: ${minInstances} to ${instances} instances, ${signal} ${target} each; ${delay}; in after ${showDuration(config.stabilisationNs)}`
}

/** The same for `config`. */
export const autoscaleConfig = (config: AutoscaleConfig) => ({
  signal: config.signal,
  target: config.target,
  min_instances: config.minInstances,
  window_s: config.windowNs / 1e9,
  provision_s: config.provisionNs / 1e9,
  cold_start_s: config.coldStartNs / 1e9,
  stabilisation_s: config.stabilisationNs / 1e9,
})
