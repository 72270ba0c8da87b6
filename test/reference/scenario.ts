/** Cases small enough to work out with a pencil: rows and a few settings, everything else at rest. */

import type {StepTime} from '#llmsim/latency/step-time.js'
import type {Trace} from '#llmsim/trace/trace.js'
import type {ReferenceConfig} from './reference-config.js'
import {type ReferenceCase, type ReferenceResult, runReference} from './run-reference.js'

export interface Row {
  readonly at: number
  readonly input: number
  readonly output: number
  readonly priority?: number
  readonly predicted?: number
  readonly leaves?: number
  readonly ids?: readonly number[]
  /** Tokens that the ids cover; all of their spans unless given. */
  readonly known?: number
}

export interface Scenario {
  readonly rows: readonly Row[]
  readonly config?: Partial<ReferenceConfig>
  readonly stepTime?: StepTime
  readonly spanTokens?: number
}

const calm: ReferenceConfig = {
  blocks: 100,
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
  policy: 'fcfs',
}

export const caseOf = ({rows, config, stepTime, spanTokens = 4}: Scenario): ReferenceCase => ({
  trace: traceOf(rows, spanTokens),
  config: {...calm, ...config},
  stepTime: stepTime ?? (() => 10),
})

export const play = (scenario: Scenario): ReferenceResult => runReference(caseOf(scenario))

const traceOf = (rows: readonly Row[], spanTokens: number): Trace => {
  const offsets = [0]
  for (const row of rows) offsets.push(offsets.at(-1)! + (row.ids?.length ?? 0))
  const known = rows.map(({ids, known}) => known ?? (ids?.length ?? 0) * spanTokens)
  return {
    length: rows.length,
    arrivedAt: Float64Array.from(rows, (row) => row.at),
    inputTokens: Int32Array.from(rows, (row) => row.input),
    outputTokens: Int32Array.from(rows, (row) => row.output),
    priority: Int32Array.from(rows, (row) => row.priority ?? 0),
    cancelledAt: Float64Array.from(rows, (row) => row.leaves ?? Number.NaN),
    ...(rows.some((row) => row.predicted !== undefined) && {
      predictedOutputTokens: Int32Array.from(rows, (row) => row.predicted ?? -1),
    }),
    prefix: {
      spanTokens,
      offsets: Float64Array.from(offsets),
      ids: Float64Array.from(rows.flatMap((row) => row.ids ?? [])),
      knownTokens: Int32Array.from(known),
    },
    notes: [],
    format: 'test',
  }
}
