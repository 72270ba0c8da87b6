/**
 * How unevenly the experts of a layer are used. The ranks wait for the busiest one, so what counts is its share of
 * the work against the mean.
 */

import type {ModelShape} from '../catalogue/model-shape.js'
import {Problem} from '../errors.js'

/** `even`; popularity as (rank of popularity)^−exponent; or how often each expert was picked in a recorded run. */
export type ExpertLoad =
  | {readonly kind: 'even'}
  | {readonly kind: 'power law'; readonly exponent: number}
  | {readonly kind: 'counts'; readonly counts: readonly number[]}

/** @throws Problem FLAG_BAD_VALUE where the counts are those of another model: one for each expert of a layer */
export const checkExpertLoad = (load: ExpertLoad | undefined, model: ModelShape): void => {
  if (load?.kind !== 'counts') return
  const {length} = load.counts
  const other = model.groups.find(({mlp}) => mlp.experts && mlp.experts.count !== length)
  if (other === undefined) return
  throw new Problem(
    'FLAG_BAD_VALUE',
    `--expert-load: the file has ${length} counts, and ${model.id} has ${other.mlp.experts!.count} experts a layer.`,
  )
}

/**
 * How often a token picks each expert of the busiest of `ranks` ranks: a few experts of the rank are picked by nearly
 * all, the others rarely, so that a small batch touches fewer of them than under even routing.
 */
export const busiestExperts = (
  load: Exclude<ExpertLoad, {kind: 'even'}>,
  {count, perToken, ranks}: {count: number; perToken: number; ranks: number},
): readonly number[] => {
  const popularity = popularityOf(load, count)
  const total = sumOf(popularity)
  const perRank = count / ranks
  let busiest: readonly number[] = []
  for (let rank = 0; rank < ranks; rank++) {
    const own = popularity.slice(rank * perRank, (rank + 1) * perRank)
    if (rank === 0 || sumOf(own) > sumOf(busiest)) busiest = own
  }
  // No expert is picked twice by one token.
  return busiest.map((share) =>
    total === 0 ? perToken / count : Math.min(1, (perToken * share) / total),
  )
}

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0)

/**
 * Work of the busiest of `ranks` ranks, as a multiple of the mean; at least 1. Experts are placed as vLLM places them
 * by default, in order, the same number on each rank. Which experts are popular under a power law is spread over
 * their numbers by a fixed stride, so that no rank has all of them by construction.
 */
export const busiestRank = (load: ExpertLoad, experts: number, ranks: number): number => {
  if (load.kind === 'even' || ranks === 1) return 1
  const popularity = popularityOf(load, experts)
  const total = popularity.reduce((sum, share) => sum + share, 0)
  const perRank = experts / ranks
  let busiest = 0
  for (let rank = 0; rank < ranks; rank++) {
    let sum = 0
    for (let at = rank * perRank; at < (rank + 1) * perRank; at++) sum += popularity[at] ?? 0
    busiest = Math.max(busiest, sum)
  }
  return total === 0 ? 1 : Math.max(1, (busiest / total) * ranks)
}

const popularityOf = (load: Exclude<ExpertLoad, {kind: 'even'}>, experts: number): number[] => {
  if (load.kind === 'counts') return [...load.counts]
  const stride = strideFor(experts)
  const popularity = new Array<number>(experts)
  for (let place = 0; place < experts; place++) {
    popularity[(place * stride) % experts] = (place + 1) ** -load.exponent
  }
  return popularity
}

/** About the golden section of the number of experts, with no common divisor: visits each once, far apart. */
const strideFor = (experts: number): number => {
  let stride = Math.max(1, Math.round(experts * 0.618))
  while (divisor(stride, experts) !== 1) stride++
  return stride
}

const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b))
