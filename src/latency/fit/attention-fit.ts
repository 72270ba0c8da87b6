/** Fits the three regimes of the attention law to measured kernels, with the very law that a step runs. */
import type {
  DecodeAttentionCoefficients,
  Fit,
  MixedAttentionCoefficients,
  PrefillAttentionCoefficients,
} from '../../catalogue/hardware-shape.js'
import type {AttentionSample} from '../../catalogue/kernel-samples.js'
import type {AttentionDevice} from '../attention-law.js'
import {
  type AttentionMachine,
  bareDevice,
  isDecode,
  isHeld,
  isHonest,
  isMixed,
  isPlain,
  isPossible,
  isPrefill,
  type ShapedRow,
  shaped,
  timeOf,
} from './attention-rows.js'
import {
  errorByRange,
  errorOf,
  fitLaw,
  isLeftOut,
  type Law,
  type Parameter,
  rounded,
} from './law-fit.js'
import {shortContextTerms} from './short-contexts.js'

type Fitted<Coefficients> = Coefficients & Omit<Fit, 'source'>

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
    {name: 'memory', start: 0.85, otherStarts: [0.3], least: 0.02, most: 1},
    {name: 'perSequence', start: 0.02, otherStarts: [1, 0.002], least: 1e-5, most: 3},
    // One model at two degrees cannot tell a walk per sequence from one per head.
    isVaried
      ? {name: 'headExponent', start: 0.8, least: 0.01, most: 1.2}
      : {name: 'headExponent', start: 0.9, least: 0.7, most: 1.1},
    {name: 'sqrt', start: 0.05, least: 1e-4, most: 2},
  ]
  const fill: Parameter = {name: 'fill', start: 10, least: 1e-2, most: 200}
  const serial: Parameter = {name: 'serialWalk', start: 20, least: 1e-3, most: 100}
  const hasSingle =
    machine.isUnsplit && (machine.neverSplits || rows.some((row) => row.queryHeads === row.kvHeads))
  const walks = hasSingle ? [serial] : []
  // What nothing splits walks along its context however many thread blocks there are.
  const fills = machine.multiprocessors === null || machine.neverSplits ? [] : [fill]
  const all = [...parameters, ...walks, ...fills]
  const lawOf =
    (list: readonly Parameter[]): Law<ShapedRow> =>
    (values) =>
      timeOf(() => ({...bareDevice(machine), decode: decodeOf(list, values, machine)}))
  const held = samples.filter((row) => row.prefills === 0 && isHeld(row, machine))
  const short = shortContextTerms(
    shaped(held),
    {long: decodeOf(all, fitLaw(rows, lawOf(all), all), machine), machine},
    isTested,
  )
  const shortened = (list: readonly Parameter[]): Law<ShapedRow> => {
    return (values) =>
      timeOf(() => ({
        ...bareDevice(machine),
        decode: {...decodeOf(list, values, machine), ...short.terms},
      }))
  }
  const fit = {...decodeOf(all, fitLaw(rows, shortened(all), all), machine), ...short.terms}
  const time = timeOf(() => ({...bareDevice(machine), decode: fit}))
  const candidates = [parameters, [...parameters, ...walks], all]
  const tried = candidates
    .filter((list, at) => at === 0 || list.length > candidates[at - 1]!.length)
    .map((list) => {
      const names = list.slice(parameters.length).map(({name}) => name)
      const error = leftOutError(rows, lawOf(list), list)
      return `with ${names.join(' and ') || 'neither serial walk nor fill'}: ${error} % left out`
    })
  return {
    fit: {
      ...packed(fit, rows, machine),
      ...qualityOf(rows, time, contextRanges),
      ...heldError(
        samples.filter((row) => row.prefills === 0),
        machine,
        {decode: fit},
      ),
      ...leftOut(leftOutError(rows, shortened(all), all)),
    },
    tried: [...tried, short.tried],
  }
}

/**
 * Kernels of 2024 read KV once for each query head, later ones once for a group, and split contexts. What the device
 * reached is that many times what the fit says, but no more than matrix products do: the cache hid some of it.
 */
const packed = (
  fit: DecodeAttentionCoefficients,
  rows: readonly ShapedRow[],
  {mostMemory}: AttentionMachine,
): DecodeAttentionCoefficients => {
  const {neverSplits, blockUs, ...lasting} = fit
  if (!neverSplits) return fit
  const group = Math.min(...rows.map(({queryHeads, kvHeads}) => queryHeads / kvHeads))
  const memoryEfficiency = rounded(Math.min(mostMemory, fit.memoryEfficiency * group))
  const perGroup = blockUs === undefined ? {} : {blockUs: rounded(blockUs / group)}
  return {...lasting, ...perGroup, memoryEfficiency}
}

const decodeOf = (
  list: readonly Parameter[],
  values: readonly number[],
  {neverSplits}: AttentionMachine,
): DecodeAttentionCoefficients => {
  const [launchUs, memoryEfficiency, perSequenceUs, headExponent, sqrtUs] = values
  const at = (name: string) => list.findIndex((parameter) => parameter.name === name)
  const [walk, fill] = [at('serialWalk'), at('fill')]
  return {
    ...(neverSplits ? {neverSplits: true} : {}),
    launchUs: launchUs!,
    memoryEfficiency: memoryEfficiency!,
    perSequenceUs: perSequenceUs!,
    headExponent: headExponent!,
    sqrtUs: sqrtUs!,
    ...(fill < 0 ? {} : {fillUs: values[fill]!}),
    ...(walk < 0 ? {} : {serialWalkUs: values[walk]!}),
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
    {name: 'chunk walk', start: 5, least: 1e-3, most: 100},
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
    const withWalk = names.includes('chunk walk') ? {chunkWalkUs: values[3]!} : {}
    const at = (name: string) => values[names.indexOf(name)]!
    return {
      prefill: {
        ...{launchUs, computeEfficiency, rampTokens, ...withWalk},
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
  const candidates = [
    base.slice(0, 3),
    parameters.filter(({name}) => name !== 'chunk walk'),
    parameters,
  ]
  const errors = candidates.map((list) => leftOutError(rows, lawOf(list), list))
  const tried = candidates.map(
    (list, index) => `${namesOf(list).join(', ')}: ${errors[index]} % left out`,
  )
  return {
    fit: {
      ...fit,
      ...qualityOf(rows, time, tokenRanges),
      ...heldError(
        samples.filter((row) => row.decodes === 0),
        machine,
        {
          decode: fitted.decode,
          prefill: fit,
        },
      ),
      ...leftOut(errors[2]!),
    },
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
    {name: 'emptyTile', start: 0.2, least: 0.001, most: 2},
  ]
  const coefficients = (values: readonly number[]): MixedAttentionCoefficients => ({
    computeEfficiency: values[0]!,
    perRowUs: values[1]!,
    exposedShare: values[2]!,
    emptyTileUs: values[3]!,
  })
  const law: Law<ShapedRow> = (values) =>
    timeOf(() => ({...bareDevice(machine), ...pure, mixed: coefficients(values)}))
  const fit = coefficients(fitLaw(rows, law, parameters))
  const time = timeOf(() => ({...bareDevice(machine), ...pure, mixed: fit}))
  return {
    ...fit,
    ...qualityOf(rows, time, chunkRanges),
    ...heldError(
      samples.filter(({prefills, decodes}) => prefills > 0 && decodes > 0),
      machine,
      {...pure, mixed: fit},
    ),
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

const kvVariety = (rows: readonly AttentionSample[]): number =>
  new Set(rows.map((row) => row.kvHeads)).size

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

/** Error over every row that a step may hold, of which the fit saw a part. */
const heldError = (
  samples: readonly AttentionSample[],
  machine: AttentionMachine,
  device: Partial<Pick<AttentionDevice, 'decode' | 'prefill' | 'mixed'>>,
): Pick<Fit, 'heldErrorPercent' | 'heldSamples'> => {
  const rows = shaped(samples.filter((row) => isHeld(row, machine)))
  const {samples: heldSamples, meanPercent: heldErrorPercent} = errorOf(
    rows,
    timeOf(() => ({...bareDevice(machine), ...device})),
  )
  return {heldSamples, heldErrorPercent}
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
