/** A text that matches a regular expression: literals, classes, groups, alternatives, repetition and anchors. */
import type {Dice} from './dice.js'

/** Repetitions of what may come without end. */
const mostMore = 3

const ranges = (text: string): string[] => {
  const all: string[] = []
  for (let i = 0; i < text.length; i += 2) {
    for (let c = text.charCodeAt(i); c <= text.charCodeAt(i + 1); c++)
      all.push(String.fromCharCode(c))
  }
  return all
}

const printable = ranges(' ~')
const classes: Readonly<Record<string, readonly string[]>> = {
  d: ranges('09'),
  w: ranges('azAZ09__'),
  s: [' '],
}
const controls: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  f: '\f',
  v: '\v',
  '0': '\0',
}

const without = (set: readonly string[]): string[] => printable.filter((c) => !set.includes(c))

/** Reads a pattern once and writes as it goes. A construct that it does not know is undefined as a whole. */
class PatternWriter {
  readonly #pattern: string
  readonly #dice: Dice
  #at = 0

  constructor(pattern: string, dice: Dice) {
    this.#pattern = pattern
    this.#dice = dice
  }

  /** Alternatives up to the end or a closing bracket. All are read, one is written. */
  alternatives(): string {
    const written = [this.#sequence()]
    while (this.#pattern[this.#at] === '|') {
      this.#at++
      written.push(this.#sequence())
    }
    return this.#dice.of(written)
  }

  get isAtEnd(): boolean {
    return this.#at === this.#pattern.length
  }

  #sequence(): string {
    let text = ''
    while (!this.isAtEnd && !'|)'.includes(this.#pattern[this.#at]!)) text += this.#repeated()
    return text
  }

  #repeated(): string {
    const from = this.#at
    let text = this.#atom()
    const [least, most] = this.#quantifier()
    const after = this.#at
    const times = least + this.#dice.below(most - least + 1)
    if (times === 0) return ''
    for (let i = 1; i < times; i++) {
      this.#at = from
      text += this.#atom()
    }
    this.#at = after
    return text
  }

  #quantifier(): readonly [number, number] {
    const rest = this.#pattern.slice(this.#at)
    const match = /^(?:[*+?]|\{(\d+)(,(\d*))?\})\??/.exec(rest)
    if (match === null) return [1, 1]
    this.#at += match[0].length
    const sign = match[0][0]
    if (sign === '*') return [0, mostMore]
    if (sign === '+') return [1, 1 + mostMore]
    if (sign === '?') return [0, 1]
    const least = Number(match[1])
    if (match[2] === undefined) return [least, least]
    return [least, match[3] === '' ? least + mostMore : Number(match[3])]
  }

  #atom(): string {
    const c = this.#pattern[this.#at++]!
    if (c === '^' || c === '$') return ''
    if (c === '.') return this.#dice.of(classes.w!)
    if (c === '[') return this.#dice.of(this.#class())
    if (c === '(') return this.#group()
    if (c !== '\\') return c
    const escaped = this.#escape()
    return typeof escaped === 'string' ? escaped : this.#dice.of(escaped)
  }

  #group(): string {
    const kind = /^\?(?::|<\w+>)/.exec(this.#pattern.slice(this.#at))
    if (kind !== null) this.#at += kind[0].length
    else if (this.#pattern[this.#at] === '?') throw new Error('a look around')
    const text = this.alternatives()
    this.#at++
    return text
  }

  #escape(): string | readonly string[] {
    const c = this.#pattern[this.#at++] ?? ''
    if (Object.hasOwn(classes, c)) return classes[c]!
    if (Object.hasOwn(classes, c.toLowerCase())) return without(classes[c.toLowerCase()]!)
    if (Object.hasOwn(controls, c)) return controls[c]!
    const code = /^(?:u([\da-fA-F]{4})|x([\da-fA-F]{2}))/.exec(this.#pattern.slice(this.#at - 1))
    if (code !== null) {
      this.#at += code[0].length - 1
      return String.fromCharCode(Number.parseInt(code[1] ?? code[2]!, 16))
    }
    if (c === 'b' || c === 'B') return ''
    if (/[\w]/.test(c)) throw new Error(`\\${c}`)
    return c
  }

  #class(): readonly string[] {
    const isNegated = this.#pattern[this.#at] === '^'
    if (isNegated) this.#at++
    const set: string[] = []
    while (this.#pattern[this.#at] !== ']') {
      const from = this.#member()
      const isRange = this.#pattern[this.#at] === '-' && this.#pattern[this.#at + 1] !== ']'
      if (typeof from !== 'string') set.push(...from)
      else if (isRange) {
        this.#at++
        set.push(...ranges(from + (this.#member() as string)))
      } else set.push(from)
    }
    this.#at++
    const all = isNegated ? without(set) : set
    if (all.length === 0) throw new Error('an empty class')
    return all
  }

  #member(): string | readonly string[] {
    if (this.isAtEnd) throw new Error('a class without end')
    const c = this.#pattern[this.#at++]!
    return c === '\\' ? this.#escape() : c
  }
}

const draws = 50

/** Undefined when none was found: every text is checked with the pattern itself and with `fits`. */
export function textMatching(
  pattern: string,
  dice: Dice,
  fits: (text: string) => boolean,
): string | undefined {
  try {
    const check = new RegExp(pattern, 'u')
    for (let i = 0; i < draws; i++) {
      const writer = new PatternWriter(pattern, dice)
      const text = writer.alternatives()
      if (writer.isAtEnd && check.test(text) && fits(text)) return text
    }
  } catch {
    // Not a pattern, or one with look-arounds, back references and the like.
  }
  return undefined
}
