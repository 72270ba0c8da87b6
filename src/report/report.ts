/** What `llmsim report` says: stored runs, summarised again where the question is a new one. */
import {join} from 'node:path'
import {compareRuns, type MetricRow} from './compare.js'
import type {Price} from './cost.js'
import {type Grouping, type GroupSummary, summariseGroups} from './groups.js'
import type {RequestResults} from './measures.js'
import {newestRun, readRun, runFiles, type StoredRun} from './run-store.js'
import {readSeries, type SeriesRow} from './series-file.js'
import {type Slo, type SloMetric, sloMetrics} from './slo.js'
import {type Summary, type SummaryOptions, summariseOutcomes} from './summary.js'
import {parseWarmup, type Warmup} from './warmup.js'

export interface ReportRequest {
  /** Paths or names; the first is the one that others are compared with. None: the newest run. */
  readonly runs: readonly string[]
  /** Folder that holds the runs; `.llmsim/runs` by default. */
  readonly root?: string | undefined
  readonly by?: Grouping | undefined
  readonly slo?: Slo | undefined
  readonly warmup?: Warmup | undefined
  /** What the time series of the runs say, too. */
  readonly over?: 'time' | undefined
}

export interface ReportedRun {
  /** Letter by which tables call it. */
  readonly label: string
  readonly name: string
  readonly folder: string
  readonly llmsim: string
  readonly command: string
  readonly header: readonly string[]
  readonly config: {readonly [field: string]: unknown}
  readonly summary: Summary
  readonly groups?: readonly GroupSummary[]
  /** Where it was asked for, and the run has one. */
  readonly series?: readonly SeriesRow[]
}

export interface Report {
  readonly by?: Grouping
  readonly over?: 'time'
  readonly runs: readonly ReportedRun[]
  /** Where there are several runs. */
  readonly metrics?: readonly MetricRow[]
}

/** Reads the runs and answers. Throws RUN_NOT_FOUND, RUN_BAD_FILE, FLAG_BAD_VALUE, FLAG_CONFLICT. */
export function makeReport(request: ReportRequest): Report {
  const {root, by} = request
  const stored =
    request.runs.length > 0 ? request.runs.map((run) => readRun(run, root)) : [newestRun(root)]
  const runs: ReportedRun[] = []
  for (const [i, run] of stored.entries()) {
    runs.push({label: labelOf(i), ...reportRun(run, request)})
  }
  return {
    ...(by && {by}),
    ...(request.over && {over: request.over}),
    runs,
    ...(runs.length > 1 && {metrics: compareRuns(runs.map((run) => run.summary))}),
  }
}

/** A, B, … Z, AA, AB, … */
const labelOf = (index: number): string =>
  (index >= 26 ? labelOf(Math.floor(index / 26) - 1) : '') + String.fromCharCode(65 + (index % 26))

function reportRun(run: StoredRun, request: ReportRequest): Omit<ReportedRun, 'label'> {
  const {name, folder, llmsim, command, config, header = []} = run
  const {by} = request
  const anew = request.slo !== undefined || request.warmup !== undefined
  const results = anew || by ? run.requests() : undefined
  const options = optionsFor(run.summary, request)
  const isUnscored = results && options.slo === undefined && run.summary.goodput !== undefined
  const series = request.over === 'time' ? readSeries(join(folder, runFiles.series)) : undefined
  return {
    name,
    folder,
    llmsim,
    command,
    header: isUnscored ? [...header, unscored] : header,
    config,
    summary: anew && results ? summariseAgain(run.summary, results, options) : run.summary,
    ...(by && results && {groups: summariseGroups(results, by, options)}),
    ...(series && {series}),
  }
}

const unscored =
  'note: goodput is not scored again: its bound of ITL needs the gaps of every request, which a stored run does not have.'

/** What is not asked anew stays as it was when the run was made, but for an ITL bound, which cannot be scored again. */
function optionsFor(summary: Summary, request: ReportRequest): SummaryOptions {
  const stored = storedSlo(summary)
  return {
    slo: request.slo ?? (stored?.itl === undefined ? stored : undefined),
    warmup: request.warmup ?? (summary.warmup ? parseWarmup(summary.warmup.asked) : undefined),
    price: storedPrice(summary),
  }
}

function storedSlo({goodput}: Summary): Slo | undefined {
  if (goodput === undefined) return undefined
  const slo: {[metric in SloMetric]?: number} = {}
  for (const metric of sloMetrics) {
    const ms = goodput.slo[`${metric}_ms`]
    if (ms !== undefined) slo[metric] = Math.round(ms * 1e6)
  }
  return slo
}

const storedPrice = ({cost}: Summary): Price | undefined =>
  cost && {usdPerHour: cost.usd_per_hour, devices: cost.devices}

/** What follows from the requests is made again; what only the engines knew is kept. */
export function summariseAgain(
  summary: Summary,
  results: RequestResults,
  options: SummaryOptions,
): Summary {
  const itlLeavesOut = summary.warmup?.itl_leaves_out ?? null
  const {goodput: _, ...kept} = summary
  return {...kept, ...summariseOutcomes(results, options, itlLeavesOut)}
}
