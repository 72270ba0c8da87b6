/** Where in a call from code a value stands, and the words for what is wrong with it. */
import {closest} from '../edit-distance.js'
import {Problem} from '../errors.js'

export class Place {
  /** The function that was called. */
  readonly call: string
  /** From its arguments to the value: `engine.maxNumSeqs`; empty: the argument itself. */
  readonly path: string
  /** Name of the argument. */
  readonly argument: string

  constructor(call: string, path: string, argument: string) {
    this.call = call
    this.path = path
    this.argument = argument
  }

  field(name: string): Place {
    return new Place(this.call, this.path === '' ? name : `${this.path}.${name}`, this.argument)
  }

  entry(at: number): Place {
    return new Place(this.call, `${this.path}[${at}]`, this.argument)
  }

  get #name(): string {
    return this.path === '' ? `the ${this.argument}` : this.path
  }

  /** What is not as `rule` says: missing, a promise, or another value. */
  wrong(rule: string, value: unknown, examples: readonly string[]): Problem {
    const last = this.path.split('.').at(-1)!
    const written = (example: string) => (last === '' ? example : `${last}: ${example}`)
    const suggestions = examples.map(written)
    if (value === undefined) {
      const says = `${this.call}: ${this.#name} is missing; it must be ${rule}.`
      return new Problem('FLAG_MISSING', says, {suggestions})
    }
    if (value instanceof Promise) {
      const says = `${this.call}: ${this.#name} is a promise; await it first.`
      return new Problem('FLAG_BAD_VALUE', says, {suggestions: ['write await before the call']})
    }
    const says = `${this.call}: ${this.#name} must be ${rule}, not ${shown(value)}.`
    return new Problem('FLAG_BAD_VALUE', says, {suggestions})
  }

  /** What breaks a rule of its own. */
  fault(says: string, suggestions: readonly string[]): Problem {
    return new Problem('FLAG_BAD_VALUE', `${this.call}: ${this.#name} ${says}.`, {suggestions})
  }

  /** A field that nothing would read. `deeper`: fields of the fields, with their way from here. */
  unknown(
    name: string,
    known: readonly string[],
    deeper: ReadonlyMap<string, string> = new Map(),
  ): Problem {
    const meant = meantBy(name, known)
    const inside = deeper.get(meantBy(name, [...deeper.keys()])[0] ?? '')
    const near = meant[0] ?? inside
    return new Problem('FLAG_UNKNOWN', `${this.call}: ${this.#name} has no field ${name}.`, {
      suggestions: near === undefined ? [`known: ${known.join(', ')}`] : [near],
    })
  }
}

/** The known name that a wrong one probably stands for; names in the spelling of flags are those in camel case. */
export function meantBy(name: string, known: readonly string[]): string[] {
  const spelt = name.replaceAll(/[-_](\w)/g, (_, letter: string) => letter.toUpperCase())
  return known.includes(spelt) ? [spelt] : closest(name, known)
}

const longest = 40

/** A value as a message may show it, on one line. */
export function shown(value: unknown): string {
  if (typeof value === 'string') {
    return JSON.stringify(value.length > longest ? `${value.slice(0, longest)}…` : value)
  }
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'symbol') return 'a symbol'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  if (typeof value !== 'object' || value === null) return String(value)
  const tag = Object.prototype.toString.call(value).slice('[object '.length, -1)
  return tag === 'Object' ? 'an object' : `a ${tag}`
}
