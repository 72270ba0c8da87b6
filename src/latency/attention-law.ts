/**
 * The attention of some layers of a model on one rank of a device, reduced to the numbers that its time is made of
 * (attention.ts has the formulas).
 */
import type {
  DecodeAttentionCoefficients,
  MixedAttentionCoefficients,
  PrefillAttentionCoefficients,
} from '../catalogue/hardware-shape.js'
import type {AttentionShape} from '../catalogue/model-shape.js'

/** The device as attention sees it. */
export interface AttentionDevice {
  /** 16-bit peak in FLOPs per ns. */
  readonly peakFlopsPerNs: number
  readonly bandwidthGbS: number
  /** null: unknown, and nothing is said of how many thread blocks fill it. */
  readonly multiprocessors: number | null
  readonly l2Mb: number | null
  readonly decode: DecodeAttentionCoefficients
  readonly prefill: PrefillAttentionCoefficients
  readonly mixed: MixedAttentionCoefficients | null
  /** Tokens by which the last tile of each context reaches past it, where contexts are known; else half a tile. */
  readonly overhang?: number
  /** Rows of a tile in a kernel that reads keys and values again for each; absent: its tiles are large enough. */
  readonly rereadRows?: number | undefined
}

/** What one rank computes and reads per layer. */
interface RankGeometry {
  readonly queryHeads: number
  /** KV heads that need a walk of their own. */
  readonly kvHeads: number
  readonly kvBytesPerToken: number
  /** FLOPs per query–key pair: while prefilling, and while decoding. */
  readonly prefillFlops: number
  readonly decodeFlops: number
  /** FLOPs to lift one cached token out of its compressed form for a prefill chunk. */
  readonly liftFlops: number
  /** Size of a query head, which decides how well the tensor units are filled. */
  readonly headDim: number
  /** Most tokens that a query sees. */
  readonly reach: number
}

/** The law of some layers that attend alike, reduced to numbers: all times in ns. */
export interface AttentionLaw {
  readonly reach: number
  readonly decodeFloorNs: number
  /** Of the kernel that adds up the parts of contexts that are long enough to be split. */
  readonly combineNs: number
  /** Of the copies that bring query heads of a group together, and their results apart. */
  readonly regroupNs: number
  /** Per cached token that a decode reads; per decode; per √ of the longest context. */
  readonly contextNs: number
  readonly walkNs: number
  readonly sqrtNs: number
  /** Least time of the thread blocks of one decode. */
  readonly blockNs: number
  /** Where every multiprocessor has two thread blocks; and the share of that for each decode. */
  readonly fillNs: number
  readonly fillPerDecode: number
  /**
   * Per token by which the longest context exceeds the mean, of at least so many decodes, which are too many to be
   * split.
   */
  readonly tailNs: number
  readonly tailFrom: number
  /**
   * Per token of the longest context, where one thread block walks along all of it; else 0: of a decode, a
   * chunk, and a decode beside a chunk.
   */
  readonly serialNs: number
  readonly serialChunkNs: number
  readonly serialMixedNs: number
  /** Share of the chunks' work that such a walk of a decode does not hide. */
  readonly exposedShare: number
  /** Where every decode is a thread block for each query head: share of one head, and how many run at a time; else 1. */
  readonly lastHead: number
  readonly slots: number
  /** The same work in a step that also prefills; 0 where that makes no difference. */
  readonly mixedContextNs: number
  readonly mixedRowNs: number
  /** Per decode and token of the longest chunk beside it: its tiles that hold nothing. */
  readonly emptyTileNs: number
  /** Contexts of so many tokens fill the cache with one KV head, and further passes over them: most, and for each decode. */
  readonly cachedTokens: number
  readonly furtherPasses: number
  readonly passesPerDecode: number
  /** Tokens by which the last tile of a decode beside a chunk reaches past its context. */
  readonly overhang: number
  readonly prefillFloorNs: number
  /** Per query–key pair; per prefill token; per chunk; per cached token that a chunk reads. */
  readonly pairNs: number
  readonly rampNs: number
  readonly chunkNs: number
  readonly cachedNs: number
  /** Per token of the longest chunk. */
  readonly chunkWalkNs: number
}

/** Decode figures come from tables of up to 8 KV heads; beyond, the walk term is not known to grow. */
const mostKvHeads = 8

/** Share of the walk along the longest context that shows, where it was not measured: that of RTX 4090 and RTX PRO 6000. */
const usualSkewShare = 0.5

/** Rows of a query tile in FlashAttention 2. */
const tileRows = 64

/**
 * At what multiple of the memory bandwidth the cache feeds tiles of few rows: 10,000 tokens of Llama-3.1-8B take 0.665 s
 * on an H100 with Triton's kernel and tiles of 16 rows (vLLM pull request 20690), all but 0.215 s of it attention.
 */
const rereadSpeedup = 1.09

/** Keys of a tile are 128 at a head size of 128, and a context ends anywhere in its last one. */
const usualOverhang = 64

/**
 * Share of the prefill efficiency at a head size of 128 that other sizes reach (aiconfigurator, vLLM).
 */
const headSizeLevels: Levels = [
  [64, 0.6],
  [128, 1],
  [192, 1.27],
  [256, 1.51],
]

/**
 * The law for `layers` layers of one kind of attention, on one of `tp` ranks, with `kvElementBytes` per
 * cached element.
 */
export const attentionLaw = (
  attention: AttentionShape,
  rank: {layers: number; tp: number; kvElementBytes: number},
  device: AttentionDevice,
): AttentionLaw => {
  const geometry = geometryOf(attention, rank)
  const {decode, prefill, mixed, peakFlopsPerNs: peak, bandwidthGbS} = device
  const {layers} = rank
  const levels = prefill.headSizeLevels ?? headSizeLevels
  const prefillRate =
    peak * Math.min(0.95, prefill.computeEfficiency * headSizeLevel(geometry.headDim, levels))
  const kvNs = geometry.kvBytesPerToken / (bandwidthGbS * decode.memoryEfficiency)
  const kvHeads = Math.min(geometry.kvHeads, mostKvHeads)
  const mixes = mixed !== null && attention.kind === 'grouped'
  const pairNs = layers * Math.max(geometry.prefillFlops / prefillRate, rereadNs(geometry, device))
  const isGrouped = geometry.queryHeads > geometry.kvHeads
  const isSplit = isGrouped && !decode.neverSplits
  const walkOf = (us: number | undefined) => (attention.kind === 'grouped' ? layers * (us ?? 0) : 0)
  const serialNs = walkOf(decode.serialWalkUs)
  const {multiprocessors} = device
  return {
    reach: geometry.reach,
    decodeFloorNs: layers * decode.launchUs * 1000,
    combineNs: layers * (decode.combineUs ?? 0) * 1000,
    regroupNs: isGrouped && geometry.kvHeads > 1 ? layers * (decode.regroupUs ?? 0) * 1000 : 0,
    // Compressed attention reads little and computes much: both add in quadrature, still linear in tokens.
    contextNs: layers * Math.hypot(kvNs, geometry.decodeFlops / prefillRate),
    walkNs: layers * decode.perSequenceUs * 1000 * kvHeads ** decode.headExponent,
    sqrtNs: layers * decode.sqrtUs * 1000,
    blockNs: layers * (decode.blockUs ?? 0) * 1000 * geometry.kvHeads,
    fillNs: multiprocessors === null ? 0 : layers * (decode.fillUs ?? 0) * 1000,
    fillPerDecode: geometry.kvHeads / (2 * (multiprocessors ?? 1)),
    tailNs: serialNs * (decode.skewShare ?? usualSkewShare),
    tailFrom: isSplit ? fewestUnsplit(geometry.kvHeads, multiprocessors) : 0,
    serialNs: isSplit ? 0 : serialNs,
    serialChunkNs: walkOf(prefill.serialWalkUs ?? decode.serialWalkUs),
    serialMixedNs: mixes ? serialNs : 0,
    exposedShare: mixed?.exposedShare ?? 0,
    lastHead: mixes && multiprocessors !== null ? 1 / geometry.queryHeads : 1,
    slots: multiprocessors ?? 0,
    mixedContextNs: mixes
      ? (layers * tileRows * geometry.prefillFlops) / (peak * mixed.computeEfficiency)
      : 0,
    mixedRowNs: mixes ? layers * mixed.perRowUs * 1000 * geometry.queryHeads : 0,
    emptyTileNs:
      mixes && multiprocessors !== null
        ? (layers * (mixed.emptyTileUs ?? 0) * 1000 * geometry.queryHeads) /
          (tileRows * multiprocessors)
        : 0,
    ...passesOf(geometry, device),
    overhang: device.overhang ?? usualOverhang,
    prefillFloorNs: layers * prefill.launchUs * 1000,
    pairNs,
    rampNs: prefill.rampTokens * pairNs + layers * (prefill.perKvTokenUs ?? 0) * geometry.kvHeads,
    chunkNs: prefill.rampTokens * (prefill.chunkTokens ?? 0) * pairNs,
    cachedNs: layers * (kvNs + geometry.liftFlops / prefillRate),
    chunkWalkNs: layers * (prefill.chunkWalkUs ?? 0),
  }
}

/** ns of a query–key pair where each tile of a few query rows reads its keys and values from the cache. */
const rereadNs = (
  {queryHeads, kvHeads, kvBytesPerToken}: RankGeometry,
  {rereadRows, bandwidthGbS}: AttentionDevice,
): number => {
  if (rereadRows === undefined) return 0
  // The query heads of a group are rows of one tile.
  const tokens = Math.max(1, Math.floor((rereadRows * kvHeads) / queryHeads))
  return kvBytesPerToken / tokens / (bandwidthGbS * rereadSpeedup)
}

/**
 * Beside a chunk every query head reads its KV head anew. Heads of a group that run at the same time share what they
 * read, others only what the cache still holds: one thread block for each multiprocessor, heads one after the other. The
 * last head of a group starts (group − 1)·decodes thread blocks after the first, and so many waves later.
 */
const passesOf = (
  {queryHeads, kvHeads, kvBytesPerToken}: RankGeometry,
  device: AttentionDevice,
) => {
  const {l2Mb, multiprocessors} = device
  const isKnown = l2Mb !== null && multiprocessors !== null
  const group = queryHeads / kvHeads
  return {
    cachedTokens: isKnown ? (l2Mb * 2 ** 20 * kvHeads) / kvBytesPerToken : Number.MAX_SAFE_INTEGER,
    furtherPasses: group - 1,
    passesPerDecode: isKnown ? (group - 1) / multiprocessors : 0,
  }
}

/**
 * FlashAttention 2 splits contexts until its thread blocks fill 0.8 of two for each multiprocessor
 * (`num_splits_heuristic` in its source, vLLM's fork); with more decodes than that none is split.
 */
const fewestUnsplit = (kvHeads: number, multiprocessors: number | null): number =>
  multiprocessors === null ? Number.MAX_SAFE_INTEGER : (0.8 * 2 * multiprocessors) / kvHeads

const geometryOf = (
  attention: AttentionShape,
  rank: {tp: number; kvElementBytes: number},
): RankGeometry => {
  const queryHeads = Math.ceil(attention.queryHeads / rank.tp)
  if (attention.kind === 'grouped') {
    const kvHeads = Math.ceil(attention.keyValueHeads / rank.tp)
    const size = attention.headDim + attention.valueHeadDim
    const flops = 2 * size * queryHeads
    return {
      queryHeads,
      kvHeads,
      kvBytesPerToken: kvHeads * size * rank.kvElementBytes,
      prefillFlops: flops,
      decodeFlops: flops,
      liftFlops: 0,
      headDim: attention.headDim,
      reach: attention.window ?? Number.MAX_SAFE_INTEGER,
    }
  }
  const {keyValueRank, ropeHeadDim, nopeHeadDim, valueHeadDim} = attention
  return {
    queryHeads,
    kvHeads: 1,
    // One compressed vector for all heads: every rank keeps it whole.
    kvBytesPerToken: (keyValueRank + ropeHeadDim) * rank.kvElementBytes,
    prefillFlops: 2 * (nopeHeadDim + ropeHeadDim + valueHeadDim) * queryHeads,
    decodeFlops: 2 * (2 * keyValueRank + ropeHeadDim) * queryHeads,
    liftFlops: 2 * keyValueRank * (nopeHeadDim + valueHeadDim) * queryHeads,
    headDim: nopeHeadDim + ropeHeadDim,
    reach: attention.sparseTopK ?? Number.MAX_SAFE_INTEGER,
  }
}

type Levels = readonly (readonly [number, number])[]

/** Linear between the known sizes, and flat outside of them. */
const headSizeLevel = (headDim: number, levels: Levels): number => {
  const [smallest, largest] = [levels[0]!, levels.at(-1)!]
  if (headDim <= smallest[0]) return smallest[1]
  for (let at = 1; at < levels.length; at++) {
    const [low, high] = [levels[at - 1]!, levels[at]!]
    if (headDim <= high[0])
      return low[1] + ((headDim - low[0]) / (high[0] - low[0])) * (high[1] - low[1])
  }
  return largest[1]
}
