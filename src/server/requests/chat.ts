/** Body of `POST /v1/chat/completions`. */
import {z} from 'zod'
import {badField, parsedBody} from './body.js'
import {jsonSchema, optional, samplingFields, seedOf, stopsOf} from './fields.js'
import type {
  AnswerFormat,
  ChatMessage,
  ContentPart,
  GenerationRequest,
  Tool,
  ToolChoice,
} from './generation-request.js'

const contentPart = z.union([
  z.looseObject({type: z.literal('text'), text: z.string()}),
  z.looseObject({type: z.literal('refusal'), refusal: z.string()}),
  z.looseObject({
    type: z.literal('image_url'),
    image_url: z.looseObject({url: z.string().min(1)}),
  }),
])

const content = z.union([z.string(), z.array(contentPart).min(1)])

const toolCall = z.looseObject({
  id: z.string(),
  type: optional(z.literal('function')),
  function: z.looseObject({name: z.string(), arguments: z.string()}),
})

const message = z.looseObject({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool', 'function']),
  content: optional(content),
  tool_calls: optional(z.array(toolCall)),
  tool_call_id: optional(z.string()),
})

const functionName = z
  .string()
  .regex(/^[\w.-]{1,64}$/, 'a name of 1 to 64 letters, digits, _, . and -')

const tool = z.looseObject({
  type: z.literal('function'),
  function: z.looseObject({
    name: functionName,
    description: optional(z.string()),
    parameters: optional(jsonSchema),
  }),
})

const chatBody = z.looseObject({
  ...samplingFields,
  messages: z.array(message).min(1),
  max_tokens: optional(z.number().int().min(1)),
  max_completion_tokens: optional(z.number().int().min(1)),
  logprobs: optional(z.boolean()),
  top_logprobs: optional(z.number().int().min(0).max(20)),
  tools: optional(z.array(tool).max(128)),
  tool_choice: optional(
    z.union([
      z.enum(['none', 'auto', 'required']),
      z.looseObject({type: z.literal('function'), function: z.looseObject({name: z.string()})}),
    ]),
  ),
  response_format: optional(
    z.discriminatedUnion('type', [
      z.looseObject({type: z.literal('text')}),
      z.looseObject({type: z.literal('json_object')}),
      z.looseObject({
        type: z.literal('json_schema'),
        json_schema: z.looseObject({name: optional(z.string()), schema: optional(jsonSchema)}),
      }),
    ]),
  ),
})

/** What of a body is read. */
export const chatFields: ReadonlySet<string> = new Set(Object.keys(chatBody.shape))

type ChatBody = z.output<typeof chatBody>

/** @throws ApiError 400 */
export function parseChat(body: unknown): GenerationRequest {
  const parsed = parsedBody(chatBody, body)
  if (parsed.top_logprobs !== undefined && parsed.logprobs !== true) {
    throw badField('top_logprobs', "'top_logprobs' needs 'logprobs': true.")
  }
  const tools = toolsOf(parsed)
  return {
    model: parsed.model,
    prompts: [{kind: 'chat', messages: parsed.messages.map(messageOf)}],
    promptField: 'messages',
    n: parsed.n ?? 1,
    stream: parsed.stream ?? false,
    includeUsage: parsed.stream_options?.include_usage ?? false,
    limits: {
      maxTokens: parsed.max_completion_tokens ?? parsed.max_tokens,
      maxTokensField:
        parsed.max_completion_tokens === undefined ? 'max_tokens' : 'max_completion_tokens',
      minTokens: parsed.min_tokens ?? 0,
      ignoreEos: parsed.ignore_eos ?? false,
      stop: stopsOf(parsed),
    },
    seed: seedOf(parsed),
    logprobs: parsed.logprobs === true ? (parsed.top_logprobs ?? 0) : undefined,
    priority: parsed.priority ?? 0,
    tools,
    toolChoice: choiceOf(parsed, tools),
    format: formatOf(parsed),
    echo: false,
  }
}

function messageOf(raw: ChatBody['messages'][number], index: number): ChatMessage {
  const {role, content: said, tool_calls: calls} = raw
  const path = `messages[${index}]`
  if (said === undefined && (role !== 'assistant' || calls === undefined || calls.length === 0)) {
    throw badField(
      `${path}.content`,
      `Missing required parameter: '${path}.content'.`,
      'missing_required_parameter',
    )
  }
  if (role === 'tool' && raw.tool_call_id === undefined) {
    const field = `${path}.tool_call_id`
    throw badField(field, `Missing required parameter: '${field}'.`, 'missing_required_parameter')
  }
  return {
    role: role === 'developer' ? 'system' : role,
    content: typeof said === 'string' ? [{kind: 'text', text: said}] : (said ?? []).map(partOf),
    toolCalls: (calls ?? []).map(({id, function: {name, arguments: json}}) => ({
      id,
      name,
      arguments: json,
    })),
    toolCallId: raw.tool_call_id,
  }
}

function partOf(part: z.output<typeof contentPart>): ContentPart {
  if (part.type === 'text') return {kind: 'text', text: part.text}
  if (part.type === 'refusal') return {kind: 'text', text: part.refusal}
  return {kind: 'picture', source: part.image_url.url}
}

const toolsOf = ({tools = []}: ChatBody): Tool[] =>
  tools.map(({function: {name, description, parameters}}, i) => ({
    name,
    description: description ?? '',
    parameters: parameters ?? {type: 'object', properties: {}},
    path: `tools[${i}].function.parameters`,
  }))

function choiceOf({tool_choice: choice}: ChatBody, tools: readonly Tool[]): ToolChoice {
  if (typeof choice !== 'object') {
    if (choice === 'required' && tools.length === 0) {
      throw badField('tool_choice', "'tool_choice' is only allowed when 'tools' are specified.")
    }
    return choice ?? 'auto'
  }
  const {name} = choice.function
  if (!tools.some((known) => known.name === name)) {
    throw badField('tool_choice', `Tool choice '${name}' is not in 'tools'.`)
  }
  return {name}
}

function formatOf({response_format: format}: ChatBody): AnswerFormat {
  if (format === undefined || format.type === 'text') return {kind: 'text'}
  if (format.type === 'json_object') return {kind: 'json'}
  const path = 'response_format.json_schema.schema'
  const {schema} = format.json_schema
  if (schema === undefined) {
    throw badField(path, `Missing required parameter: '${path}'.`, 'missing_required_parameter')
  }
  return {kind: 'schema', schema, path}
}
