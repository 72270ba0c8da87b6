/** The main job, from trace files to stored runs: one device, or several side by side. */
import {Problem} from '../errors.js'
import type {DeviceRow} from '../report/device-table.js'
import type {Slo} from '../report/slo.js'
import type {Warmup} from '../report/warmup.js'
import {FactsOfParts, factsOf, type TraceFacts} from '../trace/parts.js'
import {type ReadOptions, readTrace, readTraceParts} from '../trace/read.js'
import {type Deployment, deploy} from './deployment.js'
import {describeDevices} from './describe.js'
import {runAll} from './run-all.js'
import type {FinishedRun, RunOptions, TraceInput} from './run-one.js'
import type {RunRequest} from './run-request.js'

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
  readonly timeline?: string | undefined
  readonly version: string
  /** Threads at most for several devices; default: the cores of the machine. */
  readonly threads?: number | undefined
  /** How many requests have left, and how many there are, where that is known before the end. */
  readonly onProgress?: ((left: number, requests: number | undefined) => void) | undefined
}

export interface JobResult {
  readonly trace: TraceFacts
  readonly runs: readonly FinishedRun[]
  /** For a comparison: every device, also those that could not run it. */
  readonly devices: readonly DeviceRow[]
  /** What was compared, one fact a line. */
  readonly header: readonly string[]
}

type JobInput = Exclude<TraceInput, {kind: 'generated'}>

/** @throws Problem for bad input; with several devices, one that does not fit is a row and not an error */
export async function runJob(job: Job): Promise<JobResult> {
  if (job.requests.length > 1) checkComparison(job)
  const input = await openTrace(job)
  const plans = await deployAll(job)
  const fitting = plans.flatMap((plan) => ('reason' in plan ? [] : [plan]))
  const {onProgress} = job
  const runs = await runAll({
    input,
    deployments: fitting,
    options: optionsOf(job),
    threads: job.threads,
    onProgress: onProgress && ((left) => onProgress(left, lengthOf(input))),
  })
  const rest = [...runs]
  const devices = plans.map((plan): DeviceRow => {
    if ('reason' in plan) return {device: plan.device, result: {fits: false, reason: plan.reason}}
    const run = rest.shift()!
    return {device: run.device, result: {fits: true, summary: run.summary}}
  })
  const trace = runs[0]?.trace ?? (await factsOfInput(input))
  return {trace, runs, devices, header: describeDevices(trace, fitting, nameOf(job.traces))}
}

/**
 * A trace that is one part is kept; a longer one is read again by every run. What waits for other requests (closed
 * loops) cannot come in parts.
 */
async function openTrace({traces, readOptions, concurrency}: Job): Promise<JobInput> {
  if (concurrency !== undefined) return {kind: 'whole', trace: await readTrace(traces, readOptions)}
  for await (const {trace, place} of readTraceParts(traces, readOptions)) {
    if (place === 'last') return {kind: 'whole', trace}
    break
  }
  return {kind: 'files', paths: traces, options: readOptions}
}

const lengthOf = (input: JobInput): number | undefined =>
  input.kind === 'whole' ? input.trace.length : undefined

async function factsOfInput(input: JobInput): Promise<TraceFacts> {
  if (input.kind === 'whole') return factsOf(input.trace)
  const facts = new FactsOfParts()
  for await (const {trace} of readTraceParts(input.paths, input.options)) facts.add(trace)
  return facts.facts()
}

function optionsOf(job: Job): RunOptions {
  const {concurrency, slo, warmup, check, store, steps, itl, timeline, version} = job
  return {
    traceName: nameOf(job.traces),
    concurrency,
    slo,
    warmup,
    check,
    store,
    place: job.requests.length > 1 ? 'among others' : 'alone',
    steps,
    itl,
    timeline,
    version,
  }
}

/** All of them before the first is simulated: a mistake in the last name must not cost the runs before it. */
export async function deployAll(job: Pick<Job, 'requests'>): Promise<(Deployment | Misfit)[]> {
  const plans: (Deployment | Misfit)[] = []
  const seen = new Set<string>()
  const faults: Problem[] = []
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
      faults.push(error)
    }
  }
  if (faults.length === plans.length) throw noneFits(job.requests, faults)
  return plans
}

/** A device of a comparison that cannot run the model. */
export interface Misfit {
  readonly device: string
  readonly reason: string
}

/** A comparison without a single row that has numbers is no result. */
function noneFits(requests: readonly RunRequest[], faults: readonly Problem[]): Problem {
  const names = requests.map(({hardware = 'cluster'}) => hardware)
  const reasons = faults.map(({message}, at) => `${names[at]}: ${message.replace(/\.$/, '')}`)
  return new Problem(
    faults[0]!.code,
    `none of ${names.join(', ')} can run this: ${reasons.join('; ')}.`,
    {
      suggestions: faults.flatMap((fault, at) =>
        fault.suggestions.map((text) => `${names[at]}: ${text}`),
      ),
    },
  )
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
  for (const flag of ['steps', 'itl', 'timeline'] as const) {
    if (job[flag] === undefined) continue
    throw new Problem('FLAG_CONFLICT', `--${flag} with several devices: it describes one run.`, {
      suggestions: ['Name one device with --hardware.'],
    })
  }
}

/** File names without folders: a run must not depend on where its input lies. */
export const nameOf = (paths: readonly string[]): string =>
  paths.map((path) => path.split(/[/\\]/).filter(Boolean).at(-1) ?? path).join('+')
