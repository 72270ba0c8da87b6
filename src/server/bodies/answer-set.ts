/** What a writer of bodies knows of a request and its answers. */
import type {Answer} from '../answers/answer.js'
import type {GenerationRequest} from '../requests/generation-request.js'
import type {Tokenizer} from '../tokens/tokenizer.js'

export interface AnswerSet {
  readonly id: string
  /** Seconds since 1970. */
  readonly created: number
  readonly request: GenerationRequest
  /** `n` for each prompt, prompt by prompt. */
  readonly answers: readonly Answer[]
  /** Ids of the prompts. */
  readonly prompts: readonly ArrayLike<number>[]
  readonly tokenizer: Tokenizer
}

export const textOf = ({pieces}: Answer): string => pieces.join('')

export const event = (data: string): string => `data: ${data}\n\n`

export const done = 'data: [DONE]\n\n'
