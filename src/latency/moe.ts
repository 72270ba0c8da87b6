/**
 * Routed experts of one layer, fused in one kernel. T tokens that each pick k of E experts touch
 * E·(1 − (1 − k/E)^T) of them, whose weights are read; the arithmetic is that of T·k rows, at about half
 * the efficiency of a dense product because the rows per expert are few and ragged. With an exponent near 1 the
 * two add up: what is read is multiplied a little later, and many experts leave little to overlap.
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

/** Expected number of experts that at least one of the tokens picks, on the rank that the others wait for. */
export const distinctExperts = (tokens: number, share: ExpertShare): number => {
  if (share.picks) return share.picks.reduce((sum, pick) => sum + 1 - (1 - pick) ** tokens, 0)
  const own = share.count / share.expertRanks
  const picked = pickedExperts(tokens, share)
  const spread = Math.sqrt(own * picked * (1 - picked))
  return Math.min(own, own * picked + largestOf(share.expertRanks) * spread)
}

/** Expected largest of 1, 2, 4, … 256 standard normal numbers. */
const largestOfPowers = [0, 0.564, 1.029, 1.424, 1.766, 2.07, 2.344, 2.594, 2.825]

/**
 * By how many standard deviations the rank with most touched experts exceeds the mean of so many: even where routing is
 * even, chance favours one of them, and a few tokens on many ranks touch twice as many there as on the others.
 */
const largestOf = (ranks: number): number => {
  const power = Math.min(Math.log2(ranks), largestOfPowers.length - 1)
  const below = Math.floor(power)
  const low = largestOfPowers[below]!
  const high = largestOfPowers[below + 1] ?? low
  return low + (power - below) * (high - low)
}

/** The same as a share of all experts, under even routing. */
export const pickedExperts = (
  tokens: number,
  {count, perToken}: Pick<ExpertShare, 'count' | 'perToken'>,
): number => 1 - (1 - perToken / count) ** tokens

/** Rows that this rank multiplies: one for each token and expert that it picks. */
const rowsOf = (tokens: number, {picks, perToken, expertRanks}: ExpertShare): number =>
  picks ? tokens * picks.reduce((sum, pick) => sum + pick, 0) : (tokens * perToken) / expertRanks

/** How a device runs them. */
export interface ExpertKernel {
  readonly precision: Precision
  readonly coefficients: GemmCoefficients
  readonly bandwidthGbS: number
}

/** Time in ns for `tokens` tokens, counted over all ranks that the experts are spread over. */
export const expertsNs = (tokens: number, share: ExpertShare, kernel: ExpertKernel): number =>
  touchedExpertsNs(
    {rows: rowsOf(tokens, share), touched: distinctExperts(tokens, share)},
    share,
    kernel,
  )

/** Time in ns of so many rows through so many of the rank's experts. */
export const touchedExpertsNs = (
  {rows, touched}: {rows: number; touched: number},
  {hiddenSize, intermediate}: Pick<ExpertShare, 'hiddenSize' | 'intermediate'>,
  {precision, coefficients, bandwidthGbS}: ExpertKernel,
): number => {
  const weights = 3 * hiddenSize * intermediate
  return smoothRoofline(
    (2 * rows * weights) / (precision.peakFlopsPerNs * coefficients.computeEfficiency),
    (touched * weights * precision.weightBytes +
      rows * rowBytes(precision, {hiddenSize, intermediate})) /
      (bandwidthGbS * coefficients.memoryEfficiency),
    coefficients,
  )
}

/**
 * What a row leaves and finds again between four kernels: gate and up read it and write two halves, the activation
 * reads those and writes one, down reads that and writes a row, which is read when the rows of a token are added up.
 */
const rowBytes = (
  {activationBytes}: Precision,
  {hiddenSize, intermediate}: Pick<ExpertShare, 'hiddenSize' | 'intermediate'>,
): number => hiddenSize * (activationBytes + 4) + intermediate * (2 * activationBytes + 8)
