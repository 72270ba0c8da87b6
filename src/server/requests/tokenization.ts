/** Bodies of `POST /tokenize` and `POST /detokenize`, as vLLM has them. */
import {z} from 'zod'
import {ApiError} from '../api-error.js'
import {parsedBody} from './body.js'
import {parseChat} from './chat.js'
import {optional} from './fields.js'
import type {Prompt} from './generation-request.js'

const tokenizeBody = z.looseObject({
  model: optional(z.string()),
  prompt: optional(z.string()),
  messages: optional(z.array(z.unknown())),
  return_token_strs: optional(z.boolean()),
})

const detokenizeBody = z.looseObject({
  model: optional(z.string()),
  tokens: z.array(z.number().int().min(0)),
})

export interface TokenizeRequest {
  readonly model: string | undefined
  readonly prompt: Prompt
  readonly tools: ReturnType<typeof parseChat>['tools']
  readonly wantsStrings: boolean
}

/** @throws ApiError 400 */
export function parseTokenize(body: unknown): TokenizeRequest {
  const {model, prompt, messages, return_token_strs} = parsedBody(tokenizeBody, body)
  if ((prompt === undefined) === (messages === undefined)) {
    throw new ApiError(400, "Give either 'prompt' or 'messages'.", {param: 'prompt'})
  }
  const wantsStrings = return_token_strs ?? false
  if (prompt !== undefined) {
    return {model, prompt: {kind: 'text', text: prompt}, tools: [], wantsStrings}
  }
  const chat = parseChat({...(body as object), model: model ?? 'any'})
  return {model, prompt: chat.prompts[0]!, tools: chat.tools, wantsStrings}
}

/** @throws ApiError 400 */
export const parseDetokenize = (body: unknown): z.output<typeof detokenizeBody> =>
  parsedBody(detokenizeBody, body)
