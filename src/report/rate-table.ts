/** `--find-rate`: how much of this traffic each device carries. */
import {dollars, figure, share} from './figures.js'
import {boundsText} from './measures.js'
import {around, layTable, type Style, shorten, wrap} from './style.js'
import type {Summary} from './summary.js'

/** What is printed of a search for one device. */
export interface RateRow {
  readonly device: string
  readonly result:
    | {readonly fits: true; readonly found: FoundRateView}
    | {readonly fits: false; readonly reason: string}
}

export interface FoundRateView {
  readonly rate: number | null
  readonly bound: 'found' | 'at least' | 'none'
  readonly share: number
  readonly caveat?: string | undefined
  readonly limit: string | null
  readonly summary: Summary
  readonly probes: readonly {readonly rate: number; readonly attainment: number}[]
}

const columns = [
  ...['device', 'rate', 'met', 'TTFT p99', 'TPOT p99', 'tok/s out', 'busy', '$/1M out'],
].map((title) => ({title}))
const units = ['', 'req/s', '', 'ms', 'ms', '', '', '']

/** One row per device, at its own largest rate; below it what limits each. `header`: what was searched. */
export async function renderRates(
  rows: readonly RateRow[],
  header: readonly string[],
  style: Style,
): Promise<string> {
  const {above, below} = around(header, style)
  const first = rows.find(({result}) => result.fits)?.result
  const goodput = first?.fits ? first.found.summary.goodput : undefined
  const what = goodput
    ? [
        `largest rate at which ${share(first!.fits ? first!.found.share : null)} of the requests meet ${boundsText(goodput)}, also when the trace follows itself, and the queue does not grow`,
      ]
    : []
  const table = await layTable(columns, [units, ...rows.map(cellsOf)], style)
  const lines = [
    ...above,
    ...table,
    '',
    ...what.flatMap((line) => wrap(line)),
    ...rows.flatMap((row) => wordsOf(row, style)),
    ...below,
  ]
  return lines.join('\n')
}

function cellsOf({device, result}: RateRow): string[] {
  const name = shorten(device, 17)
  if (!result.fits || result.found.rate === null)
    return [name, ...Array.from({length: 7}, () => '–')]
  const {rate, bound, summary} = result.found
  return [
    name,
    `${bound === 'at least' ? '≥ ' : ''}${figure(rate)}`,
    share(summary.goodput?.attainment ?? null),
    figure(summary.ttft_ms.p99),
    figure(summary.tpot_ms.p99),
    figure(summary.throughput.output_tokens_per_s),
    share(summary.utilisation),
    dollars(summary.cost?.usd_per_1m_output_tokens ?? null),
  ]
}

function wordsOf({device, result}: RateRow, style: Style): string[] {
  if (!result.fits) return wrap(`${device}: ${result.reason}`).map(style.warning)
  const {rate, caveat, limit, probes} = result.found
  const bracketed = rate !== null && limit !== null
  return [
    ...(bracketed ? wrap(`${device}, a little above that rate: ${limit}`) : []),
    ...(caveat === undefined ? [] : wrap(`${device}: ${caveat}`).map(style.warning)),
    ...wrap(`${device}: ${probes.length} whole simulations`).map(style.faint),
  ]
}
