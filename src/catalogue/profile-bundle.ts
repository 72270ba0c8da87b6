/**
 * Reads LLMServingSim's profile bundles: layer times that its profiler measured inside vLLM for one
 * (hardware, model, variant, tp). `<root>/<hardware>/<org>/<model>/<variant>/{meta.yaml, tp<N>/*.csv}`.
 */
import {existsSync, readdirSync, readFileSync, statSync} from 'node:fs'
import {join} from 'node:path'
import {Problem} from '../errors.js'
import {whyUnreadable} from '../unreadable.js'
import {parseYaml} from './yaml-file.js'

/** Rows of a numeric table by column; text columns are kept apart. */
interface CsvTable {
  readonly rows: readonly (readonly string[])[]
  readonly column: (name: string) => number
}

/** Times of one layer over tokens (or sequences), as measured, µs. */
export interface LayerSamples {
  readonly at: readonly number[]
  readonly timeUs: readonly number[]
}

export interface AttentionSample {
  readonly prefillChunk: number
  readonly kvPrefill: number
  readonly decodes: number
  readonly kvDecode: number
  readonly timeUs: number
}

export interface MoeSample {
  readonly tokens: number
  readonly activatedExperts: number
  readonly timeUs: number
}

/** Bins (lo, hi] with one label each. */
export interface Bins {
  readonly edges: readonly number[]
  readonly labels: readonly string[]
}

export interface SkewFit {
  readonly decodes: Bins
  readonly skewRate: Bins
  readonly largestContext: Bins
  readonly prefillContext: Bins
  readonly alphaDefault: number
  readonly rows: readonly {
    readonly prefillChunk: number
    /** Labels in the order decodes, skewRate, largestContext, prefillContext. */
    readonly labels: readonly string[]
    readonly alpha: number
  }[]
}

export interface ProfileBundle {
  readonly path: string
  readonly hardware: string
  readonly vllmVersion: string
  /** Largest batch that was swept: beyond it times are extrapolated. */
  readonly sweptTokens: number
  readonly sweptSequences: number
  readonly dense: ReadonlyMap<string, LayerSamples>
  readonly perSequence: ReadonlyMap<string, LayerSamples>
  readonly attention: readonly AttentionSample[]
  /** Undefined for a dense model. */
  readonly moe: readonly MoeSample[] | undefined
  /** Undefined where the bundle has no fit or says that it is off. */
  readonly skew: SkewFit | undefined
}

export interface BundleKey {
  readonly hardware: string
  /** Hugging Face id, `org/name`. */
  readonly model: string
  /** Folder of the weight format, e.g. bf16 or fp8-kvfp8. */
  readonly variant: string
  readonly tp: number
}

/** Layers that do not depend on tp: measured once, in tp1. */
const tpStable = new Set(['layernorm', 'final_layernorm', 'qk_norm', 'sampler'])

const isFolder = (path: string): boolean =>
  statSync(path, {throwIfNoEntry: false})?.isDirectory() ?? false

/**
 * Folder of a bundle under `root`, matching all parts of its name without case; undefined where absent.
 * @throws Problem PROFILE_BAD_FILE when `root` is no folder
 */
export function findBundle(root: string, key: BundleKey): string | undefined {
  if (!isFolder(root)) {
    throw new Problem('PROFILE_BAD_FILE', `--profiles ${root}: there is no such folder.`, {
      suggestions: ['Name the folder that holds <hardware>/<organisation>/<model>.'],
    })
  }
  let path = root
  for (const part of [key.hardware, ...key.model.split('/'), key.variant, `tp${key.tp}`]) {
    if (!isFolder(path)) return undefined
    const found = readdirSync(path).find((name) => name.toLowerCase() === part.toLowerCase())
    if (found === undefined) return undefined
    path = join(path, found)
  }
  return path
}

/**
 * Reads the bundle in the folder `path` (…/tp<N>).
 * @throws Problem PROFILE_BAD_FILE naming file and line
 */
export async function readBundle(path: string, tp: number): Promise<ProfileBundle> {
  const variant = join(path, '..')
  const metaPath = join(variant, 'meta.yaml')
  const meta = await readMeta(metaPath)
  const stable = join(variant, 'tp1')
  const perLayer = (name: string, coordinate: string) => {
    const own = layers(join(path, name), coordinate)
    if (tp === 1 || !existsSync(join(stable, name))) return own
    const single = layers(join(stable, name), coordinate)
    for (const [layer, samples] of single) if (tpStable.has(layer)) own.set(layer, samples)
    return own
  }
  const moePath = join(stable, 'moe.csv')
  const engine = (meta.engine_effective ?? {}) as Record<string, unknown>
  return {
    path,
    hardware: String(meta.hardware ?? ''),
    vllmVersion: String(meta.vllm_version ?? 'unknown'),
    sweptTokens: Number(engine.max_num_batched_tokens ?? Number.POSITIVE_INFINITY),
    sweptSequences: Number(engine.max_num_seqs ?? Number.POSITIVE_INFINITY),
    dense: perLayer('dense.csv', 'tokens'),
    perSequence: perLayer('per_sequence.csv', 'sequences'),
    attention: attentionSamples(join(path, 'attention.csv')),
    moe: existsSync(moePath) ? moeSamples(moePath) : undefined,
    skew: skewFit(path, tp, meta, metaPath),
  }
}

async function readMeta(path: string): Promise<Record<string, unknown>> {
  const {value: meta} = await parseYaml(readText(path), {name: path, code: 'PROFILE_BAD_FILE'})
  if (typeof meta !== 'object' || meta === null || Array.isArray(meta))
    throw bad(path, 'it must be a table of keys and values.')
  return meta as Record<string, unknown>
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new Problem(
      'PROFILE_BAD_FILE',
      `${path}: the bundle needs this file, and ${whyUnreadable(cause)}.`,
      {cause},
    )
  }
}

const bad = (path: string, rule: string) =>
  new Problem('PROFILE_BAD_FILE', `${path}: ${rule}`, {
    suggestions: ['Take the bundle anew from LLMServingSim, or use --latency roofline.'],
  })

/** These files are written by a program: plain cells, no quotes. */
function readTable(path: string): CsvTable {
  const [header, ...lines] = readText(path).trimEnd().split(/\r?\n/)
  const names = header!.split(',')
  const rows = lines.map((line, i) => {
    const cells = line.split(',')
    if (cells.length !== names.length) {
      throw bad(`${path}:${i + 2}`, `it has ${cells.length} cells, the header has ${names.length}.`)
    }
    return cells
  })
  return {
    rows,
    column(name) {
      const at = names.indexOf(name)
      if (at < 0)
        throw bad(`${path}:1`, `there is no column "${name}" (found: ${names.join(', ')}).`)
      return at
    },
  }
}

/** Numbers of the named columns of each row. */
function* numbers(
  path: string,
  columns: readonly string[],
): Generator<{row: readonly string[]; values: number[]}> {
  const table = readTable(path)
  const at = columns.map((name) => table.column(name))
  for (const [i, row] of table.rows.entries()) {
    const values = at.map((column) => Number(row[column]))
    // Number('') is 0.
    const wrong = values.findIndex((value, k) => !Number.isFinite(value) || !row[at[k]!])
    if (wrong >= 0) {
      throw bad(`${path}:${i + 2}`, `${columns[wrong]} must be a number, got "${row[at[wrong]!]}".`)
    }
    const negative = values.findIndex((value, k) => value < 0 && columns[k] !== 'alpha')
    if (negative >= 0) throw bad(`${path}:${i + 2}`, `${columns[negative]} must not be negative.`)
    yield {row, values}
  }
}

function layers(path: string, coordinate: string): Map<string, {at: number[]; timeUs: number[]}> {
  const found = new Map<string, {at: number[]; timeUs: number[]}>()
  const layer = readTable(path).column('layer')
  for (const {row, values} of numbers(path, [coordinate, 'time_us'])) {
    const name = row[layer]!
    const samples = found.get(name) ?? {at: [], timeUs: []}
    found.set(name, samples)
    samples.at.push(values[0]!)
    samples.timeUs.push(values[1]!)
  }
  if (found.size === 0) throw bad(path, 'it has no rows.')
  return found
}

function attentionSamples(path: string): AttentionSample[] {
  const columns = ['prefill_chunk', 'kv_prefill', 'n_decode', 'kv_decode', 'time_us']
  const samples: AttentionSample[] = []
  for (const {values} of numbers(path, columns)) {
    const [prefillChunk, kvPrefill, decodes, kvDecode, timeUs] = values as [
      number,
      number,
      number,
      number,
      number,
    ]
    samples.push({prefillChunk, kvPrefill, decodes, kvDecode, timeUs})
  }
  if (samples.length === 0) throw bad(path, 'it has no rows.')
  return samples
}

function moeSamples(path: string): MoeSample[] {
  const samples: MoeSample[] = []
  for (const {values} of numbers(path, ['tokens', 'activated_experts', 'time_us'])) {
    samples.push({tokens: values[0]!, activatedExperts: values[1]!, timeUs: values[2]!})
  }
  if (samples.length === 0) throw bad(path, 'it has no rows.')
  return samples
}

interface SkewMeta {
  enabled?: boolean
  bucket_axes?: Record<string, readonly (number | string)[]>
  per_tp?: Record<string, {alpha_default?: number; bucket_table?: string}>
}

function skewFit(
  path: string,
  tp: number,
  meta: Record<string, unknown>,
  metaPath: string,
): SkewFit | undefined {
  const fit = meta.skew_fit as SkewMeta | undefined
  if (!fit?.enabled) return undefined
  const ofTp = fit.per_tp?.[String(tp)]
  const axes = fit.bucket_axes
  if (!axes) throw bad(metaPath, 'skew_fit is enabled but has no bucket_axes.')
  const bins = (name: string): Bins => {
    const edges = axes[`${name}_bins`]
    const labels = axes[`${name}_labels`]
    if (!edges || !labels || labels.length !== edges.length - 1) {
      throw bad(
        metaPath,
        `skew_fit.bucket_axes: ${name}_bins must have one edge more than ${name}_labels.`,
      )
    }
    const rising = edges.map(Number)
    if (!rising.every((edge, i) => (i === 0 ? !Number.isNaN(edge) : edge > rising[i - 1]!)))
      throw bad(metaPath, `skew_fit.bucket_axes: ${name}_bins must be rising numbers.`)
    return {edges: rising, labels: labels.map(String)}
  }
  const alphaDefault = Number(ofTp?.alpha_default ?? 0)
  if (!Number.isFinite(alphaDefault))
    throw bad(metaPath, `skew_fit.per_tp.${tp}.alpha_default must be a number.`)
  return {
    decodes: bins('n'),
    skewRate: bins('skew_rate'),
    largestContext: bins('kv_big'),
    prefillContext: bins('kp'),
    alphaDefault,
    rows: ofTp ? readSkewRows(path) : [],
  }
}

/** The fitted α of each bucket, whether the bundle uses them or not; none where it has no such file. */
export function readSkewRows(folder: string): SkewFit['rows'] {
  const table = join(folder, 'skew_fit.csv')
  return existsSync(table) ? skewRows(table) : []
}

function skewRows(path: string): SkewFit['rows'] {
  const table = readTable(path)
  const labels = ['n_label', 'skew_rate_label', 'kv_big_label', 'kp_label'].map(table.column)
  return [...numbers(path, ['pc', 'alpha'])].map(({row, values}) => ({
    prefillChunk: values[0]!,
    labels: labels.map((at) => row[at]!),
    alpha: values[1]!,
  }))
}
