/** Runs made by hand for the tests of reports. */
import type {RunResult} from '#llmsim/report/summary.js'
import {type EngineTotals, type StatusCode, status} from '#llmsim/stats/outcomes.js'
import type {Trace} from '#llmsim/trace/trace.js'

const ms = 1e6

/** Times in ms; what is absent did not happen. */
export interface Row {
  readonly id?: string
  readonly arrived: number
  readonly scheduled?: number
  readonly first?: number
  readonly finished?: number
  readonly input?: number
  readonly output?: number
  readonly produced?: number
  readonly cached?: number
  readonly preemptions?: number
  readonly status?: StatusCode
  readonly instance?: number
  readonly reason?: string
  readonly priority?: number
  readonly model?: string
}

export const engine = (fields: Partial<EngineTotals> = {}): EngineTotals => ({
  instance: 0,
  steps: 0,
  preemptions: 0,
  recomputedTokens: 0,
  blocks: 100,
  blockSize: 16,
  peakBlocks: 0,
  freeBlocksAtEnd: 100,
  maxNumSeqs: 256,
  lookedUpTokens: 0,
  hitTokens: 0,
  prefillTokens: 0,
  decodeTokens: 0,
  busyNs: 0,
  runningNs: 0,
  waitingNs: 0,
  blocksNs: 0,
  heldBack: {seats: 0, blocks: 0, budget: 0},
  heldBackRunningNs: 0,
  heldBackBlocksNs: 0,
  gaps: gapsOf([]),
  ...fields,
})

export const gapsOf = (pairs: readonly (readonly [number, number])[]) => ({
  length: pairs.length,
  values: Float64Array.from(pairs, ([value]) => value),
  counts: Float64Array.from(pairs, ([, count]) => count),
})

type BuiltRun = RunResult & {readonly trace: Trace}

/** A run of these requests; `status` is completed where nothing else is said. */
export function buildRun(
  rows: readonly Row[],
  engines: readonly EngineTotals[] = [engine()],
): BuiltRun {
  const at = (of: (row: Row) => number | undefined): Float64Array =>
    Float64Array.from(rows, (row) => Math.round((of(row) ?? Number.NaN) * ms))
  const int = (of: (row: Row) => number): Int32Array => Int32Array.from(rows, of)
  const models = [...new Set(rows.flatMap((row) => row.model ?? []))]
  const outputOf = (row: Row): number => row.output ?? 1
  const trace: Trace = {
    length: rows.length,
    arrivedAt: at((row) => row.arrived),
    inputTokens: int((row) => row.input ?? 10),
    outputTokens: int(outputOf),
    ...(rows.some((row) => row.id !== undefined) && {
      requestId: rows.map((row, i) => row.id ?? String(i)),
    }),
    ...(models.length > 0 && {
      model: {names: models, codes: int((row) => models.indexOf(row.model ?? ''))},
    }),
    ...(rows.some((row) => row.priority !== undefined) && {
      priority: int((row) => row.priority ?? 0),
    }),
    notes: [],
    format: 'test',
  }
  const statusOf = (row: Row): StatusCode => row.status ?? status.completed
  return {
    trace,
    engines,
    prefixIdentity: false,
    outcomes: {
      length: rows.length,
      status: Uint8Array.from(rows, statusOf),
      instance: int((row) => row.instance ?? (statusOf(row) === status.rejected ? -1 : 0)),
      arrivedAt: at((row) => row.arrived),
      scheduledAt: at((row) => row.scheduled),
      firstTokenAt: at((row) => row.first),
      finishedAt: at((row) => row.finished),
      producedTokens: int(
        (row) => row.produced ?? (statusOf(row) === status.completed ? outputOf(row) : 0),
      ),
      cachedTokens: int((row) => row.cached ?? 0),
      preemptions: int((row) => row.preemptions ?? 0),
      reasons: new Map(
        rows.flatMap((row, i) => (row.reason === undefined ? [] : [[i, row.reason] as const])),
      ),
    },
  }
}

/**
 * Six requests whose numbers are worked out by hand in the tests that use them. TTFT 100, 200, 600, 100,
 * 400 ms and one rejected; TPOT 10, 60, 20, none, 40 ms; E2E 200, 800, 800, 100, 2000 ms.
 */
export const sixRequests: readonly Row[] = [
  {id: 'a', arrived: 1000, scheduled: 1010, first: 1100, finished: 1200, output: 11, model: 'x'},
  {id: 'b', arrived: 1500, scheduled: 1500, first: 1700, finished: 2300, output: 11, model: 'y'},
  {
    id: 'c',
    arrived: 2000,
    scheduled: 2500,
    first: 2600,
    finished: 2800,
    output: 11,
    preemptions: 2,
    model: 'x',
  },
  {id: 'd', arrived: 2500, scheduled: 2520, first: 2600, finished: 2600, output: 1, model: 'y'},
  {id: 'e', arrived: 3000, scheduled: 3100, first: 3400, finished: 5000, output: 41, model: 'x'},
  {
    id: 'f',
    arrived: 3500,
    input: 9999,
    output: 50,
    status: status.rejected,
    reason: 'longer than max_model_len',
    model: 'y',
  },
]
