/** The functions of the package: what they are given is looked at, and then they do what the commands do. */
import {loadHardware as hardwareNamed, listHardware} from '../catalogue/hardware.js'
import type {Hardware} from '../catalogue/hardware-shape.js'
import {type FoundModel, listModels, loadModel as modelNamed} from '../catalogue/models.js'
import {
  buildSimulation as clusterOf,
  type RequestSink,
  type SimulationConfig,
} from '../cluster/cluster.js'
import {type Replay, type ReplayRequest, replay as replayed} from '../cluster/replay.js'
import {type Report, makeReport as reportOn} from '../report/report.js'
import {parseSlo as boundsOf, type Slo} from '../report/slo.js'
import {type Deployment, type GivenRequest, deploy as made} from '../study/deployment.js'
import {type FoundRate, findRate as rateOf} from '../study/find-rate.js'
import {type JobResult, runJob as ranJob} from '../study/job.js'
import {
  type Listening,
  listen as opened,
  replayServed as replayedFiles,
  type Served,
} from '../study/listen.js'
import {defaultShare} from '../study/rate-job.js'
import {runMany as ranMany} from '../study/run-many.js'
import {type Simulation, simulate as simulated} from '../study/simulate.js'
import {wholeRequest} from '../study/whole-request.js'
import {
  type GenerateOptions,
  generateDefaults,
  generateTrace as generated,
  parseGenerateSpec as optionsOf,
} from '../trace/generate.js'
import {traceInfo as infoOf, type TraceInfo} from '../trace/info.js'
import {type ReadOptions, readTrace as read} from '../trace/read.js'
import type {Trace} from '../trace/trace.js'
import {writeTrace as written} from '../trace/write.js'
import {type GivenSlo, type GivenWarmup, sloOf, warmupOf} from './bounds.js'
import {check} from './calls.js'
import {Place} from './place.js'
import {
  deployed,
  type GivenJob,
  type GivenListen,
  type GivenRateRequest,
  type GivenReport,
  type GivenRun,
  type GivenTask,
} from './runs.js'
import {checkGroups} from './simulation.js'
import {type GivenSpec, trusted} from './trace.js'

type FinishedRuns = ReturnType<typeof ranMany>

const isPlain = (value: unknown): value is object => {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  const holdsData = Object.values(value).every((field) => typeof field !== 'function')
  return (prototype === Object.prototype || prototype === null) && holdsData
}

/** Without the fields that are undefined, at all depths of plain data: undefined is the same as nothing. */
function named<Of>(given: Of): Of {
  if (Array.isArray(given)) return given.map(named) as Of
  if (!isPlain(given)) return given
  const said = Object.entries(given).filter(([, value]) => value !== undefined)
  return Object.fromEntries(said.map(([name, value]) => [name, named<unknown>(value)])) as Of
}

/** Bounds and warm-up in ns. */
function inNs<Of extends {slo?: GivenSlo | undefined; warmup?: GivenWarmup | undefined}>({
  slo,
  warmup,
  ...others
}: Of) {
  return {
    ...others,
    slo: slo === undefined ? undefined : sloOf(slo),
    warmup: warmup === undefined ? undefined : warmupOf(warmup),
  }
}

export {listHardware, listModels}

/** An accelerator of the catalogue by name, or of a file. @throws Problem HARDWARE_UNKNOWN, HARDWARE_BAD_FILE */
export async function loadHardware(name: string): Promise<Hardware> {
  check('loadHardware', {name})
  return hardwareNamed(name)
}

/** A model of the catalogue by id, or of a config.json. @throws Problem MODEL_UNKNOWN, MODEL_BAD_CONFIG */
export async function loadModel(name: string): Promise<FoundModel> {
  check('loadModel', {name})
  return modelNamed(name)
}

/** Files and folders as one trace, in order of arrival, under `options`. @throws Problem TRACE_… with the place */
export async function readTrace(
  paths: string | readonly string[],
  options?: ReadOptions,
): Promise<Trace> {
  check('readTrace', {paths, options})
  return trusted(await read(paths, named(options)))
}

/** Texts, as the flags of `trace generate` take them, for `generateTrace`; absent ones have the flags' defaults. */
export async function parseGenerateSpec(spec?: GivenSpec): Promise<GenerateOptions> {
  check('parseGenerateSpec', {spec})
  return optionsOf({
    ...generateDefaults,
    ...(named(spec ?? {}) as Partial<typeof generateDefaults>),
  })
}

/** A trace from a seed: the same options give the same trace. */
export function generateTrace(options: GenerateOptions): Trace {
  check('generateTrace', {options})
  return trusted(generated(named(options)))
}

/** Writes a trace, as llmsim where no format is named; resolves to what the format cannot say. */
export async function writeTrace(
  trace: Trace,
  path: string,
  format?: string,
): Promise<readonly string[]> {
  check('writeTrace', {trace, path, format})
  return written(trace, path, format)
}

/** What `trace info` says: seconds, tokens, requests per second. */
export function traceInfo(trace: Trace): TraceInfo {
  check('traceInfo', {trace})
  return infoOf(trace)
}

/** Engines with their settings, memory and step times. @throws Problem for whatever does not exist, fit or divide */
export async function deploy(request: GivenRequest): Promise<Deployment> {
  check('deploy', {request})
  return deployed(await made(named(request)))
}

/** A trace through a deployment on the virtual clock. @throws Problem CHECK_FAILED (exit 3) with `check` */
export function simulate(request: GivenRun): Simulation {
  check('simulate', {request})
  return simulated(inNs(request))
}

/** The largest rate (requests/s) at which `share` of the requests (0–1, default 0.99) meet the bounds. */
export function findRate(request: GivenRateRequest): FoundRate {
  check('findRate', {request})
  const {share = defaultShare, slo} = request
  return rateOf({...inNs(request), slo: sloOf(slo), share})
}

/** What `simulate` does, from files to stored runs. */
export async function runJob(job: GivenJob): Promise<JobResult> {
  check('runJob', {job})
  return ranJob({
    ...inNs(job),
    requests: job.requests.map((request) => wholeRequest(named(request))),
  })
}

/** Finished runs in the order of the tasks, on so many threads at most (default: the cores of the machine). */
export async function runMany(tasks: readonly GivenTask[], threads?: number): FinishedRuns {
  check('runMany', {tasks, threads})
  return ranMany(
    tasks.map((task) => ({
      ...task,
      request: named(task.request),
      options: inNs(task.options),
    })),
    threads,
  )
}

/** What `report` says of stored runs. @throws Problem RUN_NOT_FOUND, RUN_BAD_FILE */
export function makeReport(request: GivenReport): Report {
  check('makeReport', {request})
  return reportOn(inNs(request))
}

/** Bounds in ns of a text such as `ttft=500ms,tpot=50ms`. */
export function parseSlo(bounds: string): Slo {
  check('parseSlo', {bounds})
  return boundsOf(bounds)
}

/** A deployment behind a port. @throws Problem for what cannot be opened, and as `deploy` does */
export async function listen(request: GivenListen): Promise<Listening> {
  check('listen', {request})
  return opened({...request, run: wholeRequest(named(request.run))})
}

/** What recorded requests come to on the same engines; undefined when nobody asked. */
export async function replayServed(
  files: readonly string[],
  run: GivenRequest,
  version: string,
): Promise<Served | undefined> {
  check('replayServed', {files, run, version})
  return replayedFiles(files, wholeRequest(named(run)), version)
}

/** The event loop alone: whoever calls it says until when, and `sink` is told what became of the requests. */
export function buildSimulation(
  config: SimulationConfig,
  sink: RequestSink,
): ReturnType<typeof clusterOf> {
  check('buildSimulation', {config, sink})
  checkGroups(config, new Place('buildSimulation', '', 'config'))
  return clusterOf(config, sink)
}

/** A trace through an event loop with parts of one's own, on the virtual clock. */
export function replay(request: ReplayRequest): Replay {
  check('replay', {request})
  checkGroups(request.simulation, new Place('replay', 'simulation', 'request'))
  return replayed(request)
}
