/** Whole runs small enough for a pencil: rows, a few settings, everything else at rest. Times in ns. */
import type {ReplicaConfig, SimulationConfig} from '#llmsim/cluster/cluster.js'
import type {FrontEnd} from '#llmsim/cluster/front-end.js'
import {type Replay, replay} from '#llmsim/cluster/replay.js'
import type {StepRecord} from '#llmsim/cluster/replica.js'
import {routers} from '#llmsim/cluster/router.js'
import type {Workload} from '#llmsim/cluster/workload.js'
import type {EngineConfig} from '#llmsim/engine/engine-config.js'
import {policies} from '#llmsim/engine/policy.js'
import type {StepTime} from '#llmsim/latency/step-time.js'
import {statusNames} from '#llmsim/stats/outcomes.js'
import type {Trace} from '#llmsim/trace/trace.js'

export interface Row {
  /** Absent: released by the turn before. */
  readonly at?: number
  readonly input?: number
  readonly output?: number
  readonly session?: number
  readonly think?: number
  readonly priority?: number
  readonly predicted?: number
  readonly leaves?: number
}

export interface Setting {
  readonly rows: readonly Row[]
  readonly engine?: Partial<EngineConfig>
  readonly instances?: number
  readonly router?: string
  readonly frontEnd?: Partial<FrontEnd>
  readonly stepTime?: StepTime
  readonly workload?: (trace: Trace) => Workload
}

export const calm: EngineConfig = {
  numGpuBlocks: 1000,
  blockSize: 4,
  maxNumSeqs: 16,
  maxNumBatchedTokens: 100,
  longPrefillTokenThreshold: 0,
  enableChunkedPrefill: true,
  enablePrefixCaching: false,
  reserveFullPrompt: true,
  ownBlocks: true,
  maxModelLen: 1_000_000,
  depth: 1,
  policy: policies[0]!,
}

export const traceOf = (rows: readonly Row[]): Trace => {
  const optional = (of: (row: Row) => number | undefined, otherwise: number) =>
    rows.some((row) => of(row) !== undefined) && rows.map((row) => of(row) ?? otherwise)
  const thinkTime = optional((row) => row.think, Number.NaN)
  const session = optional((row) => row.session, -1)
  const priority = optional((row) => row.priority, 0)
  const predicted = optional((row) => row.predicted, 0)
  const cancelledAt = optional((row) => row.leaves, Number.NaN)
  return {
    length: rows.length,
    arrivedAt: Float64Array.from(rows, (row) => row.at ?? Number.NaN),
    inputTokens: Int32Array.from(rows, (row) => row.input ?? 4),
    outputTokens: Int32Array.from(rows, (row) => row.output ?? 1),
    ...(thinkTime && {thinkTime: Float64Array.from(thinkTime)}),
    ...(session && {session: {codes: Int32Array.from(session), names: session.map(String)}}),
    ...(priority && {priority: Int32Array.from(priority)}),
    ...(predicted && {predictedOutputTokens: Int32Array.from(predicted)}),
    ...(cancelledAt && {cancelledAt: Float64Array.from(cancelledAt)}),
    notes: [],
    format: 'test',
  }
}

export const replicaOf = (setting: Omit<Setting, 'rows'> = {}): ReplicaConfig => ({
  engine: {...calm, ...setting.engine},
  stepTime: setting.stepTime ?? (() => 10),
  ...(setting.frontEnd && {
    frontEnd: {delayNs: 0, perTokenNs: 0, afterNs: 0, ...setting.frontEnd},
  }),
})

export const simulationOf = (
  setting: Omit<Setting, 'rows'>,
): Omit<SimulationConfig, 'coupling'> => ({
  replicas: Array.from({length: setting.instances ?? 1}, () => replicaOf(setting)),
  router: routers[setting.router ?? 'round-robin']!(),
})

export interface Served extends Replay {
  readonly steps: readonly StepRecord[]
  /** Rows in the order in which they arrived, and left. */
  readonly arrived: readonly number[]
  readonly left: readonly number[]
}

/** Runs it step by step, with a record of each. */
export const serve = (setting: Setting): Served => {
  const trace = traceOf(setting.rows)
  const steps: StepRecord[] = []
  const arrived: number[] = []
  const left: number[] = []
  const result = replay({
    trace,
    simulation: {
      ...simulationOf(setting),
      onStep: (step) => steps.push({...step, shape: {...step.shape}}),
    },
    ...(setting.workload && {workload: setting.workload(trace)}),
    onArrive: (row) => arrived.push(row),
    onLeave: (row) => left.push(row),
  })
  return {...result, steps, arrived, left}
}

/** What became of the rows, as [arrived, scheduled, first token, finished]. */
export const timesOf = ({outcomes}: Replay): number[][] =>
  Array.from({length: outcomes.length}, (_, row) => [
    outcomes.arrivedAt[row]!,
    outcomes.scheduledAt[row]!,
    outcomes.firstTokenAt[row]!,
    outcomes.finishedAt[row]!,
  ])

export const statusesOf = ({outcomes}: Replay): string[] =>
  Array.from(outcomes.status, (code) => statusNames[code]!)
