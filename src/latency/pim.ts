/**
 * Attention of decodes in memory that computes: what stays on the accelerator, what the channels do, and what crosses
 * the link between them. docs/pim.md has the formulas and their sources.
 */

import type {GroupedAttention, ModelShape} from '../catalogue/model-shape.js'
import {busGbS, headNs, macGbS, type PimSpec} from '../catalogue/pim.js'
import {Problem} from '../errors.js'
import type {BatchShape, StepTime} from './step-time.js'

/** The memory of one rank. */
export interface PimMemory {
  readonly spec: PimSpec
  readonly channels: number
  /** Between the accelerator and the memory: 10^9 bytes per second each way, and ns until the first byte. */
  readonly link: {readonly gbPerS: number; readonly latencyNs: number}
}

export interface PimRequest {
  readonly model: ModelShape
  readonly tp: number
  readonly memory: PimMemory
}

/** ns, not rounded: attention of the decodes of a step, and what prompts send and fetch meanwhile. */
export interface PimTimes {
  readonly decodes: (shape: BatchShape) => number
  readonly kv: (shape: BatchShape) => number
}

/** Queries, keys, values and results are 16-bit, as the MAC units are. */
const elementBytes = 2

/** Layers that attend alike. */
interface Law {
  readonly layers: number
  readonly reach: number
  /** KV heads of the rank: each of a sequence is a piece of work that one channel does. */
  readonly heads: number
  readonly channels: number
  /** Of a piece: per token of context, and whatever that is. */
  readonly tokenNs: number
  readonly pieceNs: number
  /** Of a decode, over the link there and back. */
  readonly linkNs: number
  /** Of a layer: two messages, and the first read. */
  readonly latencyNs: number
}

/** @throws Problem FLAG_CONFLICT for models whose KV has no heads to lay out */
export function pimTimes({model, tp, memory}: PimRequest): PimTimes {
  const {spec, channels, link} = memory
  const gbPerS = Math.min(link.gbPerS, channels * busGbS(spec))
  const laws: Law[] = []
  let kvBytes = 0
  for (const {attention, count} of model.groups) {
    if (attention.kind !== 'grouped') {
      throw new Problem(
        'FLAG_CONFLICT',
        `pim: ${model.id} keeps one compressed vector for all heads (MLA), and PIM places KV by head.`,
        {suggestions: ['Leave pim out.', 'A model with grouped or multi-head attention.']},
      )
    }
    const {headDim, valueHeadDim, window} = attention
    const {heads, queries} = headsOf(attention, tp)
    const sizes = headDim + valueHeadDim
    kvBytes += count * heads * sizes * elementBytes
    const linkBytes = (queries * sizes + heads * sizes) * elementBytes
    laws.push({
      layers: count,
      reach: window ?? Number.MAX_SAFE_INTEGER,
      heads,
      channels,
      tokenNs: ((queries / heads) * sizes * elementBytes) / macGbS(spec),
      pieceNs: (queries / heads) * headNs(spec, headDim),
      linkNs: linkBytes / gbPerS,
      latencyNs: 2 * link.latencyNs + spec.timing.read,
    })
  }
  return {
    decodes(shape) {
      if (shape.decodes === 0) return 0
      let ns = 0
      for (let at = 0; at < laws.length; at++) ns += layersNs(laws[at]!, shape)
      return ns
    },
    // Chunks are computed on the accelerator: their KV goes out, and what the cache holds of them comes in.
    kv: (shape) => ((shape.prefillTokens + shape.prefillContext) * kvBytes) / gbPerS,
  }
}

const headsOf = ({queryHeads, keyValueHeads}: GroupedAttention, tp: number) => ({
  queries: Math.ceil(queryHeads / tp),
  heads: Math.ceil(keyValueHeads / tp),
})

/**
 * Channels work side by side until the last piece is done. That is at least the mean load of a channel, the longest
 * piece, and so many of the shortest as some channel must have.
 */
function layersNs(law: Law, shape: BatchShape): number {
  const {heads, channels, reach, tokenNs, pieceNs} = law
  const {decodes} = shape
  // A decode also reads the token that it has just written.
  const context = Math.min(shape.decodeContext + decodes, decodes * reach)
  const longest = Math.min(shape.decodeContextMax + 1, reach)
  const shortest = Math.min(shape.decodeContextMin + 1, reach)
  const mean = (heads * (context * tokenNs + decodes * pieceNs)) / channels
  const most = Math.ceil((decodes * heads) / channels)
  const busy = Math.max(mean, longest * tokenNs + pieceNs, most * (shortest * tokenNs + pieceNs))
  return law.layers * (busy + decodes * law.linkNs + law.latencyNs)
}

/** The shape that the accelerator sees: all rows, and the attention of chunks alone. */
export function withoutDecodes(shape: BatchShape, into: BatchShape): BatchShape {
  Object.assign(into, shape)
  into.decodes = 0
  into.decodeContext = 0
  into.decodeContextMin = 0
  into.decodeContextMax = 0
  return into
}

/** A step: the accelerator's part, behind which KV of chunks moves, and then the attention of decodes. */
export function withPim(time: StepTime, pim: PimTimes, scratch: BatchShape): StepTime {
  return (shape) =>
    Math.max(
      1,
      Math.round(
        Math.max(time(withoutDecodes(shape, scratch)), pim.kv(shape)) + pim.decodes(shape),
      ),
    )
}
