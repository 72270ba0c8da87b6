/** The schema of hardware/*.yaml: from a parsed document to a `Hardware`, or the first fault with its path. */
import {
  type AllReduceCurve,
  architectureClasses,
  type DecodeAttentionCoefficients,
  type Fit,
  type GemmClass,
  type GemmCoefficients,
  gemmClasses,
  type Hardware,
  type Kernels,
  type Link,
  linkKinds,
  type MixedAttentionCoefficients,
  type PeakDtype,
  type PrefillAttentionCoefficients,
  peakDtypes,
} from './hardware-shape.js'
import {powerFrom, powerKeys} from './power-schema.js'

/** A key path into the document, and the rule that its value breaks. */
export class SchemaFault extends Error {
  readonly path: readonly string[]
  constructor(path: readonly string[], rule: string) {
    super(rule)
    this.path = path
  }
}

type Fields = Record<string, unknown>

/** One map of the document, read key by key; a key that nobody asked for is a fault. */
export class Section {
  readonly path: readonly string[]
  readonly #fields: Fields

  constructor(value: unknown, path: readonly string[], known: readonly string[] | null) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new SchemaFault(path, `must be a map of keys, but is ${shown(value)}`)
    this.#fields = value as Fields
    this.path = path
    for (const key of this.keys()) {
      if (known && !known.includes(key))
        throw new SchemaFault([...path, key], `is not a known key; known are ${known.join(', ')}`)
    }
  }

  keys(): string[] {
    return Object.keys(this.#fields)
  }

  has(key: string): boolean {
    return this.#fields[key] !== undefined && this.#fields[key] !== null
  }

  get(key: string): unknown {
    return this.#fields[key]
  }

  fault(key: string, rule: string): SchemaFault {
    if (!this.has(key)) {
      const name = [...this.path, key].join('.')
      return new SchemaFault(this.path, `lacks the key ${name}, which ${rule}`)
    }
    return new SchemaFault([...this.path, key], `${rule}, but is ${shown(this.get(key))}`)
  }

  text(key: string): string {
    const value = this.get(key)
    if (typeof value !== 'string' || value.trim() === '') throw this.fault(key, 'must be a text')
    return value
  }

  /** A number above 0 and at most `most`. */
  positive(key: string, most = Number.MAX_VALUE): number {
    const value = this.get(key)
    if (typeof value !== 'number' || !(value > 0 && value <= most)) {
      const bound = most === Number.MAX_VALUE ? '' : ` and at most ${most}`
      throw this.fault(key, `must be a number above 0${bound}`)
    }
    return value
  }

  notNegative(key: string): number {
    const value = this.get(key)
    if (typeof value !== 'number' || !(value >= 0 && value < Number.POSITIVE_INFINITY))
      throw this.fault(key, 'must be a number of at least 0')
    return value
  }

  finite(key: string): number {
    const value = this.get(key)
    if (typeof value !== 'number' || !Number.isFinite(value))
      throw this.fault(key, 'must be a number')
    return value
  }

  oneOf<T extends string>(key: string, values: readonly T[]): T {
    const value = this.get(key)
    if (!values.includes(value as T)) throw this.fault(key, `must be one of ${values.join(', ')}`)
    return value as T
  }

  texts(key: string): string[] {
    if (!this.has(key)) return []
    const value = this.get(key)
    if (!Array.isArray(value) || value.some((item) => typeof item !== 'string'))
      throw this.fault(key, 'must be a list of texts')
    return value as string[]
  }

  positives(key: string): number[] {
    const value = this.get(key)
    const good = (item: unknown) => typeof item === 'number' && item > 0 && Number.isFinite(item)
    if (!Array.isArray(value) || value.length === 0 || !value.every(good))
      throw this.fault(key, 'must be a list of numbers above 0')
    return value as number[]
  }

  section(key: string, known: readonly string[] | null): Section {
    if (!this.has(key)) throw this.fault(key, 'must be a map of keys')
    return new Section(this.get(key), [...this.path, key], known)
  }
}

const shown = (value: unknown): string =>
  value === undefined || value === null ? 'empty' : JSON.stringify(value)

const topKeys = [
  ...['id', 'name', 'vendor', 'aliases', 'extends', 'architecture', 'memory_gb', 'usable_bytes'],
  ...['bandwidth_gb_s', 'peak_tflops', 'l2_mb', 'multiprocessors', 'power_w', 'power'],
  ...['price_usd_per_hour', 'links', 'kernels', 'calibrated', 'source', 'notes'],
]

/** @throws SchemaFault for the first rule that is broken. */
export const hardwareFrom = (document: unknown): Hardware => {
  const file = new Section(document, [], topKeys)
  const architecture = file.oneOf('architecture', architectureClasses)
  const memoryGib = file.positive('memory_gb', 65_536)
  const sold = memoryGib * 2 ** 30
  const calibrated = file.get('calibrated')
  if (typeof calibrated !== 'boolean') throw file.fault('calibrated', 'must be true or false')
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
    architecture,
    memoryGib,
    usableBytes: file.has('usable_bytes')
      ? file.positive('usable_bytes', sold)
      : Math.floor(sold * (usableFraction[architecture] ?? 0.985)),
    bandwidthGbS: file.positive('bandwidth_gb_s'),
    peakTflops: peakFrom(file),
    l2Mb: file.has('l2_mb') ? file.positive('l2_mb') : null,
    multiprocessors: file.has('multiprocessors') ? file.positive('multiprocessors') : null,
    powerW: file.positive('power_w'),
    power: file.has('power') ? powerFrom(file.section('power', powerKeys)) : null,
    priceUsdPerHour: file.notNegative('price_usd_per_hour'),
    links: linksFrom(file),
    kernels,
    calibrated,
    source: file.text('source'),
    notes: file.texts('notes'),
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

const peakFrom = (file: Section): Hardware['peakTflops'] => {
  const section = file.section('peak_tflops', peakDtypes)
  if (!section.has('bf16') && !section.has('fp16')) throw section.fault('bf16', 'must be a number')
  const peak: {[D in PeakDtype]?: number} = {}
  for (const dtype of peakDtypes) {
    if (section.has(dtype)) peak[dtype] = section.positive(dtype)
  }
  return peak
}

const linksFrom = (file: Section): Link[] => {
  if (!file.has('links')) return []
  const section = file.section('links', null)
  return section.keys().map((name) => {
    const link = section.section(name, ['kind', 'gb_s', 'max_devices', 'all_reduce'])
    return {
      name,
      kind: link.oneOf('kind', linkKinds),
      gbPerS: link.positive('gb_s'),
      maxDevices: link.positive('max_devices'),
      allReduce: link.has('all_reduce') ? allReduceFrom(link) : null,
    }
  })
}

const allReduceFrom = (link: Section): NonNullable<Link['allReduce']> => {
  const section = link.section('all_reduce', ['source', 'message_bytes', 'degrees'])
  const messageBytes = section.positives('message_bytes')
  if (messageBytes.some((size, index) => index > 0 && size <= messageBytes[index - 1]!))
    throw section.fault('message_bytes', 'must ascend')
  const byDegree = section.section('degrees', null)
  const degrees = byDegree.keys().map((key) => {
    if (!/^[1-9]\d*$/.test(key) || Number(key) < 2)
      throw new SchemaFault([...byDegree.path, key], 'must be a whole number of devices from 2')
    return {degree: Number(key), curve: curveFrom(byDegree, key, messageBytes)}
  })
  if (degrees.length === 0) throw section.fault('degrees', 'must name at least one degree')
  degrees.sort((a, b) => a.degree - b.degree)
  return {source: section.text('source'), messageBytes, degrees}
}

const curveFrom = (byDegree: Section, key: string, sizes: readonly number[]): AllReduceCurve => {
  const section = byDegree.section(key, ['floor_us', 'bus_gb_s'])
  const curve = {floorUs: section.positive('floor_us'), busGbS: section.positives('bus_gb_s')}
  if (curve.busGbS.length !== sizes.length)
    throw section.fault('bus_gb_s', `must have one figure per message size (${sizes.length})`)
  // A larger message that arrives sooner would make a larger batch faster than a smaller one.
  let last = curve.floorUs * 1e-6
  for (const [index, bus] of curve.busGbS.entries()) {
    const seconds = sizes[index]! / bus / 1e9
    const scaled = (2 * (Number(key) - 1) * seconds) / Number(key)
    if (scaled < last) throw section.fault('bus_gb_s', 'must not make a larger message faster')
    last = scaled
  }
  return curve
}

const fitKeys = ['source', 'samples', 'mean_error_percent', 'bias_percent']

const fitFrom = (section: Section): Fit => ({
  source: section.text('source'),
  ...(section.has('samples') ? {samples: section.positive('samples')} : {}),
  ...(section.has('mean_error_percent')
    ? {meanErrorPercent: section.notNegative('mean_error_percent')}
    : {}),
  ...(section.has('bias_percent') ? {biasPercent: section.finite('bias_percent')} : {}),
})

const kernelNames = ['gemm', 'decode_attention', 'prefill_attention', 'mixed_attention', 'moe']

const kernelsFrom = (file: Section): Kernels => {
  if (!file.has('kernels'))
    return {
      gemm: {},
      decodeAttention: null,
      prefillAttention: null,
      mixedAttention: null,
      moe: null,
    }
  const section = file.section('kernels', kernelNames)
  const gemm: {[Class in GemmClass]?: GemmCoefficients & Fit} = {}
  if (section.has('gemm')) {
    const byClass = section.section('gemm', gemmClasses)
    for (const name of gemmClasses) {
      if (byClass.has(name)) gemm[name] = gemmFrom(byClass, name)
    }
  }
  return {
    gemm,
    decodeAttention: section.has('decode_attention') ? decodeFrom(section) : null,
    prefillAttention: section.has('prefill_attention') ? prefillFrom(section) : null,
    mixedAttention: section.has('mixed_attention') ? mixedFrom(section) : null,
    moe: section.has('moe') ? gemmFrom(section, 'moe') : null,
  }
}

// An efficiency above 1 is not physical: a card that beats its datasheet has the wrong datasheet.
const gemmFrom = (parent: Section, key: string): GemmCoefficients & Fit => {
  const keys = ['compute_efficiency', 'memory_efficiency', 'launch_us', 'exponent', ...fitKeys]
  const section = parent.section(key, keys)
  return {
    computeEfficiency: section.positive('compute_efficiency', 1),
    memoryEfficiency: section.positive('memory_efficiency', 1),
    launchUs: section.notNegative('launch_us'),
    exponent: section.positive('exponent'),
    ...fitFrom(section),
  }
}

const decodeFrom = (parent: Section): DecodeAttentionCoefficients & Fit => {
  const keys = ['launch_us', 'memory_efficiency', 'per_sequence_us', 'head_exponent', 'sqrt_us']
  const section = parent.section('decode_attention', [...keys, ...fitKeys])
  return {
    launchUs: section.notNegative('launch_us'),
    memoryEfficiency: section.positive('memory_efficiency', 1),
    perSequenceUs: section.notNegative('per_sequence_us'),
    headExponent: section.notNegative('head_exponent'),
    sqrtUs: section.notNegative('sqrt_us'),
    ...fitFrom(section),
  }
}

const prefillFrom = (parent: Section): PrefillAttentionCoefficients & Fit => {
  const keys = ['launch_us', 'compute_efficiency', 'ramp_tokens', ...fitKeys]
  const section = parent.section('prefill_attention', keys)
  return {
    launchUs: section.notNegative('launch_us'),
    computeEfficiency: section.positive('compute_efficiency', 1),
    rampTokens: section.notNegative('ramp_tokens'),
    ...fitFrom(section),
  }
}

const mixedFrom = (parent: Section): MixedAttentionCoefficients & Fit => {
  const keys = ['compute_efficiency', 'per_row_us', ...fitKeys]
  const section = parent.section('mixed_attention', keys)
  return {
    computeEfficiency: section.positive('compute_efficiency', 1),
    perRowUs: section.notNegative('per_row_us'),
    ...fitFrom(section),
  }
}
