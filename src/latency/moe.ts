/**
 * Routed experts of one layer, fused in one kernel. T tokens that each pick k of E experts touch
 * E·(1 − (1 − k/E)^T) of them, whose weights are read; the arithmetic is that of T·k rows, at about half
 * the efficiency of a dense product because the rows per expert are few and ragged. With exponent 1 the
 * two add up, which reproduces the fused-MoE rows of Mixtral-8x7B and Qwen3-30B-A3B on an H100
 * (aiconfigurator) to about 10 % on average and 25 % at worst, from 1 to 4096 tokens.
 */
import type {GemmCoefficients} from '../catalogue/hardware-shape.js'
import {smoothRoofline} from './gemm.js'
import type {Precision} from './precision.js'

/** The experts that one rank holds. */
export interface ExpertShare {
  readonly hiddenSize: number
  /** Experts of the whole layer, and picked per token. */
  readonly count: number
  readonly perToken: number
  /** Ranks that the experts are spread over. */
  readonly expertRanks: number
  /** Intermediate size on this rank. */
  readonly intermediate: number
  /** How often a token picks each expert of this rank, where that is not even. */
  readonly picks?: readonly number[] | undefined
}

/** Expected number of experts of this rank that at least one of the tokens picks. */
export const distinctExperts = (tokens: number, share: ExpertShare): number =>
  share.picks
    ? share.picks.reduce((sum, pick) => sum + 1 - (1 - pick) ** tokens, 0)
    : (share.count / share.expertRanks) * pickedExperts(tokens, share)

/** The same as a share of all experts, under even routing. */
export const pickedExperts = (
  tokens: number,
  {count, perToken}: Pick<ExpertShare, 'count' | 'perToken'>,
): number => 1 - (1 - perToken / count) ** tokens

/** Rows that this rank multiplies: one for each token and expert that it picks. */
const rowsOf = (tokens: number, {picks, perToken, expertRanks}: ExpertShare): number =>
  picks ? tokens * picks.reduce((sum, pick) => sum + pick, 0) : (tokens * perToken) / expertRanks

/** Time in ns for `tokens` tokens, counted over all ranks that the experts are spread over. */
export const expertsNs = (
  tokens: number,
  share: ExpertShare,
  kernel: {precision: Precision; coefficients: GemmCoefficients; bandwidthGbS: number},
): number => {
  const {precision, coefficients, bandwidthGbS} = kernel
  const weights = 3 * share.hiddenSize * share.intermediate
  const rows = rowsOf(tokens, share)
  const activations =
    rows * (share.hiddenSize * (precision.activationBytes + 2) + share.intermediate * 6)
  const bytes = distinctExperts(tokens, share) * weights * precision.weightBytes + activations
  return smoothRoofline(
    (2 * rows * weights) / (precision.peakFlopsPerNs * coefficients.computeEfficiency),
    bytes / (bandwidthGbS * coefficients.memoryEfficiency),
    coefficients,
  )
}
