/** Answers as the objects and named events of the Responses API. */
import type {Answer} from '../answers/answer.js'
import type {AnswerWriter, UsedTokens} from '../plan.js'
import type {ResponseBody as AskedBody} from '../requests/response.js'
import {type AnswerSet, textOf} from './answer-set.js'

type Status = 'in_progress' | 'completed' | 'incomplete'

const inputDetails = (cached: number): object => ({cached_tokens: cached, cache_write_tokens: 0})

export class ResponseBody implements AnswerWriter {
  readonly #set: AnswerSet
  readonly #asked: AskedBody
  readonly #answer: Answer
  readonly #itemId: string
  #number = 0
  #isOpen = false

  constructor(set: AnswerSet, asked: AskedBody) {
    this.#set = set
    this.#asked = asked
    this.#answer = set.answers[0]!
    const kind = this.#answer.call === undefined ? 'msg' : 'fc'
    this.#itemId = set.id.replace('resp', kind)
  }

  token(_index: number, k: number): string {
    const {call, pieces} = this.#answer
    let text = k === 0 ? this.#begin() : ''
    if (k === (call?.namedBy ?? 0)) text += this.#open()
    const piece = pieces[k]!
    if (piece === '') return text
    const place = {item_id: this.#itemId, output_index: 0, delta: piece}
    return call === undefined
      ? text + this.#event('response.output_text.delta', {...place, content_index: 0, logprobs: []})
      : text + this.#event('response.function_call_arguments.delta', place)
  }

  #begin(): string {
    const response = this.#response('in_progress', undefined)
    return (
      this.#event('response.created', {response}) + this.#event('response.in_progress', {response})
    )
  }

  #open(): string {
    this.#isOpen = true
    const added = this.#event('response.output_item.added', {
      output_index: 0,
      item: this.#item('in_progress', ''),
    })
    if (this.#answer.call !== undefined) return added
    return (
      added + this.#event('response.content_part.added', {...this.#place(), part: this.#part('')})
    )
  }

  #place(): object {
    return {item_id: this.#itemId, output_index: 0, content_index: 0}
  }

  /** Everything is complete once the usage is known. */
  last(): string {
    return ''
  }

  end(used: UsedTokens): string {
    const text = textOf(this.#answer)
    const {call} = this.#answer
    const status = this.#status
    let events = ''
    if (this.#isOpen) {
      events +=
        call === undefined
          ? this.#event('response.output_text.done', {...this.#place(), text, logprobs: []}) +
            this.#event('response.content_part.done', {...this.#place(), part: this.#part(text)})
          : this.#event('response.function_call_arguments.done', {
              item_id: this.#itemId,
              output_index: 0,
              name: call.name,
              arguments: text,
            })
      const item = this.#item(status, text)
      events += this.#event('response.output_item.done', {output_index: 0, item})
    }
    return events + this.#event(`response.${status}`, {response: this.#response(status, used)})
  }

  whole(used: UsedTokens): string {
    return JSON.stringify(this.#response(this.#status, used))
  }

  get #status(): Status {
    return this.#answer.finishReason === 'length' ? 'incomplete' : 'completed'
  }

  #event(type: string, fields: object): string {
    const data = JSON.stringify({type, sequence_number: this.#number++, ...fields})
    return `event: ${type}\ndata: ${data}\n\n`
  }

  #part(text: string): object {
    return {type: 'output_text', text, annotations: [], logprobs: []}
  }

  #item(status: Status, text: string): object {
    const {call} = this.#answer
    const id = this.#itemId
    if (call !== undefined) {
      const {id: call_id, name} = call
      return {id, type: 'function_call', status, call_id, name, arguments: text}
    }
    const content = status === 'in_progress' ? [] : [this.#part(text)]
    return {id, type: 'message', status, role: 'assistant', content}
  }

  #response(status: Status, used: UsedTokens | undefined): object {
    const {id, created, request} = this.#set
    const asked = this.#asked
    const isIncomplete = status === 'incomplete'
    return {
      id,
      object: 'response',
      created_at: created,
      status,
      background: false,
      error: null,
      incomplete_details: isIncomplete ? {reason: 'max_output_tokens'} : null,
      instructions: asked.instructions ?? null,
      max_output_tokens: asked.max_output_tokens ?? null,
      metadata: asked.metadata ?? {},
      model: request.model,
      output: used === undefined ? [] : [this.#item(status, textOf(this.#answer))],
      parallel_tool_calls: asked.parallel_tool_calls ?? true,
      previous_response_id: null,
      reasoning: {effort: null, summary: null},
      service_tier: 'default',
      temperature: asked.temperature ?? 1,
      text: {format: asked.text?.format ?? {type: 'text'}},
      tool_choice: asked.tool_choice ?? 'auto',
      tools: (asked.tools ?? []).map(toolOf),
      top_p: asked.top_p ?? 1,
      truncation: 'disabled',
      ...(used === undefined ? {} : {usage: usageOf(used)}),
      ...(asked.user === undefined ? {} : {user: asked.user}),
    }
  }
}

const toolOf = ({
  name,
  description,
  parameters,
  strict,
}: NonNullable<AskedBody['tools']>[number]): object => ({
  type: 'function',
  name,
  description: description ?? null,
  parameters: parameters ?? null,
  strict: strict ?? true,
})

const usageOf = ({prompt, cached, completion}: UsedTokens): object => ({
  input_tokens: prompt,
  input_tokens_details: inputDetails(cached),
  output_tokens: completion,
  output_tokens_details: {reasoning_tokens: 0},
  total_tokens: prompt + completion,
})
