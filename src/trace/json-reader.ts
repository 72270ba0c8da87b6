/** JSON lines, one object each, and files that are one JSON document. */
import {constants} from 'node:buffer'
import {Problem} from '../errors.js'
import type {
  JsonFormat,
  JsonLinesFormat,
  JsonObject,
  JsonRow,
  ReadContext,
} from './formats/format.js'
import {faultOfJson} from './json-fault.js'
import {topLevelKeys} from './sniff.js'
import type {Source} from './source.js'

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

class LineRow implements JsonRow {
  readonly object: JsonObject
  readonly line: number
  readonly #file: string

  constructor(file: string, line: number, object: JsonObject) {
    this.#file = file
    this.line = line
    this.object = object
  }

  spot(key: string): {where(): string; readonly name: string} {
    return {name: key, where: () => `${this.#file}:${this.line}`}
  }
}

/** Reads every line of `source` with `format`, and pauses now and then. */
export async function* readJsonLines(
  source: Source,
  format: JsonLinesFormat,
  context: ReadContext,
): AsyncGenerator<void> {
  const take = format.reader(context)
  const wanted = {keys: format.keys, named: anyOf(format.keys)}
  let line = 0
  for (const {bytes, from, to} of source.lines(0, context.torn)) {
    for (let start = from; start < to; ) {
      const newline = bytes.indexOf(10, start)
      const ended = newline >= 0 && newline < to
      const end = ended ? newline : to
      const text = bytes.toString('utf8', start, end)
      line++
      start = end + 1
      if (text.trim() !== '') {
        const place = `${context.file}:${line}`
        const object = parseLine(text, place, ended)
        checkKeys(text, place, wanted)
        take(new LineRow(context.file, line, object))
      }
    }
    yield
  }
  take.end?.()
}

/** Names of `keys` where a colon follows, also within what a line holds. */
const anyOf = (keys: readonly string[]): RegExp =>
  new RegExp(`"(?:${keys.join('|')})"(?=\\s*:)`, 'g')

/** Of two values of one key JSON.parse keeps the last, and the other would be lost without a word. */
function checkKeys(text: string, place: string, {keys, named}: WantedKeys): void {
  // One search for all names, and mostly no more: to walk through every line would cost more than to parse it.
  const names: readonly string[] = text.match(named) ?? []
  if (!names.some((name, at) => names.indexOf(name) < at)) return
  const found = topLevelKeys(text)
  const key = keys.find((name) => found.indexOf(name) !== found.lastIndexOf(name))
  if (key === undefined) return
  throw new Problem('TRACE_BAD_VALUE', `${place}: the key "${key}" is in the line twice.`, {
    suggestions: ['remove one of the two, or jq -c . FILE, which keeps the last'],
  })
}

interface WantedKeys {
  readonly keys: readonly string[]
  readonly named: RegExp
}

function parseLine(text: string, place: string, ended: boolean): JsonObject {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    const fault = faultOfJson(text)
    const where = `${place}:${Math.min(fault.at, text.length) + 1}`
    if (!fault.torn)
      throw new Problem('TRACE_BAD_VALUE', `${where}: the line is not JSON: ${fault.says}.`, {
        suggestions: fault.fix,
        cause: error,
      })
    throw new Problem(
      'TRACE_TRUNCATED',
      `${where}: the line ends in the middle of a JSON object${ended ? '' : ', and so does the file'}.`,
      {
        suggestions: [
          ended
            ? 'write each object on one line (jq -c . FILE), or remove the torn line'
            : 'remove the line or fetch the file again',
        ],
        cause: error,
      },
    )
  }
  if (isObject(value)) return value
  throw new Problem('TRACE_BAD_VALUE', `${place}:1: the line must be a JSON object.`)
}

/**
 * Reads a file that is one JSON document, of at most `longest` bytes; default: as many as a text can have.
 * @throws Problem TRACE_BAD_VALUE, TRACE_TRUNCATED
 */
export async function readJson(
  source: Source,
  format: JsonFormat,
  context: ReadContext,
  longest = constants.MAX_STRING_LENGTH,
): Promise<void> {
  const parts: Buffer[] = []
  let length = 0
  // A benchmark that keeps the texts of its answers writes all of it as one line.
  for (const {bytes, from, to} of source.lines(0, 'error', longest)) {
    length += to - from
    if (length > longest) throw tooLong(context.file, longest)
    parts.push(Buffer.from(bytes.subarray(from, to)))
  }
  const text = Buffer.concat(parts).toString('utf8')
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch (error) {
    const {at, torn, says, fix} = faultOfJson(text)
    const before = text.slice(0, at)
    const line = before.split('\n').length
    const column = at - before.lastIndexOf('\n')
    throw new Problem(
      torn ? 'TRACE_TRUNCATED' : 'TRACE_BAD_VALUE',
      `${context.file}:${line}:${column}: ${torn ? 'the file ends in the middle of the JSON document' : `the file is not one JSON document: ${says}`}.`,
      {suggestions: torn ? ['fetch the file again'] : fix, cause: error},
    )
  }
  if (!isObject(document))
    throw new Problem('TRACE_BAD_VALUE', `${context.file}:1:1: the file must be a JSON object.`)
  format.read(document, context)
}

const tooLong = (file: string, longest: number): Problem =>
  new Problem(
    'TRACE_BAD_VALUE',
    `${file}: the JSON document is longer than ${Math.floor(longest / 2 ** 20)} MiB; it is read as a whole.`,
    {
      suggestions: [
        'leave out the texts of prompts and answers',
        'write one object a line (JSONL)',
      ],
    },
  )

/** A key that must be there; TRACE_MISSING_COLUMN names those that are. */
export function required(row: JsonRow, key: string): unknown {
  const value = row.object[key]
  if (value !== undefined) return value
  throw new Problem(
    'TRACE_MISSING_COLUMN',
    `${row.spot(key).where()}: there is no key "${key}"; the object has ${Object.keys(row.object).join(', ')}.`,
  )
}

/** An array of whole numbers, or undefined when the key is absent; `what` is said of a wrong one. */
export function wholeNumbers(row: JsonRow, key: string): readonly number[] | undefined {
  const value = row.object[key]
  if (value === undefined || value === null) return undefined
  const numbers = Array.isArray(value) ? (value as readonly unknown[]) : undefined
  const wrong = numbers?.findIndex((item) => !(Number.isSafeInteger(item) && Number(item) >= 0))
  if (numbers !== undefined && wrong === -1) return numbers as readonly number[]
  const which = numbers === undefined ? key : `${key}[${wrong}]`
  const shown = numbers === undefined ? JSON.stringify(value) : JSON.stringify(numbers[wrong!])
  throw new Problem(
    'TRACE_BAD_VALUE',
    `${row.spot(key).where()}: ${which} is ${shown.slice(0, 40)}: it must be ${numbers === undefined ? 'an array of whole numbers' : 'a whole number of at least 0'}.`,
  )
}
