/** A whole run in numbers: the `summary` of `run.json` and of `--json`. docs/results.md defines each field. */
import type {EngineTotals, WeightedSamples} from '../stats/outcomes.js'
import {describeWeighted} from '../stats/percentiles.js'
import {pooled} from '../stats/samples.js'
import {type Cost, costOf, type Price} from './cost.js'
import {type Bound, findCause} from './diagnosis.js'
import type {Energy} from './energy.js'
import type {FleetSummary} from './fleet.js'
import {type HandedOn, handedOnOf} from './hand-offs.js'
import {
  countRequests,
  type Measures,
  type RequestCounts,
  RequestMeasures,
  type RequestResults,
  Span,
  type Spread,
  spreadOfNs,
} from './measures.js'
import {RequestSample} from './request-sample.js'
import type {Slo} from './slo.js'
import {findSteadyState, type SteadyState} from './steady-state.js'
import {type TierUse, tierUseOf} from './tier-use.js'
import {rowsAfter, showWarmup, type Warmup, WarmupFilter} from './warmup.js'
import type {WeightTraffic} from './weight-traffic.js'

export interface RunResult extends RequestResults {
  readonly engines: readonly EngineTotals[]
  /** Whether the trace says which prefixes are shared; without that nothing can hit. */
  readonly prefixIdentity: boolean
  /** Whether a row came without waiting for another to end; absent: all did. */
  readonly isOpen?: ((row: number) => boolean) | undefined
  /** Gaps of the requests that count, where a warm-up is left out; absent: those of all engines. */
  readonly gaps?: WeightedSamples | undefined
  /** Of each instance: whether its KV lies by groups of layers, so that its blocks are pages; absent: none. */
  readonly inPages?: readonly boolean[] | undefined
  /** For how long each instance was ready, ns, where instances come and go; absent: all of the run. */
  readonly readyNs?: readonly number[] | undefined
}

export interface SummaryOptions {
  readonly slo?: Slo | undefined
  readonly warmup?: Warmup | undefined
  readonly price?: Price | undefined
}

export interface EngineSummary {
  readonly instance: number
  readonly steps: number
  readonly preemptions: number
  readonly recomputed_tokens: number
  readonly blocks: number
  readonly peak_usage: number | null
  readonly utilisation: number | null
  readonly mean_running: number | null
  readonly mean_waiting: number | null
}

export interface KvSummary {
  /** Of all engines that were there, pages included. */
  readonly blocks: number
  /** How many of them are pages of groups of layers, which are no blocks of the whole context; absent: none. */
  readonly pages?: number
  readonly peak_usage: number | null
}

export interface WarmupSummary {
  /** As it was typed: `60s`, `500`. */
  readonly asked: string
  readonly left_out: number
  /** First arrival → last finish of the requests that count: what rates are taken over. */
  readonly window_s: number | null
  /** The warm-up that `itl_ms` leaves out; null: it covers the whole run. */
  readonly itl_leaves_out: string | null
}

export interface AdapterUse {
  readonly loads: number
  /** Requests that found their adapter, ÷ all with one. */
  readonly hit_rate: number | null
  /** Requests that waited for theirs, and how long on average. */
  readonly held: number
  readonly mean_held_ms: number | null
}

export interface Drafting {
  readonly drafts: number
  readonly accepted: number
  readonly acceptance: number | null
  /** Of a decode with drafts: one and those that are accepted, before the end of an output cuts them. */
  readonly tokens_per_step: number | null
}

export interface Rejection {
  readonly requests: number
  /** What the engine said of the first of them. */
  readonly reason: string
}

export interface Summary extends Measures {
  readonly requests: RequestCounts
  /** First arrival → last finish of the whole run. */
  readonly duration_s: number | null
  readonly itl_ms: Spread
  readonly kv: KvSummary
  readonly prefix_cache: {readonly hit_rate: number | null; readonly identity: boolean}
  readonly steps: number
  /** Share of the run during which the engines executed steps, 0–1. */
  readonly utilisation: number | null
  readonly bound: Bound
  readonly held_back: number | null
  readonly cause: string
  readonly steady_state: SteadyState | null
  /** Why requests were rejected, the most frequent rule first; absent: none was. */
  readonly rejections?: readonly Rejection[]
  readonly engines: readonly EngineSummary[]
  readonly warmup?: WarmupSummary
  readonly cost?: Cost
  readonly energy?: Energy
  /** Absent where all weights lie on the devices. */
  readonly weights?: WeightTraffic
  /** Absent without autoscaling. */
  readonly autoscaling?: FleetSummary
  /** Absent without LoRA adapters. */
  readonly lora?: AdapterUse
  /** Absent without speculative decoding. */
  readonly speculation?: Drafting
  /** Absent without memory tiers for KV. */
  readonly kv_tiers?: TierUse
  readonly kv_hand_offs?: HandedOn
}

type EngineResults = Pick<RunResult, 'engines' | 'prefixIdentity' | 'gaps' | 'inPages' | 'readyNs'>

/** The parts of a summary that follow from outcomes alone, and so can be made again from a stored run. */
export type OutcomeSummary = Measures & Pick<Summary, 'requests' | 'duration_s' | 'warmup' | 'cost'>

/** A run in numbers. Throws FLAG_CONFLICT where the SLO bounds ITL and nobody recorded gaps. */
export function summarise(run: RunResult, options: SummaryOptions = {}): Summary {
  const builder = new SummaryBuilder(options)
  builder.add(run)
  return builder.finish(run)
}

/** The same of a run whose results come part by part, in order of arrival. */
export class SummaryBuilder {
  readonly #options: SummaryOptions
  readonly #account: OutcomeAccount
  readonly #rules = new Map<string, {requests: number; reason: string}>()
  readonly #sample = new RequestSample()

  constructor(options: SummaryOptions) {
    this.#options = options
    this.#account = new OutcomeAccount(options)
  }

  add(part: RequestResults & Pick<RunResult, 'isOpen'>): void {
    this.#account.add(part)
    this.#sample.add(part)
    this.#addReasons(part.outcomes)
  }

  /** Reasons differ in their numbers; what is left without them is the rule. */
  #addReasons({reasons}: RunResult['outcomes']): void {
    for (const [, reason] of [...reasons].sort(([a], [b]) => a - b)) {
      const rule = reason.replaceAll(/\d+/g, '')
      const known = this.#rules.get(rule)
      if (known) known.requests += 1
      else this.#rules.set(rule, {requests: 1, reason})
    }
  }

  finish(run: EngineResults): Summary {
    const {engines} = run
    const tiers = tierUseOf(engines)
    const handedOn = handedOnOf(engines)
    const {warmup} = this.#options
    const {requests, duration_s, throughput, ttft_ms, tpot_ms, e2e_ms, queue_ms, ...rest} =
      this.#account.finish(run.gaps && warmup ? showWarmup(warmup) : null)
    const total = (of: (engine: EngineTotals) => number): number =>
      engines.reduce((sum, engine) => sum + of(engine), 0)
    const lookedUp = total((e) => e.lookedUpTokens)
    const readyOf = (at: number): number => run.readyNs?.[at] ?? this.#account.span
    const perEngine = engines.map((engine, at) => summariseEngine(engine, readyOf(at)))
    const gaps = run.gaps ?? pooled(engines.map((engine) => engine.gaps))
    return {
      requests,
      duration_s,
      throughput,
      ttft_ms,
      tpot_ms,
      itl_ms: spreadOfNs(describeWeighted(gaps)),
      e2e_ms,
      queue_ms,
      kv: kvOf(perEngine, run),
      prefix_cache: {
        hit_rate: quotient(
          total((e) => e.hitTokens),
          lookedUp,
        ),
        identity: run.prefixIdentity,
      },
      steps: total((e) => e.steps),
      utilisation: utilisationOf(perEngine, run.readyNs),
      ...findCause(engines),
      steady_state: findSteadyState(this.#sample, engines.length) ?? null,
      ...(this.#rules.size > 0 && {
        rejections: [...this.#rules.values()].sort((a, b) => b.requests - a.requests),
      }),
      ...rest,
      engines: perEngine,
      ...adapterUseOf(engines),
      ...(tiers && {kv_tiers: tiers}),
      ...(handedOn && {kv_hand_offs: handedOn}),
      ...draftingOf(engines),
    }
  }
}

function kvOf(
  engines: readonly EngineSummary[],
  {inPages = [], readyNs}: Pick<RunResult, 'inPages' | 'readyNs'>,
): KvSummary {
  const there = engines.map((_, at) => readyNs?.[at] !== 0)
  const blocksOf = (are: readonly boolean[]): number =>
    engines.reduce((sum, {blocks}, at) => sum + (there[at] && are[at] ? blocks : 0), 0)
  const pages = blocksOf(inPages)
  return {
    blocks: blocksOf(there),
    ...(pages > 0 && {pages}),
    peak_usage: largest(engines.map((e) => e.peak_usage)),
  }
}

/** The mean over engines, each by the time that it was ready. */
function utilisationOf(
  engines: readonly EngineSummary[],
  readyNs: readonly number[] | undefined,
): number | null {
  if (readyNs === undefined) return mean(engines.map((e) => e.utilisation))
  const all = readyNs.reduce((sum, ns) => sum + ns, 0)
  const busy = engines.reduce((sum, e, at) => sum + (e.utilisation ?? 0) * readyNs[at]!, 0)
  return quotient(busy, all)
}

function adapterUseOf(engines: readonly EngineTotals[]): {lora?: AdapterUse} {
  const known = engines.flatMap(({adapters}) => adapters ?? [])
  if (known.length === 0) return {}
  const sum = (of: keyof (typeof known)[number]): number =>
    known.reduce((all, adapters) => all + adapters[of], 0)
  const [hits, held] = [sum('hits'), sum('held')]
  return {
    lora: {
      loads: sum('loads'),
      hit_rate: quotient(hits, hits + held),
      held,
      mean_held_ms: quotient(sum('heldNs') / 1e6, held),
    },
  }
}

function draftingOf(engines: readonly EngineTotals[]): {speculation?: Drafting} {
  const sum = (of: 'verifications' | 'drafts' | 'accepted'): number =>
    engines.reduce((all, {speculation}) => all + (speculation?.[of] ?? 0), 0)
  const verifications = sum('verifications')
  if (verifications === 0) return {}
  const [drafts, accepted] = [sum('drafts'), sum('accepted')]
  return {
    speculation: {
      drafts,
      accepted,
      acceptance: quotient(accepted, drafts),
      tokens_per_step: 1 + accepted / verifications,
    },
  }
}

/** The same, of what the outcomes alone tell. `itlLeavesOut`: the warm-up that the caller's ITL leaves out. */
export function summariseOutcomes(
  run: RequestResults,
  options: SummaryOptions,
  itlLeavesOut: string | null = null,
): OutcomeSummary {
  const account = new OutcomeAccount(options)
  account.add(run)
  return account.finish(itlLeavesOut)
}

class OutcomeAccount {
  readonly #options: SummaryOptions
  readonly #filter: WarmupFilter
  readonly #measures: RequestMeasures
  readonly #all = new Span()
  /** Of those behind the warm-up. */
  readonly #window: Span
  #leftOut = 0
  #counts: RequestCounts = noRequests

  constructor(options: SummaryOptions) {
    this.#options = options
    this.#filter = new WarmupFilter(options.warmup)
    this.#measures = new RequestMeasures(options.slo)
    this.#window = options.warmup ? new Span() : this.#all
  }

  add(run: RequestResults): void {
    const {outcomes} = run
    const all = rowsAfter(undefined, outcomes.arrivedAt)
    const rows = this.#options.warmup ? this.#filter.rows(outcomes.arrivedAt) : all
    this.#all.add(outcomes, all)
    if (this.#window !== this.#all) this.#window.add(outcomes, rows)
    this.#leftOut += all.length - rows.length
    this.#measures.add(run, rows)
    this.#counts = addCounts(this.#counts, countRequests(outcomes, all))
  }

  /** First arrival → last finish of all, ns. */
  get span(): number {
    return this.#all.ns
  }

  finish(itlLeavesOut: string | null): OutcomeSummary {
    const {warmup, price} = this.#options
    const measures = this.#measures.finish(this.#window.ns)
    return {
      requests: this.#counts,
      duration_s: orNull(this.#all.ns / 1e9),
      ...measures,
      ...(warmup && {
        warmup: {
          asked: showWarmup(warmup),
          left_out: this.#leftOut,
          window_s: orNull(this.#window.ns / 1e9),
          itl_leaves_out: itlLeavesOut,
        },
      }),
      ...(price && {cost: costOf(price, measures.throughput, this.#window.ns / 1e9)}),
    }
  }
}

const noRequests: RequestCounts = {
  submitted: 0,
  completed: 0,
  rejected: 0,
  cancelled: 0,
  preemptions: 0,
}

const addCounts = (a: RequestCounts, b: RequestCounts): RequestCounts => ({
  submitted: a.submitted + b.submitted,
  completed: a.completed + b.completed,
  rejected: a.rejected + b.rejected,
  cancelled: a.cancelled + b.cancelled,
  preemptions: a.preemptions + b.preemptions,
})

function summariseEngine(engine: EngineTotals, span: number): EngineSummary {
  return {
    instance: engine.instance,
    steps: engine.steps,
    preemptions: engine.preemptions,
    recomputed_tokens: engine.recomputedTokens,
    blocks: engine.blocks,
    peak_usage: quotient(engine.peakBlocks, engine.blocks),
    // The stages of a pipeline are busy at the same time: their steps can add up to more than the run.
    utilisation: span > 0 ? Math.min(1, engine.busyNs / span) : null,
    mean_running: quotient(engine.runningNs, engine.busyNs),
    mean_waiting: quotient(engine.waitingNs, engine.busyNs),
  }
}

const orNull = (value: number): number | null => (Number.isNaN(value) ? null : value)

const quotient = (part: number, whole: number): number | null => (whole > 0 ? part / whole : null)

function largest(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null)
  return known.length > 0 ? Math.max(...known) : null
}

function mean(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null)
  return known.length > 0 ? known.reduce((sum, value) => sum + value, 0) / known.length : null
}
