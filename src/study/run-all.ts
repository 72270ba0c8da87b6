/** The runs of a job: one trace on several deployments. */
import {availableParallelism} from 'node:os'
import type {Deployment} from './deployment.js'
import {runMany} from './run-many.js'
import {
  type FinishedRun,
  type OnProgress,
  type RunOptions,
  runOne,
  type TraceInput,
} from './run-one.js'

export interface RunsRequest {
  readonly input: TraceInput
  readonly deployments: readonly Deployment[]
  readonly options: RunOptions
  /** Threads at most; default: as many as the machine has cores. */
  readonly threads?: number | undefined
  /** Called by runs in this thread only. */
  readonly onProgress?: OnProgress | undefined
}

/** Below this many requests in all a run ends before a thread has started. */
const worthThreads = 20_000

/** In the order of the deployments. @throws the first Problem of a run, in that order */
export async function runAll(request: RunsRequest): Promise<FinishedRun[]> {
  const {input, deployments, options, onProgress} = request
  const threads = Math.min(request.threads ?? availableParallelism(), deployments.length)
  if (threads > 1 && (request.threads !== undefined || isLarge(request))) {
    const tasks = deployments.map(({request: asked}) => ({input, request: asked, options}))
    return runMany(tasks, threads)
  }
  const runs: FinishedRun[] = []
  for (const deployment of deployments) {
    runs.push(await runOne(options, input, deployment, onProgress))
  }
  return runs
}

/** A trace of several parts is. */
const isLarge = ({input, deployments}: RunsRequest): boolean =>
  input.kind !== 'whole' || input.trace.length * deployments.length >= worthThreads
