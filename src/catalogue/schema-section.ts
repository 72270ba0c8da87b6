/** A document read key by key, so that a fault knows its place. */
import {closest} from '../edit-distance.js'
import {largestNumber, slowestGbPerS} from './link-defaults.js'

export interface FaultOptions {
  /** Which end of the last key is wrong. */
  readonly at?: 'key' | 'value'
  readonly suggestions?: readonly string[]
}

/** A key path into the document, and the rule that its value breaks. */
export class SchemaFault extends Error {
  readonly path: readonly PropertyKey[]
  readonly at: 'key' | 'value'
  readonly suggestions: readonly string[]

  constructor(path: readonly PropertyKey[], rule: string, options: FaultOptions = {}) {
    super(rule)
    this.path = path
    this.at = options.at ?? 'value'
    this.suggestions = options.suggestions ?? []
  }
}

type Fields = Record<string, unknown>

/** What a figure of that unit can be at most: 10 s of one kernel or hop, a megawatt, a hundred days. */
const mostByUnit: Readonly<Record<string, number>> = {
  us: 1e7,
  ms: 1e7,
  s: 8.64e6,
  w: 1e6,
  percent: 1e5,
}

/** One rule for every number of a file: its unit, the end of its name, bounds it, or the largest that there is. */
const mostOf = (key: string): number =>
  mostByUnit[/_([a-z]+)$/.exec(key)?.[1] ?? ''] ?? largestNumber

/** One map of the document, read key by key; a key that nobody asked for is a fault. */
export class Section {
  readonly path: readonly string[]
  readonly #fields: Fields

  constructor(value: unknown, path: readonly string[], known: readonly string[] | null) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new SchemaFault(path, `must be a map of keys, but is ${shown(value)}`)
    this.#fields = value as Fields
    this.path = path
    for (const key of this.keys()) {
      if (known && !known.includes(key))
        throw new SchemaFault([...path, key], `is not a known key; known are ${known.join(', ')}`, {
          at: 'key',
          suggestions: closest(key, known),
        })
    }
  }

  keys(): string[] {
    return Object.keys(this.#fields)
  }

  has(key: string): boolean {
    return this.#fields[key] !== undefined && this.#fields[key] !== null
  }

  get(key: string): unknown {
    return this.#fields[key]
  }

  fault(key: string, rule: string): SchemaFault {
    if (!this.has(key)) {
      const name = [...this.path, key].join('.')
      return new SchemaFault(this.path, `lacks the key ${name}, which ${rule}`)
    }
    const value = this.get(key)
    const isNumeric =
      typeof value === 'string' && /^[\d.,_ ]*\d/.test(value) && / number/.test(rule)
    return new SchemaFault([...this.path, key], `${rule}, but is ${shown(value)}`, {
      suggestions: isNumeric
        ? ['write a plain number: no unit (the key names it), no quotes, a point for decimals']
        : [],
    })
  }

  text(key: string): string {
    const value = this.get(key)
    if (typeof value !== 'string' || value.trim() === '') throw this.fault(key, 'must be a text')
    return value
  }

  /** A number above 0 and at most `most`; without that, what the unit of the key allows. */
  positive(key: string, most?: number): number {
    const value = this.get(key)
    const limit = most ?? mostOf(key)
    if (typeof value === 'number' && value > 0 && value <= limit) return value
    const isTold = most !== undefined || (typeof value === 'number' && value > limit)
    const bound = isTold ? ` and at most ${limit}` : ''
    throw this.fault(key, `must be a number above 0${bound}`)
  }

  /** GB/s that something can have. */
  rate(key: string): number {
    const value = this.get(key)
    if (typeof value !== 'number' || !(value >= slowestGbPerS && Number.isFinite(value)))
      throw this.fault(key, `must be a number of at least ${slowestGbPerS} (10^9 bytes per second)`)
    return value
  }

  notNegative(key: string): number {
    const value = this.get(key)
    const most = mostOf(key)
    if (typeof value === 'number' && value >= 0 && value <= most) return value
    if (typeof value === 'number' && value > most && value < Number.POSITIVE_INFINITY)
      throw this.fault(key, `must be a number between 0 and ${most.toLocaleString('en-US')}`)
    throw this.fault(key, 'must be a number of at least 0')
  }

  finite(key: string): number {
    const value = this.get(key)
    if (typeof value !== 'number' || !Number.isFinite(value))
      throw this.fault(key, 'must be a number')
    return value
  }

  truth(key: string): boolean {
    const value = this.get(key)
    if (typeof value !== 'boolean') throw this.fault(key, 'must be true or false')
    return value
  }

  oneOf<T extends string>(key: string, values: readonly T[]): T {
    const value = this.get(key)
    if (!values.includes(value as T)) throw this.fault(key, `must be one of ${values.join(', ')}`)
    return value as T
  }

  texts(key: string): string[] {
    if (!this.has(key)) return []
    const value = this.get(key)
    if (!Array.isArray(value) || value.some((item) => typeof item !== 'string'))
      throw this.fault(key, 'must be a list of texts')
    return value as string[]
  }

  positives(key: string): number[] {
    const value = this.get(key)
    const good = (item: unknown) => typeof item === 'number' && item > 0 && Number.isFinite(item)
    if (!Array.isArray(value) || value.length === 0 || !value.every(good))
      throw this.fault(key, 'must be a list of numbers above 0')
    return value as number[]
  }

  /** A number above 0 and at most 1. */
  share(key: string): number {
    return this.positive(key, 1)
  }

  /** A whole number of at least 1. */
  count(key: string): number {
    const value = this.get(key)
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1)
      throw this.fault(key, 'must be a whole number of at least 1')
    return value
  }

  section(key: string, known: readonly string[] | null): Section {
    if (!this.has(key)) throw this.fault(key, 'must be a map of keys')
    return new Section(this.get(key), [...this.path, key], known)
  }
}

/** A number that JSON has no word for, such as .nan, stands as it is. */
const shown = (value: unknown): string => {
  if (value === undefined || value === null) return 'empty'
  if (typeof value === 'number') return String(value)
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}
