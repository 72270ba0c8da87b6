/** Refits a few terms to one measured run of a user's own server, and says whether they carry over. */
import {resolve} from 'node:path'
import {defaultEngine, loadEngine} from '../catalogue/engines.js'
import {loadHardware} from '../catalogue/hardware.js'
import type {EfficiencyScale, Hardware} from '../catalogue/hardware-shape.js'
import {Problem} from '../errors.js'
import type {MeasuredRequests, MeasuredRun, MeasuredStage} from '../measured/measured-run.js'
import {type ErrorSummary, type RunComparison, summariseErrors} from '../report/validation.js'
import {describe} from '../stats/percentiles.js'
import {
  comparisonsUnder,
  type FitState,
  type FitTarget,
  type FittedTerm,
  fitHost,
  hostTerms,
} from './fit-host.js'
import type {RunRequest} from './run-request.js'

export interface Calibration {
  readonly run: string
  readonly requests: number
  readonly terms: readonly FittedTerm[]
  /** Errors of the means over the whole run. */
  readonly before: readonly ErrorSummary[]
  readonly after: readonly ErrorSummary[]
  /** Fitted on one half of the requests, scored on the other; both ways. */
  readonly halves: readonly {
    readonly fitted_on: string
    readonly scored_on: string
    readonly before: readonly ErrorSummary[]
    readonly after: readonly ErrorSummary[]
    /** One standard error of the errors after, by metric, in percent. */
    readonly noise: Readonly<Record<string, number>>
  }[]
  readonly engine: FitState['profile']
  readonly scale: EfficiencyScale
  readonly hardware: Hardware
}

/** Fewer requests than this in a half say nothing about a mean. */
const fewest = 20

/** @throws Problem MEASURED_BAD_FILE for a run without single requests, or with too few of them */
export async function calibrate(run: MeasuredRun, request: RunRequest): Promise<Calibration> {
  const {requests, trace} = run
  if (requests === undefined || trace.length < 2 * fewest)
    throw new Problem(
      'MEASURED_BAD_FILE',
      `${run.name}: a calibration needs single requests, at least ${2 * fewest} of them; this run has ${requests ? trace.length : 'only averages'}.`,
    )
  const {engineProfile: named = defaultEngine} = request
  const profile = typeof named === 'string' ? (await loadEngine(named)).profile : named
  const loaded = await loadHardware(request.hardware!)
  const start: FitState = {profile, scale: loaded.efficiencyScale ?? {compute: 1, memory: 1}}
  const terms = [
    request.frontEnd === 'in-process' ? hostTerms.inProcess : hostTerms.frontEnd,
    hostTerms.layer,
    hostTerms.compute,
    hostTerms.memory,
  ]
  const half = Math.floor(trace.length / 2)
  const target = (name: string, has: (row: number) => boolean): FitTarget => ({
    run: {...run, timeline: undefined, stages: [stageOf(name, requests, trace.length, has)]},
    request,
  })
  const first = target('the first half', (row) => row < half)
  const second = target('the second half', (row) => row >= half)
  const errors = async (of: readonly FitTarget[], state: FitState) =>
    summariseErrors(await comparisonsUnder(of, state))
  const halves: Calibration['halves'][number][] = []
  for (const [fitted, scored] of [
    [first, second],
    [second, first],
  ] as const) {
    const {state} = await fitHost([fitted], start, terms)
    const unseen = await comparisonsUnder([scored], state)
    halves.push({
      fitted_on: fitted.run.stages[0]!.name,
      scored_on: scored.run.stages[0]!.name,
      before: await errors([scored], start),
      after: summariseErrors(unseen),
      noise: noiseIn(unseen[0]!),
    })
  }
  const fit = await fitHost([first, second], start, terms)
  const whole = target('all', () => true)
  return {
    run: run.name,
    requests: trace.length,
    terms: fit.terms,
    before: await errors([whole], start),
    after: await errors([whole], fit.state),
    halves,
    engine: fit.state.profile,
    scale: fit.state.scale,
    hardware: loaded,
  }
}

const noiseIn = ({stages}: RunComparison): Readonly<Record<string, number>> =>
  Object.fromEntries(
    stages[0]!.comparisons.flatMap(({metric, noise_percent: noise}) =>
      noise === undefined ? [] : [[metric, noise]],
    ),
  )

function stageOf(
  name: string,
  requests: MeasuredRequests,
  length: number,
  has: (row: number) => boolean,
): MeasuredStage {
  const rows = [...Array(length).keys()].filter(has)
  const spread = (values: Float64Array) =>
    describe(
      Float64Array.from(rows.map((row) => values[row]!).filter((value) => !Number.isNaN(value))),
    ) ?? {}
  return {
    name,
    has,
    spreads: {
      ttft: spread(requests.ttft),
      tpot: spread(requests.tpot),
      e2e: spread(requests.e2e),
    },
    throughput: {},
  }
}

/** The two files that overrule the catalogue: `--engine` and `--hardware` take them. */
export async function calibrationFiles(
  {run, requests, engine, hardware, scale}: Calibration,
  request: RunRequest,
): Promise<{readonly engine: string; readonly hardware: string}> {
  const {stringify} = await import('yaml')
  const bases = {
    engine: await baseOf(request),
    hardware: absolute(request.hardware!),
  }
  const source = `fitted to ${requests} measured requests of ${run} by llmsim calibrate`
  return {
    engine: stringify({
      extends: bases.engine,
      front_end: {
        http_ms: engine.frontEnd.httpNs / 1e6,
        in_process_ms: engine.frontEnd.inProcessNs / 1e6,
      },
      host: {layer_us: engine.host.layerNs / 1e3},
      source,
    }),
    hardware: stringify({
      extends: bases.hardware,
      calibrated: hardware.calibrated,
      efficiency_scale: scale,
      source: `kernels of ${bases.hardware}, their efficiencies ${source}`,
    }),
  }
}

/** What a file in another folder can extend: a name of the catalogue, or an absolute path. */
const absolute = (name: string): string =>
  /\.ya?ml$/i.test(name) || /[/\\]/.test(name) ? resolve(name) : name

async function baseOf({engineProfile = defaultEngine}: RunRequest): Promise<string> {
  if (typeof engineProfile !== 'string') return engineProfile.id
  const path = absolute(engineProfile)
  return path === engineProfile ? (await loadEngine(engineProfile)).profile.id : path
}
