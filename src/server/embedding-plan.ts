/** `POST /v1/embeddings`: each input is a prompt of its own, whose prefill the engines run. */
import {randomUUID} from 'node:crypto'
import type {Answering} from './answering.js'
import {ApiError} from './api-error.js'
import {embeddingOf} from './bodies/embedding.js'
import type {AnswerWriter, Plan, UsedTokens} from './plan.js'
import {badField} from './requests/body.js'
import {type EmbeddingRequest, parseEmbedding} from './requests/embedding.js'
import {poolingMark} from './tokens/chat-frame.js'

/** Numbers of a vector where the request does not say; that of OpenAI's small model. */
const usualDimensions = 1536

/** @throws ApiError, or rejects with it */
export function planEmbedding(answering: Answering, body: unknown): Plan | Promise<Plan> {
  const request = parseEmbedding(body)
  answering.models.check(request.model)
  const all = request.inputs.map((input, i) => idsOf(answering, input, i))
  if (all.some((ids) => ids instanceof Promise)) {
    return Promise.all(all).then((ids) => planOf(answering, request, ids))
  }
  return planOf(answering, request, all as Uint32Array[])
}

function idsOf(
  answering: Answering,
  input: string | readonly number[],
  index: number,
): Uint32Array | Promise<Uint32Array> {
  if (typeof input === 'string') return answering.idsOf({kind: 'text', text: input})
  const {size} = answering.tokens.tokenizer
  const wrong = input.find((id) => id >= size)
  if (wrong === undefined) return Uint32Array.from(input)
  throw badField('input', `Token id ${wrong} of input ${index} is not in the vocabulary.`)
}

function planOf(
  {maxModelLen, tokens}: Answering,
  request: EmbeddingRequest,
  inputs: readonly Uint32Array[],
): Plan {
  const long = inputs.findIndex(({length}) => length + 1 > maxModelLen)
  if (long >= 0) {
    throw new ApiError(
      400,
      `This model's maximum context length is ${maxModelLen} tokens. However, input ${long} has ${inputs[long]!.length}. Please reduce the length of the input.`,
      {param: 'input', code: 'context_length_exceeded'},
    )
  }
  // The vector is read where a token would be: that is one step of output for the engine.
  const pooled = [tokens.tokenizer.size + poolingMark]
  return {
    id: `embd-${randomUUID().replaceAll('-', '')}`,
    endpoint: '/v1/embeddings',
    model: request.model,
    mode: 'whole',
    priority: 0,
    answers: inputs.map((promptIds) => ({promptIds, outputIds: pooled})),
    writer: new EmbeddingBody(request, inputs),
    isChat: false,
    asked: {n: 1, maxTokens: undefined},
    finishReason: () => 'stop',
    text: (index) => ({prompt: JSON.stringify(request.inputs[index]), answer: '""'}),
  }
}

class EmbeddingBody implements AnswerWriter {
  readonly #request: EmbeddingRequest
  readonly #inputs: readonly Uint32Array[]

  constructor(request: EmbeddingRequest, inputs: readonly Uint32Array[]) {
    this.#request = request
    this.#inputs = inputs
  }

  token(): string {
    return ''
  }

  last(): string {
    return ''
  }

  end(): string {
    return ''
  }

  whole({prompt}: UsedTokens): string {
    const {model, dimensions = usualDimensions, encoding} = this.#request
    const data = this.#inputs.map((ids, index) => {
      const vector = embeddingOf(ids, dimensions)
      const embedding =
        encoding === 'base64' ? Buffer.from(vector.buffer).toString('base64') : Array.from(vector)
      return {object: 'embedding', index, embedding}
    })
    return JSON.stringify({
      object: 'list',
      data,
      model,
      usage: {prompt_tokens: prompt, total_tokens: prompt},
    })
  }
}
