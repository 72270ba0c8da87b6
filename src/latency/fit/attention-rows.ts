/**
 * Measured attention kernels as rows that the law of a step takes, and the rules that say which of them count. The
 * rules look at sizes alone, never at how well a law does.
 *
 * Fitted: what an engine runs most. 16-bit KV, head size 128, whole context. Decode: contexts from 256 tokens, up to
 * 1024 sequences and 8 KV heads. Prefill: chunks from 16 tokens, 128 to 32,768 tokens together, up to 16 chunks. Mixed:
 * contexts from 256 tokens, 262,144 tokens together.
 *
 * Scored as well: every row with such heads that a step may hold, up to 1024 sequences and 32,768 new tokens, with
 * contexts that fit the device's memory beside nothing else. A decode has at least one token in the cache: tables of
 * release 0 hold rows without any, in which nothing ran.
 *
 * Never: decodes whose working set lies between 4 MB, where the floor decides, and 1.2 × L2. A benchmark repeats one
 * shape and reads it from the cache; a step never does.
 */
import type {AttentionSample} from '../../catalogue/kernel-samples.js'
import {attentionOf} from '../attention.js'
import {type AttentionDevice, attentionLaw} from '../attention-law.js'
import {type BatchShape, emptyShape} from '../step-time.js'

export interface AttentionMachine {
  readonly peakFlopsPerNs: number
  readonly bandwidthGbS: number
  readonly l2Mb: number | null
  readonly multiprocessors: number | null
  readonly memoryGib: number
  /** Kernels without grouped queries walk along their context in one thread block (FlashAttention 2). */
  readonly isUnsplit: boolean
  /** Those with grouped queries do too: kernels of 2024. */
  readonly neverSplits: boolean
  /** Share of the peak that matrix products reach: no attention kernel does better on the same units. */
  readonly mostCompute: number
  /** The same of the bandwidth, where kernels read KV several times and the cache hides some of it; else 1. */
  readonly mostMemory: number
}

/** Keys of a tile of FlashAttention 2 at a head size of 128. */
const keyTile = 128

/** A row with the shape that the law takes, made once. */
export interface ShapedRow extends AttentionSample {
  readonly shape: BatchShape
  /** Tokens by which the last tile of each of its decodes reaches past the context. */
  readonly overhang: number
}

/** What every regime is fitted to: 16-bit KV, the usual head size, no window. */
export const isPlain = (row: AttentionSample): boolean =>
  row.kvElementBytes === 2 && row.headDim === 128 && row.window === null

export const isDecode = (row: AttentionSample): boolean =>
  row.prefills === 0 &&
  row.decodes > 0 &&
  row.decodes <= 1024 &&
  row.context >= 255 &&
  row.kvHeads <= 8

export const isPrefill = (row: AttentionSample): boolean => {
  const tokens = row.prefills * row.chunk
  return (
    row.decodes === 0 && row.chunk >= 16 && row.prefills <= 16 && tokens >= 128 && tokens <= 32_768
  )
}

/** Contexts from 256 tokens, and together no more than a device keeps beside the weights. */
export const isMixed = ({prefills, decodes, context, cached}: AttentionSample): boolean =>
  prefills > 0 && decodes > 0 && context >= 256 && decodes * context + cached <= 262_144

/** Not faster than the peak: some tables of release 0 hold such rows. */
export const isPossible = (row: AttentionSample, {peakFlopsPerNs}: AttentionMachine): boolean => {
  const pairs = row.prefills * row.chunk * (row.cached + (row.chunk + 1) / 2)
  return 4 * row.queryHeads * row.headDim * pairs < row.timeUs * 1000 * peakFlopsPerNs
}

/** Beyond the cache, or so small that the floor decides. */
export const isHonest = (row: AttentionSample, {l2Mb}: AttentionMachine): boolean => {
  const bytes = decodeBytes(row)
  return l2Mb === null || bytes < 4e6 || bytes > 1.2e6 * l2Mb
}

/** What a step may hold, whatever the fit is made of: the second row set that errors are given for. */
export const isHeld = (row: AttentionSample, machine: AttentionMachine): boolean => {
  const {prefills, chunk, cached, decodes} = row
  const kvBytes = decodeBytes(row) + prefills * (cached + chunk) * bytesPerToken(row)
  return (
    isPlain(row) &&
    prefills + decodes <= 1024 &&
    prefills * chunk + decodes <= 32_768 &&
    (prefills === 0 || chunk > 1) &&
    (decodes === 0 || row.context > 0) &&
    kvBytes <= machine.memoryGib * 2 ** 30 &&
    (prefills > 0 || isHonest(row, machine))
  )
}

const bytesPerToken = ({kvHeads, headDim, kvElementBytes}: AttentionSample): number =>
  2 * kvHeads * headDim * kvElementBytes

const decodeBytes = (row: AttentionSample): number => row.decodes * row.context * bytesPerToken(row)

export const shaped = (rows: readonly AttentionSample[]): ShapedRow[] =>
  rows.map((row) => ({...row, shape: shapeOf(row), overhang: overhangOf(row)}))

/** A decode also reads the token that it has just written. */
const overhangOf = ({context, decodes}: AttentionSample): number =>
  decodes === 0 ? 0 : keyTile - 1 - (context % keyTile)

const shapeOf = (row: AttentionSample): BatchShape => {
  const {prefills, chunk, cached, decodes, context} = row
  const prefillTokens = prefills * chunk
  return {
    ...emptyShape(),
    tokens: prefillTokens + decodes,
    sequences: prefills + decodes,
    prefills,
    prefillTokens,
    prefillTokensMax: prefills > 0 ? chunk : 0,
    prefillContext: prefills * cached,
    prefillContextMax: prefills > 0 ? cached : 0,
    prefillWork: prefillTokens * (cached + (chunk + 1) / 2),
    decodes,
    decodeContext: decodes * context,
    decodeContextMin: decodes > 0 ? context : 0,
    decodeContextMax: decodes > 0 ? context : 0,
    paddedTokens: prefillTokens + decodes,
  }
}

/** A device without any regime: those under study are put over it. */
export const bareDevice = ({
  peakFlopsPerNs,
  bandwidthGbS,
  multiprocessors,
  l2Mb,
}: AttentionMachine): AttentionDevice => ({
  peakFlopsPerNs,
  bandwidthGbS,
  multiprocessors,
  l2Mb,
  decode: {launchUs: 0, memoryEfficiency: 1, perSequenceUs: 0, headExponent: 0, sqrtUs: 0},
  prefill: {launchUs: 0, computeEfficiency: 1, rampTokens: 0},
  mixed: null,
})

/** µs of a row; the law of one geometry is built once. */
export const timeOf = (deviceOf: () => AttentionDevice) => {
  const device = deviceOf()
  const laws = new Map<string, ReturnType<typeof attentionOf>>()
  return (row: ShapedRow): number => {
    const {queryHeads, kvHeads, headDim, window, kvElementBytes, overhang} = row
    const key = `${queryHeads},${kvHeads},${headDim},${window},${kvElementBytes},${overhang}`
    let law = laws.get(key)
    if (!law) {
      const heads = {queryHeads, keyValueHeads: kvHeads, headDim, valueHeadDim: headDim}
      law = attentionOf(
        attentionLaw(
          {kind: 'grouped', ...heads, window, qkNorm: false},
          {layers: 1, tp: 1, kvElementBytes},
          {...device, overhang},
        ),
      )
      laws.set(key, law)
    }
    return law(row.shape) / 1000
  }
}
