/** `--hardware A,B,C`: one row per device. */
import {dollars, figure, share} from './figures.js'
import {layTable, type Style, shorten, wrap} from './style.js'
import type {Summary} from './summary.js'

/** A device of a comparison: its run, or why there was none. */
export interface DeviceRow {
  readonly device: string
  readonly result:
    | {readonly fits: true; readonly summary: Summary}
    | {readonly fits: false; readonly reason: string}
}

const boundNames = {kv: 'KV', seats: 'seats', budget: 'budget', none: 'step time'} as const

/** One row per device; what does not fit says why below the table. */
export async function renderDevices(devices: readonly DeviceRow[], style: Style): Promise<string> {
  const columns = [
    {title: 'device'},
    {title: 'fits'},
    {title: 'TTFT p99'},
    {title: 'TPOT p99'},
    {title: 'goodput'},
    {title: 'busy'},
    {title: '$/1M out'},
    {title: 'bound by', align: 'left'} as const,
  ]
  const units = ['', '', 'ms', 'ms', 'req/s', '', '', '']
  const rows = devices.map(({device, result}) => {
    const name = shorten(device, 13)
    if (!result.fits) return [name, 'no', '–', '–', '–', '–', '–', '–']
    const {summary} = result
    // Without an SLO every completed request is good.
    const good = summary.goodput ?? summary.throughput
    const growing = summary.steady_state?.growing ? '*' : ''
    return [
      name,
      'yes',
      figure(summary.ttft_ms.p99),
      figure(summary.tpot_ms.p99),
      figure(good.requests_per_s),
      share(summary.utilisation),
      dollars(summary.cost?.usd_per_1m_output_tokens ?? null),
      `${boundNames[summary.bound]}${growing}`,
    ]
  })
  const reasons = devices.flatMap(({device, result}) =>
    result.fits ? [] : wrap(`${device}: ${result.reason}`),
  )
  const growing = devices.some(({result}) => result.fits && result.summary.steady_state?.growing)
  const lines = [
    ...(await layTable(columns, [units, ...rows], style)),
    ...(growing ? [style.warning('* queue still growing: no steady state')] : []),
    ...reasons.map(style.warning),
  ]
  return lines.join('\n')
}
