/**
 * Matrix products: a smooth roofline per kernel, and the products of a layer on one tensor-parallel rank.
 * The law is t0 + ((2mkn/(P·e_c))^p + (bytes/(W·e_m))^p + (w·k)^p)^(1/p), fitted per device and number
 * format; w·k is the walk of a single tile along k, which only small matrices feel. Where a device shows it, 2mkn is
 * that of whole tiles in whole waves over its multiprocessors.
 */
import type {GemmClass, GemmCoefficients, Hardware} from '../catalogue/hardware-shape.js'
import type {AttentionShape, LayerGroup} from '../catalogue/model-shape.js'
import {classDefaults, formatLevels} from './class-defaults.js'
import type {ModelPart, Precision} from './precision.js'
import type {Provenance} from './step-time.js'

/** Whether a device's own measurements may be used, or the defaults of its class must. */
export type CoefficientSource = 'measured' | 'class'

/** A weight matrix of k × n as one rank holds it. */
export interface WeightMatrix {
  readonly part: ModelPart
  readonly k: number
  readonly n: number
}

/** Coefficients with where they came from. */
export interface Chosen<T> {
  readonly coefficients: T
  readonly from: Provenance
  readonly detail: string
}

/** Smooth maximum of a compute and a memory time and of a tile's walk, plus the launch; ns from ns. */
export const smoothRoofline = (
  computeNs: number,
  memoryNs: number,
  coefficients: GemmCoefficients,
  walkNs = 0,
): number => {
  const {exponent, launchUs} = coefficients
  const largest = Math.max(computeNs, memoryNs, walkNs)
  if (largest === 0) return launchUs * 1000
  // Scaled by the largest one, so that a large exponent cannot overflow.
  const sum =
    (computeNs / largest) ** exponent +
    (memoryNs / largest) ** exponent +
    (walkNs / largest) ** exponent
  return launchUs * 1000 + largest * sum ** (1 / exponent)
}

/** A product's arithmetic on a device; `multiprocessors` null: unknown, and tiles are not counted. */
export interface GemmKernel {
  readonly precision: Precision
  readonly coefficients: GemmCoefficients
  readonly bandwidthGbS: number
  readonly multiprocessors: number | null
}

/** Tiles that a library chooses from, as rows × columns, and into how many parts it may cut k. */
const tileRows = [16, 64, 128]
const tileColumns = [64, 128, 256]
const splits = [1, 2, 4, 8]
const largestTile = {rows: 128, columns: 256}

/**
 * FLOPs that a device is busy for: whole tiles, in whole waves of one tile per multiprocessor, of the kernel that takes
 * least. A tile fetches rows + columns for rows × columns products, so a small one runs slower.
 */
const tiledFlops = (
  rows: number,
  {k, n}: {k: number; n: number},
  {tileTraffic, multiprocessors}: {tileTraffic: number; multiprocessors: number},
): number => {
  const slowdown = (a: number, b: number) => 1 + tileTraffic * (1 / a + 1 / b)
  const least = slowdown(largestTile.rows, largestTile.columns)
  let fewest = Number.POSITIVE_INFINITY
  for (const a of tileRows)
    for (const b of tileColumns) {
      const tiles = Math.ceil(rows / a) * Math.ceil(n / b)
      const perTile = (2 * a * b * k * slowdown(a, b)) / least
      for (const parts of splits) {
        const waves = Math.ceil((tiles * parts) / multiprocessors)
        fewest = Math.min(fewest, (waves * multiprocessors * perTile) / parts)
      }
    }
  return fewest
}

/** From here to four times as many FLOPs a device falls to what its power sustains, unless its own figure is known. */
const sustainedFromTflop = 0.5

/** Shorter products are over before the device feels its power limit. */
const sustainedAt = (flops: number, coefficients: GemmCoefficients): number => {
  const {sustainedShare: share, sustainedFrom = sustainedFromTflop} = coefficients
  if (share === undefined) return 1
  const doublings = Math.log2(flops / (1e12 * sustainedFrom))
  return 1 - (1 - share) * Math.min(1, Math.max(0, doublings / 2))
}

/** Time in ns of m rows through a weight matrix; `bandwidthGbS` is bytes per ns. */
export const gemmNs = (
  rows: number,
  matrix: {k: number; n: number},
  kernel: GemmKernel,
): number => {
  const {k, n} = matrix
  const {precision, coefficients, bandwidthGbS, multiprocessors} = kernel
  const {tileTraffic} = coefficients
  const flops =
    tileTraffic === undefined || multiprocessors === null
      ? 2 * rows * k * n
      : tiledFlops(rows, matrix, {tileTraffic, multiprocessors})
  const bytes = k * n * precision.weightBytes + rows * (k * precision.activationBytes + n * 2)
  return smoothRoofline(
    flops /
      (precision.peakFlopsPerNs *
        coefficients.computeEfficiency *
        sustainedAt(flops, coefficients)),
    bytes / (bandwidthGbS * coefficients.memoryEfficiency),
    coefficients,
    (coefficients.tileWalkUs ?? 0) * k,
  )
}

/** The device's own fit for that format; else its 16-bit fit, or that of its class, times the format's level. */
export const gemmCoefficients = (
  hardware: Hardware,
  gemmClass: GemmClass,
  source: CoefficientSource,
): Chosen<GemmCoefficients> => {
  const own = source === 'measured' ? hardware.kernels.gemm[gemmClass] : undefined
  if (own) return {coefficients: own, from: 'calibrated', detail: own.source}
  const own16 = source === 'measured' ? hardware.kernels.gemm.bf16 : undefined
  const base = own16 ?? classDefaults[hardware.architecture].gemm
  const detail = own16
    ? `16-bit fit of ${hardware.id} times the level of ${gemmClass}`
    : `class ${hardware.architecture}`
  return {coefficients: atLevel(base, gemmClass), from: 'class default', detail}
}

/** 16-bit coefficients restated for another format. */
export const atLevel = (base: GemmCoefficients, gemmClass: GemmClass): GemmCoefficients => {
  const level = formatLevels[gemmClass]
  return {
    computeEfficiency: base.computeEfficiency * level.compute,
    memoryEfficiency: base.memoryEfficiency * level.memory,
    launchUs: base.launchUs + level.extraLaunchUs,
    exponent: base.exponent,
    ...(base.tileWalkUs === undefined ? {} : {tileWalkUs: base.tileWalkUs}),
    ...(base.tileTraffic === undefined ? {} : {tileTraffic: base.tileTraffic}),
    ...(base.sustainedShare === undefined ? {} : {sustainedShare: base.sustainedShare}),
    ...(base.sustainedFrom === undefined ? {} : {sustainedFrom: base.sustainedFrom}),
  }
}

/** Every dense product of a layer, split over `tp` ranks; routed experts are not among them. */
export const layerMatrices = (
  group: LayerGroup,
  hiddenSize: number,
  tp: number,
): readonly WeightMatrix[] => {
  const matrices = attentionMatrices(group.attention, hiddenSize, tp)
  const {denseIntermediate, experts} = group.mlp
  if (denseIntermediate > 0) {
    const share = Math.ceil(denseIntermediate / tp)
    matrices.push({part: 'denseMlp', k: hiddenSize, n: 2 * share})
    matrices.push({part: 'denseMlp', k: share, n: hiddenSize})
  }
  if (experts) matrices.push({part: 'router', k: hiddenSize, n: experts.count})
  return matrices
}

const attentionMatrices = (
  attention: AttentionShape,
  hiddenSize: number,
  tp: number,
): WeightMatrix[] => {
  const queryHeads = Math.ceil(attention.queryHeads / tp)
  const product = (k: number, n: number): WeightMatrix => ({part: 'attention', k, n})
  if (attention.kind === 'grouped') {
    // Fewer KV heads than ranks: each rank keeps a copy of one.
    const kvHeads = Math.ceil(attention.keyValueHeads / tp)
    const kv = kvHeads * (attention.headDim + attention.valueHeadDim)
    return [
      product(hiddenSize, queryHeads * attention.headDim + kv),
      product(queryHeads * attention.valueHeadDim, hiddenSize),
    ]
  }
  const {queryRank, keyValueRank, ropeHeadDim, nopeHeadDim, valueHeadDim} = attention
  const query = queryHeads * (nopeHeadDim + ropeHeadDim)
  const down = keyValueRank + ropeHeadDim
  // The compressions are not split. The last product but one lifts keys and values from the compressed
  // vector (prefill), or absorbs the same weights into queries and outputs (decode).
  return [
    ...(queryRank === null
      ? [product(hiddenSize, query + down)]
      : [product(hiddenSize, queryRank + down), product(queryRank, query)]),
    product(keyValueRank, queryHeads * (nopeHeadDim + valueHeadDim)),
    product(queryHeads * valueHeadDim, hiddenSize),
  ]
}
