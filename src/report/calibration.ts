/** What a calibration changed, and whether it helps requests that it did not see. */
import {figure} from './figures.js'
import {layTable, type Style, wrap} from './style.js'
import {type ErrorSummary, signed} from './validation.js'

interface TermRow {
  readonly name: string
  readonly unit: string
  readonly before: number
  readonly after: number
}

interface HalfRow {
  readonly fitted_on: string
  readonly scored_on: string
  readonly before: readonly ErrorSummary[]
  readonly after: readonly ErrorSummary[]
}

export interface CalibrationReport {
  readonly run: string
  readonly requests: number
  readonly terms: readonly TermRow[]
  readonly before: readonly ErrorSummary[]
  readonly after: readonly ErrorSummary[]
  readonly halves: readonly HalfRow[]
}

export async function renderCalibration(report: CalibrationReport, style: Style): Promise<string> {
  const titles = (names: readonly string[]) => names.map((title) => ({title}))
  const terms = await layTable(
    titles(['term', 'unit', 'before', 'after']),
    report.terms.map(({name, unit, before, after}) => [name, unit, figure(before), figure(after)]),
    style,
  )
  const rows = [
    ...errorRows('all requests', 'all requests', report),
    ...report.halves.flatMap((half) => errorRows(half.fitted_on, half.scored_on, half)),
  ]
  const errors = await layTable(
    titles(['fitted on', 'scored on', 'mean of', 'before', 'after']),
    rows,
    style,
  )
  return [
    style.title(`${report.run}: ${report.requests} requests`),
    '',
    ...terms,
    '',
    ...errors,
    '',
    ...wrap(verdict(report)),
  ].join('\n')
}

const metricNames: Readonly<Record<string, string>> = {
  ttft_ms: 'TTFT',
  tpot_ms: 'TPOT',
  e2e_ms: 'E2E',
}

const errorRows = (
  fitted: string,
  scored: string,
  {before, after}: Pick<HalfRow, 'before' | 'after'>,
): string[][] =>
  before
    .filter(({metric}) => metricNames[metric] !== undefined)
    .map((row, at) => [
      at === 0 ? fitted : '',
      at === 0 ? scored : '',
      metricNames[row.metric]!,
      signed(row.bias),
      signed(after.find(({metric}) => metric === row.metric)?.bias ?? null),
    ])

/** Only what helps unseen requests is worth keeping. */
function verdict({halves}: CalibrationReport): string {
  const total = (pick: 'before' | 'after') =>
    halves.flatMap((half) => half[pick]).reduce((sum, {mean_abs: error}) => sum + error, 0)
  return total('after') < total('before')
    ? 'Fitted on either half, the terms lower the errors on the other one: they carry over.'
    : 'Fitted on one half, the terms do not lower the errors on the other one: keep the catalogue, or measure longer.'
}
