/**
 * Text that says nothing, in exactly as many tokens as are asked for. Where a vocabulary has whole words, sentences of
 * them are prepared once as a long tape of tokens, and an answer is a stretch of it: nothing is tokenized.
 */
import type {SplitText, Tokenizer} from '../tokens/tokenizer.js'
import {Dice} from './dice.js'
import {capitalised, words} from './words.js'

export interface Filler {
  /** `length` tokens (at least 1) of text. */
  take(length: number, dice: Dice): SplitText
  /** `count` words without punctuation. */
  words(count: number, dice: Dice): string
}

/** The longest answer that is one piece of tape. */
const tapeTokens = 1 << 15
const tapeSeed = 1

interface Word {
  readonly id: number
  readonly text: string
  /** At the start of an answer, where no blank stands before it. */
  readonly bare: {readonly id: number; readonly text: string}
}

interface Vocabulary {
  readonly starts: readonly Word[]
  readonly words: readonly Word[]
  readonly stop: Word
  readonly comma: Word
}

const phrase = (count: number, dice: Dice): string =>
  Array.from({length: count}, () => dice.of(words)).join(' ')

export function fillerOf(tokenizer: Tokenizer): Filler {
  const vocabulary = vocabularyOf(tokenizer)
  if (vocabulary !== undefined) {
    const tape = recorded(vocabulary)
    const sample = tape.take(2000, new Dice(tapeSeed))
    const again = tokenizer.encode(sample.pieces.join(''))
    if (again.length === 2000 && again.every((id, i) => id === sample.ids[i])) {
      return {take: tape.take, words: phrase}
    }
  }
  return {take: (length, dice) => written(tokenizer, length, dice), words: phrase}
}

/** The words that are one token behind another word; undefined: too few to speak with. */
function vocabularyOf(tokenizer: Tokenizer): Vocabulary | undefined {
  const behind = (text: string): number | undefined => {
    const [before, both] = [tokenizer.encode('a'), tokenizer.encode(`a${text}`)]
    return both.length === before.length + 1 && both[0] === before[0] ? both.at(-1) : undefined
  }
  const wordOf = (text: string): Word | undefined => {
    const id = behind(` ${text}`)
    const alone = tokenizer.encode(text)
    if (id === undefined || alone.length !== 1) return undefined
    return {id, text: ` ${text}`, bare: {id: alone[0]!, text}}
  }
  const known = (list: readonly string[]): Word[] =>
    list.map(wordOf).filter((word) => word !== undefined)
  const mark = (text: string): Word | undefined => {
    const id = behind(text)
    return id === undefined ? undefined : {id, text, bare: {id, text}}
  }
  const [stop, comma] = [mark('.'), mark(',')]
  const [starts, inner] = [known(words.map(capitalised)), known(words)]
  if (stop === undefined || comma === undefined || starts.length < 20 || inner.length < 50) {
    return undefined
  }
  return {starts, words: inner, stop, comma}
}

/** Sentences of 6 to 16 words. */
function sentences({starts, words: inner, stop, comma}: Vocabulary): {
  tape: Word[]
  begins: number[]
} {
  const dice = new Dice(tapeSeed)
  const tape: Word[] = []
  const begins: number[] = []
  while (tape.length < tapeTokens) {
    begins.push(tape.length)
    tape.push(dice.of(starts))
    const length = 5 + dice.below(11)
    const commaAt = length > 9 ? 3 + dice.below(4) : 0
    for (let i = 1; i <= length; i++) {
      tape.push(dice.of(inner))
      if (i === commaAt) tape.push(comma)
    }
    tape.push(stop)
  }
  return {tape, begins}
}

function recorded(vocabulary: Vocabulary): Pick<Filler, 'take'> {
  const {tape, begins} = sentences(vocabulary)
  // Twice, so that most answers are one stretch wherever they begin.
  const twice = [...tape, ...tape]
  const ids = Uint32Array.from(twice, ({id}) => id)
  const pieces = twice.map(({text}) => text)
  return {
    take(length, dice) {
      const from = dice.of(begins)
      const {bare} = tape[from]!
      const taken = new Uint32Array(length)
      const texts: string[] = []
      for (let done = 0; done < length; ) {
        const at = (from + done) % tape.length
        const part = Math.min(length - done, twice.length - at)
        taken.set(ids.subarray(at, at + part), done)
        for (let i = at; i < at + part; i++) texts.push(pieces[i]!)
        done += part
      }
      taken[0] = bare.id
      texts[0] = bare.text
      return {ids: taken, pieces: texts}
    },
  }
}

/** For vocabularies without whole words: written, tokenized and cut. */
function written(tokenizer: Tokenizer, length: number, dice: Dice): SplitText {
  let text = capitalised(phrase(4, dice))
  let split = tokenizer.split(text)
  while (split.ids.length <= length) {
    const missing = length - split.ids.length + 1
    text += ` ${phrase(missing, dice)}.`
    split = tokenizer.split(text)
  }
  const ids = Array.prototype.slice.call(split.ids, 0, length) as number[]
  return {ids, pieces: split.pieces.slice(0, length)}
}
