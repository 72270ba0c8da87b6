import {randomBytes} from 'node:crypto'
import {ApiError} from './api-error.js'
import type {AnswerWriter, Plan} from './plan.js'
export interface AnsweringOptions {
  readonly tokenizer: string
  readonly answer: string
  readonly outputTokens: string
  readonly servedNames: readonly string[]
  readonly anyModel: 'any model' | 'served names only'
  readonly modelName: string
  readonly maxModelLen: number
  readonly vocabulary?: number
  readonly seed: number
}
export interface Answering {
  chat(body: unknown): Plan | Promise<Plan>
  completion(body: unknown): Plan | Promise<Plan>
  readonly tokenizer: {readonly name: string; readonly note: string | undefined}
  readonly chatTemplate: string
  models(): unknown
  model(id: string): unknown
  close(): Promise<void>
}
const code = (w: string) => {
  let h = 7
  for (let i = 0; i < w.length; i++) h = (Math.imul(h, 31) + w.charCodeAt(i)) >>> 0
  return h
}
export async function buildAnswering(options: AnsweringOptions): Promise<Answering> {
  const plan = (endpoint: string, body: any): Plan => {
    if (typeof body !== 'object' || body === null) throw new ApiError(400, 'object')
    if (!options.servedNames.includes(body.model))
      throw new ApiError(404, `The model ${body.model} does not exist.`)
    const text = body.messages
      ? body.messages.map((m: any) => `<${m.role}> ${m.content} <end>`).join(' ') + ' <assistant>'
      : String(body.prompt)
    const promptIds = Uint32Array.from(text.split(/\s+/).map(code))
    const n = body.max_tokens ?? 50
    const words = Array.from({length: n}, (_, i) => `w${(promptIds.length * 31 + i * 17) % 1000}`)
    const outputIds = Uint32Array.from(words.map(code))
    const id = `chatcmpl-${randomBytes(12).toString('hex')}`
    const base = `{"id":"${id}","object":"chat.completion.chunk","created":1,"model":"${body.model}","choices":[{"index":0,"delta":`
    const writer: AnswerWriter = {
      token: (_i, k) =>
        `data: ${base}{${k === 0 ? '"role":"assistant",' : ''}"content":"${k ? ' ' : ''}${words[k]}"}}]}\n\n`,
      last: () => `data: ${base}{},"finish_reason":"length"}]}\n\n`,
      end: () => 'data: [DONE]\n\n',
      whole: (used) =>
        JSON.stringify({
          id,
          object: 'chat.completion',
          choices: [
            {
              index: 0,
              finish_reason: 'length',
              message: {role: 'assistant', content: words.join(' ')},
            },
          ],
          usage: {
            prompt_tokens: used.prompt,
            completion_tokens: used.completion,
            total_tokens: used.prompt + used.completion,
            prompt_tokens_details: {cached_tokens: used.cached},
          },
        }),
    }
    return {
      id,
      endpoint,
      model: body.model,
      mode: body.stream ? 'stream' : 'whole',
      priority: 0,
      answers: [{promptIds, outputIds}],
      writer,
      isChat: !!body.messages,
    }
  }
  return {
    chat: (body) => plan('/v1/chat/completions', body),
    completion: (body) => plan('/v1/completions', body),
    tokenizer: {name: 'words', note: undefined},
    chatTemplate: 'none',
    models: () => ({
      object: 'list',
      data: options.servedNames.map((id) => ({id, object: 'model'})),
    }),
    model: (id) => ({id}),
    close: async () => {},
  }
}
