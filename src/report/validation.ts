/** Measured against simulated: what `validate` found, as data and as tables. */
import {figure} from './figures.js'
import {layTable, type Style, wrap} from './style.js'

export interface Comparison {
  readonly metric: string
  readonly statistic: string
  readonly measured: number
  readonly simulated: number
  /** (simulated − measured) ÷ measured. */
  readonly error_percent: number | null
  /**
   * Of a mean over single requests: one standard error of (simulated − measured), as a share of what was measured. What
   * both share, such as the lengths of the answers, is not in it.
   */
  readonly noise_percent?: number
}

export interface StageComparison {
  readonly name: string
  readonly requests: number
  readonly completed: number
  readonly comparisons: readonly Comparison[]
}

export interface Series<T> {
  readonly measured: readonly T[]
  readonly simulated: readonly number[]
}

export interface Timeline {
  readonly at_s: readonly number[]
  readonly running: Series<number>
  readonly waiting: Series<number>
  /** Share of the KV blocks, 0 to 1. */
  readonly kv_usage: Series<number | null>
}

export interface RunComparison {
  readonly name: string
  readonly format: string
  /** profile, roofline or datasheet. */
  readonly source: string
  readonly device: string
  readonly model: string
  readonly tp: number
  readonly engine: string
  readonly header: readonly string[]
  readonly stages: readonly StageComparison[]
  /** Of single requests, measured against simulated. */
  readonly pearson_r?: {
    readonly ttft: number | null
    readonly tpot: number | null
    readonly e2e: number | null
  }
  readonly timeline?: Timeline
  readonly notes: readonly string[]
}

export interface ErrorSummary {
  readonly metric: string
  readonly stages: number
  readonly median_abs: number
  readonly mean_abs: number
  readonly bias: number
  readonly worst: number
}

const metricNames: Readonly<Record<string, string>> = {
  ttft_ms: 'TTFT ms',
  tpot_ms: 'TPOT ms',
  itl_ms: 'ITL ms',
  e2e_ms: 'E2E ms',
  requests_per_s: 'req/s',
  output_tokens_per_s: 'tok/s out',
}

/** Errors of the first statistic of each metric (the mean where there is one) over all stages, in percent. */
export function summariseErrors(runs: readonly RunComparison[]): ErrorSummary[] {
  const errors = new Map<string, number[]>()
  for (const {stages} of runs) {
    for (const {comparisons} of stages) {
      const seen = new Set<string>()
      for (const {metric, error_percent: error} of comparisons) {
        if (seen.has(metric) || error === null) continue
        seen.add(metric)
        errors.set(metric, [...(errors.get(metric) ?? []), error])
      }
    }
  }
  return [...errors].map(([metric, values]) => summaryOf(metric, values))
}

function summaryOf(metric: string, values: readonly number[]): ErrorSummary {
  const sizes = values.map(Math.abs).sort((a, b) => a - b)
  const middle = (sizes.length - 1) / 2
  return {
    metric,
    stages: values.length,
    median_abs: (sizes[Math.floor(middle)]! + sizes[Math.ceil(middle)]!) / 2,
    mean_abs: sizes.reduce((sum, size) => sum + size, 0) / sizes.length,
    bias: values.reduce((sum, value) => sum + value, 0) / values.length,
    worst: sizes.at(-1)!,
  }
}

export const signed = (percent: number | null): string =>
  percent === null ? '–' : `${percent < 0 ? '−' : '+'}${Math.abs(percent).toFixed(1)} %`

/** Each run with its stages, in lines of at most 80 columns. */
export async function renderValidation(
  runs: readonly RunComparison[],
  style: Style,
): Promise<string> {
  const parts: string[] = []
  for (const run of runs) parts.push(await renderRun(run, style))
  if (runs.length > 1 || runs.some(({stages}) => stages.length > 1))
    parts.push((await summaryLines(runs, style)).join('\n'))
  return parts.join('\n\n')
}

async function renderRun(run: RunComparison, style: Style): Promise<string> {
  const lines = [
    style.title(run.name),
    ...run.header
      .filter((line) => line !== '')
      .flatMap((line) => wrap(line))
      .map(style.faint),
  ]
  for (const stage of run.stages) lines.push('', ...(await stageLines(stage, style)))
  const {pearson_r: r, timeline} = run
  if (r) {
    const parts = (['ttft', 'tpot', 'e2e'] as const).map(
      (metric) => `${metric.toUpperCase()} ${r[metric]?.toFixed(3) ?? '–'}`,
    )
    lines.push('', `request by request, Pearson's r: ${parts.join(', ')}`)
  }
  if (timeline) lines.push('', ...timelineLines(timeline))
  lines.push(...run.notes.flatMap((note) => wrap(`note: ${note}`)).map(style.faint))
  return lines.join('\n')
}

const statistics = ['mean', 'p50', 'p90', 'p95', 'p99'] as const

async function stageLines(stage: StageComparison, style: Style): Promise<string[]> {
  const metrics = [...new Set(stage.comparisons.map(({metric}) => metric))]
  const rows = metrics.flatMap((metric) => {
    const own = stage.comparisons.filter((each) => each.metric === metric)
    const cells = (text: (comparison: Comparison) => string) =>
      statistics.map((name) => {
        const found = own.find(({statistic}) => statistic === name)
        return found ? text(found) : ''
      })
    return [
      [metricNames[metric] ?? metric, 'measured', ...cells(({measured}) => figure(measured))],
      ['', 'simulated', ...cells(({simulated}) => figure(simulated))],
      ['', 'error', ...cells(({error_percent: error}) => signed(error))],
    ]
  })
  const titles = [stage.name, '', ...statistics].map((title) => ({title}))
  const table = await layTable(titles, rows, style)
  const lost = stage.requests - stage.completed
  return lost === 0 ? table : [...table, `${lost} of ${stage.requests} requests did not complete`]
}

async function summaryLines(runs: readonly RunComparison[], style: Style): Promise<string[]> {
  const titles = ['all stages', 'count', 'median |error|', 'mean |error|', 'bias', 'worst']
  const percent = (value: number) => `${value.toFixed(1)} %`
  const rows = summariseErrors(runs).map((row) => [
    metricNames[row.metric] ?? row.metric,
    String(row.stages),
    percent(row.median_abs),
    percent(row.mean_abs),
    signed(row.bias),
    percent(row.worst),
  ])
  return layTable(
    titles.map((title) => ({title})),
    rows,
    style,
  )
}

const levels = '▁▂▃▄▅▆▇█'
const columns = 56

/** A row of bars: the largest value of each stretch, against `most`. */
export function sparkline(values: readonly (number | null)[], most: number): string {
  const width = Math.min(columns, values.length)
  return Array.from({length: width}, (_, at) => {
    const from = Math.floor((at * values.length) / width)
    const to = Math.max(from + 1, Math.floor(((at + 1) * values.length) / width))
    const largest = Math.max(...values.slice(from, to).map((value) => value ?? 0))
    const level = most > 0 ? Math.round((largest / most) * (levels.length - 1)) : 0
    return levels[Math.min(levels.length - 1, Math.max(0, level))]!
  }).join('')
}

function timelineLines({at_s, waiting, running, kv_usage: kv}: Timeline): string[] {
  const lines = [`over ${figure(at_s.at(-1) ?? 0)} s`]
  const add = (name: string, {measured, simulated}: Series<number | null>) => {
    const all = [...measured, ...simulated].map((value) => value ?? 0)
    const most = Math.max(...all)
    const isKnown = measured.some((value) => value !== null)
    if (isKnown) lines.push(`${name.padEnd(8)} measured   ${sparkline(measured, most)}`)
    lines.push(
      `${isKnown ? ''.padEnd(8) : name.padEnd(8)} simulated  ${sparkline(simulated, most)}`,
    )
  }
  add('running', running)
  add('waiting', waiting)
  add('KV', kv)
  return lines
}
