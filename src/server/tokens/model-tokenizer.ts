/** A model's own `tokenizer.json`, as Hugging Face publishes it. */
import {readFile} from 'node:fs/promises'
import {basename, dirname, join} from 'node:path'
import type {Tokenizer as HubTokenizer} from '@huggingface/tokenizers'
import {Problem} from '../../errors.js'
import {whyUnreadable} from '../../unreadable.js'
import type {SplitText, Tokenizer} from './tokenizer.js'

class ModelTokenizer implements Tokenizer {
  readonly name: string
  readonly size: number
  readonly #hub: HubTokenizer

  constructor(name: string, hub: HubTokenizer) {
    this.name = name
    this.#hub = hub
    let last = 0
    for (const id of hub.get_vocab(true).values()) last = Math.max(last, id)
    this.size = last + 1
  }

  encode(text: string): Uint32Array {
    if (text === '') return new Uint32Array(0)
    return Uint32Array.from(this.#hub.encode(text, {add_special_tokens: false}).ids)
  }

  split(text: string): SplitText {
    const ids = [...this.encode(text)]
    return {ids, pieces: this.#pieces(ids)}
  }

  /** What each token adds to the text of the few tokens before it, once its characters are whole. */
  #pieces(ids: readonly number[]): string[] {
    const pieces: string[] = []
    let from = 0
    let shown = 0
    for (let i = 0; i < ids.length; i++) {
      const before = this.#text(ids.slice(from, shown))
      const with_ = this.#text(ids.slice(from, i + 1))
      if (i + 1 < ids.length && with_.endsWith('\ufffd')) {
        pieces.push('')
        continue
      }
      pieces.push(with_.slice(before.length))
      from = shown
      shown = i + 1
    }
    return pieces
  }

  #text(ids: readonly number[]): string {
    if (ids.length === 0) return ''
    return this.#hub.decode([...ids], {clean_up_tokenization_spaces: false})
  }

  decode(ids: readonly number[]): string {
    return this.#text(ids)
  }
}

/** @throws Problem FLAG_BAD_VALUE when the file is missing or is no tokenizer */
export async function loadModelTokenizer(path: string): Promise<Tokenizer> {
  const {Tokenizer: Hub} = await import('@huggingface/tokenizers')
  const file = path.endsWith('.json') ? path : join(path, 'tokenizer.json')
  const definition = parsed(file, await textOf(file))
  const configFile = join(dirname(file), 'tokenizer_config.json')
  const config = await readFile(configFile, 'utf8').then(
    (text) => parsed(configFile, text),
    () => ({}),
  )
  try {
    return new ModelTokenizer(
      join(basename(dirname(file)), basename(file)),
      new Hub(definition, config),
    )
  } catch (error) {
    throw wrong(file, `it is not a tokenizer of Hugging Face (${messageOf(error)})`)
  }
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw wrong(file, whyUnreadable(error))
  }
}

function parsed(file: string, text: string): object {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value
  } catch (error) {
    throw wrong(file, `it is not JSON (${messageOf(error)})`)
  }
  throw wrong(file, 'it holds no JSON object')
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error)

const wrong = (file: string, why: string): Problem =>
  new Problem('FLAG_BAD_VALUE', `--tokenizer ${file}: ${why}.`, {
    suggestions: ['the tokenizer.json beside the weights of the model', '--tokenizer o200k'],
  })
