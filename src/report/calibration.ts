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

export interface HalfRow {
  readonly fitted_on: string
  readonly scored_on: string
  readonly before: readonly ErrorSummary[]
  readonly after: readonly ErrorSummary[]
  /** One standard error of the errors after, by metric, in percent. */
  readonly noise: Readonly<Record<string, number>>
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
    titles(['fitted on', 'scored on', 'mean of', 'before', 'after', 'noise']),
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
    ...wrap(verdict(report.halves)),
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
  {before, after, noise}: Pick<HalfRow, 'before' | 'after'> & Partial<HalfRow>,
): string[][] =>
  before
    .filter(({metric}) => metricNames[metric] !== undefined)
    .map((row, at) => [
      at === 0 ? fitted : '',
      at === 0 ? scored : '',
      metricNames[row.metric]!,
      signed(row.bias),
      signed(after.find(({metric}) => metric === row.metric)?.bias ?? null),
      noise?.[row.metric] === undefined ? '' : `± ${noise[row.metric]!.toFixed(1)} %`,
    ])

/** Percent; an error that changes by less says nothing: a fit holds its terms by as much (fit-host.ts). */
const leastChange = 1

/** Errors of a half that was not seen, which grew or shrank by more than their noise. */
function changesIn({before, after, noise}: HalfRow) {
  const worse: string[] = []
  const better: string[] = []
  for (const {metric, bias} of before) {
    const unseen = after.find((row) => row.metric === metric)
    const name = metricNames[metric]
    if (unseen === undefined || name === undefined) continue
    const change = Math.abs(unseen.bias) - Math.abs(bias)
    if (Math.abs(change) <= Math.max(leastChange, noise[metric] ?? 0)) continue
    const told = `${name} (${signed(bias)} → ${signed(unseen.bias)})`
    if (change > 0) worse.push(told)
    else better.push(told)
  }
  return {worse, better}
}

/** Only what helps unseen requests is worth keeping, and only where it costs nothing elsewhere. */
export function verdict(halves: readonly HalfRow[]): string {
  const advice = 'keep the catalogue, or measure longer.'
  const changes = halves.map((half) => ({half, ...changesIn(half)}))
  const harmed = changes.filter(({worse}) => worse.length > 0)
  if (harmed.length > 0) {
    const told = harmed.map(
      ({half, worse}) =>
        `fitted on ${half.fitted_on}, errors on ${half.scored_on} grow by more than their noise: ${worse.join(', ')}`,
    )
    return `The terms do not carry over: ${told.join('; ')}. So ${advice}`
  }
  return changes.some(({better}) => better.length > 0)
    ? 'Fitted on either half, the terms raise no error on the other one by more than its noise, and lower some: they carry over.'
    : `Fitted on one half, the terms lower no error on the other one by more than its noise: ${advice}`
}
