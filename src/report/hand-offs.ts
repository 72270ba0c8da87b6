/** What KV that engines hand on came to. */
import type {EngineTotals} from '../stats/outcomes.js'

export interface HandedOn {
  /** Requests whose KV went from one instance to another. */
  readonly transfers: number
  readonly gigabytes: number
  /** From setting out to arrival. */
  readonly mean_ms: number
}

/** Of all engines together; undefined: no KV moved between them. */
export function handedOnOf(
  engines: readonly Pick<EngineTotals, 'received'>[],
): HandedOn | undefined {
  const sum = (of: 'count' | 'bytes' | 'ns'): number =>
    engines.reduce((all, {received}) => all + (received?.[of] ?? 0), 0)
  const transfers = sum('count')
  if (transfers === 0) return undefined
  return {transfers, gigabytes: sum('bytes') / 1e9, mean_ms: sum('ns') / 1e6 / transfers}
}
