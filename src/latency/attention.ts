/**
 * Attention of one layer from the sums of a batch, in three regimes.
 *
 * Decode: t0 + KV bytes/(W·e) + a·B·kvHeads^α + b·√context. An additive floor, not a maximum: each
 * kernel starts, walks and reduces. Prefill: t0 + 4·heads·headDim·(pairs + ramp·tokens)/(P·e), whose
 * ramp is the size law MFU = e·s/(s + 2·ramp). Mixed: on FlashAttention-2 devices (Ampere, Ada, consumer
 * Blackwell) one prefill token in the step makes every decode row lose GQA packing and split-KV: it then
 * costs a whole 64-row tile, 4·64·headDim·heads·context/(P·e_mix) + c·rows, where that is more than the
 * decode law. FlashAttention 3 (Hopper) pays nothing for the mixture.
 *
 * All are linear in the sums but for one square root, so a call takes some nanoseconds. Each term grows
 * with every field of the shape: √ takes the longest decode, as the mean would fall when a short one joins,
 * and the rest of the batch waits for the longest anyway.
 */
import type {
  DecodeAttentionCoefficients,
  MixedAttentionCoefficients,
  PrefillAttentionCoefficients,
} from '../catalogue/hardware-shape.js'
import type {AttentionShape} from '../catalogue/model-shape.js'
import type {BatchShape} from './step-time.js'

/** The device as attention sees it. */
export interface AttentionDevice {
  /** 16-bit peak in FLOPs per ns. */
  readonly peakFlopsPerNs: number
  readonly bandwidthGbS: number
  readonly decode: DecodeAttentionCoefficients
  readonly prefill: PrefillAttentionCoefficients
  readonly mixed: MixedAttentionCoefficients | null
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
  /** Per cached token that a decode reads; per decode; per √ of the longest context. */
  readonly contextNs: number
  readonly walkNs: number
  readonly sqrtNs: number
  /** The same work in a step that also prefills; 0 where that makes no difference. */
  readonly mixedContextNs: number
  readonly mixedRowNs: number
  readonly prefillFloorNs: number
  /** Per query–key pair; per prefill token; per cached token that a chunk reads. */
  readonly pairNs: number
  readonly rampNs: number
  readonly cachedNs: number
}

/** Decode figures come from tables of up to 8 KV heads; beyond, the walk term is not known to grow. */
const mostKvHeads = 8

/** Rows of a query tile in FlashAttention 2. */
const tileRows = 64

/**
 * Share of the prefill efficiency at a head size of 128 that other sizes reach (aiconfigurator, vLLM).
 */
const headSizeLevels: readonly (readonly [number, number])[] = [
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
  const prefillRate =
    peak * Math.min(0.95, prefill.computeEfficiency * headSizeLevel(geometry.headDim))
  const kvNs = geometry.kvBytesPerToken / (bandwidthGbS * decode.memoryEfficiency)
  const kvHeads = Math.min(geometry.kvHeads, mostKvHeads)
  const mixes = mixed !== null && attention.kind === 'grouped'
  const pairNs = (layers * geometry.prefillFlops) / prefillRate
  return {
    reach: geometry.reach,
    decodeFloorNs: layers * decode.launchUs * 1000,
    // Compressed attention reads little and computes much: both add in quadrature, still linear in tokens.
    contextNs: layers * Math.hypot(kvNs, geometry.decodeFlops / prefillRate),
    walkNs: layers * decode.perSequenceUs * 1000 * kvHeads ** decode.headExponent,
    sqrtNs: layers * decode.sqrtUs * 1000,
    mixedContextNs: mixes
      ? (layers * tileRows * geometry.prefillFlops) / (peak * mixed.computeEfficiency)
      : 0,
    mixedRowNs: mixes ? layers * mixed.perRowUs * 1000 * geometry.queryHeads : 0,
    prefillFloorNs: layers * prefill.launchUs * 1000,
    pairNs,
    rampNs: prefill.rampTokens * pairNs,
    cachedNs: layers * (kvNs + geometry.liftFlops / prefillRate),
  }
}

/** Time in ns of the attention of one step. Called millions of times: additions and one square root. */
export const attentionNs = (law: AttentionLaw, shape: BatchShape): number => {
  const {reach} = law
  const {decodes, prefills} = shape
  let floor = 0
  let work = 0
  if (decodes > 0) {
    floor = law.decodeFloorNs
    // A decode also reads the token that it has just written.
    const context = Math.min(shape.decodeContext + decodes, decodes * reach)
    const longest = Math.min(shape.decodeContextMax + 1, reach)
    work = context * law.contextNs + decodes * law.walkNs + law.sqrtNs * Math.sqrt(longest)
    if (prefills > 0) work = Math.max(work, context * law.mixedContextNs + decodes * law.mixedRowNs)
  }
  if (prefills > 0) {
    floor = Math.max(floor, law.prefillFloorNs)
    const tokens = shape.prefillTokens
    const pairs = Math.min(shape.prefillWork, tokens * reach)
    const cached = Math.min(shape.prefillContext, prefills * reach)
    work += pairs * law.pairNs + tokens * law.rampNs + cached * law.cachedNs
  }
  return floor + work
}

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

const headSizeLevel = (headDim: number): number => {
  const [smallest, largest] = [headSizeLevels[0]!, headSizeLevels.at(-1)!]
  if (headDim <= smallest[0]) return smallest[1]
  for (let at = 1; at < headSizeLevels.length; at++) {
    const [low, high] = [headSizeLevels[at - 1]!, headSizeLevels[at]!]
    if (headDim <= high[0])
      return low[1] + ((headDim - low[0]) / (high[0] - low[0])) * (high[1] - low[1])
  }
  return largest[1]
}
