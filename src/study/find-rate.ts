/**
 * How much of this traffic a deployment carries: the largest request rate at which the SLOs still hold. Each probe is a
 * whole simulation of the trace, its arrivals stretched or squeezed to the rate; nothing is extrapolated.
 */
import {Problem} from '../errors.js'
import {figure} from '../report/figures.js'
import type {Slo} from '../report/slo.js'
import type {Summary} from '../report/summary.js'
import type {Warmup} from '../report/warmup.js'
import type {Trace} from '../trace/trace.js'
import {meanRate, toRate} from '../trace/transform.js'
import type {Deployment} from './deployment.js'
import {simulate} from './simulate.js'

export interface RateRequest {
  readonly trace: Trace
  readonly deployment: Deployment
  readonly slo: Slo
  readonly warmup?: Warmup | undefined
  /** Share of the requests that must meet every bound, 0–1. */
  readonly share: number
  readonly onProbe?: ((probe: RateProbe) => void) | undefined
}

/** One simulation on the way. */
export interface RateProbe {
  /** Requests per second. */
  readonly rate: number
  /** Share of the requests that met every bound. */
  readonly attainment: number
  readonly holds: boolean
  /** Whether the queue grew from beginning to end: in the long run no latency would hold, so such a rate does not. */
  readonly growing: boolean
}

export interface FoundRate {
  /** Requests per second; null where the SLOs hold at no rate. */
  readonly rate: number | null
  /** `at least`: no rate that fails was found, so the limit is unknown; `none`: the SLOs hold at no rate. */
  readonly bound: 'found' | 'at least' | 'none'
  readonly share: number
  /** Why there is no rate, why it is only a bound, or why to trust it less; undefined: it was bracketed. */
  readonly caveat?: string
  /** What holds requests back at the first rate that fails. */
  readonly limit: string | null
  /** At the rate that was found; where there is none, at the slowest that was tried. */
  readonly summary: Summary
  /** In the order in which they were made. */
  readonly probes: readonly RateProbe[]
}

/** Rates further apart than this factor are told apart. */
const precision = 1.01
/** Doublings and halvings from the rate of the trace before the search gives up. */
const reach = 16

/** @throws Problem FLAG_CONFLICT where the trace has no rate of its own to change */
export function findRate(request: RateRequest): FoundRate {
  const start = meanRate(request.trace)
  if (start === undefined)
    throw new Problem(
      'FLAG_CONFLICT',
      '--find-rate: all requests of the trace arrive at one time, so it has no rate to change.',
      {suggestions: ['generate arrivals: llmsim trace generate --input empirical:FILE']},
    )
  return new Search(request).from(start)
}

const growingQueue = ({steady_state: state, cause}: Summary): string =>
  `${state?.warning ?? 'queue still growing'}; ${cause}`

interface Outcome extends RateProbe {
  readonly summary: Summary
}

class Search {
  readonly #request: RateRequest
  readonly #probes: RateProbe[] = []

  constructor(request: RateRequest) {
    this.#request = request
  }

  from(start: number): FoundRate {
    let good: Outcome | undefined
    let bad: Outcome | undefined
    let rate = start
    for (let step = 0; step <= reach && !(good && bad); step++) {
      const outcome = this.#probe(rate)
      if (outcome.holds) good = outcome
      else bad = outcome
      rate = outcome.holds ? rate * 2 : rate / 2
    }
    if (good === undefined) return this.#none(bad!)
    if (bad === undefined) return this.#unbounded(good)
    while (bad.rate / good.rate > precision) {
      const outcome = this.#probe(Math.sqrt(bad.rate * good.rate))
      if (outcome.holds) good = outcome
      else bad = outcome
    }
    const caveat = this.#tooShort(good)
    return {...this.#result(good, bad), rate: good.rate, bound: 'found', ...(caveat && {caveat})}
  }

  #probe(rate: number): Outcome {
    const {trace, deployment, slo, warmup, share, onProbe} = this.#request
    const {summary} = simulate({trace: toRate(trace, rate), deployment, slo, warmup})
    const attainment = summary.goodput?.attainment ?? 0
    const growing = summary.steady_state?.growing ?? false
    const probe = {rate, attainment, holds: attainment >= share && !growing, growing}
    this.#probes.push(probe)
    onProbe?.(probe)
    return {...probe, summary}
  }

  #none(slowest: Outcome): FoundRate {
    return {
      ...this.#result(slowest, slowest),
      rate: null,
      bound: 'none',
      caveat: `even at ${slowest.rate.toPrecision(2)} requests/s, nearly alone, only ${(100 * slowest.attainment).toFixed(1)} % meet the SLOs`,
    }
  }

  #unbounded(fastest: Outcome): FoundRate {
    return {
      ...this.#result(fastest, undefined),
      rate: fastest.rate,
      bound: 'at least',
      caveat: `at least ${figure(fastest.rate)} requests/s: the SLOs hold even when all requests come nearly at once; the trace is too short to show the limit`,
    }
  }

  /** Where most of a run lies behind its last arrival, the rate is that of a burst and not one that lasts. */
  #tooShort({rate, summary}: Outcome): string | undefined {
    const {length} = this.#request.trace
    const [arrivals, all] = [length / rate, summary.duration_s ?? 0]
    if (arrivals >= all / 2) return undefined
    return `requests come within ${figure(arrivals)} s and the last leaves after ${figure(all)} s, so ${figure(summary.throughput.requests_per_s)} req/s are served: a longer trace would show what rate lasts`
  }

  #result({summary}: Outcome, bad: Outcome | undefined): Omit<FoundRate, 'rate' | 'bound'> {
    const {share} = this.#request
    const limit = bad && (bad.growing ? growingQueue(bad.summary) : bad.summary.cause)
    return {share, limit: limit ?? null, summary, probes: this.#probes}
  }
}
