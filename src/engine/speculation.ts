/** Which drafts of speculative decoding the model accepts: drawn once and for all by request and token. */
import type {Speculation} from './engine-config.js'

/**
 * Drafts of a decode at most. Every step computes all of them, and one so far behind is accepted as good as never: at a
 * rate of 0.95 the 256th in two of a million cases.
 */
export const mostDrafts = 256

export interface SpeculationSpec {
  /** Drafts of a decode. */
  readonly tokens: number
  /** Probability that a draft is accepted when those before it in its step were, by place; the last counts for all behind it. */
  readonly rates: readonly number[]
  readonly seed: number
}

/** The same draw for a token whenever it is drafted: preemption, batching and routing change nothing. */
export function speculationOf({tokens, rates, seed}: SpeculationSpec): Speculation {
  const last = rates.length - 1
  return {
    tokens,
    accepts: (row, position, depth) => uniform(seed, row, position) < rates[Math.min(depth, last)]!,
  }
}

/**
 * Tokens that a decode with all its drafts gets on average: 1 + r₁ + r₁r₂ + …; with one rate a for all
 * (1 − a^(n+1)) / (1 − a), n + 1 where a is 1 (Leviathan et al. 2023, equation 1).
 */
export function expectedTokens({tokens, rates}: Omit<SpeculationSpec, 'seed'>): number {
  let expected = 1
  let all = 1
  for (let depth = 0; depth < tokens; depth++) {
    all *= rates[Math.min(depth, rates.length - 1)]!
    expected += all
  }
  return expected
}

/** A number in [0, 1) from three whole ones: MurmurHash3's mixing steps (Appleby, public domain). */
export function uniform(seed: number, row: number, position: number): number {
  const hash = mixed(mixed(mixed(seed) ^ row) ^ position)
  return hash / 2 ** 32
}

function mixed(value: number): number {
  let h = (value + 0x9e3779b9) >>> 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
