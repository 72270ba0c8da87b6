/**
 * How much of this traffic a deployment carries: the largest request rate that lasts and at which the SLOs still hold.
 * A rate lasts where the run has a steady state, and where so many requests per second were served in one of the runs.
 * Each probe is a whole simulation of the trace, its arrivals stretched or squeezed to the rate; nothing is extrapolated.
 */
import {Problem} from '../errors.js'
import {figure, share as percent} from '../report/figures.js'
import type {Slo} from '../report/slo.js'
import {servedRate} from '../report/steady-state.js'
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
  /** Whether more was asked than served: in the long run no latency would hold, so such a rate does not. */
  readonly growing: boolean
}

export interface FoundRate {
  /** Requests per second; null where the SLOs hold at no rate. */
  readonly rate: number | null
  /** `at least`: so many were served, and the trace is too short to show the limit; `none`: the SLOs hold at no rate. */
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
/** Rates further apart than this factor are worth a word. */
const wide = 1.1
/** A trace that tells only larger overloads than this is too short to trust its rate without a word. */
const coarse = 0.05

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

/** The fastest rate that holds and the slowest that does not, where there are such. */
interface Bracket {
  readonly good: Outcome | undefined
  readonly bad: Outcome | undefined
}

interface Lengths {
  readonly arrivals: number
  readonly all: number
}

/** Whether most of a run lies behind its last arrival: its rate is then that of a burst. */
const isMostlyTail = ({arrivals, all}: Lengths): boolean => arrivals < all / 2

/** What a deployment serves is looked for at so many times the rate in question: far enough to keep it full. */
const flood = 4

class Search {
  readonly #request: RateRequest
  readonly #probes: RateProbe[] = []
  /** Requests per second that were served at the best of all rates. */
  #mostServed = 0

  constructor(request: RateRequest) {
    this.#request = request
  }

  from(start: number): FoundRate {
    const {good, bad} = this.#bracket(start, Number.POSITIVE_INFINITY)
    if (good === undefined) return this.#none(bad!)
    // In a short trace the queue has no time to be seen to grow, but nobody is served faster than they are served.
    if (bad !== undefined && this.#lasts(good)) return this.#found(good, bad, this.#tooShort(good))
    const slower = this.#bracket(Math.min(good.rate, this.#mostServed), this.#mostServed)
    if (slower.good === undefined) return this.#none(slower.bad!)
    return this.#capped(slower.good, {good, bad})
  }

  /** Searches at `most` requests per second and below. */
  #bracket(start: number, most: number): Bracket {
    let good: Outcome | undefined
    let bad: Outcome | undefined
    let rate = start
    for (let step = 0; step <= reach && !(good && bad); step++) {
      const outcome = this.#probe(rate)
      if (outcome.holds) good = outcome
      else bad = outcome
      if (good && good.rate >= most) break
      rate = outcome.holds ? Math.min(rate * 2, most) : rate / 2
    }
    while (good && bad && bad.rate / good.rate > precision) {
      const outcome = this.#probe(Math.sqrt(bad.rate * good.rate))
      if (outcome.holds) good = outcome
      else bad = outcome
    }
    return {good, bad}
  }

  /** Whether so many requests per second were served at some rate, or are when far more come. */
  #lasts(good: Outcome): boolean {
    // Sessions take their time however fast they are served: what tells is whether most of them begin while others go on.
    if (this.#request.trace.thinkTime !== undefined) return !isMostlyTail(this.#lengths(good))
    if (good.rate > this.#mostServed) this.#probe(flood * good.rate)
    return good.rate <= this.#mostServed
  }

  /** Seconds in which requests come, and until the last of them leaves. */
  #lengths({rate, summary}: Outcome): Lengths {
    return {arrivals: this.#request.trace.length / rate, all: summary.duration_s ?? 0}
  }

  #probe(rate: number): Outcome {
    const {trace, deployment, slo, warmup, share, onProbe} = this.#request
    const {summary, run} = simulate({trace: toRate(trace, rate), deployment, slo, warmup})
    const attainment = summary.goodput?.attainment ?? 0
    const growing = summary.steady_state?.growing ?? false
    const probe = {rate, attainment, holds: attainment >= share && !growing, growing}
    this.#mostServed = Math.max(this.#mostServed, servedRate(trace, run.outcomes))
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

  #found(good: Outcome, bad: Outcome, caveat: string | undefined): FoundRate {
    return {...this.#result(good, bad), rate: good.rate, bound: 'found', ...(caveat && {caveat})}
  }

  /** The rate is what was served, less than what the trace alone would have let pass. */
  #capped(served: Outcome, {good, bad}: Bracket): FoundRate {
    const rate = figure(served.rate)
    if (bad?.growing && this.#request.trace.thinkTime === undefined) {
      const unseen = `${rate} req/s are served however many come; so short a trace shows the queue to grow only above ${figure(good!.rate)}`
      return this.#found(served, bad, good!.rate > wide * served.rate ? unseen : undefined)
    }
    const why = bad
      ? `the SLOs hold up to ${figure(good!.rate)} requests/s, but no more than these are served`
      : 'so many are served when all requests come nearly at once, and the SLOs hold'
    return {
      ...this.#result(served, bad),
      rate: served.rate,
      bound: 'at least',
      caveat: `at least ${rate} requests/s: ${why}; the trace is too short to show the limit`,
    }
  }

  /** What makes one doubt whether the rate lasts. */
  #tooShort(good: Outcome): string | undefined {
    const {summary} = good
    const lengths = this.#lengths(good)
    if (isMostlyTail(lengths))
      return `requests come within ${figure(lengths.arrivals)} s and the last leaves after ${figure(lengths.all)} s, so ${figure(summary.throughput.requests_per_s)} req/s are served: a longer trace would show what rate lasts`
    const {steady_state: state} = summary
    if (state === null)
      return 'too few requests come by themselves, or all in one burst, to tell whether the queue would grow: a longer trace would show what rate lasts'
    if (state.tells_from <= coarse) return undefined
    return `so few requests tell only an overload of ${percent(state.tells_from)} or more: a longer trace would show what rate lasts`
  }

  #result({summary}: Outcome, bad: Outcome | undefined): Omit<FoundRate, 'rate' | 'bound'> {
    const {share} = this.#request
    const limit = bad && (bad.growing ? growingQueue(bad.summary) : bad.summary.cause)
    return {share, limit: limit ?? null, summary, probes: this.#probes}
  }
}
