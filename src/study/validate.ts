/** A measured run, simulated under the same settings, and both side by side. */
import {Problem} from '../errors.js'
import {
  type MeasuredMetric,
  type MeasuredMoment,
  type MeasuredRun,
  type MeasuredSpread,
  type MeasuredStage,
  type MeasuredStatistic,
  measuredMetrics,
  measuredStatistics,
} from '../measured/measured-run.js'
import {collect, e2eOf, type RequestMetric, tpotOf, ttftOf} from '../report/request-metrics.js'
import type {Comparison, RunComparison, StageComparison, Timeline} from '../report/validation.js'
import {noiseOfDifference, pearson} from '../stats/correlation.js'
import {describe} from '../stats/percentiles.js'
import {type Deployment, deploy} from './deployment.js'
import {describeRun} from './describe.js'
import type {RunRequest} from './run-request.js'
import {type Simulation, simulate} from './simulate.js'

const metricOf: Readonly<Record<Exclude<MeasuredMetric, 'itl'>, RequestMetric>> = {
  ttft: ttftOf,
  tpot: tpotOf,
  e2e: e2eOf,
}

/** @throws Problem for settings that do not exist, fit or divide */
export async function validateRun(run: MeasuredRun, request: RunRequest): Promise<RunComparison> {
  return compareRun(run, await deploy(request))
}

/** The comparison on a deployment that was made already. */
export function compareRun(run: MeasuredRun, deployment: Deployment): RunComparison {
  const steps = new StepLog(run.timeline !== undefined)
  const simulation = simulate({
    trace: run.trace,
    deployment,
    concurrency: run.concurrency,
    check: true,
    ...(steps.isKept && {onStep: (step) => steps.add(step)}),
  })
  checkServed(run, simulation)
  const engine = deployment.engines[0]!
  const stages = run.stages.map((stage) => compareStage(run, stage, simulation))
  return {
    name: run.name,
    format: run.format,
    source: engine.latency.source,
    device: engine.instance.hardwareName,
    model: engine.instance.model.id,
    tp: engine.instance.tp,
    engine: engine.instance.profile.id,
    header: describeRun(simulation.facts, deployment, run.name),
    stages,
    ...correlations(run, simulation),
    ...(run.timeline && {timeline: steps.beside(run.timeline, engine.settled.config.numGpuBlocks)}),
    notes: [...unitNotes(stages), ...run.notes],
  }
}

/** @throws Problem MEASURED_BAD_FILE where the simulation turns away all that the server has served */
function checkServed({name, trace}: MeasuredRun, {summary}: Simulation): void {
  if (summary.requests.completed > 0) return
  const [first] = summary.rejections ?? []
  let longest = 0
  for (let row = 0; row < trace.length; row++)
    longest = Math.max(longest, trace.inputTokens[row]! + trace.outputTokens[row]!)
  const why = first === undefined ? '' : ` (${first.reason})`
  throw new Problem(
    'MEASURED_BAD_FILE',
    `${name}: under these settings none of its ${trace.length} requests can be served${why}, so there is nothing to compare.`,
    {
      suggestions: [
        `--max-model-len ${longest} or more: so many tokens has the longest request`,
        'the settings that the server ran with',
      ],
    },
  )
}

/** How far from 1000 a ratio of units may lie: a simulation is seldom off by more. */
const unitSlack = 5

/** Every mean latency a thousand times off, to the same side, is no error of a simulation. */
function unitNotes(stages: readonly StageComparison[]): string[] {
  const ratios = stages
    .flatMap(({comparisons}) => comparisons)
    .filter(({metric, statistic}) => metric.endsWith('_ms') && statistic === 'mean')
    .map(({measured, simulated}) => measured / simulated)
  const areAll = (factor: number) =>
    ratios.length > 0 &&
    ratios.every((ratio) => ratio > factor / unitSlack && ratio < factor * unitSlack)
  const note = (share: string, unit: string) =>
    `Every measured latency is about ${share} the simulated one: the file may have ${unit} where ms belong.`
  if (areAll(1e-3)) return [note('a thousandth of', 'seconds')]
  return areAll(1e3) ? [note('a thousand times', 'microseconds')] : []
}

function compareStage(
  run: MeasuredRun,
  stage: MeasuredStage,
  simulation: Simulation,
): StageComparison {
  const {outcomes} = simulation.run
  const rows = Uint32Array.from([...Array(run.trace.length).keys()].filter(stage.has))
  const comparisons: Comparison[] = []
  for (const metric of measuredMetrics) {
    const measured = stage.spreads[metric]
    if (measured === undefined) continue
    const simulated = spreadOf(metric, rows, simulation)
    for (const statistic of measuredStatistics) {
      const found = comparison(metric, statistic, [measured, simulated])
      if (found === undefined) continue
      const noise = statistic === 'mean' ? noiseOf(metric, rows, {run, simulation}) : undefined
      comparisons.push(noise === undefined ? found : {...found, noise_percent: noise})
    }
  }
  const {throughput} = simulation.summary
  const rate = (name: string, measured: number | undefined, simulated: number | null) => {
    if (measured === undefined || simulated === null) return
    comparisons.push({
      metric: name,
      statistic: 'mean',
      measured,
      simulated,
      ...errorOf(measured, simulated),
    })
  }
  rate('requests_per_s', stage.throughput.requestsPerS, throughput.requests_per_s)
  rate('output_tokens_per_s', stage.throughput.outputTokensPerS, throughput.output_tokens_per_s)
  const completed = collect(outcomes, rows, e2eOf).length
  return {name: stage.name, requests: rows.length, completed, comparisons}
}

function comparison(
  metric: MeasuredMetric,
  statistic: MeasuredStatistic,
  [real, virtual]: readonly [MeasuredSpread, MeasuredSpread],
): Comparison | undefined {
  const measured = real[statistic]
  const simulated = virtual[statistic]
  if (measured === undefined || simulated === undefined || !Number.isFinite(measured))
    return undefined
  return {metric: `${metric}_ms`, statistic, measured, simulated, ...errorOf(measured, simulated)}
}

interface BothSides {
  readonly run: MeasuredRun
  readonly simulation: Simulation
}

/** Percent of the measured mean; undefined where single requests were not measured. */
function noiseOf(
  metric: MeasuredMetric,
  rows: Uint32Array,
  {run, simulation}: BothSides,
): number | undefined {
  if (metric === 'itl' || run.requests === undefined) return undefined
  const measured = Float64Array.from(rows, (row) => run.requests![metric][row]!)
  const {outcomes} = simulation.run
  const simulated = Float64Array.from(rows, (row) => metricOf[metric](outcomes, row) / 1e6)
  const noise = noiseOfDifference(simulated, measured)
  const mean = describe(measured.filter((value) => !Number.isNaN(value)))?.mean ?? 0
  return noise !== undefined && mean > 0 ? (noise / mean) * 100 : undefined
}

const errorOf = (measured: number, simulated: number) => ({
  error_percent: measured > 0 ? (simulated / measured - 1) * 100 : null,
})

/** ms. Gaps between tokens are pooled over the whole run. */
function spreadOf(
  metric: MeasuredMetric,
  rows: Uint32Array,
  simulation: Simulation,
): MeasuredSpread {
  if (metric === 'itl') {
    const spread = simulation.summary.itl_ms
    return Object.fromEntries(
      measuredStatistics.flatMap((name) => (spread[name] === null ? [] : [[name, spread[name]]])),
    )
  }
  const values = collect(simulation.run.outcomes, rows, metricOf[metric])
  return describe(values.map((ns) => ns / 1e6)) ?? {}
}

function correlations({requests, trace}: MeasuredRun, {run}: Simulation) {
  if (requests === undefined) return {}
  const of = (metric: 'ttft' | 'tpot' | 'e2e') => {
    const simulated = Float64Array.from({length: trace.length}, (_, row) =>
      metricOf[metric](run.outcomes, row),
    )
    return pearson(requests[metric], simulated) ?? null
  }
  return {pearson_r: {ttft: of('ttft'), tpot: of('tpot'), e2e: of('e2e')}}
}

interface Step {
  readonly end: number
  readonly running: number
  readonly waiting: number
  readonly freeBlocks: number
}

/** The state of the engine at the end of each step. */
class StepLog {
  readonly isKept: boolean
  readonly #steps: Step[] = []

  constructor(isKept: boolean) {
    this.isKept = isKept
  }

  add({end, running, waiting, freeBlocks}: Step): void {
    this.#steps.push({end, running, waiting, freeBlocks})
  }

  /** Sampled at the moments that were measured. */
  beside(measured: readonly MeasuredMoment[], blocks: number): Timeline {
    const moments = measured.map(({at}) => this.#at(at * 1e9))
    return {
      at_s: measured.map(({at}) => at),
      running: {
        measured: measured.map(({running}) => running),
        simulated: moments.map((step) => step?.running ?? 0),
      },
      waiting: {
        measured: measured.map(({waiting}) => waiting),
        simulated: moments.map((step) => step?.waiting ?? 0),
      },
      kv_usage: {
        measured: measured.map(({kv}) => kv ?? null),
        simulated: moments.map((step) => (step ? 1 - step.freeBlocks / blocks : 0)),
      },
    }
  }

  #at(ns: number): Step | undefined {
    let low = 0
    let high = this.#steps.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#steps[middle]!.end <= ns) low = middle + 1
      else high = middle
    }
    // After the last step the engine is idle.
    return low === this.#steps.length ? undefined : this.#steps[low - 1]
  }
}
