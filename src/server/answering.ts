/** From the body of a request to the plan of its answers. */
import {randomUUID} from 'node:crypto'
import {type Answer, type AnswerMakers, answerOf} from './answers/answer.js'
import {loadAnswerSource} from './answers/answer-source.js'
import {Dice} from './answers/dice.js'
import {fillerOf} from './answers/filler.js'
import {loadLengths} from './answers/lengths.js'
import {lastSaid, promptIds} from './answers/prompt-text.js'
import {ApiError} from './api-error.js'
import {type AnswerSet, textOf} from './bodies/answer-set.js'
import {ChatBody} from './bodies/chat-body.js'
import {CompletionBody} from './bodies/completion-body.js'
import {ResponseBody} from './bodies/response-body.js'
import type {AnswerWriter, Plan, PlannedAnswer} from './plan.js'
import {badField} from './requests/body.js'
import {parseChat} from './requests/chat.js'
import {parseCompletion} from './requests/completion.js'
import type {GenerationRequest, Limits, Prompt, Tool} from './requests/generation-request.js'
import {parseResponse} from './requests/response.js'
import {ServedModels, type ServedNames} from './served-models.js'
import {type ChatFrame, chatFrameOf} from './tokens/chat-frame.js'
import {PromptTokens} from './tokens/prompt-tokens.js'
import {loadTokenizer, tokenizerOf} from './tokens/tokenizer.js'

export interface AnsweringOptions {
  /** `--tokenizer`; absent: the shipped one that is nearest to the model's. */
  readonly tokenizer?: string | undefined
  /** `--answer` */
  readonly answer: string
  /** `--output-tokens` */
  readonly outputTokens: string
  readonly served: ServedNames
  /** Of the catalogue; decides the chat template. */
  readonly modelName: string
  /** Tokens of prompt and answer together. */
  readonly maxModelLen: number
  readonly seed: number
}

interface Endpoint {
  readonly path: string
  readonly idPrefix: string
  writer(set: AnswerSet): AnswerWriter
}

const chatEndpoint: Endpoint = {
  path: '/v1/chat/completions',
  idPrefix: 'chatcmpl-',
  writer: (set) => new ChatBody(set),
}

const completionEndpoint: Endpoint = {
  path: '/v1/completions',
  idPrefix: 'cmpl-',
  writer: (set) => new CompletionBody(set),
}

/** @throws Problem for flags and files that are wrong */
export async function buildAnswering(options: AnsweringOptions): Promise<Answering> {
  const near = tokenizerOf(options.modelName)
  const spec = options.tokenizer ?? near.spec
  const [tokenizer, source, lengths] = await Promise.all([
    loadTokenizer(spec),
    loadAnswerSource(options.answer),
    loadLengths(options.outputTokens),
  ])
  const tokens = new PromptTokens(tokenizer, spec)
  const makers = {tokens, filler: fillerOf(tokenizer), source, lengths}
  return new Answering(options, makers, spec === near.spec ? near.note : undefined)
}

export class Answering {
  readonly models: ServedModels
  readonly tokens: PromptTokens
  /** What is to be said about the counts of this tokenizer. */
  readonly tokenizerNote: string | undefined
  readonly maxModelLen: number
  readonly #frame: ChatFrame
  readonly #makers: AnswerMakers
  readonly #seed: number
  /** Requests so far: those without a seed draw anew. */
  #requests = 0

  constructor(options: AnsweringOptions, makers: AnswerMakers, note: string | undefined) {
    this.models = new ServedModels(options.served, options.maxModelLen)
    this.tokens = makers.tokens
    this.tokenizerNote = note
    this.maxModelLen = options.maxModelLen
    this.#frame = chatFrameOf(options.modelName)
    this.#makers = makers
    this.#seed = options.seed
  }

  get tokenizerName(): string {
    return this.tokens.tokenizer.name
  }

  get chatTemplate(): string {
    return this.#frame.name
  }

  /** @throws ApiError, or rejects with it */
  chat(body: unknown): Plan | Promise<Plan> {
    return this.#plan(parseChat(body), chatEndpoint)
  }

  /** @throws ApiError, or rejects with it */
  completion(body: unknown): Plan | Promise<Plan> {
    return this.#plan(parseCompletion(body), completionEndpoint)
  }

  /** @throws ApiError, or rejects with it */
  response(raw: unknown): Plan | Promise<Plan> {
    const {request, body} = parseResponse(raw)
    return this.#plan(request, {
      path: '/v1/responses',
      idPrefix: 'resp_',
      writer: (set) => new ResponseBody(set, body),
    })
  }

  /** Ids of a prompt; a promise when it is long. */
  idsOf(prompt: Prompt, tools: readonly Tool[] = []): Uint32Array | Promise<Uint32Array> {
    return promptIds(this.tokens, this.#frame, {prompt, tools})
  }

  close(): Promise<void> {
    return this.tokens.close()
  }

  #plan(request: GenerationRequest, endpoint: Endpoint): Plan | Promise<Plan> {
    this.models.check(request.model)
    checkLimits(request.limits)
    const all = request.prompts.map((prompt, i) => {
      this.#checkIds(prompt, request, i)
      return this.idsOf(prompt, request.toolChoice === 'none' ? [] : request.tools)
    })
    if (all.some((ids) => ids instanceof Promise)) {
      return Promise.all(all).then((ids) => this.#planOf(request, endpoint, ids))
    }
    return this.#planOf(request, endpoint, all as Uint32Array[])
  }

  #checkIds(prompt: Prompt, {promptField}: GenerationRequest, index: number): void {
    if (prompt.kind !== 'ids') return
    const {size} = this.tokens.tokenizer
    const wrong = prompt.ids.findIndex((id) => id >= size)
    if (wrong < 0) return
    throw badField(
      promptField,
      `Token id ${prompt.ids[wrong]} of prompt ${index} is not in the vocabulary.`,
    )
  }

  #planOf(request: GenerationRequest, endpoint: Endpoint, prompts: readonly Uint32Array[]): Plan {
    const order = this.#requests++
    const answers: Answer[] = []
    const planned: PlannedAnswer[] = []
    for (const [i, ids] of prompts.entries()) {
      const room = this.#room(request, ids.length)
      const said = lastSaid(this.tokens, request.prompts[i]!)
      for (let k = 0; k < request.n; k++) {
        const dice = this.#dice(request, {ids, order, answer: answers.length})
        const answer = answerOf(this.#makers, {request, ...said, room}, dice)
        answers.push(answer)
        planned.push({promptIds: ids, outputIds: answer.ids})
      }
    }
    const id = endpoint.idPrefix + randomUUID().replaceAll('-', '')
    const created = Math.floor(Date.now() / 1000)
    const {tokenizer} = this.tokens
    const writer = endpoint.writer({id, created, request, answers, prompts, tokenizer})
    return {
      id,
      endpoint: endpoint.path,
      model: request.model,
      mode: request.stream ? 'stream' : 'whole',
      priority: request.priority,
      answers: planned,
      writer,
      isChat: request.promptField !== 'prompt',
      asked: {n: request.n, maxTokens: request.limits.maxTokens},
      finishReason: (index) => answers[index]!.finishReason,
      text: (index) => ({
        prompt: JSON.stringify(promptText(request.prompts[Math.floor(index / request.n)]!)),
        answer: JSON.stringify(textOf(answers[index]!)),
      }),
    }
  }

  /** The same seed, prompt and place: the same answer. */
  #dice(
    {seed}: GenerationRequest,
    {ids, order, answer}: {ids: Uint32Array; order: number; answer: number},
  ): Dice {
    if (seed === undefined) return new Dice(this.#seed, order, answer)
    return new Dice(this.#seed, seed, answer, ...ids.subarray(-256), ids.length)
  }

  /** Tokens that an answer may have. @throws ApiError 400 when the context is too small */
  #room({limits, promptField}: GenerationRequest, promptTokens: number): number {
    const {maxTokens} = limits
    const limit = this.maxModelLen
    const tooLong = (what: string): ApiError =>
      new ApiError(
        400,
        `This model's maximum context length is ${limit} tokens. However, ${what}. Please reduce the length of the ${promptField}${maxTokens === undefined ? '' : ' or of the completion'}.`,
        {param: promptField, code: 'context_length_exceeded'},
      )
    if (promptTokens + 1 > limit) {
      throw tooLong(
        `your ${promptField} resulted in ${promptTokens} tokens, and one is needed for the answer`,
      )
    }
    if (maxTokens === undefined) return limit - promptTokens
    if (promptTokens + maxTokens > limit) {
      throw tooLong(
        `you requested ${promptTokens + maxTokens} tokens (${promptTokens} in the ${promptField}, ${maxTokens} in the completion)`,
      )
    }
    return maxTokens
  }
}

function checkLimits({maxTokens, maxTokensField, minTokens}: Limits): void {
  if (maxTokens === undefined || minTokens <= maxTokens) return
  throw badField(
    'min_tokens',
    `Invalid 'min_tokens': ${minTokens} is more than '${maxTokensField}' (${maxTokens}).`,
  )
}

const promptText = (prompt: Prompt): unknown =>
  prompt.kind === 'chat' ? prompt.messages : prompt.kind === 'text' ? prompt.text : prompt.ids
