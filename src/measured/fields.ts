/** Reads the fields of a result file, and says where one is missing or wrong. */
import {readFileSync, statSync} from 'node:fs'
import {parseJson} from '../catalogue/json-text.js'
import {Problem} from '../errors.js'
import {whyUnreadable} from '../unreadable.js'

type JsonObject = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const shown = (value: unknown): string => {
  const text = value === undefined ? 'nothing' : JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

export const badMeasured = (message: string, suggestions: readonly string[] = []): Problem =>
  new Problem('MEASURED_BAD_FILE', message, {suggestions})

/** One object of a file; every fault names the file and the JSON path. */
export class Fields {
  readonly place: string
  readonly values: JsonObject

  constructor(value: unknown, place: string) {
    if (!isObject(value)) throw badMeasured(`${place} must be an object, got ${shown(value)}.`)
    this.values = value
    this.place = place
  }

  has(key: string): boolean {
    return this.values[key] !== undefined && this.values[key] !== null
  }

  child(key: string): Fields {
    return new Fields(this.values[key] ?? undefined, `${this.place}: ${key}`)
  }

  maybeChild(key: string): Fields | undefined {
    return this.has(key) ? this.child(key) : undefined
  }

  children(key: string): Fields[] {
    const value = this.values[key]
    if (!Array.isArray(value)) throw this.wrong(key, 'must be a list')
    return value.map((item, i) => new Fields(item, `${this.place}: ${key}[${i}]`))
  }

  number(key: string): number {
    const value = this.values[key]
    if (typeof value === 'number' && Number.isFinite(value)) return value
    throw this.wrong(key, 'must be a number')
  }

  maybeNumber(key: string): number | undefined {
    return this.has(key) ? this.number(key) : undefined
  }

  text(key: string): string {
    const value = this.values[key]
    if (typeof value === 'string') return value
    throw this.wrong(key, 'must be a text')
  }

  maybeText(key: string): string | undefined {
    return this.has(key) ? this.text(key) : undefined
  }

  maybeFlag(key: string): boolean | undefined {
    const value = this.values[key]
    return typeof value === 'boolean' ? value : undefined
  }

  wrong(key: string, rule: string): Problem {
    return badMeasured(`${this.place}: ${key} ${rule}, got ${shown(this.values[key])}.`)
  }
}

export const readText = (path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw badMeasured(`${path}: ${whyUnreadable(error)}.`)
  }
}

export const readJson = (path: string): Fields =>
  new Fields(parseJson(readText(path), path, 'MEASURED_BAD_FILE'), path)

/** Rows of a JSON Lines file, each with its line. */
export const readJsonLines = (path: string): Fields[] =>
  readText(path)
    .split('\n')
    .flatMap((line, i) => {
      if (line.trim() === '') return []
      try {
        return [new Fields(JSON.parse(line), `${path}:${i + 1}`)]
      } catch (error) {
        if (error instanceof Problem) throw error
        throw badMeasured(`${path}:${i + 1}: it is not valid JSON.`, [
          'see whether the file was written to its end',
        ])
      }
    })

/** Rows of a CSV without quoted cells before its last column, by column name. */
export const readRows = (path: string): Readonly<Record<string, string>>[] => {
  const [header = '', ...lines] = readText(path).trimEnd().split(/\r?\n/)
  const names = header.split(',')
  return lines.map((line, i) => {
    const cells = line.split(',', names.length)
    if (cells.length < names.length)
      throw badMeasured(`${path}:${i + 2}: ${cells.length} cells, but ${names.length} columns.`)
    return Object.fromEntries(names.map((name, at) => [name, cells[at]!]))
  })
}

export const isFile = (path: string): boolean =>
  statSync(path, {throwIfNoEntry: false})?.isFile() ?? false
export const isFolder = (path: string): boolean =>
  statSync(path, {throwIfNoEntry: false})?.isDirectory() ?? false
