/** What memory tiers for KV did for a run. */
import type {EngineTotals} from '../stats/outcomes.js'

export interface TierSummary {
  /** From 1, the nearest. */
  readonly tier: number
  /** Of the prompt tokens looked up at first admissions, 0–1. */
  readonly hit_rate: number | null
  readonly hit_tokens: number
  readonly loaded_blocks: number
  readonly written_blocks: number
  /** Not written, as too many waited to be. */
  readonly dropped_blocks: number
  /** The most that a pool ever held ÷ its room. */
  readonly peak_usage: number
}

export interface TierUse {
  /** Requests that waited for KV from a tier, and for how long on average. */
  readonly loads: number
  readonly mean_load_ms: number | null
  readonly tiers: readonly TierSummary[]
}

/** Of all engines together; undefined: none has tiers. */
export function tierUseOf(engines: readonly EngineTotals[]): TierUse | undefined {
  const known = engines.flatMap(({tiers}) => tiers ?? [])
  if (known.length === 0) return undefined
  const lookedUp = engines.reduce((all, engine) => all + engine.lookedUpTokens, 0)
  const count = known.reduce((all, {loads}) => all + loads.count, 0)
  const ns = known.reduce((all, {loads}) => all + loads.ns, 0)
  const most = Math.max(...known.map(({tiers}) => tiers.length))
  return {
    loads: count,
    mean_load_ms: count === 0 ? null : ns / 1e6 / count,
    tiers: Array.from({length: most}, (_, at) => summarise(known, at, lookedUp)),
  }
}

type Known = NonNullable<EngineTotals['tiers']>

function summarise(known: readonly Known[], at: number, lookedUp: number): TierSummary {
  const uses = known.flatMap(({tiers}) => tiers[at] ?? [])
  const sum = (of: (use: Known['tiers'][number]) => number): number =>
    uses.reduce((all, use) => all + of(use), 0)
  const hitTokens = sum((use) => use.hitTokens)
  return {
    tier: at + 1,
    hit_rate: lookedUp === 0 ? null : hitTokens / lookedUp,
    hit_tokens: hitTokens,
    loaded_blocks: sum((use) => use.loadedBlocks),
    written_blocks: sum((use) => use.writtenBlocks),
    dropped_blocks: sum((use) => use.droppedBlocks),
    peak_usage: Math.max(...uses.map((use) => use.peakBlocks / use.blocks)),
  }
}
