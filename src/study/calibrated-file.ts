/** A hardware file with its fitted part replaced: what was written by hand stays, comments included. */
import type {CollectiveCurve, Fit, MeasuredCollective} from '../catalogue/hardware-shape.js'
import type {Calibration} from './calibrate-hardware.js'

type Tree = Record<string, unknown>

/** Key of the file by name in code; what is not here is written as it is. */
const keys: Readonly<Record<string, string>> = {
  computeEfficiency: 'compute_efficiency',
  memoryEfficiency: 'memory_efficiency',
  launchUs: 'launch_us',
  tileWalkUs: 'tile_walk_us',
  tileTraffic: 'tile_traffic',
  sustainedShare: 'sustained_share',
  sustainedFrom: 'sustained_from_tflop',
  perSequenceUs: 'per_sequence_us',
  headExponent: 'head_exponent',
  sqrtUs: 'sqrt_us',
  serialWalkUs: 'serial_walk_us',
  neverSplits: 'never_splits',
  rampTokens: 'ramp_tokens',
  chunkTokens: 'chunk_tokens',
  perKvTokenUs: 'per_kv_token_us',
  chunkWalkUs: 'chunk_walk_us',
  perRowUs: 'per_row_us',
  exposedShare: 'exposed_share',
  fillUs: 'fill_us',
  blockUs: 'block_us',
  combineUs: 'combine_us',
  regroupUs: 'regroup_us',
  emptyTileUs: 'empty_tile_us',
  skewShare: 'skew_share',
  meanErrorPercent: 'mean_error_percent',
  biasPercent: 'bias_percent',
  leftOutErrorPercent: 'left_out_error_percent',
  heldSamples: 'held_samples',
  heldErrorPercent: 'held_error_percent',
}

const libraryKeys = {
  'all-reduce': 'all_reduce',
  'all-gather': 'all_gather',
  'reduce-scatter': 'reduce_scatter',
  'all-to-all': 'all_to_all',
} as const

/** Whether GEMM, prefill and decode attention are all fitted: what `calibrated: true` promises. */
export const isCalibrated = ({kernels}: Calibration): boolean =>
  kernels.gemm.bf16 !== undefined &&
  kernels.decodeAttention !== null &&
  kernels.prefillAttention !== null

/**
 * The text of the file with the calibration in it. Kernels that were not measured keep what the file says;
 * `link` names the link whose collectives these are.
 */
export const calibratedText = async (
  text: string,
  calibration: Calibration,
  {link, remark}: {link?: string | undefined; remark?: string | undefined},
): Promise<string> => {
  const {isMap, isPair, isScalar, parseDocument, visit} = await import('yaml')
  const document = parseDocument(text)
  const put = (path: readonly string[], tree: Tree): void => {
    const node = document.createNode(tree)
    // Lists and rows of numbers read best in one line.
    visit(node, {
      Collection: (_, collection) => {
        const keys = collection.items.map((item) =>
          isPair(item) && isScalar(item.key) ? item.key.value : null,
        )
        collection.flow = !isMap(collection) || keys.some((key) => inlineKeys.has(String(key)))
      },
    })
    document.setIn([...path], node)
  }
  const {kernels, allReduce, library} = calibration
  for (const [gemmClass, fit] of Object.entries(kernels.gemm))
    put(['kernels', 'gemm', gemmClass], fitTree(fit))
  // A map by format replaces what an older file has here.
  if (Object.keys(kernels.moe).length > 0) document.deleteIn(['kernels', 'moe'])
  for (const [gemmClass, fit] of Object.entries(kernels.moe))
    put(['kernels', 'moe', gemmClass], fitTree(fit))
  const named = [
    ['decode_attention', kernels.decodeAttention],
    ['prefill_attention', kernels.prefillAttention],
    ['mixed_attention', kernels.mixedAttention],
  ] as const
  for (const [name, fit] of named) if (fit) put(['kernels', name], fitTree(fit))
  if (link !== undefined && document.hasIn(['links', link])) {
    if (allReduce) put(['links', link, 'all_reduce'], collectiveTree(allReduce))
    for (const [kind, measured] of Object.entries(library))
      put(
        ['links', link, 'library', libraryKeys[kind as keyof typeof libraryKeys]],
        collectiveTree(measured),
      )
  }
  document.set('calibrated', isCalibrated(calibration))
  document.set('source', 'SOURCE')
  const written = document.toString({lineWidth: 0, flowCollectionPadding: false})
  return written.replace(
    /^source: (?:>-\n {2})?SOURCE$/m,
    ['source: >-', ...folded(sourceText(calibration, remark), 98)].join('\n  '),
  )
}

/** A map with one of these keys stands in one line. */
const inlineKeys = new Set(['floor_us', '64', '128'])

const folded = (text: string, width: number): string[] => {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!
    if (line === '') lines[lines.length - 1] = word
    else if (line.length + 1 + word.length <= width) lines[lines.length - 1] = `${line} ${word}`
    else lines.push(word)
  }
  return lines
}

const sourceText = (calibration: Calibration, remark: string | undefined): string => {
  const {kernels, credits} = calibration
  const sentences = ['Datasheet figures as the vendor publishes them.']
  if (remark !== undefined) sentences.push(remark)
  sentences.push(
    `Kernel coefficients fitted by llmsim hardware calibrate to ${credits.join('; ')}.`,
  )
  if (!isCalibrated(calibration)) {
    const missing = [
      kernels.gemm.bf16 ? null : 'matrix products',
      kernels.decodeAttention ? null : 'decode attention',
      kernels.prefillAttention ? null : 'prefill attention',
    ].filter((term) => term !== null)
    sentences.push(
      `Not calibrated: ${missing.join(' and ')} of this device ${missing.length > 1 ? 'were' : 'was'} not measured; the defaults of its class stand in.`,
    )
  }
  return sentences.join(' ')
}

const fitTree = (fit: object & Fit): Tree => {
  const {source, errorBySize, ...figures} = fit
  const tree: Tree = {}
  for (const [key, value] of Object.entries(figures as Record<string, unknown>)) {
    if (value === undefined) continue
    if (key === 'headSizeLevels') tree.head_size_levels = new Map(value as [number, number][])
    else tree[keys[key] ?? key] = value
  }
  if (errorBySize) tree.error_by_size = sizesTree(errorBySize)
  tree.source = source
  return tree
}

const sizesTree = (errors: NonNullable<Fit['errorBySize']>): Tree =>
  Object.fromEntries(
    errors.map(({range, samples, meanErrorPercent, biasPercent}) => [
      range,
      [samples, meanErrorPercent, biasPercent],
    ]),
  )

const collectiveTree = (measured: MeasuredCollective): Tree => ({
  source: measured.source,
  samples: measured.samples,
  mean_error_percent: measured.meanErrorPercent,
  median_error_percent: measured.medianErrorPercent,
  bias_percent: measured.biasPercent,
  ...(measured.errorBySize ? {error_by_size: sizesTree(measured.errorBySize)} : {}),
  message_bytes: measured.messageBytes,
  degrees: new Map(measured.degrees.map(({degree, curve}) => [degree, curveTree(curve)])),
})

const curveTree = ({floorUs, busGbS}: CollectiveCurve): Tree => ({
  floor_us: floorUs,
  bus_gb_s: busGbS,
})
