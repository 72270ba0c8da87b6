/** The clock around the reference engine: arrivals, cancels, completions, planning, in that order. */

import type {StepTime} from '#llmsim/latency/step-time.js'
import type {Trace} from '#llmsim/trace/trace.js'
import type {ReferenceConfig} from './reference-config.js'
import {ReferenceEngine} from './reference-engine.js'
import {type Pick, shapeOf} from './reference-request.js'
import type {RunResult, StepResult} from './result.js'
import {type RunTotals, totalsOf} from './totals.js'

export interface ReferenceCase {
  readonly trace: Trace
  readonly config: ReferenceConfig
  readonly stepTime: StepTime
  /** Of each pipeline stage, in place of `stepTime`. */
  readonly pipeline?: {readonly stages: readonly StepTime[]; readonly hop: StepTime}
}

export interface ReferenceResult extends RunResult {
  readonly totals: RunTotals
  /** Corners of the rules that were visited, with counts. */
  readonly corners: ReadonlyMap<string, number>
}

/** Called after every instant at which something happened, for tests that look inside. */
export type Observer = (engine: ReferenceEngine, now: number) => void

interface Batch {
  readonly picks: readonly Pick[]
  readonly end: number
}

/** More than any finite case of the tests needs: an endless run should say so rather than hang. */
const stepLimit = 1_000_000

/** Runs one engine on a trace without sessions until nothing is left to happen. */
export const runReference = (
  {trace, config, stepTime, pipeline}: ReferenceCase,
  observe: Observer = () => {},
): ReferenceResult => {
  if (trace.arrivedAt.some(Number.isNaN)) throw new Error('the reference knows no sessions')
  const engine = new ReferenceEngine(trace, config)
  const arrivals = Array.from(trace.arrivedAt, (time, row) => ({time, row}))
  const cancels = cancelsOf(trace)
  const batches: Batch[] = []
  const steps: StepResult[] = []
  let preempted = 0
  const stages = pipeline?.stages ?? [stepTime]
  /** When each stage has done what it was given. */
  const freeAt = stages.map(() => 0)

  const plan = (now: number): void => {
    while (batches.length < config.depth) {
      const made = engine.plan(now)
      preempted += made.preempted
      if (made.picks.length === 0) {
        // Nobody would wake an engine that has no batch, so it must not stop half-way.
        if (made.preempted > 0 && batches.length === 0) {
          engine.visit('planned again')
          continue
        }
        if (made.preempted > 0) engine.visit('preempted for nothing')
        return
      }
      const shape = shapeOf(made.picks)
      const start = Math.max(now, freeAt[0]!)
      let end = start
      for (const [stage, time] of stages.entries()) {
        if (stage > 0) end = Math.max(end + pipeline!.hop({...shape}), freeAt[stage]!)
        end += Math.max(1, time({...shape}))
        freeAt[stage] = end
      }
      batches.push({picks: made.picks, end})
      const {running, waiting, pool} = engine
      const counts = {running: running.length, waiting: waiting.length, preempted}
      steps.push({start, end, shape, ...counts, freeBlocks: pool.free.length})
      preempted = 0
      if (steps.length > stepLimit) throw new Error('the run does not end')
    }
  }

  for (;;) {
    const times = [arrivals[0]?.time, cancels[0]?.time, batches[0]?.end]
    const now = Math.min(...times.map((time) => time ?? Number.POSITIVE_INFINITY))
    if (now === Number.POSITIVE_INFINITY) break
    while (arrivals[0]?.time === now) engine.enqueue(arrivals.shift()!.row)
    while (cancels[0]?.time === now) engine.cancel(cancels.shift()!.row, now)
    const ended = batches[0]?.end === now
    if (ended) engine.complete(batches.shift()!.picks, now)
    if (ended || batches.length === 0) plan(now)
    observe(engine, now)
  }
  const {results: requests, lookedUpTokens, hitTokens, corners, pool} = engine
  const run = {requests, steps, freeBlocksAtEnd: pool.free.length, lookedUpTokens, hitTokens}
  return {...run, totals: totalsOf(run, config.blocks), corners}
}

/** By time, then row. Nobody can leave before coming. */
const cancelsOf = (trace: Trace): {time: number; row: number}[] =>
  Array.from(trace.cancelledAt ?? [], (time, row) => ({
    time: Math.max(time, trace.arrivedAt[row]!),
    row,
  }))
    .filter(({time}) => !Number.isNaN(time))
    .sort((a, b) => a.time - b.time || a.row - b.row)
