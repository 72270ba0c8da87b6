/** What to say of a file whose format nobody knows: what it probably is, and what to change. */
import {nearMiss} from '../edit-distance.js'
import {Problem} from '../errors.js'
import {normal} from './csv-columns.js'
import type {Head, TraceFormat} from './formats/format.js'
import {traceFormats} from './formats/registry.js'
import {fewNames} from './spot.js'

/** The Problem for a head that no format recognises. */
export function unrecognised(file: string, head: Head): Problem {
  const place = `${file}:${head.kind === 'csv' ? head.header.line : 1}:1`
  if (head.kind === 'json') return unknownKeys(place, head.keys)
  const {columns} = head.header
  const other = others.find(([pattern]) => pattern.test(columns[0]!))
  if (other !== undefined)
    return new Problem(
      'TRACE_FORMAT_UNKNOWN',
      `${place}: the file is ${other[1]}; a trace is CSV, JSONL or JSON.`,
      {suggestions: [other[2]]},
    )
  const names = traceFormats.flatMap((format) => (format.kind === 'csv' ? aliasesOf(format) : []))
  const separator = columns.length === 1 ? separatorOf(columns[0]!, names) : undefined
  if (separator !== undefined)
    return new Problem(
      'TRACE_FORMAT_UNKNOWN',
      `${place}: the cells of the header are separated by ${separator}; CSV is read with commas, semicolons or tabs between them.`,
      {suggestions: ['write the file with commas']},
    )
  return new Problem(
    'TRACE_FORMAT_UNKNOWN',
    `${place}: the format is not known: the file begins with ${headerSeen(columns)}; known are ${known('csv')}.`,
    {
      suggestions: [
        ...corrections(columns.map(normal), names),
        'name its columns: --columns arrival=NAME,input=NAME,output=NAME',
      ],
    },
  )
}

const aliasesOf = (format: TraceFormat): readonly string[] =>
  format.kind === 'csv' ? format.columns.flatMap(({aliases}) => aliases) : []

/** The formats of the same kind; the others are no help. */
const known = (kind: Head['kind']): string =>
  traceFormats
    .filter((format) => (format.kind === 'csv') === (kind === 'csv'))
    .map(({name, looks}) => `${name} (${looks})`)
    .join('; ')

const corrections = (names: readonly string[], candidates: readonly string[]): string[] =>
  names.flatMap((name) => {
    const meant = nearMiss(name, candidates)
    return meant === undefined ? [] : [`write ${meant} for ${name}`]
  })

const separators: readonly [string, RegExp][] = [
  ['|', /\s*\|\s*/],
  ['blanks', /\s+/],
]

/** What stands between the names of a header that is one cell to us. */
function separatorOf(header: string, names: readonly string[]): string | undefined {
  const found = separators.find(
    ([, pattern]) =>
      header.split(pattern).filter((name) => names.includes(normal(name))).length > 1,
  )
  return found?.[0]
}

function unknownKeys(place: string, keys: readonly string[]): Problem {
  if (keys.length === 0)
    return new Problem(
      'TRACE_FORMAT_UNKNOWN',
      `${place}: the file begins with { as JSON does, but no key in double quotes follows.`,
      {suggestions: ['write keys and texts in double quotes: {"input_length": 10}']},
    )
  const meant = traceFormats.flatMap((format) => (format.kind === 'jsonl' ? format.keys : []))
  return new Problem(
    'TRACE_FORMAT_UNKNOWN',
    `${place}: the format is not known: the file begins with a JSON object with the keys ${fewNames(keys)}; known are ${known('json')}.`,
    {
      suggestions: [
        ...(keys.includes('response')
          ? ["take the answers out of what wraps them: jq -c '.response.body // .response' FILE"]
          : []),
        ...corrections(keys, meant),
        'name the format: --format NAME',
      ],
    },
  )
}

/** Files that are often downloaded or named by mistake. */
const others: readonly [RegExp, string, string][] = [
  [/^%PDF-/, 'a PDF', 'export the table as CSV'],
  [
    /^<(!doctype|html|\?xml)/i,
    'a web page or XML',
    'download the file itself, not the page about it',
  ],
  [/^version https:\/\/git-lfs/, 'a pointer of Git LFS, not the file', 'git lfs pull'],
]

function headerSeen(columns: readonly string[]): string {
  const numbers = columns.every((name) => /^[\d.\s:+-]*$/.test(name))
  const shown = fewNames(columns)
  return numbers ? `a row of numbers (${shown}) where a header belongs` : `the line ${shown}`
}
