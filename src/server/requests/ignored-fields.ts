/**
 * Fields of a body that nothing reads. OpenAI refuses what it does not know; vLLM lets it pass with a warning in its log
 * (`extra="allow"` in its request models), and so do we: clients of vLLM send more than OpenAI has.
 */
import {closest} from '../../edit-distance.js'
import {chatFields} from './chat.js'
import {completionFields} from './completion.js'
import {embeddingFields} from './embedding.js'
import {responseFields} from './response.js'

/** Read by path. */
const read = {
  '/v1/chat/completions': chatFields,
  '/v1/completions': completionFields,
  '/v1/responses': responseFields,
  '/v1/embeddings': embeddingFields,
} as const

export type GenerationPath = keyof typeof read

/** Of OpenAI and of vLLM: they change what a real model says, or how it is billed, and nothing that is simulated. */
const harmless: ReadonlySet<string> = new Set([
  ...['audio', 'function_call', 'functions', 'include', 'logit_bias', 'max_tool_calls', 'metadata'],
  ...['modalities', 'moderation', 'parallel_tool_calls', 'prediction', 'prompt_cache_key'],
  ...['prompt_cache_retention', 'reasoning', 'reasoning_effort', 'safety_identifier'],
  ...['service_tier', 'store', 'truncation', 'verbosity', 'web_search_options', 'stream_options'],
  ...[
    'add_generation_prompt',
    'add_special_tokens',
    'allowed_token_ids',
    'bad_words',
    'cache_salt',
  ],
  ...['chat_template', 'chat_template_kwargs', 'continue_final_message', 'documents'],
  ...['guided_choice', 'guided_grammar', 'guided_json', 'guided_regex', 'include_reasoning'],
  ...['include_stop_str_in_output', 'kv_transfer_params', 'length_penalty', 'logits_processors'],
  ...['min_p', 'mm_processor_kwargs', 'prompt_logprobs', 'repetition_penalty', 'request_id'],
  ...['return_token_ids', 'return_tokens_as_token_ids', 'skip_special_tokens'],
  ...['spaces_between_special_tokens', 'stop_token_ids', 'structured_outputs', 'top_k'],
  ...['top_logprobs', 'truncate_prompt_tokens', 'use_beam_search', 'vllm_xargs'],
])

/** Names that are remembered, so that a client that makes them up does not fill memory and screen. */
const mostNames = 100

export class IgnoredFields {
  readonly #onLog: (line: string) => void
  readonly #told = new Set<string>()

  constructor(onLog: (line: string) => void) {
    this.#onLog = onLog
  }

  /** The body as it is; each field of it that nothing reads is told once for each path. */
  watch(path: GenerationPath, body: unknown): unknown {
    if (typeof body !== 'object' || body === null || Array.isArray(body)) return body
    for (const name in body) {
      if (!read[path].has(name) && !harmless.has(name)) this.#tell(path, name)
    }
    return body
  }

  #tell(path: GenerationPath, name: string): void {
    const told = `${path} ${name}`
    if (this.#told.has(told) || this.#told.size >= mostNames) return
    this.#told.add(told)
    const [meant] = closest(name, read[path])
    const hint = meant === undefined ? '' : `; is ${meant} meant?`
    const shown = JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name)
    this.#onLog(`warning: ${path}: nothing reads the field ${shown}${hint}`)
  }
}
