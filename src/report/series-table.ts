/** The time series of a run, for people and for other programs. */
import {figure, share} from './figures.js'
import type {ReportedRun} from './report.js'
import {csvCell} from './row-file.js'
import {type SeriesRow, seriesFields, sumSeries} from './series-file.js'
import {layTable, type Style} from './style.js'

export const seriesTitles: readonly string[] = [
  'from s',
  'to s',
  'running',
  'waiting',
  'KV',
  'prefill tok/s',
  'decode tok/s',
  'preempted',
]

export const noSeries = (name: string): string =>
  `${name} has no timeseries.csv: it was made by an older version.`

/** All engines together, at most twenty rows. */
export async function renderSeries({name, series}: ReportedRun, style: Style): Promise<string> {
  if (series === undefined) return noSeries(name)
  const titles = seriesTitles.map((title) => ({title}))
  return (await layTable(titles, seriesCells(series), style)).join('\n')
}

/** The same as cells of text. */
export const seriesCells = (series: readonly SeriesRow[]): string[][] =>
  sumSeries(series).map((row) => [
    figure(row.start_s),
    figure(row.end_s),
    String(row.running),
    String(row.waiting),
    share(row.kv_usage),
    figure(row.prefill_tokens_per_s),
    figure(row.decode_tokens_per_s),
    String(row.preemptions),
  ])

/** Every row of every run, in full precision. */
export function seriesCsv(runs: readonly ReportedRun[]): string {
  const lines = runs.flatMap(({name, series = []}) =>
    series.map((row) =>
      [csvCell(name), ...seriesFields.map((field) => row[field] ?? '')].join(','),
    ),
  )
  return [['run', ...seriesFields].join(','), ...lines].join('\n')
}
