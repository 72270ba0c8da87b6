/**
 * Sub-batches: a step is cut in two, and while the accelerator multiplies for one the memory attends for the other, layer by
 * layer (NeuPIMs, ASPLOS 2024). A cut costs weights read twice, so a step is cut only where that is shorter.
 */
import {type PimTimes, withoutDecodes, withPim} from './pim.js'
import {type BatchShape, emptyShape, type StepTime} from './step-time.js'

/**
 * ns of `layers` layers of two equal sub-batches, each of which needs `x` on the accelerator and then `p` in memory:
 * the slower of the two never rests, and the other adds one turn.
 */
export const alternating = (layers: number, x: number, p: number): number =>
  2 * layers * Math.max(x, p) + Math.min(x, p)

/**
 * The same of chunks, which attend on the accelerator in `chunks` ns a layer, and of decodes, which need `x` there and `p`
 * in memory.
 */
export const besideChunks = (
  layers: number,
  chunks: number,
  {x, p}: {readonly x: number; readonly p: number},
): number => layers * (x + Math.max(chunks, p)) + Math.min(chunks, p)

export interface SubBatchRequest {
  /** All of a step but the attention of decodes, and the part of it that is outside of layers. */
  readonly time: StepTime
  readonly outside: StepTime
  readonly layers: number
  readonly pim: PimTimes
}

/** A step in one piece or in two, whichever is shorter. */
export function withSubBatches({time, outside, layers, pim}: SubBatchRequest): StepTime {
  const whole = withPim(time, pim, emptyShape())
  const part = emptyShape()
  const seen = emptyShape()
  const layerNs = (shape: BatchShape) =>
    Math.max(0, time(withoutDecodes(shape, seen)) - outside(shape)) / layers

  /** Two halves of the decodes; an odd one, and half of the longest context, is charged to both. */
  const halves = (shape: BatchShape): number => {
    halfOf(shape, part)
    return alternating(layers, layerNs(part), pim.decodes(part) / layers)
  }
  const chunksAndDecodes = (shape: BatchShape): number => {
    const chunks = layerNs(chunksOf(shape, part))
    const x = layerNs(decodesOf(shape, part))
    const ns = besideChunks(layers, chunks, {x, p: pim.decodes(shape) / layers})
    return Math.max(ns, pim.kv(shape))
  }

  return (shape) => {
    const inOne = whole(shape)
    const {prefills, decodes} = shape
    if (decodes === 0 || decodes + prefills < 2) return inOne
    const inTwo = prefills === 0 ? halves(shape) : chunksAndDecodes(shape)
    return Math.min(inOne, Math.max(1, Math.round(outside(shape) + inTwo)))
  }
}

const rowsOf = ({paddedTokens, tokens}: BatchShape): number => Math.max(paddedTokens, tokens)

function halfOf(shape: BatchShape, into: BatchShape): void {
  const decodes = Math.ceil(shape.decodes / 2)
  Object.assign(into, shape)
  into.tokens = decodes
  into.sequences = decodes
  into.decodes = decodes
  // Halves of a balanced cut differ by no more than their longest context.
  const {decodeContext, decodeContextMax} = shape
  into.decodeContext = Math.min(decodeContext, (decodeContext + decodeContextMax) / 2)
  into.paddedTokens = Math.ceil(rowsOf(shape) / 2)
}

function chunksOf(shape: BatchShape, into: BatchShape): BatchShape {
  Object.assign(into, shape)
  into.tokens = shape.prefillTokens
  into.sequences = shape.prefills
  into.decodes = 0
  into.paddedTokens = rowsOf(shape) - shape.decodes
  return into
}

function decodesOf(shape: BatchShape, into: BatchShape): BatchShape {
  Object.assign(into, emptyShape())
  into.tokens = shape.decodes
  into.sequences = shape.decodes
  into.decodes = shape.decodes
  into.paddedTokens = shape.decodes
  return into
}
