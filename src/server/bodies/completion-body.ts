/** Answers as `text_completion`, whole or in chunks. */
import type {Answer} from '../answers/answer.js'
import type {AnswerWriter, UsedTokens} from '../plan.js'
import type {Prompt} from '../requests/generation-request.js'
import {type AnswerSet, done, event, textOf} from './answer-set.js'
import {oddsOf} from './log-probabilities.js'
import {usageOf} from './usage.js'

export class CompletionBody implements AnswerWriter {
  readonly #set: AnswerSet
  /** Characters that a client has of each answer. */
  readonly #shown: number[] = []

  constructor(set: AnswerSet) {
    this.#set = set
  }

  token(index: number, k: number): string {
    const {answers, request} = this.#set
    const answer = answers[index]!
    const before = k === 0 && request.echo ? this.#promptOf(index) : ''
    const piece = answer.pieces[k]!
    const offset = k === 0 ? before.length : this.#shown[index]!
    this.#shown[index] = offset + piece.length
    if (before + piece === '' && request.logprobs === undefined) return ''
    const logprobs = this.#odds(answer, k, k + 1, offset)
    return this.#chunk({text: before + piece, index, logprobs, finish_reason: null})
  }

  last(index: number): string {
    const {finishReason} = this.#set.answers[index]!
    return this.#chunk({text: '', index, logprobs: null, finish_reason: finishReason})
  }

  end(used: UsedTokens): string {
    if (!this.#set.request.includeUsage) return done
    return event(JSON.stringify({...this.#head(), choices: [], usage: usageOf(used)})) + done
  }

  whole(used: UsedTokens): string {
    const choices = this.#set.answers.map((answer, index) => {
      const before = this.#set.request.echo ? this.#promptOf(index) : ''
      return {
        text: before + textOf(answer),
        index,
        logprobs: this.#odds(answer, 0, answer.pieces.length, before.length),
        finish_reason: answer.finishReason,
      }
    })
    return JSON.stringify({...this.#head(), choices, usage: usageOf(used)})
  }

  #chunk(choice: object): string {
    const usage = this.#set.request.includeUsage ? {usage: null} : {}
    return event(JSON.stringify({...this.#head(), choices: [choice], ...usage}))
  }

  #head(): object {
    const {id, created, request} = this.#set
    return {
      id,
      object: 'text_completion',
      created,
      model: request.model,
      system_fingerprint: 'fp_llmsim',
    }
  }

  #odds({ids, pieces}: Answer, from: number, to: number, offset: number): object | null {
    const {logprobs} = this.#set.request
    if (logprobs === undefined) return null
    const odds = pieces
      .slice(from, to)
      .map((piece, i) => oddsOf(piece, ids[from + i]!, from + i, logprobs))
    let at = offset
    const offsets = odds.map(({token}) => {
      const start = at
      at += token.length
      return start
    })
    return {
      tokens: odds.map(({token}) => token),
      token_logprobs: odds.map(({logprob}) => logprob),
      top_logprobs: odds.map(({top}) =>
        Object.fromEntries(top.map(({token, logprob}) => [token, logprob])),
      ),
      text_offset: offsets,
    }
  }

  #promptOf(index: number): string {
    const {request, tokenizer} = this.#set
    const prompt: Prompt = request.prompts[Math.floor(index / request.n)]!
    if (prompt.kind === 'text') return prompt.text
    return prompt.kind === 'ids' ? (tokenizer.decode(prompt.ids) ?? '') : ''
  }
}
