/** What the head of a file says about its format: a CSV header, or the keys of the first JSON object. */
import {Problem} from '../errors.js'
import type {CsvHeader, Head} from './formats/format.js'
import {fewNames} from './spot.js'

/** What Excel takes, and some exports write, before the header. */
const namesSeparator = /^"?sep=[,;\t]?"?$/i

const delimiters = [',', ';', '\t'] as const

/** Splits one line of CSV, quotes included. */
export function splitCsvLine(line: string, delimiter: string): string[] {
  const cells: string[] = []
  let cell = ''
  let quoted = false
  for (let i = 0; i < line.length; i++) {
    const char = line[i]!
    if (char === '"' && quoted && line[i + 1] === '"') {
      cell += '"'
      i++
    } else if (char === '"') quoted = !quoted
    else if (char === delimiter && !quoted) {
      cells.push(cell)
      cell = ''
    } else cell += char
  }
  cells.push(cell)
  return cells.map((text) => text.trim())
}

/** The keys at the top level of the first object in `text`, which may end anywhere. */
export function topLevelKeys(text: string): string[] {
  const keys: string[] = []
  let depth = 0
  let i = 0
  while (i < text.length) {
    const char = text[i]!
    if (char === '"') {
      const end = endOfString(text, i)
      const after = /^\s*:/.test(text.slice(end + 1, end + 20))
      if (depth === 1 && after) keys.push(text.slice(i + 1, end))
      i = end
    } else if (char === '{' || char === '[') depth++
    else if (char === '}' || char === ']') {
      depth--
      if (depth === 0) return keys
    }
    i++
  }
  return keys
}

const endOfString = (text: string, start: number): number => {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '"') return i
  }
  return text.length
}

/** Reads the head of a file (bytes without a byte order mark). */
export function sniff(file: string, bytes: Buffer): Head {
  const text = bytes.toString('utf8')
  checkLineEnds(file, text)
  const start = text.search(/\S/)
  const first = text[start]
  if (first === '{') return {kind: 'json', keys: topLevelKeys(text.slice(start))}
  if (first === '[') {
    throw new Problem(
      'TRACE_FORMAT_UNKNOWN',
      `${file}:1:1: the file is a JSON array, which no known trace format is.`,
      {suggestions: [`write one object per line: jq -c '.[]' ${file} > trace.jsonl`]},
    )
  }
  return {kind: 'csv', header: csvHeader(file, text, bytes)}
}

/** Lines that end with CR alone, as on old Macs: to everybody else such a file is one line. */
function checkLineEnds(file: string, text: string): void {
  const at = text.search(/\r[^\r\n]/)
  if (at < 0 || text.slice(0, at).includes('"')) return
  const line = text.lastIndexOf('\n', at) + 1
  throw loneReturn(file, text.slice(0, line).split('\n').length, text.slice(line, at))
}

/** The Problem for a line in which a CR follows `before` where no LF does. */
export const loneReturn = (file: string, line: number, before: string): Problem =>
  new Problem(
    'TRACE_BAD_VALUE',
    `${file}:${line}:${before.length + 1}: the line ends with CR alone (behind ${fewNames([before.slice(-30)])}); lines of a trace end with LF or CRLF.`,
    {suggestions: [`tr '\\r' '\\n' < ${file} > unix.csv`]},
  )

/** Names of columns have no line break, so a quote that opens in the header closes there. */
function checkQuotes(place: string, row: string): void {
  let open = -1
  for (let i = 0; i < row.length; i++) if (row[i] === '"') open = open < 0 ? i : -1
  if (open < 0) return
  throw new Problem(
    'TRACE_BAD_VALUE',
    `${place}:${open + 1}: the quote that opens here is not closed in the header.`,
    {suggestions: ['close it, or double a quote that belongs to the name: ""']},
  )
}

function csvHeader(file: string, text: string, bytes: Buffer): CsvHeader {
  let line = 1
  let from = 0
  for (;;) {
    const end = text.indexOf('\n', from)
    const row = text.slice(from, end < 0 ? text.length : end)
    if ((row.trim() === '' || namesSeparator.test(row.trim())) && end >= 0) {
      line++
      from = end + 1
      continue
    }
    checkQuotes(`${file}:${line}`, row)
    const counts = delimiters.map((delimiter) => row.split(delimiter).length)
    const delimiter = delimiters[counts.indexOf(Math.max(...counts))]!
    const columns = splitCsvLine(row.trim(), delimiter)
    const bodyOffset = Buffer.byteLength(text.slice(0, end < 0 ? text.length : end + 1))
    return {columns, delimiter, line, bodyOffset, quoted: bytes.includes(34, bodyOffset)}
  }
}
