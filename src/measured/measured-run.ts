/** One run of a real server: what was asked of it under which settings, and what came out. */
import type {Trace} from '../trace/trace.js'

export const measuredMetrics = ['ttft', 'tpot', 'itl', 'e2e'] as const
export type MeasuredMetric = (typeof measuredMetrics)[number]
export const measuredStatistics = ['mean', 'p50', 'p90', 'p95', 'p99'] as const
export type MeasuredStatistic = (typeof measuredStatistics)[number]

/** ms; what was not published is absent. */
export type MeasuredSpread = {readonly [statistic in MeasuredStatistic]?: number}

/** Requests that were scored together. */
export interface MeasuredStage {
  readonly name: string
  /** Whether a row of the trace belongs to it. */
  readonly has: (row: number) => boolean
  readonly spreads: {readonly [metric in MeasuredMetric]?: MeasuredSpread}
  readonly throughput: {readonly requestsPerS?: number; readonly outputTokensPerS?: number}
}

/** The server as far as the files tell; flags fill in or overrule. Names are vLLM's. */
export interface MeasuredSettings {
  readonly model?: string | undefined
  readonly hardware?: string | undefined
  /** Release of vLLM. */
  readonly engine?: string | undefined
  readonly tp?: number | undefined
  readonly maxNumSeqs?: number | undefined
  readonly maxNumBatchedTokens?: number | undefined
  readonly maxModelLen?: number | undefined
  readonly numGpuBlocks?: number | undefined
  /** `numGpuBlocks` are blocks of the whole context in every layer. */
  readonly disableHybridKvCacheManager?: boolean | undefined
  readonly gpuMemoryUtilization?: number | undefined
  readonly enablePrefixCaching?: boolean | undefined
  readonly enableChunkedPrefill?: boolean | undefined
  readonly asyncScheduling?: boolean | undefined
  readonly enforceEager?: boolean | undefined
  readonly kvCacheDtype?: 'auto' | 'fp8' | undefined
  readonly frontEnd?: 'http' | 'chat' | 'in-process' | undefined
  readonly sampling?: 'plain' | 'filtered' | 'penalised' | undefined
}

/** ms by row of the trace; NaN where a request has none. */
export interface MeasuredRequests {
  readonly ttft: Float64Array
  readonly tpot: Float64Array
  readonly e2e: Float64Array
}

export interface MeasuredMoment {
  /** s from the first arrival. */
  readonly at: number
  readonly running: number
  readonly waiting: number
  /** Share of the KV blocks in use, 0 to 1; absent where the server did not say. */
  readonly kv?: number | undefined
}

export interface MeasuredRun {
  readonly name: string
  /** Kind of file that it was read from. */
  readonly format: string
  readonly settings: MeasuredSettings
  readonly trace: Trace
  /** Closed loop of so many clients; absent: open loop. */
  readonly concurrency?: number | undefined
  readonly stages: readonly MeasuredStage[]
  readonly requests?: MeasuredRequests | undefined
  readonly timeline?: readonly MeasuredMoment[] | undefined
  readonly notes: readonly string[]
}
