/** `listen` as a function: a deployment behind a port, and at the end what its trace comes to. */
import {join} from 'node:path'
import {Problem} from '../errors.js'
import {timeStamp} from '../report/run-store.js'
import type {Summary} from '../report/summary.js'
import type {AnsweringOptions} from '../server/answering.js'
import {parseFaults} from '../server/faults.js'
import {openPort, type Port, type PortOptions} from '../server/port.js'
import {upstreamUrl} from '../server/proxy/upstream.js'
import {deploy} from './deployment.js'
import {describeEngines} from './describe.js'
import {runJob} from './job.js'
import type {RunRequest} from './run-request.js'
import {liveFacts, trafficParts} from './traffic.js'

/** What `listen` is asked for. Names are those of its flags. */
export interface ListenRequest
  extends Pick<PortOptions, 'host' | 'port' | 'respond' | 'speed' | 'apiKey' | 'maxQueue'> {
  readonly run: RunRequest
  /** File to record into; default: `.llmsim/traces/<time>.csv`. */
  readonly trace?: string | undefined
  readonly keepsText: boolean
  readonly rotate?: PortOptions['trace']['rotate'] | undefined
  readonly servedNames: readonly string[]
  readonly anyModel: boolean
  readonly answering: Pick<AnsweringOptions, 'tokenizer' | 'answer' | 'outputTokens'>
  readonly warmupMs: number
  /** URL of a real server that answers instead. */
  readonly upstream?: string | undefined
  readonly fail?: string | undefined
  readonly version: string
  readonly onLog: (line: string) => void
}

export interface Listening {
  readonly port: Port
  /** What was built, one fact a line. */
  readonly header: readonly string[]
  /** The first name under which the model is served. */
  readonly model: string
  readonly speed: number
}

/** @throws Problem for anything that does not exist, fit, divide, or cannot be opened */
export async function listen(request: ListenRequest): Promise<Listening> {
  const {run, version} = request
  if (run.compat !== undefined) {
    throw new Problem(
      'FLAG_CONFLICT',
      '--compat and listen: the artefacts of that simulator are for replays only.',
      {suggestions: ['Leave --compat out.']},
    )
  }
  const upstream = request.upstream === undefined ? undefined : upstreamUrl(request.upstream)
  const deployment = await deploy(run)
  const {instance, settled} = deployment.engines[0]!
  const names = request.servedNames.length > 0 ? request.servedNames : [instance.model.id]
  const header = describeEngines(deployment)
  const port = await openPort({
    ...request,
    upstream,
    simulation: (live) => ({
      replicas: deployment.replicas,
      kvLinks: deployment.kvLinks,
      ...trafficParts(deployment.traffic, run, liveFacts(live)),
    }),
    answering: {
      ...request.answering,
      served: {names, others: request.anyModel ? 'answered' : 'refused'},
      modelName: instance.model.id,
      maxModelLen: settled.config.maxModelLen,
      seed: run.seed,
    },
    trace: {
      path: request.trace ?? join('.llmsim', 'traces', `${timeStamp(new Date())}.csv`),
      kept: request.keepsText ? 'texts' : 'no texts',
      ...(request.rotate ? {rotate: request.rotate} : {}),
      meta: {
        llmsim: version,
        model: names[0],
        engines: header,
        seed: run.seed,
        ...(upstream && {upstream: upstream.origin}),
      },
    },
    faults: request.fail === undefined ? undefined : parseFaults(request.fail, run.seed),
    about: {
      model: names[0],
      served_model_names: names,
      hardware: instance.hardwareName,
      devices: deployment.engines.reduce((sum, {instance: {tp, pp}}) => sum + tp * pp, 0),
      max_model_len: settled.config.maxModelLen,
      respond: request.respond,
      speed: request.speed,
      ...(upstream && {upstream: upstream.origin}),
    },
  })
  return {port, header, model: names[0]!, speed: request.speed}
}

export interface Served {
  readonly summary: Summary
  readonly header: readonly string[]
}

/** What the recorded requests come to on the same engines, from the files alone; undefined when nobody asked. */
export async function replayServed(
  files: readonly string[],
  run: RunRequest,
  version: string,
): Promise<Served | undefined> {
  try {
    const {runs} = await runJob({
      traces: files,
      readOptions: {},
      requests: [run],
      check: false,
      store: undefined,
      version,
    })
    return runs[0]
  } catch (error) {
    if (error instanceof Problem && error.code === 'TRACE_EMPTY') return undefined
    throw error
  }
}
