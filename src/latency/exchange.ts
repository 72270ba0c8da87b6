/**
 * Tokens on their way to experts that data-parallel ranks share, and back: everybody gets all tokens and gives back
 * sums (vLLM's allgather_reducescatter, its default), or each token goes to the ranks that have its experts
 * (all-to-all, as DeepEP does).
 */
import type {Joined} from './collective.js'
import {allToAll, type CollectiveNs, halfReduce} from './topology.js'

export const exchanges = ['gather', 'all-to-all'] as const
export type Exchange = (typeof exchanges)[number]

export interface ExchangeRequest {
  readonly joined: Joined
  readonly exchange: Exchange
  /** Over which experts are spread. */
  readonly ranks: number
  readonly hiddenSize: number
  readonly experts: number
  readonly perToken: number
}

/** ns of one layer, there and back, by the tokens of all ranks. Hidden states have 16 bit. */
export function exchangeNs(request: ExchangeRequest): CollectiveNs {
  const {joined, exchange, ranks, hiddenSize, experts} = request
  const {dimensions} = joined
  const hidden = 2 * hiddenSize
  if (exchange === 'gather') {
    // The router's logits come along.
    const perToken = hidden + 2 * experts
    return (tokens) =>
      halfReduce(dimensions, tokens * perToken, 'all-gather').ns +
      halfReduce(dimensions, tokens * hidden, 'reduce-scatter').ns
  }
  const copies = ranksReached(request)
  return (tokens) => 2 * allToAll(dimensions, (tokens / ranks) * copies * hidden).ns
}

/** Ranks that hold an expert of a token, itself included, in the mean: its experts are drawn without putting back. */
export function ranksReached({
  ranks,
  experts,
  perToken,
}: Pick<ExchangeRequest, 'ranks' | 'experts' | 'perToken'>): number {
  const own = experts / ranks
  let missed = 1
  for (let drawn = 0; drawn < perToken; drawn++)
    missed *= Math.max(0, experts - own - drawn) / (experts - drawn)
  return ranks * (1 - missed)
}
