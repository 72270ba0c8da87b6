/** What a client asks of a real server, as far as a proxy must know: whether it streams, and the tokens of its prompts. */
import type {Answering} from '../answering.js'
import {parseChat} from '../requests/chat.js'
import {parseCompletion} from '../requests/completion.js'
import {parseEmbedding} from '../requests/embedding.js'
import type {Prompt, Tool} from '../requests/generation-request.js'
import {parseResponse} from '../requests/response.js'

export interface ProxiedRequest {
  readonly model: string
  readonly mode: 'stream' | 'whole'
  readonly isChat: boolean
  readonly priority: number
  /** Answers per prompt. */
  readonly n: number
  readonly prompts: readonly Prompt[]
  readonly tools: readonly Tool[]
  /** What is sent on. */
  readonly body: Buffer
  /** The usage was asked for by us: the client does not expect the event that holds it. */
  readonly hidesUsage: boolean
}

interface Understood {
  readonly prompts: readonly Prompt[]
  readonly tools: readonly Tool[]
  readonly n: number
}

const nothing: Understood = {prompts: [], tools: [], n: 1}

/** What we would have taken for the prompts; a server may take more than we do. */
function understood(path: string, body: unknown): Understood {
  try {
    switch (path) {
      case '/v1/chat/completions':
        return parseChat(body)
      case '/v1/completions':
        return parseCompletion(body)
      case '/v1/responses':
        return parseResponse(body).request
      case '/v1/embeddings': {
        const prompts = parseEmbedding(body).inputs.map(
          (input): Prompt =>
            typeof input === 'string' ? {kind: 'text', text: input} : {kind: 'ids', ids: input},
        )
        return {prompts, tools: [], n: 1}
      }
      default:
        return nothing
    }
  } catch {
    return nothing
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Endpoints whose requests are recorded. */
export const recordedPaths = [
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/responses',
  '/v1/embeddings',
] as const

/** Streams of these tell how many tokens they had only when asked. */
const askedForUsage: readonly string[] = ['/v1/chat/completions', '/v1/completions']

/** A body that is no JSON is sent on as it is; the server says what it thinks of it. */
export function proxiedRequest(path: string, bytes: Buffer): ProxiedRequest {
  let body: unknown
  try {
    body = JSON.parse(bytes.toString())
  } catch {
    body = undefined
  }
  const fields = isObject(body) ? body : {}
  const isStream = fields.stream === true
  const options = isObject(fields.stream_options) ? fields.stream_options : {}
  const hidesUsage = isStream && askedForUsage.includes(path) && options.include_usage !== true
  const sent = {...fields, stream_options: {...options, include_usage: true}}
  return {
    ...understood(path, body),
    model: typeof fields.model === 'string' ? fields.model : '',
    mode: isStream ? 'stream' : 'whole',
    isChat: path === '/v1/chat/completions' || path === '/v1/responses',
    priority: Number.isInteger(fields.priority) ? (fields.priority as number) : 0,
    body: hidesUsage ? Buffer.from(JSON.stringify(sent)) : bytes,
    hidesUsage,
  }
}

/** Ids of all prompts, or of none where one of them is not understood. */
export async function promptsOf(
  answering: Answering,
  {prompts, tools}: ProxiedRequest,
): Promise<Uint32Array[]> {
  return await Promise.all(prompts.map((prompt) => answering.idsOf(prompt, tools)))
}
