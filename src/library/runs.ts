/** Runs, searches, reports and the port, as code asks for them. */
import {groupings} from '../report/groups.js'
import type {ReportRequest} from '../report/report.js'
import type {Deployment, GivenRequest} from '../study/deployment.js'
import type {RateRequest} from '../study/find-rate.js'
import type {Job} from '../study/job.js'
import type {ListenRequest} from '../study/listen.js'
import type {RunTask} from '../study/run-many.js'
import type {SimulateRequest} from '../study/simulate.js'
import {type GivenSlo, type GivenWarmup, sloKind, warmupKind} from './bounds.js'
import {
  call,
  choice,
  type Fields,
  flag,
  type Kind,
  list,
  made,
  maybe,
  number,
  shape,
  tagged,
  text,
  whole,
} from './kinds.js'
import {count, runRequest} from './run-request.js'
import {paths, readOptions, traceKind, wholeSpec} from './trace.js'

/** The same, with bounds and warm-ups also as texts. */
type Told<Of> = Omit<Of, 'slo' | 'warmup'> & {
  readonly slo?: GivenSlo | undefined
  readonly warmup?: GivenWarmup | undefined
}

export type GivenRun = Told<SimulateRequest>
export type GivenRateRequest = Omit<Told<RateRequest>, 'share' | 'slo'> & {
  readonly slo: GivenSlo
  readonly share?: number | undefined
}
export type GivenReport = Told<ReportRequest>
export type GivenJob = Omit<Told<Job>, 'requests'> & {readonly requests: readonly GivenRequest[]}
export type GivenTask = Omit<RunTask, 'options'> & {readonly options: Told<RunTask['options']>}
export type GivenListen = Omit<ListenRequest, 'run'> & {readonly run: GivenRequest}

const deployments = new WeakSet<object>()

/** Only what `deploy` made is taken for a deployment. */
export function deployed(deployment: Deployment): Deployment {
  deployments.add(deployment)
  return deployment
}

const deployment = made<Deployment>(
  'what deploy gives',
  "await deploy({hardware: 'H100'})",
  (value) => deployments.has(value),
)

const file = text('the path of a file to write', './steps.csv')
const bounds: Fields<Told<object>> = {slo: maybe(sloKind), warmup: maybe(warmupKind)}
const version = text('the version that results are to carry', '1')

export const simulateRequest = shape<GivenRun>(
  {
    ...bounds,
    trace: traceKind,
    deployment,
    concurrency: maybe(count),
    check: maybe(flag),
    onStep: maybe(call<NonNullable<SimulateRequest['onStep']>>()),
    onHandOff: maybe(call<NonNullable<SimulateRequest['onHandOff']>>()),
    onTierTransfer: maybe(call<NonNullable<SimulateRequest['onTierTransfer']>>()),
    onGaps: maybe(call<NonNullable<SimulateRequest['onGaps']>>()),
    onProgress: maybe(call<NonNullable<SimulateRequest['onProgress']>>()),
    onPart: maybe(call<NonNullable<SimulateRequest['onPart']>>()),
  },
  {what: 'what to simulate', example: '{trace, deployment}'},
)

export const rateRequest = shape<GivenRateRequest>(
  {
    trace: traceKind,
    deployment,
    slo: sloKind,
    warmup: maybe(warmupKind),
    share: maybe(number({above: 0, most: 1, example: 0.99})),
    onProbe: maybe(call<NonNullable<RateRequest['onProbe']>>()),
  },
  {what: 'what to search for', example: "{trace, deployment, slo: 'ttft=500ms'}"},
)

export const reportRequest = shape<GivenReport>(
  {
    ...bounds,
    runs: list(text('a run', '.llmsim/runs/NAME')),
    root: maybe(text('a folder of runs', '.llmsim/runs')),
    by: maybe(choice(groupings)),
    over: maybe(choice(['time'])),
  },
  {what: 'what to report', example: '{runs: []}'},
)

type Store = NonNullable<Job['store']>
const store: Kind<Store> = shape<Store>({
  out: maybe(text('a folder', './run')),
  startedAt: made('a Date', 'new Date()', (value) => {
    return value instanceof Date && !Number.isNaN(value.getTime())
  }),
})

export const job = shape<GivenJob>(
  {
    ...bounds,
    traces: list(text('the path of a trace', 'traces/code.csv'), {least: 1}),
    readOptions,
    requests: list(runRequest, {least: 1}),
    concurrency: maybe(count),
    check: flag,
    store: maybe(store),
    steps: maybe(file),
    itl: maybe(file),
    timeline: maybe(file),
    version,
    threads: maybe(count),
    onProgress: maybe(call<NonNullable<Job['onProgress']>>()),
  },
  {
    what: 'a job',
    example:
      "{traces: ['traces/code.csv'], readOptions: {}, requests: [{hardware: 'H100'}], check: false, version: '1'}",
  },
)

type Input<Name extends RunTask['input']['kind']> = Extract<RunTask['input'], {kind: Name}>
const input = tagged('kind', {
  whole: shape<Input<'whole'>>(
    {kind: choice(['whole']), trace: traceKind},
    {example: "{kind: 'whole', trace}"},
  ),
  generated: shape<Input<'generated'>>({kind: choice(['generated']), spec: wholeSpec}),
  files: shape<Input<'files'>>({
    kind: choice(['files']),
    paths: list(text('a path', 'traces/code.csv'), {least: 1}),
    options: readOptions,
  }),
})

export const tasks = list(
  shape<GivenTask>({
    input,
    request: runRequest,
    options: shape<GivenTask['options']>({
      ...bounds,
      traceName: text('a name', 'code'),
      concurrency: maybe(count),
      check: flag,
      store: maybe(store),
      place: choice(['alone', 'among others']),
      steps: maybe(file),
      itl: maybe(file),
      timeline: maybe(file),
      version,
    }),
  }),
  {what: 'a list of runs'},
)

type Rotation = NonNullable<ListenRequest['rotate']>
export const listenRequest = shape<GivenListen>(
  {
    host: text('an address', '127.0.0.1'),
    port: whole({least: 0, most: 65_535, example: 8000}),
    respond: choice(['modelled', 'instant']),
    speed: number({above: 0}),
    apiKey: maybe(text('a key', 'secret')),
    maxQueue: whole({least: 0, example: 10_000}),
    run: runRequest,
    trace: maybe(text('the path of a file to record into', './capture.csv')),
    keepsText: flag,
    rotate: maybe(
      shape<Rotation>({
        bytes: maybe(number({above: 0, unit: 'bytes', example: 1e8})),
        ms: maybe(number({above: 0, unit: 'ms', example: 3.6e6})),
      }),
    ),
    servedNames: list(text('a name', 'my-model')),
    anyModel: flag,
    answering: shape<ListenRequest['answering']>({
      tokenizer: maybe(text('a name, or the path of a tokenizer.json', 'o200k')),
      answer: text("'filler', 'echo' or the path of a file", 'filler'),
      outputTokens: text("lengths such as 'lognormal:mean=220,p99=1200'", 'fixed:200'),
    }),
    warmupMs: number({least: 0, unit: 'ms', example: 0}),
    upstream: maybe(text('the URL of a server', 'http://127.0.0.1:8001')),
    fail: maybe(text('a share and a status', 'rate=1%,type=429')),
    version,
    onLog: call<ListenRequest['onLog']>(),
  },
  {what: 'what to serve', example: "{run: {hardware: 'H100'}, port: 8000, …}"},
)

export {paths, version}
