/** OpenAI's vocabularies, as gpt-tokenizer ships them. */
import type {SplitText, Tokenizer} from './tokenizer.js'

type Ranks = readonly (string | readonly number[])[]

interface Encoding {
  encode(text: string, options: {disallowedSpecial: Set<string>}): number[]
}

/** Text that looks like a special token is text: nobody writes those into a prompt by accident, and some do on purpose. */
const everyText = {disallowedSpecial: new Set<string>()}

/** Merging takes time quadratic in the length of a word, so endless words (base64, a held key) are cut. */
const longestWord = 1000
const endless = new RegExp(`\\S{${longestWord}}|\\s{${longestWord}}`)
const cutWords = new RegExp(`\\S{1,${longestWord}}|\\s{1,${longestWord}}`, 'gu')

class BytePairTokenizer implements Tokenizer {
  readonly name: string
  readonly size: number
  readonly #encoding: Encoding
  readonly #ranks: Ranks

  constructor(name: string, encoding: Encoding, ranks: Ranks) {
    this.name = name
    this.#encoding = encoding
    this.#ranks = ranks
    // Special tokens have ids behind the ranks; those of frames come behind them.
    this.size = ranks.length + 1024
  }

  encode(text: string): Uint32Array {
    if (!endless.test(text)) return Uint32Array.from(this.#encoding.encode(text, everyText))
    const ids: number[] = []
    let normal = ''
    const flush = (): void => {
      for (const id of this.#encoding.encode(normal, everyText)) ids.push(id)
      normal = ''
    }
    for (const [word] of text.matchAll(cutWords)) {
      normal += word
      if (word.length >= longestWord) flush()
    }
    flush()
    return Uint32Array.from(ids)
  }

  split(text: string): SplitText {
    const ids = this.encode(text)
    return {ids, pieces: piecesOf(ids, this.#ranks)}
  }

  decode(ids: readonly number[]): string {
    return piecesOf(ids, this.#ranks).join('')
  }
}

function piecesOf(ids: ArrayLike<number>, ranks: Ranks): string[] {
  const pieces: string[] = []
  const decoder = new TextDecoder()
  let isWithin = false
  for (let i = 0; i < ids.length; i++) {
    const token = ranks[ids[i]!] ?? ''
    if (typeof token !== 'string') {
      pieces.push(decoder.decode(Uint8Array.from(token), {stream: true}))
      isWithin = true
    } else {
      pieces.push(isWithin ? decoder.decode() + token : token)
      isWithin = false
    }
  }
  const rest = isWithin ? decoder.decode() : ''
  if (rest !== '') pieces[pieces.length - 1] += rest
  return pieces
}

/** Loads the vocabulary: 0.3 s and 90 MB. */
export async function loadBytePair(name: 'o200k' | 'cl100k'): Promise<Tokenizer> {
  const [encoding, ranks] =
    name === 'o200k'
      ? await Promise.all([
          import('gpt-tokenizer/encoding/o200k_base'),
          import('gpt-tokenizer/bpeRanks/o200k_base'),
        ])
      : await Promise.all([
          import('gpt-tokenizer/encoding/cl100k_base'),
          import('gpt-tokenizer/bpeRanks/cl100k_base'),
        ])
  return new BytePairTokenizer(name, encoding, ranks.default)
}
