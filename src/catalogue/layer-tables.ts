/**
 * Kernel samples out of LLMServingSim's layer profiles (KAIST, MIT): its current bundles (vLLM 0.19,
 * µs) and the older tables of release 0 (`layers.csv` in ns, `attention.csv` in ms or ns), whose layers
 * ran eagerly: their matrix products count, their small kernels do not.
 */
import {existsSync, readFileSync} from 'node:fs'
import {join} from 'node:path'
import {Problem} from '../errors.js'
import {whyUnreadable} from '../unreadable.js'
import {
  type AttentionSample,
  type ElementwiseSample,
  type GemmSample,
  type KernelSamples,
  type MoeSample,
  noSamples,
  type SkewSample,
} from './kernel-samples.js'
import type {GroupedAttention, ModelShape} from './model-shape.js'
import {readBundle, readSkewRows} from './profile-bundle.js'

/** Sizes of a layer on one rank. */
interface RankSizes {
  readonly hidden: number
  readonly queryHeads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly intermediate: number
  readonly vocabulary: number
  readonly experts: {count: number; perToken: number; intermediate: number} | null
}

/**
 * Samples of the bundle in `folder` (…/tp<N>), measured with that model.
 *
 * @throws Problem PROFILE_BAD_FILE, KERNELS_BAD_FILE for a model whose attention is not grouped
 */
export const bundleSamples = async (
  folder: string,
  model: ModelShape,
  tp: number,
): Promise<KernelSamples> => {
  const sizes = rankSizes(folder, model, tp)
  const bundle = await readBundle(folder, tp)
  const matrices = matricesOf(sizes)
  const gemm: GemmSample[] = []
  for (const [layer, {at, timeUs}] of [...bundle.dense, ...bundle.perSequence]) {
    const matrix = matrices[layer]
    if (!matrix) continue
    for (const [index, m] of at.entries())
      gemm.push({gemmClass: 'bf16', m, ...matrix, timeUs: timeUs[index]!})
  }
  return {
    ...noSamples,
    gemm,
    attention: bundle.attention.map((row) => ({
      ...attentionOf(sizes),
      prefills: row.prefillChunk > 0 ? 1 : 0,
      chunk: row.prefillChunk,
      cached: row.prefillChunk > 0 ? row.kvPrefill : 0,
      decodes: row.decodes,
      context: row.decodes > 0 ? row.kvDecode : 0,
      timeUs: row.timeUs,
    })),
    skew: skewSamples(folder, sizes),
    moe: (bundle.moe ?? []).map((row) => moeSample(row, sizes)),
    elementwise: elementwiseOf(bundle.dense, sizes),
  }
}

/** A bucket of decodes up to n holds batches of n: the sweep doubles them, as the buckets do. */
const skewSamples = (folder: string, {queryHeads, kvHeads, headDim}: RankSizes): SkewSample[] =>
  readSkewRows(folder).flatMap(({prefillChunk, labels, alpha}) => {
    const most = /^n<=(\d+)$/.exec(labels[0]!)
    const heads = {queryHeads, kvHeads, headDim}
    return most ? [{...heads, decodes: Number(most[1]), chunk: prefillChunk, alpha}] : []
  })

/**
 * Samples of a release-0 folder (…/tp<N>). On a TPU the compiler fuses q with k and v for some sizes and
 * not for others, so that product does not count there.
 *
 * @throws Problem KERNELS_BAD_FILE
 */
export const layerTableSamples = (folder: string, model: ModelShape, tp: number): KernelSamples => {
  const sizes = rankSizes(folder, model, tp)
  const matrices = releaseZeroMatrices(sizes)
  const layers = readTable(join(folder, 'layers.csv'))
  const fused = !layers.rows.some((row) => row[layers.column('layer_name')] === 'k_proj')
  const gemm: GemmSample[] = []
  // From the largest count down: whatever takes longer than a larger one did not run as a plain product.
  const fastest = new Map<string, number>()
  for (const row of [...layers.rows].reverse()) {
    const layer = row[layers.column('layer_name')]!
    const m = Number(row[layers.column('input')])
    const timeUs = Number(row[layers.column('latency(ns)')]) / 1000
    const matrix = matrices[layer]
    const least = fastest.get(layer) ?? Number.POSITIVE_INFINITY
    if (timeUs < least) fastest.set(layer, timeUs)
    if (!matrix || !keptRows.has(m) || (fused && fusedLayers.has(layer))) continue
    if (timeUs <= 1.25 * least) gemm.push({gemmClass: 'bf16', m, ...matrix, timeUs})
  }
  const attention = join(folder, 'attention.csv')
  return {
    ...noSamples,
    gemm,
    attention: existsSync(attention) ? releaseZeroAttention(attention, sizes) : [],
  }
}

/** Every count from 1 to 2048 was measured: these say all that a smooth law can follow. */
const keptRows = new Set([
  ...[1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512],
  ...[640, 768, 1024, 1280, 1536, 1792, 2048],
])

const fusedLayers = new Set(['q_proj'])

const rankSizes = (folder: string, model: ModelShape, tp: number): RankSizes => {
  const group = model.groups[0]!
  if (group.attention.kind !== 'grouped')
    throw new Problem(
      'KERNELS_BAD_FILE',
      `${folder}: ${model.id} has latent attention, which no layer profile describes.`,
    )
  const attention: GroupedAttention = group.attention
  const {experts, denseIntermediate} = group.mlp
  return {
    hidden: model.hiddenSize,
    queryHeads: attention.queryHeads / tp,
    kvHeads: Math.ceil(attention.keyValueHeads / tp),
    headDim: attention.headDim,
    intermediate: denseIntermediate / tp,
    vocabulary: model.vocabSize / tp,
    experts: experts ? {...experts, intermediate: experts.intermediate / tp} : null,
  }
}

type Matrices = Readonly<Record<string, {readonly k: number; readonly n: number}>>

const matricesOf = (sizes: RankSizes): Matrices => {
  const {hidden, queryHeads, kvHeads, headDim, intermediate, vocabulary} = sizes
  return {
    qkv_proj: {k: hidden, n: (queryHeads + 2 * kvHeads) * headDim},
    o_proj: {k: queryHeads * headDim, n: hidden},
    gate_up_proj: {k: hidden, n: 2 * intermediate},
    down_proj: {k: intermediate, n: hidden},
    lm_head: {k: hidden, n: vocabulary},
  }
}

const releaseZeroMatrices = (sizes: RankSizes): Matrices => {
  const {hidden, queryHeads, kvHeads, headDim, intermediate} = sizes
  const {o_proj, down_proj, lm_head} = matricesOf(sizes)
  return {
    q_proj: {k: hidden, n: queryHeads * headDim},
    k_proj: {k: hidden, n: kvHeads * headDim},
    v_proj: {k: hidden, n: kvHeads * headDim},
    gate_proj: {k: hidden, n: intermediate},
    up_proj: {k: hidden, n: intermediate},
    ...{o_proj: o_proj!, down_proj: down_proj!, lm_head: lm_head!},
  }
}

const attentionOf = ({queryHeads, kvHeads, headDim}: RankSizes) => ({
  queryHeads,
  kvHeads,
  headDim,
  window: null,
  kvElementBytes: 2,
})

const moeSample = (
  row: {tokens: number; activatedExperts: number; timeUs: number},
  sizes: RankSizes,
): MoeSample => ({
  gemmClass: 'bf16',
  tokens: row.tokens,
  hiddenSize: sizes.hidden,
  intermediate: sizes.experts!.intermediate,
  perToken: sizes.experts!.perToken,
  experts: sizes.experts!.count,
  tp: 1,
  ep: 1,
  routing: 'balanced',
  activated: row.activatedExperts,
  timeUs: row.timeUs,
})

/** Bytes that each small kernel moves per token, 16 bit: what it reads and what it writes. */
const elementwiseOf = (
  dense: ReadonlyMap<string, {at: readonly number[]; timeUs: readonly number[]}>,
  sizes: RankSizes,
): ElementwiseSample[] => {
  const heads = (sizes.queryHeads + sizes.kvHeads) * sizes.headDim
  const elements: Readonly<Record<string, number>> = {
    // The residual is read and written beside the input and the output.
    layernorm: 4 * sizes.hidden,
    act_fn: 3 * sizes.intermediate,
    rotary_emb: 2 * heads,
    qk_norm: 2 * heads,
  }
  return [...dense].flatMap(([kernel, {at, timeUs}]) => {
    const perToken = elements[kernel]
    if (!perToken) return []
    return at.map((tokens, index) => ({
      kernel,
      bytes: 2 * perToken * tokens,
      timeUs: timeUs[index]!,
    }))
  })
}

const releaseZeroAttention = (path: string, sizes: RankSizes): AttentionSample[] => {
  const {rows, column} = readTable(path)
  const inNs = rows.length > 0 && column('mean_ns') >= 0
  const time = (row: readonly string[], kind: string): number =>
    inNs
      ? Number(row[column('p50_ns')]) / 1000
      : Number(row[column(`time_stats.attn_${kind}.median`)]) * 1000
  const [chunkAt, contextAt] = [column('prefill_chunk_size'), column('kv_cache_size')]
  const [batchAt, prefillAt] = [column('batch_size'), column('is_prefill')]
  return rows.map((row) => {
    const prefill = row[prefillAt] === 'True'
    const [chunk, cached, batch] = [row[chunkAt], row[contextAt], row[batchAt]].map(Number)
    return {
      ...attentionOf(sizes),
      prefills: prefill ? batch! : 0,
      chunk: prefill ? chunk! : 0,
      cached: prefill ? cached! : 0,
      decodes: prefill ? 0 : batch!,
      // The GPU tables give the cache of the whole batch: 64 decodes of "32 tokens" take no time at all.
      context: prefill ? 0 : inNs ? cached! : Math.floor(cached! / batch!),
      timeUs: time(row, prefill ? 'prefill' : 'decode'),
    }
  })
}

interface Table {
  readonly rows: readonly (readonly string[])[]
  /** Index of a column, or -1. */
  readonly column: (name: string) => number
}

const readTable = (path: string): Table => {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new Problem('KERNELS_BAD_FILE', `${path}: ${whyUnreadable(error)}.`, {cause: error})
  }
  const [header, ...lines] = text.trim().split(/\r?\n/)
  const names = header!.split(',')
  const rows = lines.map((line, index) => {
    const cells = line.split(',')
    if (cells.length !== names.length)
      throw new Problem(
        'KERNELS_BAD_FILE',
        `${path}:${index + 2}: has ${cells.length} cells, but the header names ${names.length}.`,
      )
    return cells
  })
  return {rows, column: (name) => names.indexOf(name)}
}
