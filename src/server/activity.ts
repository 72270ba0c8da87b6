/** What a port did lately: a sample each second and the last requests, for its page. */
import {quantilesOfSorted} from '../stats/percentiles.js'
import type {RecordedRow} from '../trace/recording.js'
import type {Serving} from './serving.js'

const sampleMs = 1000
/** Samples that are kept: five minutes. */
const keptSamples = 300
/** Latencies are those of requests that ended in the last half minute, the latest so many at most. */
const windowMs = 30_000
const keptLatencies = 10_000
const keptRequests = 50

/** ms. */
interface Latency {
  readonly p50: number
  readonly p95: number
}

export interface ActivitySample {
  /** ms since 1970. */
  readonly at: number
  readonly running: number
  readonly waiting: number
  /** Share of the KV blocks in use. */
  readonly kv: number
  readonly tokensPerS: number
  readonly requestsPerS: number
  readonly ttft: Latency | null
  readonly tpot: Latency | null
}

export interface RecentRequest {
  /** ms since 1970 at which it ended. */
  readonly at: number
  readonly id: string
  readonly endpoint: string
  readonly status: string
  readonly inputTokens: number
  readonly cachedTokens: number
  readonly outputTokens: number
  /** ms; measured where there is a real server behind the port. */
  readonly ttft: number | null
  readonly tpot: number | null
  readonly e2e: number | null
}

const ms = (ns: number | undefined): number | null =>
  ns === undefined || Number.isNaN(ns) ? null : Math.round(ns / 1e3) / 1e3

export class Activity {
  readonly #serving: Serving
  readonly #samples: ActivitySample[] = []
  #recent: RecentRequest[] = []
  #latest: {readonly at: number; readonly ttft: number | null; readonly tpot: number | null}[] = []
  #ended = 0
  #before: {readonly at: number; readonly tokens: number; readonly ended: number}
  readonly #timer: NodeJS.Timeout

  constructor(serving: Serving) {
    this.#serving = serving
    this.#before = this.#counts()
    serving.observers.push({ended: (row) => this.#note(row)})
    this.#timer = setInterval(() => this.#sample(), sampleMs)
    // It must not keep a process alive that has nothing else to do.
    this.#timer.unref()
  }

  get samples(): readonly ActivitySample[] {
    return this.#samples
  }

  /** The last ones first. */
  get recent(): readonly RecentRequest[] {
    return this.#recent.toReversed()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #counts(): {at: number; tokens: number; ended: number} {
    const tokens = this.#serving.backend.status().outputTokens
    return {at: performance.now(), tokens, ended: this.#ended}
  }

  #note(row: RecordedRow): void {
    this.#ended++
    const at = Date.now()
    const ttft = ms(row.ttft ?? row.predictedTtft)
    const e2e = ms(row.e2e ?? row.predictedE2e)
    const produced = row.producedTokens ?? 0
    const tpot =
      ttft === null || e2e === null || produced < 2 ? null : (e2e - ttft) / (produced - 1)
    const {requestId: id, endpoint, status, inputTokens, cachedTokens = 0} = row
    this.#recent.push({
      at,
      id,
      endpoint,
      status,
      inputTokens,
      cachedTokens,
      outputTokens: produced,
      ttft,
      tpot,
      e2e,
    })
    if (this.#recent.length > 2 * keptRequests) this.#recent = this.#recent.slice(-keptRequests)
    if (row.status !== 'completed') return
    this.#latest.push({at, ttft, tpot})
    if (this.#latest.length > 2 * keptLatencies) this.#latest = this.#latest.slice(-keptLatencies)
  }

  #sample(): void {
    const {running, waiting, usedBlocks, totalBlocks} = this.#serving.backend.status()
    const now = this.#counts()
    const seconds = (now.at - this.#before.at) / 1000
    const since = Date.now() - windowMs
    this.#latest = this.#latest.filter(({at}) => at >= since)
    this.#samples.push({
      at: Date.now(),
      running,
      waiting,
      kv: totalBlocks === 0 ? 0 : usedBlocks / totalBlocks,
      tokensPerS: (now.tokens - this.#before.tokens) / seconds,
      requestsPerS: (now.ended - this.#before.ended) / seconds,
      ttft: latencyOf(this.#latest.map(({ttft}) => ttft)),
      tpot: latencyOf(this.#latest.map(({tpot}) => tpot)),
    })
    this.#before = now
    if (this.#samples.length > keptSamples) this.#samples.shift()
  }
}

function latencyOf(values: readonly (number | null)[]): Latency | null {
  const known = Float64Array.from(values.filter((value) => value !== null)).sort()
  if (known.length === 0) return null
  const [p50, p95] = quantilesOfSorted(known, [0.5, 0.95]) as [number, number]
  return {p50, p95}
}
