/**
 * Reads the CSV that we write: rows in, memory of one block. A parser for every dialect took four times
 * as long, and most of the time of a report is spent here.
 */
import {closeSync, openSync, readSync} from 'node:fs'
import {StringDecoder} from 'node:string_decoder'
import {whyUnreadable} from '../unreadable.js'

const blockBytes = 1 << 20

/** A row that is no CSV, or a file that cannot be read (line 0). */
export class CsvFault extends Error {
  readonly line: number

  constructor(line: number, rule: string, cause?: unknown) {
    super(rule, {cause})
    this.line = line
  }
}

/** Hands every row to `take`, with the line on which it begins; skips empty lines. Throws CsvFault. */
export function readCsv(path: string, take: (cells: string[], line: number) => void): void {
  const bytes = Buffer.alloc(blockBytes)
  const decoder = new StringDecoder('utf8')
  const splitter = new RowSplitter(take)
  let handle: number | undefined
  try {
    handle = openSync(path, 'r')
    for (let n = readSync(handle, bytes); n > 0; n = readSync(handle, bytes)) {
      splitter.push(decoder.write(bytes.subarray(0, n)))
    }
    splitter.end(decoder.end())
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).syscall === undefined) throw cause
    throw new CsvFault(0, whyUnreadable(cause), cause)
  } finally {
    if (handle !== undefined) closeSync(handle)
  }
}

class RowSplitter {
  private readonly take: (cells: string[], line: number) => void
  private rest = ''
  private line = 1

  constructor(take: (cells: string[], line: number) => void) {
    this.take = take
  }

  push(block: string): void {
    const text = this.rest + block
    let start = 0
    // Looked for once, not for every row: most files have no quotes, and the search would go to the end.
    let quote = text.indexOf('"')
    for (;;) {
      if (quote >= 0 && quote < start) quote = text.indexOf('"', start)
      const end = rowEnd(text, start, quote)
      if (end < 0) break
      this.row(text.slice(start, end))
      start = end + 1
    }
    this.rest = text.slice(start)
  }

  end(block: string): void {
    this.push(block)
    if (this.rest !== '') this.row(this.rest)
  }

  private row(row: string): void {
    const line = this.line
    this.line += 1
    const bare = line === 1 && row.startsWith('\uFEFF') ? row.slice(1) : row
    const text = bare.endsWith('\r') ? bare.slice(0, -1) : bare
    if (text === '') return
    const quoted = text.includes('"')
    if (quoted) this.line += text.split('\n').length - 1
    const cells = quoted ? splitQuoted(text) : text.split(',')
    if (cells === undefined)
      throw new CsvFault(line, 'a quote is not closed or stands inside a cell')
    this.take(cells, line)
  }
}

/** Where the row from `start` ends, the first line end outside of quotes; −1: not in this text. */
function rowEnd(text: string, start: number, firstQuote: number): number {
  let end = text.indexOf('\n', start)
  let quote = firstQuote
  while (quote >= 0 && quote < end) {
    // An escaped quote is one pair that ends and one that begins: the count still holds.
    const close = text.indexOf('"', quote + 1)
    if (close < 0) return -1
    if (close > end) end = text.indexOf('\n', close)
    quote = text.indexOf('"', close + 1)
  }
  return end
}

function splitQuoted(row: string): string[] | undefined {
  const cells: string[] = []
  const cell = /"((?:[^"]|"")*)"(?=,|$)|([^",]*)(?=,|$)/y
  for (let at = 0; at <= row.length; at = cell.lastIndex + 1) {
    cell.lastIndex = at
    const match = cell.exec(row)
    if (!match) return undefined
    cells.push(match[1]?.replaceAll('""', '"') ?? match[2]!)
  }
  return cells
}
