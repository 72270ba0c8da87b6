/**
 * Fits the law of fused experts to measured kernels. Rows count with 128 rows of an expert's intermediate
 * size or more on the rank, up to 8 ranks of experts and 8192 tokens, routed evenly where the table has
 * such rows, and with working sets beyond 1.2 × L2 like the matrix products. A law that misses the kernels
 * by more than a quarter on average is not worth keeping: the class default stands.
 */
import type {Fit, GemmClass, GemmCoefficients} from '../../catalogue/hardware-shape.js'
import type {MoeSample} from '../../catalogue/kernel-samples.js'
import {distinctExperts, type ExpertShare, expertsNs} from '../moe.js'
import type {GemmDevice} from './gemm-fit.js'
import {errorByRange, errorOf, fitLaw, isLeftOut, type Law, type Parameter} from './law-fit.js'

const fewestRows = 40
const worstErrorPercent = 25

const parameters: readonly Parameter[] = [
  {name: 'compute', start: 0.4, least: 0.02, most: 1},
  {name: 'memory', start: 0.8, least: 0.1, most: 1},
  {name: 'launch', start: 30, least: 1, most: 200},
  {name: 'exponent', start: 1.3, least: 0.9, most: 4},
]

/** Coefficients of one format; null when too little was measured, or nothing that the law can follow. */
export const fitMoe = (
  samples: readonly MoeSample[],
  gemmClass: GemmClass,
  device: GemmDevice,
): (GemmCoefficients & Omit<Fit, 'source'>) | null => {
  const ofClass = samples.filter((row) => row.gemmClass === gemmClass && isCounted(row))
  const even = ofClass.filter(({routing}) => routing === 'balanced')
  const rows = (even.length >= fewestRows ? even : ofClass).filter((row) => isBeyondL2(row, device))
  if (rows.length < fewestRows) return null
  const coefficients = (values: readonly number[]): GemmCoefficients => ({
    computeEfficiency: values[0]!,
    memoryEfficiency: values[1]!,
    launchUs: values[2]!,
    exponent: values[3]!,
  })
  const law: Law<MoeSample> = (values) => timeOf(coefficients(values), device)
  const values = fitLaw(rows, law, parameters)
  const time = law(values)
  const error = errorOf(rows, time)
  if (error.meanPercent > worstErrorPercent) return null
  const training = rows.filter((row) => !isTested(row))
  const tested = rows.filter(isTested)
  const leftOut =
    tested.length >= fewestRows ? errorOf(tested, law(fitLaw(training, law, parameters))) : null
  return {
    ...coefficients(values),
    samples: error.samples,
    meanErrorPercent: error.meanPercent,
    biasPercent: error.biasPercent,
    ...(leftOut ? {leftOutErrorPercent: leftOut.meanPercent} : {}),
    errorBySize: errorByRange(rows, time, byTokens),
  }
}

const byTokens: readonly {name: string; holds: (row: MoeSample) => boolean}[] = [
  [1, 16],
  [17, 128],
  [129, 512],
  [513, 4096],
  [4097, 8192],
].map(([low, high]) => ({
  name: `tokens ${low}-${high}`,
  holds: ({tokens}) => tokens >= low! && tokens <= high!,
}))

const isCounted = ({intermediate, tp, ep, tokens}: MoeSample): boolean =>
  intermediate / tp >= 128 && ep <= 8 && tokens <= 8192

const isTested = ({hiddenSize, intermediate, tp, perToken, experts, ep}: MoeSample): boolean =>
  isLeftOut(hiddenSize, intermediate / tp, perToken, experts, ep)

const shareOf = (row: MoeSample): ExpertShare => ({
  hiddenSize: row.hiddenSize,
  count: row.experts,
  perToken: row.perToken,
  expertRanks: row.ep,
  intermediate: row.intermediate / row.tp,
})

/** Weights alone: the activations of a step come and go. */
const isBeyondL2 = (row: MoeSample, {precision, l2Mb}: GemmDevice): boolean => {
  const share = shareOf(row)
  const weights = 3 * share.hiddenSize * share.intermediate * precision.weightBytes
  return distinctExperts(row.tokens, share) * weights > 1.2e6 * (l2Mb ?? 0)
}

const timeOf =
  (coefficients: GemmCoefficients, {precision, bandwidthGbS}: GemmDevice) =>
  (row: MoeSample): number =>
    expertsNs(row.tokens, shareOf(row), {precision, coefficients, bandwidthGbS}) / 1000
