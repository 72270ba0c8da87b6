/** What memory tiers for KV did for a run. */
import type {EngineTotals} from '../stats/outcomes.js'

export interface TierSummary {
  readonly tier: string
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

type UsedTiers = Pick<EngineTotals, 'tiers' | 'lookedUpTokens'>

/** Of all engines together; undefined: none has tiers. */
export function tierUseOf(engines: readonly UsedTiers[]): TierUse | undefined {
  const known = engines.flatMap(({tiers}) => tiers ?? [])
  if (known.length === 0) return undefined
  const lookedUp = engines.reduce((all, engine) => all + engine.lookedUpTokens, 0)
  const count = known.reduce((all, {loads}) => all + loads.count, 0)
  const ns = known.reduce((all, {loads}) => all + loads.ns, 0)
  return {
    loads: count,
    mean_load_ms: count === 0 ? null : ns / 1e6 / count,
    tiers: namesOf(known).map((name) => summarise(known, name, lookedUp)),
  }
}

type Known = NonNullable<EngineTotals['tiers']>

/** Engines may have different tiers; those of one name are one. Nearest first. */
function namesOf(known: readonly Known[]): string[] {
  const places = new Map<string, number>()
  for (const {tiers} of known)
    for (const [at, {name}] of tiers.entries())
      places.set(name, Math.max(at, places.get(name) ?? 0))
  return [...places].sort(([, a], [, b]) => a - b).map(([name]) => name)
}

function summarise(known: readonly Known[], tier: string, lookedUp: number): TierSummary {
  const uses = known.flatMap(({tiers}) => tiers.filter(({name}) => name === tier))
  const sum = (of: (use: Known['tiers'][number]) => number): number =>
    uses.reduce((all, use) => all + of(use), 0)
  const hitTokens = sum((use) => use.hitTokens)
  return {
    tier,
    hit_rate: lookedUp === 0 ? null : hitTokens / lookedUp,
    hit_tokens: hitTokens,
    loaded_blocks: sum((use) => use.loadedBlocks),
    written_blocks: sum((use) => use.writtenBlocks),
    dropped_blocks: sum((use) => use.droppedBlocks),
    peak_usage: Math.max(...uses.map((use) => use.peakBlocks / use.blocks)),
  }
}
