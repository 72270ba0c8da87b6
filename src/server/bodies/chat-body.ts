/** Answers as `chat.completion` and as its chunks. */
import type {Answer} from '../answers/answer.js'
import type {AnswerWriter, UsedTokens} from '../plan.js'
import {type AnswerSet, done, event, textOf} from './answer-set.js'
import {chatOdds} from './log-probabilities.js'
import {usageOf} from './usage.js'

export class ChatBody implements AnswerWriter {
  readonly #set: AnswerSet
  /** Everything of a chunk before and after its `choices`. */
  readonly #before: string
  readonly #after: string

  constructor(set: AnswerSet) {
    this.#set = set
    const {id, created, request} = set
    const head = {
      id,
      object: 'chat.completion.chunk',
      created,
      model: request.model,
      system_fingerprint: 'fp_llmsim',
    }
    this.#before = `data: ${JSON.stringify(head).slice(0, -1)},"choices":[`
    this.#after = request.includeUsage ? '],"usage":null}\n\n' : ']}\n\n'
  }

  token(index: number, k: number): string {
    const answer = this.#set.answers[index]!
    const opening = k === 0 ? this.#chunk(index, this.#opening(answer), 'null') : ''
    const delta = this.#delta(answer, k)
    const odds = this.#odds(answer, k)
    if (delta === undefined && odds === undefined) return opening
    const logprobs = odds === undefined ? 'null' : JSON.stringify({content: [odds], refusal: null})
    return opening + this.#chunk(index, delta ?? '{"content":""}', logprobs)
  }

  #opening({call}: Answer): string {
    const content = call === undefined ? '""' : 'null'
    return `{"role":"assistant","content":${content},"refusal":null}`
  }

  #delta({call, pieces}: Answer, k: number): string | undefined {
    const piece = pieces[k]!
    if (call === undefined) return piece === '' ? undefined : `{"content":${JSON.stringify(piece)}}`
    const {id, name, namedBy} = call
    if (k === namedBy) {
      const opened = {index: 0, id, type: 'function', function: {name, arguments: ''}}
      return JSON.stringify({tool_calls: [opened]})
    }
    if (piece === '') return undefined
    return JSON.stringify({tool_calls: [{index: 0, function: {arguments: piece}}]})
  }

  #odds({ids, pieces, call}: Answer, k: number): object | undefined {
    const {logprobs} = this.#set.request
    if (logprobs === undefined || call !== undefined) return undefined
    return chatOdds(pieces[k]!, ids[k]!, k, logprobs)
  }

  #chunk(index: number, delta: string, logprobs: string, reason = 'null'): string {
    return `${this.#before}{"index":${index},"delta":${delta},"logprobs":${logprobs},"finish_reason":${reason}}${this.#after}`
  }

  last(index: number): string {
    const {finishReason} = this.#set.answers[index]!
    return this.#chunk(index, '{}', 'null', `"${finishReason}"`)
  }

  end(used: UsedTokens): string {
    if (!this.#set.request.includeUsage) return done
    const {id, created, request} = this.#set
    const chunk = {
      id,
      object: 'chat.completion.chunk',
      created,
      model: request.model,
      system_fingerprint: 'fp_llmsim',
      choices: [],
      usage: usageOf(used),
    }
    return event(JSON.stringify(chunk)) + done
  }

  whole(used: UsedTokens): string {
    const {id, created, request, answers} = this.#set
    return JSON.stringify({
      id,
      object: 'chat.completion',
      created,
      model: request.model,
      choices: answers.map((answer, index) => this.#choice(answer, index)),
      usage: usageOf(used),
      system_fingerprint: 'fp_llmsim',
    })
  }

  #choice(answer: Answer, index: number): object {
    const {request} = this.#set
    const hasOdds = request.logprobs !== undefined && answer.call === undefined
    const content = hasOdds ? answer.pieces.map((_, k) => this.#odds(answer, k)) : undefined
    return {
      index,
      message: messageOf(answer),
      logprobs: content === undefined ? null : {content, refusal: null},
      finish_reason: answer.finishReason,
    }
  }
}

function messageOf(answer: Answer): object {
  const {call} = answer
  if (call === undefined) return {role: 'assistant', content: textOf(answer), refusal: null}
  const {id, name} = call
  return {
    role: 'assistant',
    content: null,
    refusal: null,
    tool_calls: [{id, type: 'function', function: {name, arguments: textOf(answer)}}],
  }
}
