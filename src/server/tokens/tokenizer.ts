/** What turns text into the token ids of a model, and where to get one. */
import {Problem} from '../../errors.js'

export interface SplitText {
  readonly ids: ArrayLike<number>
  /** One for each id; together they are the text. A character of several tokens stands with its last one. */
  readonly pieces: readonly string[]
}

export interface Tokenizer {
  /** As it is named in /status. */
  readonly name: string
  /** Ids from here on belong to no text; chat frames use them. */
  readonly size: number
  encode(text: string): Uint32Array
  split(text: string): SplitText
  /** Undefined: these ids cannot be turned back, and `whyNotDecoded` says why. */
  decode(ids: readonly number[]): string | undefined
  readonly whyNotDecoded?: string
}

export const tokenizerNames = ['o200k', 'cl100k', 'estimate'] as const

/**
 * The tokenizer of `--tokenizer`: a name, or the path of a `tokenizer.json`.
 * @throws Problem FLAG_BAD_VALUE
 */
export async function loadTokenizer(spec: string): Promise<Tokenizer> {
  switch (spec) {
    case 'o200k':
    case 'cl100k':
      return (await import('./byte-pair-tokenizer.js')).loadBytePair(spec)
    case 'estimate':
      return (await import('./estimate-tokenizer.js')).estimateTokenizer
    default:
      if (!/[./\\]/.test(spec)) throw unknownTokenizer(spec)
      return (await import('./model-tokenizer.js')).loadModelTokenizer(spec)
  }
}

const unknownTokenizer = (spec: string): Problem =>
  new Problem(
    'FLAG_BAD_VALUE',
    `--tokenizer ${spec}: there is no such tokenizer; it is ${tokenizerNames.join(', ')}, or the path of a tokenizer.json.`,
    {suggestions: ['--tokenizer o200k', '--tokenizer ./my-model/tokenizer.json']},
  )

/** Which of the shipped vocabularies counts for a model, and what to say of it. */
export function tokenizerOf(model: string): {readonly spec: string; readonly note?: string} {
  if (/gpt-4(?!o|\.)|gpt-3\.5/i.test(model)) return {spec: 'cl100k'}
  if (/gpt-4o|gpt-4\.1|gpt-5|gpt-oss|\bo[134]\b/i.test(model)) return {spec: 'o200k'}
  const note = /llama-?3/i.test(model)
    ? 'Llama 3 is counted with o200k: within 0.15 % on English text'
    : `${model} is counted with o200k; its own tokenizer.json is exact (--tokenizer PATH)`
  return {spec: 'o200k', note}
}
