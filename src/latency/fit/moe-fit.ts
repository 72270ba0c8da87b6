/**
 * Fits the law of fused experts to measured kernels. Rows count with 128 rows of an expert's intermediate
 * size or more on the rank, up to 8 ranks of experts and 8192 tokens, routed evenly where the table has
 * such rows, and with working sets beyond 1.2 × L2 like the matrix products. Where a row reads its experts
 * faster than the memory can, they were not those: none of that shape counts (experts without a gate have two
 * matrices, not three; routers that pick groups first leave out half of them). A law that misses the kernels
 * by more than a quarter on average is not worth keeping: the class default stands.
 */
import type {Fit, GemmClass, GemmCoefficients} from '../../catalogue/hardware-shape.js'
import type {MoeSample} from '../../catalogue/kernel-samples.js'
import {touchedExpertsNs} from '../moe.js'
import type {GemmDevice} from './gemm-fit.js'
import {errorByRange, errorOf, fitLaw, isLeftOut, type Law, type Parameter} from './law-fit.js'

const fewestRows = 40
const worstErrorPercent = 25

/** Below an exponent of 1, reading and arithmetic would take longer than one after the other. */
const parametersOf = (mostCompute: number): readonly Parameter[] => [
  {name: 'compute', start: Math.min(0.4, 0.9 * mostCompute), least: 0.02, most: mostCompute},
  {name: 'memory', start: 0.8, least: 0.1, most: 1},
  {name: 'launch', start: 30, least: 1, most: 200},
  {name: 'exponent', start: 1.3, least: 1, most: 4},
]

/** A device, and the share of its peak that its dense products reach. */
export type MoeDevice = GemmDevice & {readonly mostCompute: number}

/** Coefficients of one format; null when too little was measured, or nothing that the law can follow. */
export const fitMoe = (
  samples: readonly MoeSample[],
  gemmClass: GemmClass,
  device: MoeDevice,
): (GemmCoefficients & Omit<Fit, 'source'>) | null => {
  const ofClass = samples.filter((row) => row.gemmClass === gemmClass && isCounted(row))
  const even = ofClass.filter(({routing}) => routing === 'balanced')
  const rows = physical(even.length >= fewestRows ? even : ofClass, device)
  if (rows.length < fewestRows) return null
  const parameters = parametersOf(device.mostCompute)
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

/** Which experts of an uneven row lie on the rank that was timed is not known. */
const isCounted = ({intermediate, tp, ep, tokens, routing}: MoeSample): boolean =>
  intermediate / tp >= 128 && tokens <= 8192 && ep <= (routing === 'balanced' ? 8 : 1)

const isTested = ({hiddenSize, intermediate, tp, perToken, experts, ep}: MoeSample): boolean =>
  isLeftOut(hiddenSize, intermediate / tp, perToken, experts, ep)

/** Bytes of the weights that a row reads. */
const weightBytes = ({activated, hiddenSize, intermediate, tp}: MoeSample, device: GemmDevice) =>
  (activated * 3 * hiddenSize * intermediate * device.precision.weightBytes) / tp

/** Weights alone: the activations of a step come and go. */
const isBeyondL2 = (row: MoeSample, device: GemmDevice): boolean =>
  weightBytes(row, device) > 1.2e6 * (device.l2Mb ?? 0)

/** Rows of shapes that all read their weights from memory at a rate that it has. */
const physical = (rows: readonly MoeSample[], device: GemmDevice): readonly MoeSample[] => {
  const beyond = rows.filter((row) => isBeyondL2(row, device))
  const shapeOf = ({experts, perToken, hiddenSize, intermediate}: MoeSample) =>
    [experts, perToken, hiddenSize, intermediate].join()
  const wrong = new Set(
    beyond
      .filter((row) => weightBytes(row, device) > row.timeUs * 1000 * device.bandwidthGbS)
      .map(shapeOf),
  )
  return beyond.filter((row) => !wrong.has(shapeOf(row)))
}

const timeOf =
  (coefficients: GemmCoefficients, {precision, bandwidthGbS}: GemmDevice) =>
  ({tokens, perToken, ep, tp, activated, hiddenSize, intermediate}: MoeSample): number =>
    touchedExpertsNs(
      {rows: (tokens * perToken) / ep, touched: activated},
      {hiddenSize, intermediate: intermediate / tp},
      {precision, coefficients, bandwidthGbS},
    ) / 1000
