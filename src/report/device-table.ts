/** `--hardware A,B,C`: one row per device. */
import {count, counted, dollars, figure, share} from './figures.js'
import {boundsText, type Goodput} from './measures.js'
import {nothingLeft} from './nothing-left.js'
import {around, type Column, layTable, type Style, shorten, wrap} from './style.js'
import type {Summary} from './summary.js'

/** A device of a comparison: its run, or why there was none. */
export interface DeviceRow {
  readonly device: string
  readonly result:
    | {readonly fits: true; readonly summary: Summary}
    | {readonly fits: false; readonly reason: string}
}

const boundNames = {kv: 'KV', seats: 'seats', budget: 'budget', none: 'step time'} as const

/** Marks of verdicts that are none to rely on. */
const marks: Readonly<Record<string, string>> = {overloaded: '*', 'cannot tell': '?'}

/** What the verdicts of all rows are, and on how many requests they rest. */
function verdictLines(summaries: readonly Summary[]): string[] {
  const of = (verdict: string): Summary[] =>
    summaries.filter((one) => one.steady_state?.verdict === verdict)
  const [overloaded, doubtful, good] = ['overloaded', 'cannot tell', 'keeps up'].map(of)
  const requests = counted(summaries[0]?.requests.submitted ?? 0, 'request')
  const needs = doubtful!.map((one) => one.steady_state!.needs_requests ?? 0)
  const [least, most] = [Math.min(...needs), Math.max(...needs)]
  const more = least === most ? count(most) : `${count(least)} to ${count(most)}`
  const isAll = good!.length === summaries.length
  return [
    ...(overloaded!.length > 0
      ? [`* overloaded in these ${requests}: the queue grows as long as requests come`]
      : []),
    ...(doubtful!.length > 0
      ? [`? cannot tell from ${requests} whether overloaded: about ${more} more would tell`]
      : []),
    ...(good!.length > 0
      ? [`${isAll ? 'all keep up' : 'no mark: keeps up'} with ${requests}`]
      : []),
  ]
}

/**
 * One row per device; what does not fit says why below the table, and what the columns mean.
 * `header`: what was compared, one fact a line.
 */
export async function renderDevices(
  devices: readonly DeviceRow[],
  header: readonly string[],
  style: Style,
): Promise<string> {
  const summaries = devices.flatMap(({result}) => (result.fits ? [result.summary] : []))
  const slo = summaries.find(({goodput}) => goodput !== undefined)?.goodput
  const {above, below} = around(header, style)
  const reasons = devices.flatMap(({device, result}) =>
    result.fits ? [] : wrap(`${device}: ${result.reason}`),
  )
  const empty = devices.flatMap(({device, result}) => {
    const nothing = result.fits ? nothingLeft(result.summary) : undefined
    return nothing === undefined ? [] : wrap(`${device}: ${nothing}`)
  })
  const table = await layTable(
    columnsWith(slo),
    [unitsWith(slo), ...devices.map((row) => cellsOf(row, slo))],
    style,
  )
  const lines = [
    ...above,
    ...table,
    '',
    ...wrap(legend(slo)).map(style.faint),
    ...verdictLines(summaries).flatMap((line) =>
      wrap(line).map(/^[*?]/.test(line) ? style.warning : style.faint),
    ),
    ...[...empty, ...reasons].map(style.warning),
    ...below,
  ]
  return lines.join('\n')
}

const columnsWith = (slo: Goodput | undefined): Column[] => [
  {title: 'device'},
  {title: 'fits'},
  {title: 'TTFT p99'},
  {title: 'TPOT p99'},
  {title: 'goodput'},
  ...(slo ? [{title: 'met'}] : []),
  {title: 'busy'},
  {title: '$/1M out'},
  {title: 'bound by', align: 'left'},
]

const unitsWith = (slo: Goodput | undefined): string[] => [
  '',
  '',
  'ms',
  'ms',
  'req/s',
  ...(slo ? [''] : []),
  '',
  '',
  '',
]

function cellsOf({device, result}: DeviceRow, slo: Goodput | undefined): string[] {
  const name = shorten(device, slo ? 10 : 17)
  if (!result.fits) return [name, 'no', ...Array.from({length: slo ? 7 : 6}, () => '–')]
  const {summary} = result
  // Without an SLO every completed request is good.
  const good = summary.goodput ?? summary.throughput
  const mark = marks[summary.steady_state?.verdict ?? ''] ?? ''
  return [
    name,
    'yes',
    figure(summary.ttft_ms.p99),
    figure(summary.tpot_ms.p99),
    figure(good.requests_per_s),
    ...(slo ? [share(summary.goodput?.attainment ?? null)] : []),
    share(summary.utilisation),
    dollars(summary.cost?.usd_per_1m_output_tokens ?? null),
    `${boundNames[summary.bound]}${mark}`,
  ]
}

function legend(slo: Goodput | undefined): string {
  const goodput = slo
    ? `goodput, met: requests within ${boundsText(slo)}`
    : 'goodput: completed requests (no --slo)'
  return `${goodput}; busy: share of the run in which a step ran; bound by: what requests waited for, or else only the time of the steps`
}
