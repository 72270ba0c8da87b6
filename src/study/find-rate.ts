/**
 * How much of this traffic a deployment carries: the largest request rate that lasts and at which the SLOs still hold.
 * A rate lasts where the run has a steady state, where so many requests per second were served in one of the runs, and
 * where the SLOs still hold and the queue does not grow when the trace follows itself.
 * Each probe is a whole simulation of the trace, its arrivals stretched or squeezed to the rate; nothing is extrapolated.
 */
import {Problem} from '../errors.js'
import {figure} from '../report/figures.js'
import {servedRate} from '../report/served-rate.js'
import type {Slo} from '../report/slo.js'
import {growsByRound} from '../report/steady-state.js'
import type {Summary} from '../report/summary.js'
import type {Warmup} from '../report/warmup.js'
import {repeat} from '../trace/repeat.js'
import type {Trace} from '../trace/trace.js'
import {meanRate, toRate} from '../trace/transform.js'
import type {Deployment} from './deployment.js'
import {type Simulation, simulate} from './simulate.js'

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
  /** So many times in a row the trace came: 1, 2 or 4. */
  readonly rounds: number
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
  `${(state?.growing && state.warning) || 'overloaded when the trace follows itself'}; ${cause}`

interface Outcome extends RateProbe {
  readonly summary: Summary
}

/** The fastest rate that holds and the slowest that does not, where there are such. */
interface Bracket {
  readonly good: Outcome | undefined
  readonly bad: Outcome | undefined
}

interface Range {
  readonly start: number
  readonly most: number
  /** A rate that is known not to hold. */
  readonly bad?: Outcome
  readonly probe: (rate: number) => Outcome
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
    const probe = (rate: number): Outcome => this.#probe(rate)
    const {good, bad} = this.#bracket({start, most: Number.POSITIVE_INFINITY, probe})
    if (good === undefined) return this.#none(bad!)
    // In a short trace the queue has no time to be seen to grow, but nobody is served faster than they are served.
    if (bad !== undefined && this.#lasts(good))
      return this.#repeated(good, (rate) => this.#found(rate, bad, this.#tooShort(rate)))
    const most = this.#mostServed
    const slower = this.#bracket({start: Math.min(good.rate, most), most, probe})
    if (slower.good === undefined) return this.#none(slower.bad!)
    return this.#repeated(slower.good, (rate) => this.#capped(rate, {good, bad}))
  }

  /** What `tell` says of `once` if it holds when the trace follows itself; else of the largest rate below that does. */
  #repeated(once: Outcome, tell: (rate: Outcome) => FoundRate): FoundRate {
    const again = this.#again(once)
    if (again.holds) return tell(once)
    const probe = (rate: number): Outcome => {
      const outcome = this.#probe(rate)
      const twice = outcome.holds ? this.#again(outcome) : outcome
      return twice.holds ? outcome : twice
    }
    const {good, bad} = this.#bracket({start: once.rate / 2, most: once.rate, bad: again, probe})
    if (good === undefined) return this.#none(bad!)
    const found = tell(good)
    if (once.rate <= wide * good.rate) return {...found, ...this.#limitOf(bad)}
    const caveat = `one pass of the trace holds ${figure(once.rate)} req/s, but when it follows itself only ${figure(good.rate)} last`
    return {
      ...found,
      ...this.#limitOf(bad),
      caveat: found.caveat ? `${found.caveat}; ${caveat}` : caveat,
    }
  }

  /** Searches at `most` requests per second and below. */
  #bracket({start, most, probe, ...known}: Range): Bracket {
    let good: Outcome | undefined
    let bad = known.bad
    let rate = start
    for (let step = 0; step <= reach && !(good && bad); step++) {
      const outcome = probe(rate)
      if (outcome.holds) good = outcome
      else bad = outcome
      if (good && good.rate >= most) break
      rate = outcome.holds ? Math.min(rate * 2, most) : rate / 2
    }
    while (good && bad && bad.rate / good.rate > precision) {
      const outcome = probe(Math.sqrt(bad.rate * good.rate))
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
    const trace = toRate(this.#request.trace, rate)
    const {summary, run} = this.#simulate(trace)
    this.#mostServed = Math.max(this.#mostServed, servedRate(trace, run.outcomes))
    const growing = summary.steady_state?.growing ?? false
    return this.#judge({rate, growing, rounds: 1, summary})
  }

  /** The same when the trace follows itself: once, or longer where the system may still be filling up then. */
  #again(once: Outcome): Outcome {
    const twice = this.#inARow(once, 2)
    return twice.growing && twice.attainment >= this.#request.share ? this.#inARow(once, 4) : twice
  }

  #inARow(once: Outcome, count: number): Outcome {
    const {trace} = this.#request
    const {rate} = once
    const rounds = {count, ns: Math.round((trace.length / rate) * 1e9)}
    const {summary, run} = this.#simulate(repeat(toRate(trace, rate), rounds))
    // Turns wait for each other, and what is longer than a round is still under way after it.
    const tells = trace.thinkTime === undefined && !isMostlyTail(this.#lengths(once))
    const growsOn = tells && growsByRound({outcomes: run.outcomes, rounds})
    const growing = growsOn || (summary.steady_state?.growing ?? false)
    return this.#judge({rate, growing, rounds: count, summary})
  }

  #simulate(trace: Trace): Simulation {
    const {deployment, slo, warmup} = this.#request
    return simulate({trace, deployment, slo, warmup})
  }

  #judge({summary, ...run}: Pick<Outcome, 'rate' | 'growing' | 'rounds' | 'summary'>): Outcome {
    const {share, onProbe} = this.#request
    const attainment = summary.goodput?.attainment ?? 0
    const probe = {...run, attainment, holds: attainment >= share && !run.growing}
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
    return state.verdict === 'cannot tell' ? state.warning : undefined
  }

  #result({summary}: Outcome, bad: Outcome | undefined): Omit<FoundRate, 'rate' | 'bound'> {
    return {share: this.#request.share, summary, probes: this.#probes, ...this.#limitOf(bad)}
  }

  #limitOf(bad: Outcome | undefined): Pick<FoundRate, 'limit'> {
    const limit = bad && (bad.growing ? growingQueue(bad.summary) : bad.summary.cause)
    return {limit: limit ?? null}
  }
}
