/** What every endpoint that generates text is asked, whatever its body looks like. */

export interface ToolCall {
  readonly id: string
  readonly name: string
  /** JSON, as a string. */
  readonly arguments: string
}

export type ContentPart =
  | {readonly kind: 'text'; readonly text: string}
  /** Told apart by where it comes from. */
  | {readonly kind: 'picture'; readonly source: string}

export interface ChatMessage {
  readonly role: string
  readonly content: readonly ContentPart[]
  readonly toolCalls: readonly ToolCall[]
  readonly toolCallId?: string | undefined
}

export type JsonSchema = boolean | {readonly [keyword: string]: unknown}

export interface Tool {
  readonly name: string
  readonly description: string
  readonly parameters: JsonSchema
  /** Where the parameters stand in the body. */
  readonly path: string
}

/** `auto`: the answer decides; `name`: this one. */
export type ToolChoice = 'none' | 'auto' | 'required' | {readonly name: string}

export type AnswerFormat =
  | {readonly kind: 'text'}
  | {readonly kind: 'json'}
  | {readonly kind: 'schema'; readonly schema: JsonSchema; readonly path: string}

export type Prompt =
  | {readonly kind: 'chat'; readonly messages: readonly ChatMessage[]}
  | {readonly kind: 'text'; readonly text: string}
  | {readonly kind: 'ids'; readonly ids: readonly number[]}

export interface Limits {
  /** Tokens of the answer at most; undefined: as many as the context holds. */
  readonly maxTokens: number | undefined
  /** Name of the field that said so. */
  readonly maxTokensField: string
  readonly minTokens: number
  readonly ignoreEos: boolean
  readonly stop: readonly string[]
}

export interface GenerationRequest {
  readonly model: string
  /** One or more; each gets `n` answers. */
  readonly prompts: readonly Prompt[]
  readonly promptField: 'messages' | 'prompt' | 'input'
  readonly n: number
  readonly stream: boolean
  readonly includeUsage: boolean
  readonly limits: Limits
  /** Undefined: every request draws anew. */
  readonly seed: number | undefined
  /** Alternatives per token; undefined: no log probabilities. */
  readonly logprobs: number | undefined
  readonly priority: number
  readonly tools: readonly Tool[]
  readonly toolChoice: ToolChoice
  readonly format: AnswerFormat
  /** Whether the prompt comes back before the answer (completions). */
  readonly echo: boolean
}
