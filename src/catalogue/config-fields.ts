/** Reads fields of a foreign JSON object and says exactly where and why one is wrong. */

import {closest, nearMiss} from '../edit-distance.js'
import {Problem} from '../errors.js'

export type JsonObject = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A value as it may stand in a one-line message. */
export const shown = (value: unknown): string => {
  if (value === undefined) return 'nothing'
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

/**
 * A view of one JSON object. Every getter takes the names that a field goes by, first come first served,
 * and throws MODEL_BAD_CONFIG with the file and the JSON path.
 */
export class ConfigFields {
  readonly file: string
  readonly #path: string
  readonly #values: JsonObject
  /** Names that were asked for, and those of them that were not there. */
  readonly #asked = new Set<string>()
  readonly #absent = new Set<string>()

  constructor(values: JsonObject, file: string, path = '') {
    this.#values = values
    this.file = file
    this.#path = path
  }

  /** The value of the first name that is present and not null. */
  raw(...names: string[]): unknown {
    const name = names.find(
      (each) => this.#values[each] !== undefined && this.#values[each] !== null,
    )
    for (const each of names) {
      this.#asked.add(each)
      if (name === undefined) this.#absent.add(each)
    }
    return name === undefined ? undefined : this.#values[name]
  }

  /**
   * Once all has been read: a name that nobody asked for and that is nearly one that is not there changed the model
   * without a word (`num_key_value_head`: as many KV heads as query heads). @throws Problem MODEL_BAD_CONFIG
   */
  checkSlips(): void {
    for (const key of this.keys()) {
      const meant = this.#asked.has(key) ? undefined : nearMiss(key, this.#absent)
      if (meant !== undefined)
        throw new Problem(
          'MODEL_BAD_CONFIG',
          `${this.file}: ${this.pathOf(key)} is not known; ${meant} is probably meant, and would be lost.`,
          {suggestions: [`write ${meant}`]},
        )
    }
  }

  has(...names: string[]): boolean {
    return this.raw(...names) !== undefined
  }

  size(...names: string[]): number {
    return this.#whole(names, this.raw(...names), 1)
  }

  sizeOr<T extends number | null>(fallback: T, ...names: string[]): number | T {
    return this.has(...names) ? this.size(...names) : fallback
  }

  /** A whole number that may be 0. */
  countOr(fallback: number, ...names: string[]): number {
    return this.has(...names) ? this.#whole(names, this.raw(...names), 0) : fallback
  }

  flagOr(fallback: boolean, ...names: string[]): boolean {
    const value = this.raw(...names)
    if (value === undefined) return fallback
    if (typeof value !== 'boolean') throw this.wrong(names, 'must be true or false', value)
    return value
  }

  textOr<T extends string | null>(fallback: T, ...names: string[]): string | T {
    const value = this.raw(...names)
    if (value === undefined) return fallback
    if (typeof value !== 'string') throw this.wrong(names, 'must be a text', value)
    return value
  }

  textsOr(fallback: readonly string[], ...names: string[]): readonly string[] {
    const value = this.raw(...names)
    if (value === undefined) return fallback
    if (!Array.isArray(value) || value.some((each) => typeof each !== 'string')) {
      throw this.wrong(names, 'must be a list of texts', value)
    }
    return value as string[]
  }

  countsOr(fallback: readonly number[], ...names: string[]): readonly number[] {
    const value = this.raw(...names)
    if (value === undefined) return fallback
    if (!Array.isArray(value) || value.some((each) => !Number.isSafeInteger(each) || each < 0)) {
      throw this.wrong(names, 'must be a list of whole numbers', value)
    }
    return value as number[]
  }

  /** A nested object, or undefined when it is absent. */
  child(name: string): ConfigFields | undefined {
    const value = this.raw(name)
    if (value === undefined) return undefined
    if (!isObject(value)) throw this.wrong([name], 'must be an object', value)
    return new ConfigFields(value, this.file, this.pathOf(name))
  }

  keys(): string[] {
    return Object.keys(this.#values)
  }

  pathOf(name: string): string {
    return this.#path === '' ? name : `${this.#path}.${name}`
  }

  /** The problem of a field that breaks `rule`. */
  wrong(names: readonly string[], rule: string, value: unknown): Problem {
    const present = names.find((each) => this.#values[each] !== undefined) ?? names[0] ?? ''
    const got = value === undefined ? 'but it is missing' : `got ${shown(value)}`
    const unasked = this.keys().filter((key) => !this.#asked.has(key))
    const near = value === undefined ? names.flatMap((name) => closest(name, unasked)) : []
    return new Problem(
      'MODEL_BAD_CONFIG',
      `${this.file}: ${this.pathOf(present)} ${rule}, ${got}.`,
      {
        suggestions: [
          ...(near.length > 0 ? [`write ${present} for ${near[0]}`] : []),
          'Compare the file with the config.json of the model on Hugging Face.',
        ],
      },
    )
  }

  #whole(names: readonly string[], value: unknown, least: 0 | 1): number {
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least) return value
    const rule =
      least === 1 ? 'must be a positive whole number' : 'must be a whole number, 0 or more'
    throw this.wrong(names, rule, value)
  }
}
