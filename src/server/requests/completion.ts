/** Body of `POST /v1/completions`. */
import {z} from 'zod'
import {badField, parsedBody} from './body.js'
import {optional, samplingFields, seedOf, stopsOf} from './fields.js'
import type {GenerationRequest, Prompt} from './generation-request.js'

const tokenId = z.number().int().min(0)
/** Prompts of one request. */
const mostPrompts = 2048
/** What OpenAI and vLLM take when a completion does not say how long it may be. */
const defaultMaxTokens = 16

const completionBody = z.looseObject({
  ...samplingFields,
  prompt: z.union([
    z.string(),
    z.array(z.string()).min(1).max(mostPrompts),
    z.array(tokenId).min(1),
    z.array(z.array(tokenId).min(1)).min(1).max(mostPrompts),
  ]),
  max_tokens: optional(z.number().int().min(1)),
  logprobs: optional(z.number().int().min(0).max(20)),
  best_of: optional(z.number().int().min(1)),
  echo: optional(z.boolean()),
  suffix: optional(z.string()),
})

/** What of a body is read. */
export const completionFields: ReadonlySet<string> = new Set(Object.keys(completionBody.shape))

/** @throws ApiError 400 */
export function parseCompletion(body: unknown): GenerationRequest {
  const parsed = parsedBody(completionBody, body)
  const n = parsed.n ?? 1
  if (parsed.best_of !== undefined && parsed.best_of !== n) {
    throw badField('best_of', "'best_of' is not served; ask for 'n' answers.")
  }
  if (parsed.suffix !== undefined) {
    throw badField('suffix', "'suffix' is not served: answers are never placed into a text.")
  }
  const ignoreEos = parsed.ignore_eos ?? false
  return {
    model: parsed.model,
    prompts: promptsOf(parsed.prompt),
    promptField: 'prompt',
    n,
    stream: parsed.stream ?? false,
    includeUsage: parsed.stream_options?.include_usage ?? false,
    limits: {
      maxTokens: parsed.max_tokens ?? Math.max(defaultMaxTokens, parsed.min_tokens ?? 0),
      maxTokensField: 'max_tokens',
      minTokens: parsed.min_tokens ?? 0,
      ignoreEos,
      stop: stopsOf(parsed),
    },
    seed: seedOf(parsed),
    logprobs: parsed.logprobs,
    priority: parsed.priority ?? 0,
    tools: [],
    toolChoice: 'none',
    format: {kind: 'text'},
    echo: parsed.echo ?? false,
  }
}

function promptsOf(prompt: string | string[] | number[] | number[][]): Prompt[] {
  if (typeof prompt === 'string') return [textPrompt(prompt, 'prompt')]
  const isIds = (each: readonly unknown[]): each is readonly number[] => typeof each[0] === 'number'
  if (isIds(prompt)) return [{kind: 'ids', ids: prompt}]
  return prompt.map((each, i) =>
    typeof each === 'string'
      ? textPrompt(each, `prompt[${i}]`)
      : {kind: 'ids', ids: each as number[]},
  )
}

function textPrompt(text: string, field: string): Prompt {
  if (text === '')
    throw badField(field, `Invalid '${field}': the prompt is empty.`, 'string_below_min_length')
  return {kind: 'text', text}
}
