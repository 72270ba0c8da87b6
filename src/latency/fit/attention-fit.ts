/**
 * Fits the three regimes of the attention law to measured kernels, with the very law that a step runs.
 *
 * Decode: contexts from 256 tokens and batches up to 1024; working sets beyond 1.2 × L2, or so small that
 * the floor decides (below 4 MB): what lies between is read from the cache by a benchmark and never by a
 * step. Prefill: chunks from 16 tokens, 128 to 32,768 tokens together, up to 16 chunks. Mixed: whatever
 * has both, under the same rule for the decodes' share. 16-bit KV, head size 128, whole context; other
 * head sizes give the levels of the prefill efficiency.
 */
import type {
  DecodeAttentionCoefficients,
  Fit,
  MixedAttentionCoefficients,
  PrefillAttentionCoefficients,
} from '../../catalogue/hardware-shape.js'
import type {AttentionSample} from '../../catalogue/kernel-samples.js'
import {type AttentionDevice, attentionLaw, attentionNs} from '../attention.js'
import {type BatchShape, emptyShape} from '../step-time.js'
import {
  errorByRange,
  errorOf,
  fitLaw,
  isLeftOut,
  type Law,
  type Parameter,
  rounded,
} from './law-fit.js'

export interface AttentionMachine {
  readonly peakFlopsPerNs: number
  readonly bandwidthGbS: number
  readonly l2Mb: number | null
  /** Kernels without grouped queries walk along their context in one thread block (FlashAttention 2). */
  readonly isUnsplit: boolean
  /** Those with grouped queries do too: kernels of 2024. */
  readonly neverSplits: boolean
  /** Share of the peak that matrix products reach: no attention kernel does better on the same units. */
  readonly mostCompute: number
}

type Fitted<Coefficients> = Coefficients & Omit<Fit, 'source'>

/** A row with the shape that the law takes, made once. */
interface ShapedRow extends AttentionSample {
  readonly shape: BatchShape
}

const fewestRows = 30

const contextRanges = ranges('context', [256, 1024, 8192, 1e9], ({context}) => context)
const tokenRanges = ranges(
  'tokens',
  [1, 512, 2048, 8192, 1e9],
  ({prefills, chunk}) => prefills * chunk,
)
const chunkRanges = ranges('chunk', [1, 128, 512, 1e9], ({chunk}) => chunk)

function ranges(name: string, edges: readonly number[], of: (row: AttentionSample) => number) {
  return edges.slice(1).map((edge, index) => {
    const low = edges[index]!
    const label = edge >= 1e9 ? `${name} from ${low}` : `${name} ${low}-${edge - 1}`
    return {name: label, holds: (row: AttentionSample) => of(row) >= low && of(row) < edge}
  })
}

/** null: too few rows. `tried` compares, on shapes left out, the law with and without its serial walk. */
export const fitDecode = (
  samples: readonly AttentionSample[],
  machine: AttentionMachine,
): {fit: Fitted<DecodeAttentionCoefficients>; tried: readonly string[]} | null => {
  const rows = shaped(
    samples.filter((row) => isPlain(row) && isDecode(row) && isHonest(row, machine)),
  )
  if (rows.length < fewestRows) return null
  const isVaried = kvVariety(rows) > 2
  const parameters: Parameter[] = [
    {name: 'launch', start: 10, least: 1, most: 100},
    {name: 'memory', start: 0.85, otherStart: 0.3, least: 0.02, most: 1},
    {name: 'perSequence', start: 0.02, otherStart: 1, least: 1e-5, most: 3},
    // One model at two degrees cannot tell a walk per sequence from one per head.
    isVaried
      ? {name: 'headExponent', start: 0.8, least: 0.01, most: 1.2}
      : {name: 'headExponent', start: 0.9, least: 0.7, most: 1.1},
    {name: 'sqrt', start: 0.05, least: 1e-4, most: 2},
  ]
  const serial: Parameter = {name: 'serialWalk', start: 20, least: 1e-3, most: 100}
  const coefficients = (values: readonly number[]): DecodeAttentionCoefficients => ({
    ...(machine.neverSplits ? {neverSplits: true} : {}),
    launchUs: values[0]!,
    memoryEfficiency: values[1]!,
    perSequenceUs: values[2]!,
    headExponent: values[3]!,
    sqrtUs: values[4]!,
    ...(values[5] === undefined ? {} : {serialWalkUs: values[5]}),
  })
  const law: Law<ShapedRow> = (values) =>
    timeOf(() => ({...bareDevice(machine), decode: coefficients(values)}))
  const hasSingle =
    machine.isUnsplit && (machine.neverSplits || rows.some((row) => row.queryHeads === row.kvHeads))
  const all = hasSingle ? [...parameters, serial] : parameters
  const fit = coefficients(fitLaw(rows, law, all))
  const time = timeOf(() => ({...bareDevice(machine), decode: fit}))
  const tried = (hasSingle ? [parameters, all] : [parameters]).map((list) => {
    const error = leftOutError(rows, law, list)
    return `${list.length === 6 ? 'with' : 'without'} serial walk: ${error} % left out`
  })
  return {
    fit: {
      ...fit,
      ...qualityOf(rows, time, contextRanges),
      ...leftOut(leftOutError(rows, law, all)),
    },
    tried,
  }
}

export const fitPrefill = (
  samples: readonly AttentionSample[],
  machine: AttentionMachine,
  decode: DecodeAttentionCoefficients,
): {
  fit: Fitted<PrefillAttentionCoefficients>
  /** The decode law, with the walk along a context where chunks tell it and decodes do not. */
  decode: DecodeAttentionCoefficients
  tried: readonly string[]
} | null => {
  const counted = samples.filter(
    (row) =>
      row.kvElementBytes === 2 && row.window === null && isPrefill(row) && isPossible(row, machine),
  )
  const rows = shaped(counted.filter(isPlain))
  if (rows.length < fewestRows) return null
  // One model tells nothing of KV heads, one chunk per row nothing of chunks.
  const isVaried = kvVariety(rows) > 2
  const hasWalk = machine.isUnsplit && rows.some((row) => row.cached > 0)
  const base: Parameter[] = [
    {name: 'launch', start: 12, least: 1, most: 100},
    {name: 'compute', start: 0.6, least: 0.05, most: machine.mostCompute},
    {name: 'ramp', start: 200, least: 1, most: 5000},
  ]
  const byHead: Parameter[] = [
    {name: 'per KV token', start: 0.5, least: 1e-4, most: 10},
    {name: 'chunk', start: 50, least: 0.1, most: 500},
  ]
  const walk: Parameter = {name: 'walk', start: 20, least: 1e-3, most: 100}
  const parameters = [...base, ...(isVaried ? byHead : []), ...(hasWalk ? [walk] : [])]
  const namesOf = (list: readonly Parameter[]) => list.map(({name}) => name)
  const coefficients = (names: readonly string[], values: readonly number[]) => {
    const [launchUs, computeEfficiency, rampTokens] = values as [number, number, number]
    const at = (name: string) => values[names.indexOf(name)]!
    return {
      prefill: {
        ...{launchUs, computeEfficiency, rampTokens},
        ...(names.includes('chunk')
          ? {perKvTokenUs: at('per KV token'), chunkTokens: at('chunk')}
          : {}),
        ...(names.includes('walk') ? {serialWalkUs: at('walk')} : {}),
      } as PrefillAttentionCoefficients,
      // The same kernel, where no decode without grouped queries was measured.
      decode:
        names.includes('walk') && decode.serialWalkUs === undefined
          ? {...decode, serialWalkUs: at('walk')}
          : decode,
    }
  }
  const lawOf =
    (list: readonly Parameter[]): Law<ShapedRow> =>
    (values) =>
      timeOf(() => ({...bareDevice(machine), ...coefficients(namesOf(list), values)}))
  const fitted = coefficients(namesOf(parameters), fitLaw(rows, lawOf(parameters), parameters))
  const fit = {...fitted.prefill, ...levelsOf(counted, machine, fitted)}
  const time = timeOf(() => ({...bareDevice(machine), decode: fitted.decode, prefill: fit}))
  const errors = [base, parameters].map((list) => leftOutError(rows, lawOf(list), list))
  const tried = [base, parameters].map(
    (list, index) => `${namesOf(list).join(', ')}: ${errors[index]} % left out`,
  )
  return {
    fit: {...fit, ...qualityOf(rows, time, tokenRanges), ...leftOut(errors[1]!)},
    decode: fitted.decode,
    tried,
  }
}

export const fitMixed = (
  samples: readonly AttentionSample[],
  machine: AttentionMachine,
  pure: {decode: DecodeAttentionCoefficients; prefill: PrefillAttentionCoefficients},
): Fitted<MixedAttentionCoefficients> | null => {
  const rows = shaped(samples.filter((row) => isPlain(row) && isMixed(row)))
  if (rows.length < fewestRows) return null
  const parameters: Parameter[] = [
    {name: 'compute', start: 0.5, least: 0.05, most: 1},
    {name: 'perRow', start: 0.02, least: 1e-5, most: 1},
    {name: 'exposed', start: 0.5, least: 0.01, most: 1},
  ]
  const coefficients = (values: readonly number[]): MixedAttentionCoefficients => ({
    computeEfficiency: values[0]!,
    perRowUs: values[1]!,
    exposedShare: values[2]!,
  })
  const law: Law<ShapedRow> = (values) =>
    timeOf(() => ({...bareDevice(machine), ...pure, mixed: coefficients(values)}))
  const fit = coefficients(fitLaw(rows, law, parameters))
  const time = timeOf(() => ({...bareDevice(machine), ...pure, mixed: fit}))
  return {
    ...fit,
    ...qualityOf(rows, time, chunkRanges),
    ...leftOut(leftOutError(rows, law, parameters)),
  }
}

/** Error of a device's coefficients on rows of one regime: do they hold for another model, another source? */
export const attentionErrorOn = (
  samples: readonly AttentionSample[],
  machine: AttentionMachine,
  device: Pick<AttentionDevice, 'decode' | 'prefill' | 'mixed'>,
) => {
  const time = timeOf(() => ({...bareDevice(machine), ...device}))
  const of = (holds: (row: AttentionSample) => boolean) =>
    errorOf(shaped(samples.filter((row) => isPlain(row) && holds(row))), time)
  return {
    decode: of((row) => isDecode(row) && isHonest(row, machine)),
    prefill: of(isPrefill),
    mixed: of(isMixed),
  }
}

/** What every regime is fitted to: 16-bit KV, the usual head size, no window. */
const isPlain = (row: AttentionSample): boolean =>
  row.kvElementBytes === 2 && row.headDim === 128 && row.window === null

const isDecode = (row: AttentionSample): boolean =>
  row.prefills === 0 &&
  row.decodes > 0 &&
  row.decodes <= 1024 &&
  row.context >= 255 &&
  row.kvHeads <= 8

const isPrefill = (row: AttentionSample): boolean => {
  const tokens = row.prefills * row.chunk
  return (
    row.decodes === 0 && row.chunk >= 16 && row.prefills <= 16 && tokens >= 128 && tokens <= 32_768
  )
}

const kvVariety = (rows: readonly AttentionSample[]): number =>
  new Set(rows.map((row) => row.kvHeads)).size

/** Contexts from 256 tokens, and together no more than a device keeps beside the weights. */
const isMixed = ({prefills, decodes, context, cached}: AttentionSample): boolean =>
  prefills > 0 && decodes > 0 && context >= 256 && decodes * context + cached <= 262_144

/** Not faster than the peak: some tables of release 0 hold such rows. */
const isPossible = (row: AttentionSample, {peakFlopsPerNs}: AttentionMachine): boolean => {
  const pairs = row.prefills * row.chunk * (row.cached + (row.chunk + 1) / 2)
  return 4 * row.queryHeads * row.headDim * pairs < row.timeUs * 1000 * peakFlopsPerNs
}

/** Beyond the cache, or so small that the floor decides. */
const isHonest = (row: AttentionSample, {l2Mb}: AttentionMachine): boolean => {
  const bytes = row.decodes * row.context * row.kvHeads * 2 * row.headDim * row.kvElementBytes
  return l2Mb === null || bytes < 4e6 || bytes > 1.2e6 * l2Mb
}

const shaped = (rows: readonly AttentionSample[]): ShapedRow[] =>
  rows.map((row) => ({...row, shape: shapeOf(row)}))

const shapeOf = (row: AttentionSample): BatchShape => {
  const {prefills, chunk, cached, decodes, context} = row
  const prefillTokens = prefills * chunk
  return {
    ...emptyShape(),
    tokens: prefillTokens + decodes,
    sequences: prefills + decodes,
    prefills,
    prefillTokens,
    prefillContext: prefills * cached,
    prefillContextMax: prefills > 0 ? cached : 0,
    prefillWork: prefillTokens * (cached + (chunk + 1) / 2),
    decodes,
    decodeContext: decodes * context,
    decodeContextMin: decodes > 0 ? context : 0,
    decodeContextMax: decodes > 0 ? context : 0,
    paddedTokens: prefillTokens + decodes,
  }
}

/** A device without any regime: those under study are put over it. */
const bareDevice = ({peakFlopsPerNs, bandwidthGbS}: AttentionMachine): AttentionDevice => ({
  peakFlopsPerNs,
  bandwidthGbS,
  decode: {launchUs: 0, memoryEfficiency: 1, perSequenceUs: 0, headExponent: 0, sqrtUs: 0},
  prefill: {launchUs: 0, computeEfficiency: 1, rampTokens: 0},
  mixed: null,
})

/** µs of a row; the law of one geometry is built once. */
const timeOf = (deviceOf: () => AttentionDevice) => {
  const device = deviceOf()
  const laws = new Map<string, ReturnType<typeof attentionLaw>>()
  return (row: ShapedRow): number => {
    const {queryHeads, kvHeads, headDim, window, kvElementBytes} = row
    const key = `${queryHeads},${kvHeads},${headDim},${window},${kvElementBytes}`
    let law = laws.get(key)
    if (!law) {
      law = attentionLaw(
        {
          ...{kind: 'grouped', queryHeads, keyValueHeads: kvHeads, headDim, valueHeadDim: headDim},
          ...{window, qkNorm: false},
        },
        {layers: 1, tp: 1, kvElementBytes},
        device,
      )
      laws.set(key, law)
    }
    return attentionNs(law, row.shape) / 1000
  }
}

/** Efficiency at each other head size that was measured, as a share of that at 128. */
const levelsOf = (
  samples: readonly AttentionSample[],
  machine: AttentionMachine,
  fitted: {decode: DecodeAttentionCoefficients; prefill: PrefillAttentionCoefficients},
): {headSizeLevels?: readonly (readonly [number, number])[]} => {
  const sizes = [...new Set(samples.map((row) => row.headDim))].sort((a, b) => a - b)
  if (sizes.length < 2) return {}
  const {decode, prefill} = fitted
  const levels = sizes.map((size): readonly [number, number] => {
    if (size === 128) return [128, 1]
    const rows = shaped(samples.filter((row) => row.headDim === size))
    const law: Law<ShapedRow> = ([level]) =>
      timeOf(() => ({
        ...bareDevice(machine),
        decode,
        prefill: {...prefill, headSizeLevels: [[size, level!]]},
      }))
    const [level] = fitLaw(rows, law, [{name: 'level', start: 1, least: 0.1, most: 2}])
    return [size, rounded(level!)]
  })
  return {headSizeLevels: levels}
}

const isTested = ({
  queryHeads,
  kvHeads,
  prefills,
  chunk,
  cached,
  decodes,
  context,
}: AttentionSample) => isLeftOut(queryHeads, kvHeads, prefills, chunk, cached, decodes, context)

const leftOutError = (
  rows: readonly ShapedRow[],
  law: Law<ShapedRow>,
  parameters: readonly Parameter[],
): number => {
  const values = fitLaw(
    rows.filter((row) => !isTested(row)),
    law,
    parameters,
  )
  return errorOf(rows.filter(isTested), law(values)).meanPercent
}

const leftOut = (leftOutErrorPercent: number) => ({leftOutErrorPercent})

const qualityOf = (
  rows: readonly ShapedRow[],
  time: (row: ShapedRow) => number,
  sizes: readonly {name: string; holds: (row: AttentionSample) => boolean}[],
): Omit<Fit, 'source'> => {
  const {samples, meanPercent, biasPercent} = errorOf(rows, time)
  return {
    samples,
    meanErrorPercent: meanPercent,
    biasPercent,
    errorBySize: errorByRange(rows, time, sizes),
  }
}
