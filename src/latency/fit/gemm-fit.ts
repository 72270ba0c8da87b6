/**
 * Fits the GEMM law to measured products. Rows count with n, k ≥ 512 and m ≤ 8192.
 *
 * A benchmark repeats one product, so a matrix that fits the L2 cache is found there; in a step another
 * layer has pushed it out. The efficiencies and the exponent are therefore fitted to working sets beyond
 * 1.2 × L2. On some devices small matrices turn out no faster for it; there all rows fix the launch and
 * the walk of a tile, which large matrices hardly show. Whole tiles are counted where that lowers the error on shapes
 * that were left out.
 */
import type {Fit, GemmClass, GemmCoefficients} from '../../catalogue/hardware-shape.js'
import type {GemmSample} from '../../catalogue/kernel-samples.js'
import {gemmNs} from '../gemm.js'
import type {Precision} from '../precision.js'
import {
  errorByRange,
  errorOf,
  fitLaw,
  isLeftOut,
  type Law,
  type Parameter,
  rounded,
} from './law-fit.js'

/** The device that the rows were measured on. */
export interface GemmDevice {
  readonly precision: Precision
  readonly bandwidthGbS: number
  readonly multiprocessors: number | null
  /** null: unknown, or not where the matrices were found; every row counts. */
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
const sustained: Parameter = {name: 'sustained', start: 0.8, least: 0.3, most: 1}
const onset: Parameter = {name: 'onset', start: 0.5, least: 0.01, most: 10}
const tiles: Parameter = {name: 'tiles', start: 32, least: 1, most: 300}
const walk: Parameter = {name: 'walk', start: 0.3, least: 0.001, most: 5}

const isCounted = ({m, n, k}: GemmSample): boolean => n >= 512 && k >= 512 && m <= 8192

/** A table of one model has too few matrices to leave some out: there it is rows. */
const testOf = (rows: readonly GemmSample[]): ((row: GemmSample) => boolean) =>
  new Set(rows.map(({n, k}) => n * 1e6 + k)).size < fewestMatrices
    ? ({m, n, k}) => isLeftOut(m, n, k)
    : ({n, k}) => isLeftOut(n, k)
const fewestMatrices = 16

/** A term stays where it lowers the error on what was left out by this share at least. */
const leastGain = 0.03

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
  const isTested = testOf(rows)
  const training = (kept: readonly GemmSample[]) => kept.filter((row) => !isTested(row))
  const tested = {large: large.filter(isTested), all: rows.filter(isTested)}
  const smooth = {large, all: rows, device, mostLaunch, isSmallSlow: false, ...plainLaw}
  const trainedOn = {...smooth, large: training(large), all: training(rows)}
  const leftOutOf = (search: Search) =>
    errorOf(tested.large, timeOf(fitBoth(search), device)).meanPercent
  const pays = (more: Partial<Search>, less: Partial<Search>) =>
    tested.large.length >= fewestRows &&
    leftOutOf({...trainedOn, ...more}) < (1 - leastGain) * leftOutOf({...trainedOn, ...less})
  const isTiled = device.multiprocessors !== null && pays({isTiled: true}, {})
  const isThrottled = pays({isTiled, isThrottled: true}, {isTiled})
  const terms = {isTiled, isThrottled}
  const search = {...smooth, ...terms}
  const plain = fitBoth(search)
  const small0 = errorOf(small, timeOf(plain, device))
  // Found in the cache: far faster than the law of large matrices says.
  const isSmallSlow = small.length >= fewestRows && small0.biasPercent < 15 && !slowStart
  const chosen = unbiased(isSmallSlow ? fitBoth({...search, isSmallSlow}) : plain, large, device)
  const candidates = [
    {name: 'large matrices only', fit: fitBoth({...trainedOn, ...terms})},
    {
      name: 'launch and tile walk from all',
      fit: fitBoth({...trainedOn, ...terms, isSmallSlow: true}),
    },
    {
      name: `large matrices only, ${isTiled ? 'without' : 'with'} whole tiles`,
      fit: fitBoth({...trainedOn, isTiled: !isTiled && device.multiprocessors !== null}),
    },
    {
      name: `large matrices only, ${isThrottled ? 'without' : 'with'} a sustained share`,
      fit: fitBoth({...trainedOn, isTiled, isThrottled: !isThrottled}),
    },
  ]
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
  readonly isTiled: boolean
  readonly isThrottled: boolean
}

const plainLaw = {isTiled: false, isThrottled: false}

const fitBoth = ({
  large,
  all,
  device,
  mostLaunch,
  isSmallSlow,
  isTiled,
  isThrottled,
}: Search): GemmCoefficients => {
  const parameters = [
    ...[compute, memory, exponent],
    ...(isTiled ? [tiles] : []),
    ...(isThrottled ? [sustained, onset] : []),
  ]
  const at = (parameter: Parameter, values: readonly number[]) =>
    values[parameters.indexOf(parameter)]!
  const efficiencies = (values: readonly number[], start: Start): GemmCoefficients => ({
    computeEfficiency: values[0]!,
    memoryEfficiency: values[1]!,
    exponent: values[2]!,
    ...(isTiled ? {tileTraffic: at(tiles, values)} : {}),
    ...(isThrottled
      ? {sustainedShare: at(sustained, values), sustainedFrom: at(onset, values)}
      : {}),
    ...start,
  })
  const launch = launchOf(mostLaunch)
  const whole = (values: readonly number[]) => efficiencies(values.slice(1), {launchUs: values[0]!})
  const base = whole(
    fitLaw(large, (values) => timeOf(whole(values), device), [launch, ...parameters]),
  )
  if (!isSmallSlow) return base
  const starting = (values: readonly number[]): Start => ({
    launchUs: values[0]!,
    tileWalkUs: values[1]!,
  })
  const start = starting(
    fitLaw(all, (values) => timeOf({...base, ...starting(values)}, device), [
      launchOf(2 * mostLaunch),
      walk,
    ]),
  )
  // With how kernels start known from all sizes, large matrices say once more how fast they run.
  const again: Law<GemmSample> = (values) => timeOf(efficiencies(values, start), device)
  return efficiencies(fitLaw(large, again, parameters), start)
}

type Start = Pick<GemmCoefficients, 'launchUs' | 'tileWalkUs'>

/**
 * The same law at the level at which predicted over measured averages 1. A robust loss finds the middle of the errors,
 * but a step adds up many products, and what counts for the sum is their mean.
 */
const unbiased = (
  fit: GemmCoefficients,
  rows: readonly GemmSample[],
  device: GemmDevice,
): GemmCoefficients => {
  const ratio = 1 + meanError(rows, timeOf(fit, device))
  return {
    ...fit,
    computeEfficiency: rounded(Math.min(1, fit.computeEfficiency * ratio)),
    memoryEfficiency: rounded(Math.min(1, fit.memoryEfficiency * ratio)),
    launchUs: rounded(fit.launchUs / ratio),
    ...(fit.tileWalkUs === undefined ? {} : {tileWalkUs: rounded(fit.tileWalkUs / ratio)}),
  }
}

const meanError = (rows: readonly GemmSample[], time: (row: GemmSample) => number): number =>
  rows.reduce((sum, row) => sum + time(row) / row.timeUs - 1, 0) / rows.length

const timeOf =
  (coefficients: GemmCoefficients, {precision, bandwidthGbS, multiprocessors}: GemmDevice) =>
  (row: GemmSample): number =>
    gemmNs(row.m, row, {precision, coefficients, bandwidthGbS, multiprocessors}) / 1000

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
