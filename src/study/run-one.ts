/** One run of a job: a trace on one deployment, with its files. In this thread, or in one of a pool. */
import {join} from 'node:path'
import {writePower} from '../report/power-file.js'
import {ItlFile, idOf, StepsFile} from '../report/request-files.js'
import {createRunFolder, writeRun} from '../report/run-store.js'
import {writeSeries} from '../report/series-file.js'
import type {Slo} from '../report/slo.js'
import type {Summary} from '../report/summary.js'
import {TimelineFile} from '../report/timeline-file.js'
import type {Warmup} from '../report/warmup.js'
import type {Trace} from '../trace/trace.js'
import type {Deployment} from './deployment.js'
import {configOf, describeRun} from './describe.js'
import {type Simulation, simulate} from './simulate.js'

/** What all runs of a job have in common. Plain data: it crosses threads. */
export interface RunOptions {
  readonly traceName: string
  readonly concurrency?: number | undefined
  readonly slo?: Slo | undefined
  readonly warmup?: Warmup | undefined
  readonly check: boolean
  /** Where the runs go; undefined keeps none. */
  readonly store: {readonly out: string | undefined; readonly startedAt: Date} | undefined
  /** Whether other runs go to the same place: then each gets a folder of its own there. */
  readonly place: 'alone' | 'among others'
  readonly steps?: string | undefined
  readonly itl?: string | undefined
  readonly timeline?: string | undefined
  readonly version: string
}

export interface FinishedRun {
  readonly device: string
  readonly header: readonly string[]
  readonly config: ReturnType<typeof configOf>
  readonly summary: Summary
  readonly engineSeconds: number
  /** Folder that it was written to. */
  readonly folder: string | undefined
  readonly tokens: number
}

/** Told now and then how many requests have left. */
export type OnProgress = (left: number) => void

export function runOne(
  options: RunOptions,
  trace: Trace,
  deployment: Deployment,
  onProgress?: OnProgress,
): FinishedRun {
  const device = deployment.engines[0]!.instance.hardwareName
  const {traceName} = options
  const simulation = simulateInto(options, trace, deployment, onProgress)
  const header = describeRun(trace, deployment, traceName)
  const config = configOf(trace, deployment, traceName)
  const {summary, engineSeconds} = simulation
  const folder = options.store && store(options, device, {header, config, simulation})
  const tokens = trace.inputTokens.reduce((sum, n) => sum + n, 0) + produced(simulation)
  return {device, header, config, summary, engineSeconds, folder, tokens}
}

/** Simulates, with the files of steps and gaps open around it. */
function simulateInto(
  options: RunOptions,
  trace: Trace,
  deployment: Deployment,
  onProgress: OnProgress | undefined,
): Simulation {
  const steps = options.steps === undefined ? undefined : new StepsFile(options.steps)
  const itl = options.itl === undefined ? undefined : new ItlFile(options.itl)
  const timeline = options.timeline === undefined ? undefined : new TimelineFile(options.timeline)
  const gaps: (readonly number[])[] = []
  try {
    const simulation = simulate({
      trace,
      deployment,
      concurrency: options.concurrency,
      slo: options.slo,
      warmup: options.warmup,
      check: options.check,
      onStep:
        (steps || timeline) &&
        (({shape, ...step}) => {
          const {tokens, prefills, prefillTokens, decodes} = shape
          steps?.add({...step, tokens, prefillTokens, decodeTokens: decodes})
          timeline?.step({...step, tokens, prefills, prefillTokens, decodes})
        }),
      onGaps:
        itl &&
        ((row, own) => {
          gaps[row] = own
        }),
      onProgress,
    })
    if (itl) for (let row = 0; row < trace.length; row++) itl.add(idOf(trace, row), gaps[row] ?? [])
    timeline?.requests(trace, simulation.run.outcomes)
    return simulation
  } finally {
    timeline?.close()
    steps?.close()
    itl?.close()
  }
}

interface Made {
  readonly header: readonly string[]
  readonly config: FinishedRun['config']
  readonly simulation: Simulation
}

function store(options: RunOptions, device: string, made: Made): string {
  const {out, startedAt} = options.store!
  const {simulation, header, config} = made
  const folder = createRunFolder({
    startedAt,
    out: out !== undefined && options.place === 'among others' ? join(out, device) : out,
    about: [options.traceName, device],
  })
  const blocks = simulation.run.engines.map((engine) => engine.blocks)
  writeSeries(join(folder, 'timeseries.csv'), simulation.series, blocks)
  if (simulation.power) writePower(join(folder, 'power.csv'), simulation.power)
  writeRun(
    folder,
    {
      llmsim: options.version,
      command: 'simulate',
      header,
      config,
      summary: simulation.summary,
      timing: {engine_s: simulation.engineSeconds},
    },
    simulation.run,
  )
  return folder
}

const produced = ({run}: Simulation): number =>
  run.outcomes.producedTokens.reduce((sum, n) => sum + n, 0)
