/**
 * Fits the GEMM law to measured products. Rows count with n, k ≥ 512 and m ≤ 8192.
 *
 * A benchmark repeats one product, so a matrix that fits the L2 cache is found there; in a step another
 * layer has pushed it out. The efficiencies and the exponent are therefore fitted to working sets beyond
 * 1.2 × L2. On some devices small matrices turn out no faster for it; there all rows fix the launch and
 * the walk of a tile, which large matrices hardly show.
 */
import type {Fit, GemmClass, GemmCoefficients} from '../../catalogue/hardware-shape.js'
import type {GemmSample} from '../../catalogue/kernel-samples.js'
import {gemmNs} from '../gemm.js'
import type {Precision} from '../precision.js'
import {errorByRange, errorOf, fitLaw, isLeftOut, type Law, type Parameter} from './law-fit.js'

/** The device that the rows were measured on. */
export interface GemmDevice {
  readonly precision: Precision
  readonly bandwidthGbS: number
  /** null: unknown, and every row counts. */
  readonly l2Mb: number | null
}

export type FittedGemm = GemmCoefficients & Fit

/** What was tried and what it bought: printed by the command, kept out of the files. */
export interface GemmComparison {
  readonly name: string
  readonly leftOutBeyondL2: number
  readonly leftOutAll: number
}

/** Rows that a fit of this kind needs. */
export const fewestRows = 40

const compute: Parameter = {name: 'compute', start: 0.8, least: 0.05, most: 1}
const memory: Parameter = {name: 'memory', start: 0.8, least: 0.05, most: 1}
const exponent: Parameter = {name: 'exponent', start: 2.5, least: 1, most: 6}

/**
 * Launch of a kernel in a CUDA graph. Where only large matrices count it runs away with what they leave
 * over, hence the bounds; kernels of other vendors start slower.
 */
const launchOf = (most: number): Parameter => ({name: 'launch', start: 3, least: 1, most})
const mostLaunchUs = 4
const mostLaunchUsElsewhere = 30
const walk: Parameter = {name: 'walk', start: 0.3, least: 0.001, most: 5}

const isCounted = ({m, n, k}: GemmSample): boolean => n >= 512 && k >= 512 && m <= 8192

const isTested = ({n, k}: GemmSample): boolean => isLeftOut(n, k)

/**
 * Coefficients of one format with their errors; null when there are too few rows. `slowStart` says that
 * kernels of this device may take up to 30 µs to start.
 */
export const fitGemm = (
  samples: readonly GemmSample[],
  gemmClass: GemmClass,
  device: GemmDevice,
  slowStart: boolean,
): {fit: Omit<FittedGemm, 'source'>; comparison: GemmComparison[]} | null => {
  const rows = samples.filter((row) => row.gemmClass === gemmClass && isCounted(row))
  const large = rows.filter((row) => isBeyondL2(row, device))
  if (large.length < fewestRows) return null
  const small = rows.filter((row) => !isBeyondL2(row, device))
  const mostLaunch = slowStart ? mostLaunchUsElsewhere : mostLaunchUs
  const search = {large, all: rows, device, mostLaunch, isSmallSlow: false}
  const plain = fitBoth(search)
  const small0 = errorOf(small, timeOf(plain, device))
  // Found in the cache: far faster than the law of large matrices says.
  const isSmallSlow = small.length >= fewestRows && small0.biasPercent < 15 && !slowStart
  const chosen = isSmallSlow ? fitBoth({...search, isSmallSlow}) : plain
  const training = (kept: readonly GemmSample[]) => kept.filter((row) => !isTested(row))
  const trainedOn = {...search, large: training(large), all: training(rows)}
  const candidates = [
    {name: 'large matrices only', fit: fitBoth(trainedOn)},
    {name: 'launch and tile walk from all', fit: fitBoth({...trainedOn, isSmallSlow: true})},
  ]
  const tested = {large: large.filter(isTested), all: rows.filter(isTested)}
  const comparison = candidates.map(({name, fit}) => ({
    name,
    leftOutBeyondL2: errorOf(tested.large, timeOf(fit, device)).meanPercent,
    leftOutAll: errorOf(tested.all, timeOf(fit, device)).meanPercent,
  }))
  const time = timeOf(chosen, device)
  const error = errorOf(large, time)
  const leftOut = comparison[isSmallSlow ? 1 : 0]!
  return {
    fit: {
      ...chosen,
      samples: error.samples,
      meanErrorPercent: error.meanPercent,
      biasPercent: error.biasPercent,
      // A table of a single model has too few shapes to leave some out.
      ...(tested.large.length >= fewestRows ? {leftOutErrorPercent: leftOut.leftOutBeyondL2} : {}),
      errorBySize: [
        ...errorByRange(large, time, byRows),
        ...(isSmallSlow
          ? errorByRange(small, time, [{name: 'small matrices', holds: () => true}])
          : []),
      ],
    },
    comparison,
  }
}

const byRows: readonly {name: string; holds: (row: GemmSample) => boolean}[] = [
  [1, 16],
  [17, 128],
  [129, 512],
  [513, 2048],
  [2049, 8192],
].map(([low, high]) => ({name: `m ${low}-${high}`, holds: ({m}) => m >= low! && m <= high!}))

const bytesOf = ({m, n, k}: GemmSample, {weightBytes, activationBytes}: Precision): number =>
  k * n * weightBytes + m * (k * activationBytes + n * 2)

/** Larger than the cache; what comes faster than the memory can deliver was in a cache that is larger. */
const isBeyondL2 = (row: GemmSample, {precision, bandwidthGbS, l2Mb}: GemmDevice): boolean => {
  const bytes = bytesOf(row, precision)
  return bytes > 1.2e6 * (l2Mb ?? 0) && row.timeUs > bytes / bandwidthGbS / 1000
}

interface Search {
  readonly large: readonly GemmSample[]
  readonly all: readonly GemmSample[]
  readonly device: GemmDevice
  readonly mostLaunch: number
  readonly isSmallSlow: boolean
}

const fitBoth = ({large, all, device, mostLaunch, isSmallSlow}: Search): GemmCoefficients => {
  const coefficients = (values: readonly number[]): GemmCoefficients => ({
    computeEfficiency: values[0]!,
    memoryEfficiency: values[1]!,
    launchUs: values[2]!,
    exponent: values[3]!,
  })
  const law: Law<GemmSample> = (values) => timeOf(coefficients(values), device)
  const base = coefficients(fitLaw(large, law, [compute, memory, launchOf(mostLaunch), exponent]))
  if (!isSmallSlow) return base
  const rest = (values: readonly number[]): GemmCoefficients => ({
    ...base,
    launchUs: values[0]!,
    tileWalkUs: values[1]!,
  })
  const smallLaw: Law<GemmSample> = (values) => timeOf(rest(values), device)
  return rest(fitLaw(all, smallLaw, [launchOf(2 * mostLaunch), walk]))
}

const timeOf =
  (coefficients: GemmCoefficients, {precision, bandwidthGbS}: GemmDevice) =>
  (row: GemmSample): number =>
    gemmNs(row.m, row, {precision, coefficients, bandwidthGbS}) / 1000

/** Mean error of coefficients on rows of another source: do two measurements of a device agree? */
export const gemmErrorOn = (
  samples: readonly GemmSample[],
  gemmClass: GemmClass,
  coefficients: GemmCoefficients,
  device: GemmDevice,
) => {
  const rows = samples.filter(
    (row) => row.gemmClass === gemmClass && isCounted(row) && isBeyondL2(row, device),
  )
  return errorOf(rows, timeOf(coefficients, device))
}
