/** Instances over time, as a summary and as `instances.csv`. */
import type {FleetReport} from '../cluster/autoscaler.js'
import {RowFile} from './row-file.js'

export interface FleetSummary {
  /** Time that instances were there, from the end of their provisioning on. */
  readonly instance_hours: number
  readonly mean_instances: number | null
  /** Most that were ready at once. */
  readonly most_ready: number
  readonly scale_outs: number
  readonly scale_ins: number
}

/** `durationNs`: first arrival → last finish. */
export function summariseFleet(fleet: FleetReport, durationNs: number): FleetSummary {
  const ns = fleet.on.reduce((sum, {length, starts, ends}) => {
    let own = 0
    for (let i = 0; i < length; i++) own += ends[i]! - starts[i]!
    return sum + own
  }, 0)
  return {
    instance_hours: ns / 3600e9,
    mean_instances: durationNs > 0 ? ns / durationNs : null,
    most_ready: fleet.changes.reduce((most, {ready}) => Math.max(most, ready), 0),
    scale_outs: fleet.scaleOuts,
    scale_ins: fleet.scaleIns,
  }
}

export const fleetColumns = ['at_s', 'ready', 'starting', 'draining']

/** Throws OUTPUT_NOT_WRITABLE. */
export function writeFleet(path: string, {changes}: FleetReport): void {
  const file = new RowFile(path, fleetColumns.join(','))
  try {
    for (const {at, ready, starting, draining} of changes)
      file.write([(at / 1e9).toFixed(9), ready, starting, draining].join(','))
  } finally {
    file.close()
  }
}
