/** A thread of the pool: builds the deployment anew (its step times are functions, which do not cross threads). */
import {Problem, type ProblemCode} from '../errors.js'
import {deploy} from './deployment.js'
import {type FinishedRun, type RunOptions, runOne, type TraceInput} from './run-one.js'
import type {GivenRequest} from './whole-request.js'

export interface RunTask {
  readonly input: TraceInput
  readonly request: GivenRequest
  readonly options: RunOptions
}

/** A Problem as plain data. */
export interface PlainProblem {
  readonly code: ProblemCode
  readonly message: string
  readonly suggestions: readonly string[]
  readonly exit: number
}

export type RunAnswer = {readonly run: FinishedRun} | {readonly problem: PlainProblem}

export default async function runTask({input, request, options}: RunTask): Promise<RunAnswer> {
  try {
    return {run: await runOne(options, input, await deploy(request))}
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    const {code, message, suggestions, oclif} = error
    return {problem: {code, message, suggestions, exit: oclif.exit}}
  }
}
