/** The runs of a job, one after another or side by side on several cores: the results are the same, byte for byte. */
import {availableParallelism} from 'node:os'
import {Problem} from '../errors.js'
import type {Trace} from '../trace/trace.js'
import type {Deployment} from './deployment.js'
import {type FinishedRun, type OnProgress, type RunOptions, runOne} from './run-one.js'
import type {RunAnswer, RunTask} from './run-worker.js'

export interface RunsRequest {
  readonly trace: Trace
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
  const {trace, deployments, options, onProgress} = request
  const threads = Math.min(request.threads ?? availableParallelism(), deployments.length)
  const isLarge = trace.length * deployments.length >= worthThreads
  if (threads > 1 && (isLarge || request.threads !== undefined)) {
    return inPool({...request, threads})
  }
  return deployments.map((deployment) => runOne(options, trace, deployment, onProgress))
}

async function inPool({trace, deployments, options, threads}: RunsRequest): Promise<FinishedRun[]> {
  const {default: Tinypool} = await import('tinypool')
  const pool = new Tinypool({
    filename: new URL('./run-worker.js', import.meta.url).href,
    runtime: 'worker_threads',
    minThreads: 1,
    maxThreads: threads ?? 1,
  })
  // What rides along with a trace is not simulated, and may be large.
  const {extra: _, ...columns} = trace
  try {
    const answers = await Promise.all(
      deployments.map(({request}): Promise<RunAnswer> => {
        const task: RunTask = {trace: columns, request, options}
        return pool.run(task)
      }),
    )
    return answers.map((answer) => {
      if ('run' in answer) return answer.run
      const {code, message, suggestions, exit} = answer.problem
      throw new Problem(code, message, {suggestions, exit})
    })
  } finally {
    await pool.destroy()
  }
}
