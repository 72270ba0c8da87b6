/** A report as tables, CSV or Markdown. Files carry full precision, what people read does not. */
import type {MetricRow} from './compare.js'
import {compareRuns} from './compare.js'
import {count, figure} from './figures.js'
import type {GroupSummary} from './groups.js'
import {spreadFields} from './measures.js'
import {nothingLeft} from './nothing-left.js'
import type {Report, ReportedRun} from './report.js'
import {csvCell} from './row-file.js'
import {noSeries, renderSeries, seriesCells, seriesCsv, seriesTitles} from './series-table.js'
import {layTable, pageWidth, type Style, shorten, wrap} from './style.js'
import {renderGroups, renderRun} from './tables.js'

export const reportFormats = ['table', 'json', 'csv', 'markdown'] as const
export type ReportFormat = (typeof reportFormats)[number]

/** The text of a report, without a closing line break. `style` counts for tables only. */
export async function renderReport(
  report: Report,
  format: ReportFormat,
  style: Style,
): Promise<string> {
  if (format === 'json') return JSON.stringify(report, null, 2)
  if (format === 'csv' && report.over === 'time') return seriesCsv(report.runs)
  if (format === 'csv') return report.by ? groupsCsv(report) : metricsCsv(report)
  if (format === 'markdown') return markdown(report)
  return renderTables(report, style)
}

async function renderTables(report: Report, style: Style): Promise<string> {
  const {runs, metrics, by} = report
  const parts: string[] = []
  if (metrics === undefined) {
    const run = runs[0]!
    parts.push(await renderRun(run.summary, headerOf(run), style))
  } else {
    parts.push(runs.map((run) => `${run.label}  ${shorten(run.name, pageWidth - 4)}`).join('\n'))
    parts.push(...(await comparisonTables(runs, metrics, style)))
    parts.push(runs.flatMap((run) => wrap(`${run.label}: ${run.summary.cause}`)).join('\n'))
    const warnings = runs.flatMap(({label, summary}) =>
      [summary.steady_state?.warning, nothingLeft(summary)]
        .filter((warning) => warning !== undefined)
        .flatMap((warning) => wrap(`${label}: ${warning}`)),
    )
    if (warnings.length > 0) parts.push(warnings.map(style.warning).join('\n'))
  }
  for (const run of runs) {
    if (by === undefined || run.groups === undefined) continue
    const table = await renderGroups(by, run.groups, style)
    parts.push(metrics ? `${style.title(run.label)}\n${table}` : table)
  }
  for (const run of runs) {
    if (report.over !== 'time') continue
    const table = await renderSeries(run, style)
    parts.push(metrics ? `${style.title(run.label)}\n${table}` : table)
  }
  return parts.join('\n\n')
}

const headerOf = (run: ReportedRun): string[] => [
  `${run.name} (llmsim ${run.llmsim})`,
  ...(run.header.length > 0 ? run.header : [run.command]),
]

/** What is counted has no decimals. */
const counted = /^(requests\.|goodput\.requests$|kv\.blocks$|steps$|lora\.loads$)/

const valueText = ({metric, values}: MetricRow, run: number): string =>
  counted.test(metric) ? count(values[run] ?? null) : figure(values[run])

const differenceText = ({metric, differences}: MetricRow, run: number): string =>
  counted.test(metric) ? signed(differences[run]!, count) : signed(differences[run]!)

const signed = (value: number | null, text: (value: number) => string = figure): string =>
  value === null ? '–' : `${value > 0 ? '+' : ''}${text(value)}`

const signedPercent = (value: number | null): string =>
  value === null ? '–' : `${signed(value)} %`

/** Two runs stand side by side; of more, each table holds the first and two others, so as to fit the page. */
async function comparisonTables(
  runs: readonly ReportedRun[],
  metrics: readonly MetricRow[],
  style: Style,
): Promise<string[]> {
  if (runs.length === 2) {
    const columns = ['', 'A', 'B', 'B − A', '%'].map((title) => ({title}))
    const rows = metrics.map((row) => [
      row.metric,
      valueText(row, 0),
      valueText(row, 1),
      differenceText(row, 1),
      signedPercent(row.percent[1]!),
    ])
    return [(await layTable(columns, rows, style)).join('\n')]
  }
  const tables: string[] = []
  for (let from = 1; from < runs.length; from += 2) {
    const others = runs.slice(from, from + 2).map((_, i) => from + i)
    const columns = ['', 'A', ...others.flatMap((i) => [runs[i]!.label, '%'])]
    const rows = metrics.map((row) => [
      row.metric,
      valueText(row, 0),
      ...others.flatMap((i) => [valueText(row, i), signedPercent(row.percent[i]!)]),
    ])
    const titles = columns.map((title) => ({title}))
    tables.push((await layTable(titles, rows, style)).join('\n'))
  }
  return tables
}

const cell = (value: number | null | undefined): string => (value == null ? '' : String(value))

/** `metric` and the value of each run; after each but the first its difference, absolute and in per cent. */
function metricsCsv({runs}: Report): string {
  const names = runs.map((run) => csvCell(run.name))
  const header = names.map((name, i) =>
    i === 0
      ? name
      : [name, csvCell(`${runs[i]!.name} difference`), csvCell(`${runs[i]!.name} %`)].join(','),
  )
  const lines = compareRuns(runs.map((run) => run.summary)).map((row) => {
    const cells = row.values.map((value, i) =>
      i === 0 ? cell(value) : [value, row.differences[i], row.percent[i]].map(cell).join(','),
    )
    return [row.metric, ...cells].join(',')
  })
  return [['metric', ...header].join(','), ...lines].join('\n')
}

const groupSpreads = ['ttft_ms', 'tpot_ms', 'e2e_ms', 'queue_ms'] as const
const counts = ['submitted', 'completed', 'rejected', 'cancelled', 'preemptions'] as const
const rates = ['requests_per_s', 'input_tokens_per_s', 'output_tokens_per_s'] as const
const goodFields = ['requests', 'attainment', 'requests_per_s', 'output_tokens_per_s'] as const

function groupsCsv({runs, by}: Report): string {
  const header = [
    'run',
    by,
    ...counts.map((field) => `requests.${field}`),
    ...rates.map((field) => `throughput.${field}`),
    ...groupSpreads.flatMap((name) => spreadFields.map((field) => `${name}.${field}`)),
    ...goodFields.map((field) => `goodput.${field}`),
  ]
  const row = (run: ReportedRun, group: GroupSummary): string =>
    [
      csvCell(run.name),
      csvCell(group.name),
      ...counts.map((field) => cell(group.requests[field])),
      ...rates.map((field) => cell(group.throughput[field])),
      ...groupSpreads.flatMap((name) => spreadFields.map((field) => cell(group[name][field]))),
      ...goodFields.map((field) => cell(group.goodput?.[field])),
    ].join(',')
  const lines = runs.flatMap((run) => (run.groups ?? []).map((group) => row(run, group)))
  return [header.join(','), ...lines].join('\n')
}

const markdownCell = (text: string): string => text.replaceAll('|', '\\|').replace(/[\r\n]+/g, ' ')

function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(markdownCell).join(' | ')} |`
  const rule = header.map((_, i) => (i === 0 ? '---' : '---:'))
  return [line(header), line(rule), ...rows.map(line)].join('\n')
}

function markdown({runs, by, over}: Report): string {
  const metrics = compareRuns(runs.map((run) => run.summary))
  const [first, ...others] = runs
  const header = ['metric', first!.name, ...others.flatMap(({name}) => [name, 'difference', '%'])]
  const rows = metrics.map((row) => [
    row.metric,
    valueText(row, 0),
    ...others.flatMap((_, i) => [
      valueText(row, i + 1),
      differenceText(row, i + 1),
      signed(row.percent[i + 1]!),
    ]),
  ])
  const causes = runs.map((run) => {
    const {cause, steady_state} = run.summary
    return `**${run.name}**: ${cause}${steady_state?.warning ? `. ${steady_state.warning}` : ''}`
  })
  const groups = runs.flatMap((run) => {
    if (by === undefined || run.groups === undefined) return []
    const columns = [
      by,
      'requests',
      'tok/s out',
      'TTFT p50',
      'TTFT p99',
      'TPOT p50',
      'TPOT p99',
      'SLO met',
    ]
    const lines = run.groups.map((group) => [
      group.name,
      String(group.requests.submitted),
      figure(group.throughput.output_tokens_per_s),
      figure(group.ttft_ms.p50),
      figure(group.ttft_ms.p99),
      figure(group.tpot_ms.p50),
      figure(group.tpot_ms.p99),
      figure(group.goodput?.requests),
    ])
    return [`**${run.name}** by ${by}`, markdownTable(columns, lines)]
  })
  const series = runs.flatMap((run) => {
    if (over !== 'time') return []
    if (run.series === undefined) return [noSeries(run.name)]
    return [`**${run.name}** over time`, markdownTable(seriesTitles, seriesCells(run.series))]
  })
  return [markdownTable(header, rows), ...causes, ...groups, ...series].join('\n\n')
}
