/** Body of `POST /v1/embeddings`. */
import {z} from 'zod'
import {badField, parsedBody} from './body.js'
import {optional} from './fields.js'

const tokenId = z.number().int().min(0)

const embeddingBody = z.looseObject({
  model: z.string().min(1),
  input: z.union([
    z.string(),
    z.array(z.string()).min(1).max(2048),
    z.array(tokenId).min(1),
    z.array(z.array(tokenId).min(1)).min(1).max(2048),
  ]),
  dimensions: optional(z.number().int().min(1).max(65_536)),
  encoding_format: optional(z.enum(['float', 'base64'])),
  user: optional(z.string()),
})

/** What of a body is read. */
export const embeddingFields: ReadonlySet<string> = new Set(Object.keys(embeddingBody.shape))

export interface EmbeddingRequest {
  readonly model: string
  readonly inputs: readonly (string | readonly number[])[]
  readonly dimensions: number | undefined
  readonly encoding: 'float' | 'base64'
}

/** @throws ApiError 400 */
export function parseEmbedding(body: unknown): EmbeddingRequest {
  const {model, input, dimensions, encoding_format} = parsedBody(embeddingBody, body)
  const isOne = typeof input === 'string' || typeof input[0] === 'number'
  const inputs = (isOne ? [input] : input) as (string | number[])[]
  const empty = inputs.indexOf('')
  if (empty >= 0) {
    const field = isOne ? 'input' : `input[${empty}]`
    throw badField(field, `Invalid '${field}': the input is empty.`, 'string_below_min_length')
  }
  return {model, inputs, dimensions, encoding: encoding_format ?? 'float'}
}
