/** Batch shapes as an engine fills them. */
import {type BatchShape, emptyShape} from '#llmsim/latency/step-time.js'

export interface Batch {
  /** Chunks of more than one token: [new tokens, tokens in the cache]. */
  readonly chunks?: readonly (readonly [number, number])[]
  /** Contexts of decodes before this step. */
  readonly contexts?: readonly number[]
}

export const shapeOf = ({chunks = [], contexts = []}: Batch): BatchShape => {
  const shape = emptyShape()
  for (const [n, c] of chunks) {
    shape.prefills += 1
    shape.prefillTokens += n
    shape.prefillTokensMax = Math.max(shape.prefillTokensMax, n)
    shape.prefillContext += c
    shape.prefillContextMax = Math.max(shape.prefillContextMax, c)
    shape.prefillWork += n * (c + (n + 1) / 2)
  }
  shape.decodes = contexts.length
  shape.decodeContext = contexts.reduce((sum, context) => sum + context, 0)
  shape.decodeContextMin = contexts.length > 0 ? Math.min(...contexts) : 0
  shape.decodeContextMax = contexts.length > 0 ? Math.max(...contexts) : 0
  shape.tokens = shape.prefillTokens + shape.decodes
  shape.paddedTokens = shape.tokens
  shape.sequences = shape.prefills + shape.decodes
  return shape
}

/** A batch of equal decodes. */
export const decodes = (count: number, context: number): BatchShape =>
  shapeOf({contexts: new Array<number>(count).fill(context)})
