/** How much had come, had been scheduled and had left by each moment of the span of arrivals. */
import type {Outcomes} from '../stats/outcomes.js'
import {type MeanOfSeries, meanOfSeries, scales} from './batch-means.js'
import type {RequestColumns} from './measures.js'

/** The span of arrivals is looked at at so many moments; a multiple of eight. */
const moments = 512
/** What is counted of a request: itself, its prompt tokens, its output tokens. */
const quantities = 3
/** Where a third of the span has a smaller share of the arrivals, they came in one burst and have no rate. */
const thinnestThird = 0.05
/** Time in which a queue stood, as a share of the span, that shows how fast it is worked off. */
const shortestQueue = 1 / 4
/** Of fewer arrivals a batch holds too few to show that they come in bursts; their gaps may. */
const fewArrivals = 200
/** The first so many requests say how long one takes before others queue or share its batch. */
const firstRequests = 30
/** Where they take more than this share of the span, growth is that of a system that fills up, unless it goes well beyond that. */
const fillingSpan = 1 / 4
/** Where they take more than this share of it, nothing can be told. */
const tooFull = 1 / 2

/** First what falls into each part of the span, after `addUp` all until its end. */
type Sums = Float64Array

/** How much more is asked than served, as natural logarithms. */
export interface Load {
  /** Of asked ÷ served. */
  readonly excess: number
  /** What it may be off by, by chance. */
  readonly chance: number
}

export interface CourseInput {
  readonly trace: RequestColumns
  readonly outcomes: Outcomes
  /** The requests that are looked at, by time of arrival. */
  readonly rows: Int32Array
}

export class Course {
  readonly #come: readonly Sums[] = sums()
  readonly #waiting: readonly Sums[] = sums()
  readonly #left: Sums = new Float64Array(moments)
  /** Time in the system, as a share of the span, of the first requests. */
  readonly #firstTake = {sum: 0, least: Number.POSITIVE_INFINITY, count: 0}
  /** At least so much, as a share, the rate of arrivals may be off by, by chance. */
  readonly #leastChance: number
  /** Of each quantity that comes. */
  readonly #asked: readonly MeanOfSeries[]

  constructor({trace, outcomes, rows}: CourseInput, start: number, span: number) {
    const {arrivedAt, scheduledAt, finishedAt} = outcomes
    const partOf = (at: number): number =>
      Math.min(moments - 1, Math.floor(((at - start) / span) * moments))
    const end = start + span
    for (const row of rows) {
      const amounts = [1, trace.inputTokens[row]!, trace.outputTokens[row]!]
      const came = partOf(arrivedAt[row]!)
      // A client that hangs up leaves the queue, too.
      const finished = finishedAt[row]!
      const scheduled = Number.isNaN(scheduledAt[row]!) ? finished : scheduledAt[row]!
      for (let q = 0; q < quantities; q++) {
        this.#come[q]![came]! += amounts[q]!
        this.#waiting[q]![came]! += amounts[q]!
        if (scheduled <= end) this.#waiting[q]![partOf(scheduled)]! -= amounts[q]!
      }
      if (finished <= end) this.#left[partOf(finished)]! += 1
      if (this.#firstTake.count === firstRequests) continue
      const take = (finished - arrivedAt[row]!) / span
      this.#firstTake.sum += take
      if (take < this.#firstTake.least) this.#firstTake.least = take
      this.#firstTake.count += 1
    }
    this.#asked = this.#come.map(meanOfSeries)
    for (const all of [...this.#come, ...this.#waiting, this.#left]) addUp(all)
    this.#leastChance =
      rows.length < fewArrivals ? scales[0].quantile * errorByGaps(outcomes, rows) : 0
  }

  /** Whether all had come before any of the first was done, or hardly anything came in one of the thirds of the span. */
  isBurst(): boolean {
    const {least} = this.#firstTake
    if (least > 1 && least < Number.POSITIVE_INFINITY) return true
    const [requests] = this.#come
    const until = (third: number): number => requests![Math.ceil((moments * third) / 3) - 1]!
    const all = until(3)
    const thirds = [until(1), until(2) - until(1), all - until(2)]
    return thirds.some((part) => part < thinnestThird * all)
  }

  /** What the rate may be off by, by chance, at which that quantity comes that varies most. */
  askedChance(): number {
    const known = this.#asked.filter(({mean}) => mean > 0)
    return Math.max(this.#leastChance, ...known.map(({chances}) => Math.min(...chances)))
  }

  /**
   * What comes, against what is scheduled for the first time per time in which requests wait for that: of the requests, of
   * their prompt tokens, of their output tokens. Nothing where too little waited to show that rate, or where the queue ran
   * empty in the last quarter.
   */
  queueLoads(): readonly Load[] {
    const [waiting] = this.#waiting
    if (waiting!.subarray((moments * 3) / 4).some((amount) => !(amount > 0))) return []
    const queued: number[] = []
    for (let i = 1; i < moments; i++) if (waiting![i]! > 0 && waiting![i - 1]! > 0) queued.push(i)
    if (queued.length < shortestQueue * moments) return []
    return this.#asked.flatMap((asked, q) => {
      const come = this.#come[q]!
      const wait = this.#waiting[q]!
      const scheduled = Float64Array.from(
        queued,
        (i) => come[i]! - come[i - 1]! - (wait[i]! - wait[i - 1]!),
      )
      const served = meanOfSeries(scheduled)
      if (!(asked.mean > 0 && served.mean > 0)) return []
      const chances = asked.chances.map((one, scale) =>
        Math.hypot(Math.max(this.#leastChance, one), served.chances[scale]!),
      )
      return [{excess: Math.log(asked.mean / served.mean), chance: Math.min(...chances)}]
    })
  }

  /**
   * The same of requests that take longer and longer, as with more and more of them in one batch, or in a queue behind the
   * prompt: what the time from the k-th arrival to the k-th departure (the same in every order) grows from its mean in the
   * second quarter to its least in the last, by the 3/4 − 3/8 of the span that lie between. It must be a quarter longer, as
   * longer batches of a trace that gets busier take a little longer, too; or, where the first requests take so much of the
   * span that the system is still filling up, three quarters longer than they did.
   */
  slowdownLoads(): readonly Load[] {
    const {first, before, late} = this.#slowdown()
    if (!(first <= tooFull)) return []
    const isLonger = first <= fillingSpan ? late >= 1.25 * before : late >= 1.75 * first
    if (!isLonger) return []
    return [{excess: Math.log1p(((late - before) * 8) / 3), chance: this.askedChance()}]
  }

  /**
   * What `slowdownLoads` may be once the trace is longer: in the last quarter all take a quarter longer than the first
   * requests did. A system that fills up, or one burst, does that, too.
   */
  slowdownHints(): readonly Load[] {
    const {first, late} = this.#slowdown()
    if (!(late >= 1.25 * first)) return []
    return [{excess: Math.log1p(((late - first) * 4) / 3), chance: this.askedChance()}]
  }

  /** Share of the requests that had not left when the last one came. */
  unfinished(): number {
    const come = this.#come[0]![moments - 1]!
    return 1 - this.#left[moments - 1]! / come
  }

  /** How long requests take, as shares of the span: the first, those of the second quarter, the fastest of the last. */
  #slowdown() {
    const ages = this.#ages()
    const early = ages.subarray(moments / 4, moments / 2)
    return {
      first: this.#firstTake.sum / this.#firstTake.count,
      before: early.reduce((a, b) => a + b, 0) / early.length,
      late: ages.subarray((moments * 3) / 4).reduce((a, b) => (b < a ? b : a)),
    }
  }

  /** At each moment, how long ago (as a share of the span) as many had come as have left. */
  #ages(): Float64Array {
    const [come] = this.#come
    let at = 0
    return this.#left.map((left, i) => {
      while (at < i && come![at]! <= left) at++
      return (i - at) / moments
    })
  }
}

const sums = (): Sums[] => Array.from({length: quantities}, () => new Float64Array(moments))

function addUp(amounts: Sums): void {
  for (let i = 1; i < moments; i++) amounts[i]! += amounts[i - 1]!
}

/** Relative standard error of a rate whose gaps do not depend on each other: their variation ÷ √requests. */
function errorByGaps({arrivedAt}: Outcomes, rows: Int32Array): number {
  const times = Float64Array.from(rows, (row) => arrivedAt[row]!).sort()
  const gaps = times.length - 1
  const mean = (times[gaps]! - times[0]!) / gaps
  let squares = 0
  for (let i = 0; i < gaps; i++) squares += (times[i + 1]! - times[i]! - mean) ** 2
  return Math.sqrt(squares / gaps / times.length) / mean
}
