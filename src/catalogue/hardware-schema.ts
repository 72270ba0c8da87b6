/** The schema of hardware/*.yaml: from a parsed document to a `Hardware`, or the first fault with its path. */
import {fitFrom, fitKeys} from './fit-schema.js'
import {
  architectureClasses,
  type DecodeAttentionCoefficients,
  type EfficiencyScale,
  type Fit,
  type GemmClass,
  type GemmCoefficients,
  gemmClasses,
  type Hardware,
  type Kernels,
  type MixedAttentionCoefficients,
  type PeakDtype,
  type PrefillAttentionCoefficients,
  peakDtypes,
} from './hardware-shape.js'
import {linksFrom} from './link-schema.js'
import {powerFrom, powerKeys} from './power-schema.js'
import {SchemaFault, Section} from './schema-section.js'

const topKeys = [
  ...['id', 'name', 'vendor', 'aliases', 'extends', 'architecture', 'memory_gb', 'usable_bytes'],
  ...['bandwidth_gb_s', 'peak_tflops', 'l2_mb', 'multiprocessors', 'power_w', 'power'],
  ...[
    'price_usd_per_hour',
    'links',
    'kernels',
    'calibrated',
    'source',
    'notes',
    'efficiency_scale',
  ],
]

/** @throws SchemaFault for the first rule that is broken. */
export const hardwareFrom = (document: unknown): Hardware => {
  const file = new Section(document, [], topKeys)
  const architecture = file.oneOf('architecture', architectureClasses)
  const memoryGib = file.positive('memory_gb', 65_536)
  const sold = memoryGib * 2 ** 30
  const calibrated = file.truth('calibrated')
  const kernels = kernelsFrom(file)
  if (calibrated && !isFitted(kernels))
    throw file.fault(
      'calibrated',
      'may be true only when kernels has gemm.bf16, decode_attention and prefill_attention with mean_error_percent',
    )
  return {
    id: file.text('id'),
    name: file.text('name'),
    vendor: file.text('vendor'),
    aliases: file.texts('aliases'),
    extended: file.texts('extends'),
    architecture,
    memoryGib,
    usableBytes: file.has('usable_bytes')
      ? file.positive('usable_bytes', sold)
      : Math.floor(sold * (usableFraction[architecture] ?? 0.985)),
    bandwidthGbS: file.rate('bandwidth_gb_s'),
    peakTflops: peakFrom(file),
    l2Mb: file.has('l2_mb') ? file.positive('l2_mb') : null,
    multiprocessors: file.has('multiprocessors') ? file.count('multiprocessors') : null,
    powerW: file.positive('power_w'),
    power: file.has('power') ? powerFrom(file.section('power', powerKeys)) : null,
    priceUsdPerHour: priceFrom(file),
    links: linksFrom(file),
    kernels,
    calibrated,
    source: file.text('source'),
    notes: file.texts('notes'),
    ...(file.has('efficiency_scale') && {efficiencyScale: scaleFrom(file)}),
  }
}

/**
 * Share of the memory as sold that a process can see where the driver's figure is not known: 98.5 % on
 * GPUs (between 0.98 on a GeForce and 0.99 on an H100), three quarters on a machine that shares its
 * memory with the host (macOS's default limit for one GPU process).
 */
const usableFraction: Partial<Record<string, number>> = {apple: 0.75}

const isFitted = (kernels: Kernels): boolean =>
  [kernels.gemm.bf16, kernels.decodeAttention, kernels.prefillAttention].every(
    (fit) => fit?.meanErrorPercent !== undefined,
  )

/** 0 stands for no price too: with it a file takes back the price of the card that it extends. */
const priceFrom = (file: Section): number | null => {
  if (!file.has('price_usd_per_hour')) return null
  const price = file.notNegative('price_usd_per_hour')
  return price > 0 ? price : null
}

const scaleFrom = (file: Section): EfficiencyScale => {
  const section = file.section('efficiency_scale', ['compute', 'memory'])
  return {compute: section.positive('compute', 2), memory: section.positive('memory', 2)}
}

const peakFrom = (file: Section): Hardware['peakTflops'] => {
  const section = file.section('peak_tflops', peakDtypes)
  if (!section.has('bf16') && !section.has('fp16')) throw section.fault('bf16', 'must be a number')
  const peak: {[D in PeakDtype]?: number} = {}
  for (const dtype of peakDtypes) {
    if (section.has(dtype)) peak[dtype] = section.positive(dtype)
  }
  return peak
}

const kernelNames = ['gemm', 'decode_attention', 'prefill_attention', 'mixed_attention', 'moe']

const kernelsFrom = (file: Section): Kernels => {
  if (!file.has('kernels'))
    return {
      gemm: {},
      decodeAttention: null,
      prefillAttention: null,
      mixedAttention: null,
      moe: {},
    }
  const section = file.section('kernels', kernelNames)
  return {
    gemm: byClassFrom(section, 'gemm'),
    decodeAttention: section.has('decode_attention') ? decodeFrom(section) : null,
    prefillAttention: section.has('prefill_attention') ? prefillFrom(section) : null,
    mixedAttention: section.has('mixed_attention') ? mixedFrom(section) : null,
    moe: byClassFrom(section, 'moe'),
  }
}

const byClassFrom = (parent: Section, key: 'gemm' | 'moe'): Kernels['gemm'] => {
  const fits: {[Class in GemmClass]?: GemmCoefficients & Fit} = {}
  if (!parent.has(key)) return fits
  const byClass = parent.section(key, gemmClasses)
  for (const name of gemmClasses) {
    if (byClass.has(name)) fits[name] = gemmFrom(byClass, name)
  }
  return fits
}

// An efficiency above 1 is not physical: a card that beats its datasheet has the wrong datasheet.
const gemmFrom = (parent: Section, key: string): GemmCoefficients & Fit => {
  const keys = [
    'compute_efficiency',
    'memory_efficiency',
    'launch_us',
    'exponent',
    'tile_walk_us',
    'tile_traffic',
    'sustained_share',
    'sustained_from_tflop',
  ]
  const section = parent.section(key, [...keys, ...fitKeys])
  return {
    computeEfficiency: section.positive('compute_efficiency', 1),
    memoryEfficiency: section.positive('memory_efficiency', 1),
    launchUs: section.notNegative('launch_us'),
    exponent: section.positive('exponent'),
    ...(section.has('tile_walk_us') ? {tileWalkUs: section.notNegative('tile_walk_us')} : {}),
    ...(section.has('tile_traffic') ? {tileTraffic: section.positive('tile_traffic')} : {}),
    ...(section.has('sustained_from_tflop')
      ? {sustainedFrom: section.positive('sustained_from_tflop')}
      : {}),
    ...(section.has('sustained_share')
      ? {sustainedShare: section.positive('sustained_share', 1)}
      : {}),
    ...fitFrom(section),
  }
}

const decodeFrom = (parent: Section): DecodeAttentionCoefficients & Fit => {
  const keys = ['launch_us', 'memory_efficiency', 'per_sequence_us', 'head_exponent', 'sqrt_us']
  const section = parent.section('decode_attention', [
    ...[
      ...keys,
      'fill_us',
      'block_us',
      'combine_us',
      'regroup_us',
      'serial_walk_us',
      'never_splits',
      'skew_share',
    ],
    ...fitKeys,
  ])
  return {
    launchUs: section.notNegative('launch_us'),
    memoryEfficiency: section.positive('memory_efficiency', 1),
    perSequenceUs: section.notNegative('per_sequence_us'),
    headExponent: section.notNegative('head_exponent'),
    sqrtUs: section.notNegative('sqrt_us'),
    ...(section.has('fill_us') ? {fillUs: section.notNegative('fill_us')} : {}),
    ...(section.has('block_us') ? {blockUs: section.notNegative('block_us')} : {}),
    ...(section.has('combine_us') ? {combineUs: section.notNegative('combine_us')} : {}),
    ...(section.has('regroup_us') ? {regroupUs: section.notNegative('regroup_us')} : {}),
    ...serialWalkFrom(section),
    ...(section.has('never_splits') ? {neverSplits: section.truth('never_splits')} : {}),
    ...(section.has('skew_share') ? {skewShare: section.notNegative('skew_share')} : {}),
    ...fitFrom(section),
  }
}

const prefillFrom = (parent: Section): PrefillAttentionCoefficients & Fit => {
  const keys = ['launch_us', 'compute_efficiency', 'ramp_tokens', 'chunk_tokens', 'per_kv_token_us']
  const section = parent.section('prefill_attention', [
    ...[...keys, 'chunk_walk_us', 'serial_walk_us', 'head_size_levels'],
    ...fitKeys,
  ])
  return {
    launchUs: section.notNegative('launch_us'),
    computeEfficiency: section.positive('compute_efficiency', 1),
    rampTokens: section.notNegative('ramp_tokens'),
    ...(section.has('chunk_tokens') ? {chunkTokens: section.notNegative('chunk_tokens')} : {}),
    ...(section.has('per_kv_token_us')
      ? {perKvTokenUs: section.notNegative('per_kv_token_us')}
      : {}),
    ...(section.has('chunk_walk_us') ? {chunkWalkUs: section.notNegative('chunk_walk_us')} : {}),
    ...serialWalkFrom(section),
    ...(section.has('head_size_levels') ? {headSizeLevels: headSizeLevelsFrom(section)} : {}),
    ...fitFrom(section),
  }
}

const serialWalkFrom = (section: Section): {serialWalkUs?: number} =>
  section.has('serial_walk_us') ? {serialWalkUs: section.notNegative('serial_walk_us')} : {}

const headSizeLevelsFrom = (parent: Section): [number, number][] => {
  const section = parent.section('head_size_levels', null)
  const levels = section.keys().map((key): [number, number] => {
    if (!/^[1-9]\d*$/.test(key))
      throw new SchemaFault([...section.path, key], 'must be a whole head size')
    return [Number(key), section.positive(key)]
  })
  return levels.sort(([a], [b]) => a - b)
}

const mixedFrom = (parent: Section): MixedAttentionCoefficients & Fit => {
  const keys = ['compute_efficiency', 'per_row_us', 'exposed_share', 'empty_tile_us']
  const section = parent.section('mixed_attention', [...keys, ...fitKeys])
  return {
    computeEfficiency: section.positive('compute_efficiency', 1),
    perRowUs: section.notNegative('per_row_us'),
    ...(section.has('exposed_share') ? {exposedShare: section.positive('exposed_share', 1)} : {}),
    ...(section.has('empty_tile_us') ? {emptyTileUs: section.notNegative('empty_tile_us')} : {}),
    ...fitFrom(section),
  }
}
