/** The runs of a job, one after another or side by side on several cores: the results are the same, byte for byte. */
import {availableParallelism} from 'node:os'
import {Problem} from '../errors.js'
import type {Deployment} from './deployment.js'
import {
  type FinishedRun,
  type OnProgress,
  type RunOptions,
  runOne,
  type TraceInput,
} from './run-one.js'
import type {RunAnswer, RunTask} from './run-worker.js'

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
  // A trace of several parts is.
  const isLarge = input.kind === 'files' || input.trace.length * deployments.length >= worthThreads
  if (threads > 1 && (isLarge || request.threads !== undefined)) {
    return inPool({...request, threads})
  }
  const runs: FinishedRun[] = []
  for (const deployment of deployments) {
    runs.push(await runOne(options, input, deployment, onProgress))
  }
  return runs
}

async function inPool({input, deployments, options, threads}: RunsRequest): Promise<FinishedRun[]> {
  const {default: Tinypool} = await import('tinypool')
  const pool = new Tinypool({
    filename: new URL('./run-worker.js', import.meta.url).href,
    runtime: 'worker_threads',
    minThreads: 1,
    maxThreads: threads ?? 1,
  })
  try {
    const answers = await Promise.all(
      deployments.map(({request}): Promise<RunAnswer> => {
        const task: RunTask = {input: lightened(input), request, options}
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

/** What rides along with a trace is not simulated, and may be large. */
function lightened(input: TraceInput): TraceInput {
  if (input.kind === 'files') return input
  const {extra: _, ...trace} = input.trace
  return {kind: 'whole', trace}
}
