/**
 * Runs of any kind (several traces, seeds, devices or settings), one after another or side by side on several cores: the
 * results are the same, byte for byte.
 */
import {availableParallelism} from 'node:os'
import {Problem} from '../errors.js'
import type {FinishedRun, TraceInput} from './run-one.js'
import runTask, {type RunAnswer, type RunTask} from './run-worker.js'

export type {RunTask} from './run-worker.js'

/**
 * The finished runs in the order of the tasks, on `threads` threads at most (default: the cores of the machine).
 * @throws the first Problem of a run, in that order
 */
export async function runMany(
  tasks: readonly RunTask[],
  threads: number = availableParallelism(),
): Promise<FinishedRun[]> {
  // A policy that is a function stays in its thread.
  const isOwn = tasks.some(({request}) => typeof request.policy === 'object')
  const used = isOwn ? 1 : Math.min(threads, tasks.length)
  if (used > 1) return inPool(tasks, used)
  const runs: FinishedRun[] = []
  for (const task of tasks) runs.push(runOf(await runTask(task)))
  return runs
}

async function inPool(tasks: readonly RunTask[], threads: number): Promise<FinishedRun[]> {
  const {default: Tinypool} = await import('tinypool')
  const pool = new Tinypool({
    filename: new URL('../study/run-worker.js', import.meta.url).href,
    runtime: 'worker_threads',
    minThreads: 1,
    maxThreads: threads,
  })
  try {
    const answers = await Promise.all(
      tasks.map(
        (task): Promise<RunAnswer> => pool.run({...task, input: lightened(task.input)} as RunTask),
      ),
    )
    return answers.map(runOf)
  } finally {
    await pool.destroy()
  }
}

function runOf(answer: RunAnswer): FinishedRun {
  if ('run' in answer) return answer.run
  const {code, message, suggestions, exit} = answer.problem
  throw new Problem(code, message, {suggestions, exit})
}

/** What rides along with a trace is not simulated, and may be large. */
function lightened(input: TraceInput): TraceInput {
  if (input.kind !== 'whole') return input
  const {extra: _, ...trace} = input.trace
  return {kind: 'whole', trace}
}
