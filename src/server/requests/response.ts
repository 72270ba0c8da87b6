/** Body of `POST /v1/responses`. */
import {z} from 'zod'
import {badField, parsedBody} from './body.js'
import {jsonSchema, optional, samplingFields, seedOf} from './fields.js'
import type {
  AnswerFormat,
  ChatMessage,
  ContentPart,
  GenerationRequest,
  Tool,
  ToolChoice,
} from './generation-request.js'

const {model, stream, temperature, top_p, seed, priority, user, min_tokens, ignore_eos} =
  samplingFields

const inputPart = z.union([
  z.looseObject({type: z.enum(['input_text', 'output_text', 'text']), text: z.string()}),
  z.looseObject({type: z.literal('refusal'), refusal: z.string()}),
  z.looseObject({type: z.literal('input_image'), image_url: z.string().min(1)}),
])

const inputMessage = z.looseObject({
  type: optional(z.literal('message')),
  role: z.enum(['user', 'assistant', 'system', 'developer']),
  content: z.union([z.string(), z.array(inputPart)]),
})
const functionCall = z.looseObject({
  type: z.literal('function_call'),
  call_id: z.string(),
  name: z.string(),
  arguments: z.string(),
})
const functionOutput = z.looseObject({
  type: z.literal('function_call_output'),
  call_id: z.string(),
  output: z.union([z.string(), z.array(inputPart)]),
})
/** Sent back by clients that keep what they got; nothing of it is shown to the model. */
const reasoning = z.looseObject({type: z.literal('reasoning')})

const tool = z.looseObject({
  type: z.literal('function'),
  name: z.string().min(1),
  description: optional(z.string()),
  parameters: optional(jsonSchema),
  strict: optional(z.boolean()),
})

const responseBody = z.looseObject({
  ...{model, stream, temperature, top_p, seed, priority, user, min_tokens, ignore_eos},
  input: z.union([
    z.string().min(1),
    z.array(z.union([inputMessage, functionCall, functionOutput, reasoning])).min(1),
  ]),
  instructions: optional(z.string()),
  max_output_tokens: optional(z.number().int().min(1)),
  previous_response_id: optional(z.string()),
  conversation: optional(z.unknown()),
  background: optional(z.boolean()),
  parallel_tool_calls: optional(z.boolean()),
  metadata: optional(z.record(z.string(), z.string())),
  tools: optional(z.array(tool).max(128)),
  tool_choice: optional(
    z.union([
      z.enum(['none', 'auto', 'required']),
      z.looseObject({type: z.literal('function'), name: z.string()}),
    ]),
  ),
  text: optional(
    z.looseObject({
      format: optional(
        z.discriminatedUnion('type', [
          z.looseObject({type: z.literal('text')}),
          z.looseObject({type: z.literal('json_object')}),
          z.looseObject({
            type: z.literal('json_schema'),
            name: optional(z.string()),
            schema: jsonSchema,
          }),
        ]),
      ),
    }),
  ),
})

/** What of a body is read. */
export const responseFields: ReadonlySet<string> = new Set(Object.keys(responseBody.shape))

export type ResponseBody = z.output<typeof responseBody>

export interface ResponseRequest {
  readonly request: GenerationRequest
  /** What the response repeats. */
  readonly body: ResponseBody
}

/** @throws ApiError 400 */
export function parseResponse(raw: unknown): ResponseRequest {
  const body = parsedBody(responseBody, raw)
  refuseState(body)
  const tools = (body.tools ?? []).map(
    (each, i): Tool => ({
      name: each.name,
      description: each.description ?? '',
      parameters: each.parameters ?? {type: 'object', properties: {}},
      path: `tools[${i}].parameters`,
    }),
  )
  const request: GenerationRequest = {
    model: body.model,
    prompts: [{kind: 'chat', messages: messagesOf(body)}],
    promptField: 'input',
    n: 1,
    stream: body.stream ?? false,
    includeUsage: true,
    limits: {
      maxTokens: body.max_output_tokens,
      maxTokensField: 'max_output_tokens',
      minTokens: body.min_tokens ?? 0,
      ignoreEos: body.ignore_eos ?? false,
      stop: [],
    },
    seed: seedOf(body),
    logprobs: undefined,
    priority: body.priority ?? 0,
    tools,
    toolChoice: choiceOf(body, tools),
    format: formatOf(body),
    echo: false,
  }
  return {request, body}
}

/** Nothing is kept from one request to the next. */
function refuseState({previous_response_id, conversation, background}: ResponseBody): void {
  if (previous_response_id !== undefined) {
    throw badField(
      'previous_response_id',
      `Previous response '${previous_response_id}' is not kept here: send the whole conversation as 'input'.`,
      'previous_response_not_found',
    )
  }
  if (conversation !== undefined) {
    throw badField(
      'conversation',
      "Conversations are not kept here: send the whole of it as 'input'.",
    )
  }
  if (background === true) {
    throw badField('background', "'background' is not served: answers come with their request.")
  }
}

function messagesOf({input, instructions}: ResponseBody): ChatMessage[] {
  const messages: ChatMessage[] = []
  if (instructions !== undefined) messages.push(plain('system', instructions))
  if (typeof input === 'string') return [...messages, plain('user', input)]
  for (const item of input) {
    if (item.type === 'function_call') {
      const {call_id: id, name, arguments: json} = item
      messages.push({role: 'assistant', content: [], toolCalls: [{id, name, arguments: json}]})
    } else if (item.type === 'function_call_output') {
      messages.push({
        role: 'tool',
        content: partsOf(item.output),
        toolCalls: [],
        toolCallId: item.call_id,
      })
    } else if (item.type !== 'reasoning') {
      const role = item.role === 'developer' ? 'system' : item.role
      messages.push({role, content: partsOf(item.content), toolCalls: []})
    }
  }
  return messages
}

const plain = (role: string, text: string): ChatMessage => ({
  role,
  content: [{kind: 'text', text}],
  toolCalls: [],
})

const partsOf = (content: string | readonly z.output<typeof inputPart>[]): ContentPart[] =>
  typeof content === 'string' ? [{kind: 'text', text: content}] : content.map(partOf)

function partOf(part: z.output<typeof inputPart>): ContentPart {
  if (part.type === 'refusal') return {kind: 'text', text: part.refusal}
  if (part.type === 'input_image') return {kind: 'picture', source: part.image_url}
  return {kind: 'text', text: part.text}
}

function choiceOf({tool_choice: choice}: ResponseBody, tools: readonly Tool[]): ToolChoice {
  if (typeof choice !== 'object') {
    if (choice === 'required' && tools.length === 0) {
      throw badField('tool_choice', "'tool_choice' is only allowed when 'tools' are specified.")
    }
    return choice ?? 'auto'
  }
  const {name} = choice
  if (!tools.some((known) => known.name === name)) {
    throw badField('tool_choice', `Tool choice '${name}' is not in 'tools'.`)
  }
  return {name}
}

function formatOf({text}: ResponseBody): AnswerFormat {
  const format = text?.format
  if (format === undefined || format.type === 'text') return {kind: 'text'}
  if (format.type === 'json_object') return {kind: 'json'}
  return {kind: 'schema', schema: format.schema, path: 'text.format.schema'}
}
