/**
 * Reads kernel tables in the layout of aiconfigurator (NVIDIA, Apache-2.0): a folder per device with
 * Parquet files, latency in ms. Which columns it reads, and what it leaves out:
 *
 * - `gemm_perf`: bf16, fp8 (per tensor) and nvfp4. `fp8_block` is left out: its small rows carry
 *   quantisation launches outside of a CUDA graph, which no serving step has.
 * - `context_attention_perf`, `generation_attention_perf`: a decode's context is isl + step, which
 *   counts the token that it writes.
 * - `moe_perf`: bf16, fp8 with block scales, nvfp4, 4-bit integer weights and MXFP4 weights, whose kernel for gpt-oss
 *   is a class of its own. Which experts the tokens touch follows from how the collector routes them.
 * - `nccl_perf`: 16-bit rows; `custom_allreduce_perf`: both back ends. Message sizes are in elements.
 */
import {existsSync} from 'node:fs'
import {join} from 'node:path'
import {Problem} from '../errors.js'
import {expertsTouched} from './collector-routing.js'
import type {CollectiveKind, GemmClass} from './hardware-shape.js'
import {
  type AttentionSample,
  type CollectiveSample,
  type GemmSample,
  type KernelSamples,
  type MoeSample,
  noSamples,
} from './kernel-samples.js'

type Row = Readonly<Record<string, unknown>>

const files = [
  'gemm_perf',
  'context_attention_perf',
  'generation_attention_perf',
  'moe_perf',
  'nccl_perf',
  'custom_allreduce_perf',
] as const

/** What one of the tables says of itself. */
export interface KernelTables {
  readonly samples: KernelSamples
  /** Release of the engine that the kernels came from, e.g. vLLM 0.24.0. */
  readonly engine: string
}

/**
 * Every table that the folder has; an absent one gives no samples.
 *
 * @throws Problem KERNELS_BAD_FILE when there is none, or one cannot be read
 */
export const readKernelTables = async (folder: string): Promise<KernelTables> => {
  const tables = new Map<string, readonly Row[]>()
  for (const name of files) {
    const path = join(folder, `${name}.parquet`)
    if (existsSync(path)) tables.set(name, await readParquet(path))
  }
  if (tables.size === 0)
    throw new Problem(
      'KERNELS_BAD_FILE',
      `${folder}: holds no kernel table (${files[0]}.parquet, …).`,
    )
  const rowsOf = (name: (typeof files)[number]): readonly Row[] => tables.get(name) ?? []
  const first = rowsOf('gemm_perf')[0] ?? [...tables.values()][0]?.[0]
  return {
    engine: `vLLM ${String(first?.version ?? 'unknown')}`,
    samples: {
      ...noSamples,
      gemm: rowsOf('gemm_perf').flatMap(gemmSample),
      attention: [
        ...rowsOf('context_attention_perf').flatMap(prefillSample),
        ...rowsOf('generation_attention_perf').flatMap(decodeSample),
      ],
      moe: moeSamples(rowsOf('moe_perf')),
      collectives: [
        ...rowsOf('custom_allreduce_perf').flatMap(customSample),
        ...rowsOf('nccl_perf').flatMap(ncclSample),
      ],
    },
  }
}

const readParquet = async (path: string): Promise<readonly Row[]> => {
  const [{asyncBufferFromFile, parquetReadObjects}, {compressors}] = await Promise.all([
    import('hyparquet/src/node.js'),
    import('hyparquet-compressors'),
  ])
  try {
    return await parquetReadObjects({file: await asyncBufferFromFile(path), compressors})
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n')[0] : String(error)
    throw new Problem('KERNELS_BAD_FILE', `${path}: is no Parquet file that can be read: ${why}.`, {
      cause: error,
    })
  }
}

const numberIn = (row: Row, key: string): number => Number(row[key])

/** Latency in µs; rows that failed to measure carry 0. */
const timeUs = (row: Row): number => numberIn(row, 'latency') * 1000

const gemmClassNames: Readonly<Record<string, GemmClass>> = {
  bfloat16: 'bf16',
  fp8: 'fp8',
  nvfp4: 'fp4',
}

const gemmSample = (row: Row): GemmSample[] => {
  const gemmClass = gemmClassNames[String(row.gemm_dtype)]
  if (!gemmClass || !(timeUs(row) > 0)) return []
  const [m, n, k] = [numberIn(row, 'm'), numberIn(row, 'n'), numberIn(row, 'k')]
  return [{gemmClass, m, n, k, timeUs: timeUs(row)}]
}

const attentionOf = (row: Row) => ({
  queryHeads: numberIn(row, 'num_heads'),
  kvHeads: numberIn(row, 'num_key_value_heads'),
  headDim: numberIn(row, 'head_dim'),
  window: numberIn(row, 'window_size') > 0 ? numberIn(row, 'window_size') : null,
  kvElementBytes: row.kv_cache_dtype === 'fp8' ? 1 : 2,
  timeUs: timeUs(row),
})

const prefillSample = (row: Row): AttentionSample[] => {
  if (!(timeUs(row) > 0)) return []
  const [chunk, cached] = [numberIn(row, 'isl'), numberIn(row, 'step')]
  const prefills = numberIn(row, 'batch_size')
  return [{...attentionOf(row), prefills, chunk, cached, decodes: 0, context: 0}]
}

const decodeSample = (row: Row): AttentionSample[] => {
  if (!(timeUs(row) > 0)) return []
  const context = numberIn(row, 'isl') + numberIn(row, 'step') - 1
  const decodes = numberIn(row, 'batch_size')
  return [{...attentionOf(row), prefills: 0, chunk: 0, cached: 0, decodes, context}]
}

const moeClassNames: Readonly<Record<string, GemmClass>> = {
  bfloat16: 'bf16',
  // What fp8 checkpoints of mixtures carry; the kernel for one scale per tensor reads five times slower on
  // an H100 than its bytes say, and counts only where there is no other.
  fp8_block: 'fp8',
  nvfp4: 'fp4',
  int4_wo: 'w4a16',
}

const moeSamples = (rows: readonly Row[]): MoeSample[] => {
  const hasBlocks = rows.some((row) => row.moe_dtype === 'fp8_block')
  const names = hasBlocks ? moeClassNames : {...moeClassNames, fp8: 'fp8' as const}
  return rows.flatMap((row) => moeSample(row, names))
}

/** 4-bit floats with 16-bit arithmetic: gpt-oss's own kernel, or the one of 4-bit integers. */
const mxfp4Class = (row: Row): GemmClass =>
  String(row.kernel_source).includes('gptoss') ? 'mxfp4' : 'w4a16'

const moeSample = (row: Row, names: Readonly<Record<string, GemmClass>>): MoeSample[] => {
  const dtype = String(row.moe_dtype)
  const gemmClass = dtype === 'w4a16_mxfp4' ? mxfp4Class(row) : names[dtype]
  if (!gemmClass || !(timeUs(row) > 0)) return []
  const layer = {
    tokens: numberIn(row, 'num_tokens'),
    perToken: numberIn(row, 'topk'),
    experts: numberIn(row, 'num_experts'),
  }
  const ep = numberIn(row, 'moe_ep_size')
  const distribution = String(row.distribution)
  return [
    {
      ...layer,
      gemmClass,
      hiddenSize: numberIn(row, 'hidden_size'),
      intermediate: numberIn(row, 'inter_size'),
      tp: numberIn(row, 'moe_tp_size'),
      ep,
      routing: distribution === 'balanced' ? 'balanced' : 'power-law',
      activated: expertsTouched(distribution, layer) / ep,
      timeUs: timeUs(row),
    },
  ]
}

const collectiveNames: Readonly<Record<string, CollectiveKind>> = {
  all_reduce: 'all-reduce',
  all_gather: 'all-gather',
  reduce_scatter: 'reduce-scatter',
  alltoall: 'all-to-all',
}

const customSample = (row: Row): CollectiveSample[] => {
  if (!(timeUs(row) > 0)) return []
  return [
    {
      kind: 'all-reduce',
      kernel: row.backend === 'vllm_graph' ? 'custom' : 'custom-eager',
      devices: numberIn(row, 'num_gpus'),
      bytes: numberIn(row, 'message_size') * 2,
      timeUs: timeUs(row),
    },
  ]
}

const ncclSample = (row: Row): CollectiveSample[] => {
  const kind = collectiveNames[String(row.op_name)]
  if (!kind || row.nccl_dtype !== 'half' || !(timeUs(row) > 0)) return []
  return [
    {
      kind,
      kernel: 'nccl',
      devices: numberIn(row, 'num_gpus'),
      bytes: numberIn(row, 'message_size') * 2,
      timeUs: timeUs(row),
    },
  ]
}
