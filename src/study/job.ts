/** The main job, from trace files to stored runs: one device, or several side by side. */
import {join} from 'node:path'
import {Problem} from '../errors.js'
import type {DeviceRow} from '../report/device-table.js'
import {ItlFile, idOf, StepsFile} from '../report/request-files.js'
import {createRunFolder, writeRun} from '../report/run-store.js'
import type {Slo} from '../report/slo.js'
import type {Summary} from '../report/summary.js'
import type {Warmup} from '../report/warmup.js'
import {type ReadOptions, readTrace} from '../trace/read.js'
import type {Trace} from '../trace/trace.js'
import {type Deployment, deploy} from './deployment.js'
import {configOf, describeDevices, describeRun} from './describe.js'
import type {RunRequest} from './run-request.js'
import {type Simulation, simulate} from './simulate.js'

export interface Job {
  readonly traces: readonly string[]
  readonly readOptions: ReadOptions
  /** One request per device; a single one may come from a cluster file. */
  readonly requests: readonly RunRequest[]
  readonly concurrency?: number | undefined
  readonly slo?: Slo | undefined
  readonly warmup?: Warmup | undefined
  readonly check: boolean
  /** Where the runs go; undefined keeps none. */
  readonly store: {readonly out: string | undefined; readonly startedAt: Date} | undefined
  readonly steps?: string | undefined
  readonly itl?: string | undefined
  readonly version: string
  readonly onProgress?: ((left: number, requests: number) => void) | undefined
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

export interface JobResult {
  readonly trace: Trace
  readonly runs: readonly FinishedRun[]
  /** For a comparison: every device, also those that could not run it. */
  readonly devices: readonly DeviceRow[]
  /** What was compared, one fact a line. */
  readonly header: readonly string[]
}

/** @throws Problem for bad input; with several devices, one that does not fit is a row and not an error */
export async function runJob(job: Job): Promise<JobResult> {
  if (job.requests.length > 1) checkComparison(job)
  const trace = await readTrace([...job.traces], job.readOptions)
  const plans = await deployAll(job)
  const runs: FinishedRun[] = []
  const devices: DeviceRow[] = []
  for (const plan of plans) {
    if ('reason' in plan) {
      devices.push({device: plan.device, result: {fits: false, reason: plan.reason}})
      continue
    }
    const run = runOne(job, trace, plan)
    runs.push(run)
    devices.push({device: run.device, result: {fits: true, summary: run.summary}})
  }
  const fitting = plans.flatMap((plan) => ('reason' in plan ? [] : [plan]))
  return {trace, runs, devices, header: describeDevices(trace, fitting, nameOf(job.traces))}
}

/** All of them before the first is simulated: a mistake in the last name must not cost the runs before it. */
async function deployAll(job: Job): Promise<(Deployment | Misfit)[]> {
  const plans: (Deployment | Misfit)[] = []
  const seen = new Set<string>()
  for (const request of job.requests) {
    try {
      const deployment = await deploy(request)
      const device = deployment.engines[0]!.instance.hardwareName
      if (seen.has(device)) throw namedTwice(device)
      seen.add(device)
      plans.push(deployment)
    } catch (error) {
      if (job.requests.length === 1 || !isMisfit(error)) throw error
      plans.push({device: request.hardware ?? 'cluster', reason: error.message})
    }
  }
  return plans
}

interface Misfit {
  readonly device: string
  readonly reason: string
}

const namedTwice = (device: string): Problem =>
  new Problem('FLAG_BAD_VALUE', `--hardware names ${device} twice: one row says it all.`, {
    suggestions: ['Name each device once.'],
  })

/** What makes one device of a comparison unfit, as opposed to a mistake in the command. */
const isMisfit = (error: unknown): error is Problem =>
  error instanceof Problem &&
  ['MODEL_TOO_LARGE', 'PARALLELISM_INVALID', 'LATENCY_UNAVAILABLE'].includes(error.code)

function checkComparison(job: Job): void {
  for (const flag of ['steps', 'itl'] as const) {
    if (job[flag] === undefined) continue
    throw new Problem('FLAG_CONFLICT', `--${flag} with several devices: it describes one run.`, {
      suggestions: ['Name one device with --hardware.'],
    })
  }
}

function runOne(job: Job, trace: Trace, deployment: Deployment): FinishedRun {
  const device = deployment.engines[0]!.instance.hardwareName
  const traceName = nameOf(job.traces)
  const simulation = simulateInto(job, trace, deployment)
  const header = describeRun(trace, deployment, traceName)
  const config = configOf(trace, deployment, traceName)
  const {summary, engineSeconds} = simulation
  const folder = job.store && store(job, {device, traceName}, {header, config, simulation})
  const tokens = trace.inputTokens.reduce((sum, n) => sum + n, 0) + produced(simulation)
  return {device, header, config, summary, engineSeconds, folder, tokens}
}

/** Simulates, with the files of steps and gaps open around it. */
function simulateInto(job: Job, trace: Trace, deployment: Deployment): Simulation {
  const steps = job.steps === undefined ? undefined : new StepsFile(job.steps)
  const itl = job.itl === undefined ? undefined : new ItlFile(job.itl)
  const gaps: (readonly number[])[] = []
  try {
    const simulation = simulate({
      trace,
      deployment,
      concurrency: job.concurrency,
      slo: job.slo,
      warmup: job.warmup,
      check: job.check,
      onStep:
        steps &&
        (({shape, ...step}) =>
          steps.add({
            ...step,
            tokens: shape.tokens,
            prefillTokens: shape.prefillTokens,
            decodeTokens: shape.decodes,
          })),
      onGaps:
        itl &&
        ((row, own) => {
          gaps[row] = own
        }),
      onProgress: job.onProgress && ((left) => job.onProgress?.(left, trace.length)),
    })
    if (itl) for (let row = 0; row < trace.length; row++) itl.add(idOf(trace, row), gaps[row] ?? [])
    return simulation
  } finally {
    steps?.close()
    itl?.close()
  }
}

interface Made {
  readonly header: readonly string[]
  readonly config: FinishedRun['config']
  readonly simulation: Simulation
}

function store(
  job: Job,
  {device, traceName}: {device: string; traceName: string},
  made: Made,
): string {
  const {out, startedAt} = job.store!
  const {simulation, header, config} = made
  const folder = createRunFolder({
    startedAt,
    out: out !== undefined && job.requests.length > 1 ? join(out, device) : out,
    about: [traceName, device],
  })
  writeRun(
    folder,
    {
      llmsim: job.version,
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

/** File names without folders: a run must not depend on where its input lies. */
const nameOf = (paths: readonly string[]): string =>
  paths.map((path) => path.split(/[/\\]/).filter(Boolean).at(-1) ?? path).join('+')

const produced = ({run}: Simulation): number =>
  run.outcomes.producedTokens.reduce((sum, n) => sum + n, 0)
