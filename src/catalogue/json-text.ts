/** JSON.parse with a place: V8's own messages often lack the position of the fault. */

import {Problem, type ProblemCode} from '../errors.js'

const WHITESPACE = /[ \t\n\r]*/y
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids raw control characters in strings
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const WORD = /true|false|null/y

/** Walks JSON text only to find where it breaks. */
class JsonScanner {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  /** Offset and expectation of the first fault; undefined when the text is JSON. */
  fault(): {at: number; expected: string} | undefined {
    const expected = this.#value() ?? (this.#skip() < this.#text.length ? 'the end' : undefined)
    return expected === undefined ? undefined : {at: this.#at, expected}
  }

  #take(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)
    if (found === null) return false
    this.#at += found[0].length
    return true
  }

  #skip(): number {
    this.#take(WHITESPACE)
    return this.#at
  }

  #sign(sign: string): boolean {
    this.#skip()
    if (this.#text[this.#at] !== sign) return false
    this.#at += 1
    return true
  }

  #value(): string | undefined {
    this.#skip()
    if (this.#sign('{')) return this.#members('}', () => this.#member())
    if (this.#sign('[')) return this.#members(']', () => this.#value())
    return this.#take(STRING) || this.#take(NUMBER) || this.#take(WORD) ? undefined : 'a value'
  }

  #members(close: string, member: () => string | undefined): string | undefined {
    if (this.#sign(close)) return undefined
    for (;;) {
      const expected = member()
      if (expected !== undefined) return expected
      if (this.#sign(close)) return undefined
      if (!this.#sign(',')) return `',' or '${close}'`
    }
  }

  #member(): string | undefined {
    this.#skip()
    if (!this.#take(STRING)) return 'a name in double quotes'
    return this.#sign(':') ? this.#value() : "':'"
  }
}

/**
 * Parses JSON; a byte-order mark is allowed.
 * @throws Problem `code` with file:line:column and what was expected there.
 */
export const parseJson = (text: string, file: string, code: ProblemCode): unknown => {
  const json = text.startsWith('\ufeff') ? text.slice(1) : text
  try {
    return JSON.parse(json)
  } catch (cause) {
    const fault = new JsonScanner(json).fault() ?? {at: 0, expected: 'JSON'}
    const before = json.slice(0, fault.at).split('\n')
    const place = `${file}:${before.length}:${(before.at(-1)?.length ?? 0) + 1}`
    const found =
      fault.at >= json.length ? 'it ends there' : `found ${JSON.stringify(json[fault.at])}`
    throw new Problem(code, `${place}: not valid JSON: expected ${fault.expected}, ${found}.`, {
      cause,
    })
  }
}
