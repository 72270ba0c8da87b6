/** CSV of any kind into a builder: the scanner while it can, csv-parse from there on. */
import {Readable} from 'node:stream'
import {Problem} from '../errors.js'
import {type BoundColumn, bindColumns, type Cell} from './csv-columns.js'
import {CsvScanner} from './csv-scan.js'
import {clearDraft, emptyDraft} from './draft.js'
import type {CsvFormat, CsvHeader, ReadContext} from './formats/format.js'
import type {Lines, Source} from './source.js'
import {refuse} from './spot.js'
import type {UnitDigits} from './time-parts.js'

/** Which way to go; tests compare both. */
export type CsvWay = 'fastest' | 'general'

interface CsvRecord {
  readonly record: readonly string[]
  readonly raw: string
  readonly info: {readonly lines: number}
}

/** The cell that is being read, whatever it is: one object per file. */
class MovingCell implements Cell {
  readonly failed: Cell['failed']
  readonly #file: string
  readonly #delimiter: string
  #bound: BoundColumn | undefined
  #raw = ''
  #line = 0

  constructor(file: string, delimiter: string, failed: Cell['failed']) {
    this.#file = file
    this.#delimiter = delimiter
    this.failed = failed
  }

  row(raw: string, line: number): void {
    this.#raw = raw
    this.#line = line
  }

  at(bound: BoundColumn): this {
    this.#bound = bound
    return this
  }

  get name(): string {
    return this.#bound!.header
  }

  get digits(): UnitDigits {
    return this.#bound!.digits
  }

  get span(): number {
    return this.#bound!.span
  }

  get line(): number {
    return this.#line
  }

  where(): string {
    const {line, column} = placeOfCell(
      this.#raw.replace(/^[\r\n]+/, ''),
      this.#bound!.index,
      this.#delimiter,
    )
    return `${this.#file}:${this.#line + line}:${column}`
  }
}

/** Line breaks within a record: only quoted cells can hold them. */
function linesInside(raw: string): number {
  return raw.includes('"') ? raw.trim().split('\n').length - 1 : 0
}

/** Where cell `index` of a raw record begins: lines below its first, and the column, from 1. */
function placeOfCell(
  raw: string,
  index: number,
  delimiter: string,
): {line: number; column: number} {
  let cells = 0
  let line = 0
  let start = 0
  let quoted = false
  for (let i = 0; i < raw.length && cells < index; i++) {
    if (raw[i] === '"') quoted = !quoted
    if (raw[i] === '\n') {
      line++
      start = i + 1
    }
    if (raw[i] === delimiter && !quoted && ++cells === index) return {line, column: i + 2 - start}
  }
  return {line, column: 1}
}

/** Reads the rows of `source` into the builder of `context`. */
export async function readCsv(
  source: Source,
  {header, format}: {readonly header: CsvHeader; readonly format: CsvFormat},
  context: ReadContext,
  way: CsvWay = 'fastest',
): Promise<void> {
  const columns = bindColumns(context.file, header, format.columns, context.mapping)
  const failed = format.failed ?? context.failed
  const general = new GeneralReader(columns, {header, format, failed}, context)
  const layout = {delimiter: header.delimiter, line: header.line + 1}
  const scans = way === 'fastest' && !header.quoted && CsvScanner.canRead(columns, format.extras)
  const lines = source.lines(header.bodyOffset, context.torn)
  if (!scans) return general.read(lines, layout.line)
  const scanner = new CsvScanner(columns, layout, context.builder)
  for (;;) {
    const {value, done} = await lines.next()
    if (done) return
    const stopped = scanner.scan(value)
    if (stopped < value.to) {
      const rest = {...value, from: stopped}
      return general.read(followedBy(rest, lines), scanner.line)
    }
  }
}

async function* followedBy(first: Lines, rest: AsyncIterable<Lines>): AsyncGenerator<Lines> {
  yield first
  yield* rest
}

interface RowRules {
  readonly header: CsvHeader
  readonly format: CsvFormat
  readonly failed: Cell['failed']
}

/** csv-parse, with our rules for every row. */
class GeneralReader {
  readonly #columns: readonly BoundColumn[]
  readonly #rules: RowRules
  readonly #context: ReadContext
  readonly #cell: MovingCell
  readonly #draft = emptyDraft()
  #dropped = 0

  constructor(columns: readonly BoundColumn[], rules: RowRules, context: ReadContext) {
    this.#columns = columns
    this.#rules = rules
    this.#context = context
    this.#cell = new MovingCell(context.file, rules.header.delimiter, rules.failed)
  }

  async read(lines: AsyncIterable<Lines>, firstLine: number): Promise<void> {
    const {parse} = await import('csv-parse')
    const parser = parse({
      delimiter: this.#rules.header.delimiter,
      record_delimiter: ['\r\n', '\n'],
      relax_column_count: true,
      skip_empty_lines: true,
      trim: true,
      info: true,
      raw: true,
    })
    const bytes = Readable.from(copies(lines))
    bytes.on('error', (error) => parser.destroy(error))
    bytes.pipe(parser)
    try {
      for await (const item of parser as AsyncIterable<CsvRecord>) {
        const ended = firstLine + item.info.lines - 1
        this.#row(item, ended - linesInside(item.raw))
      }
    } catch (error) {
      throw this.#translated(error, firstLine)
    }
    if (this.#dropped > 0) {
      this.#context.builder.note(
        `${this.#context.file}: ${this.#dropped} rows without output tokens (failed requests) were left out.`,
      )
    }
  }

  #row({record, raw}: CsvRecord, line: number): void {
    this.#cell.row(raw, line)
    if (record.length !== this.#columns.length) this.#ragged(record, raw, line)
    const draft = clearDraft(this.#draft)
    for (const bound of this.#columns) {
      const {column, index} = bound
      const text = record[index]!
      if (column === undefined || (text === '' && column.empty === 'absent')) continue
      if (text === '' && column.name === 'arrived_at') continue
      column.set(draft, text, this.#cell.at(bound))
    }
    if (this.#rules.failed === 'drop' && draft.output === 0) {
      this.#dropped++
      return
    }
    this.#together(record)
    this.#context.builder.add(draft, line)
    if (this.#rules.format.extras === 'ignore') return
    for (const {column, header, index} of this.#columns)
      if (column === undefined) this.#context.builder.addExtra(header, record[index]!)
  }

  /** Rules that bind several cells of a row. */
  #together(record: readonly string[]): void {
    const draft = this.#draft
    if (draft.input === 0)
      refuse(this.#spot('input_tokens'), '0', 'it must be a whole number of at least 1')
    if (Number.isNaN(draft.arrival.seconds) && draft.think === undefined)
      refuse(
        this.#spot('arrived_at'),
        '',
        'a row needs it unless it has a session and a think time',
      )
    if (draft.group !== undefined && draft.groupTokens === undefined)
      refuse(
        this.#spot('prefix_group'),
        draft.group,
        'it needs prefix_tokens: how many tokens the group shares',
      )
    if (draft.groupTokens !== undefined) this.#checkReach(this.#spot('prefix_tokens'))
    if (draft.span > 0) this.#checkHashes(this.#spot('block_hashes'), record)
  }

  #spot(name: string): Cell {
    return this.#cell.at(this.#columns.find(({column}) => column?.name === name)!)
  }

  #checkReach(reach: Cell): void {
    const draft = this.#draft
    const text = draft.groupTokens!
    const reaches = text.split(' ')
    if (draft.group === undefined)
      refuse(reach, text, 'it needs prefix_group: the name of what is shared')
    if (reaches.length > 1 && reaches.length !== draft.group.split(' ').length)
      refuse(reach, text, `it must hold one number per name in "${draft.group}"`)
    const total = draft.input + draft.output
    if (Number(reaches.at(-1)) > total)
      refuse(reach, text, `it must not exceed the ${total} tokens of prompt and output`)
  }

  #checkHashes(hashes: Cell, record: readonly string[]): void {
    const draft = this.#draft
    if (hashes.span < 1) refuse(hashes, hashes.name, 'the block size in its name must be positive')
    const total = draft.input + draft.output
    const known = draft.known ?? draft.ids.length * hashes.span
    const most = Math.ceil(total / hashes.span)
    if (known > total || draft.ids.length > most || known > draft.ids.length * hashes.span) {
      const index = this.#columns.findIndex(({column}) => column?.name === 'block_hashes')
      refuse(
        hashes,
        record[index],
        `${draft.ids.length} blocks of ${hashes.span} tokens do not fit the ${total} tokens of prompt and output`,
      )
    }
  }

  #ragged(record: readonly string[], raw: string, line: number): never {
    const {file} = this.#context
    const expected = this.#columns.length
    const torn = record.length < expected && !/[\r\n]$/.test(raw)
    throw new Problem(
      torn ? 'TRACE_TRUNCATED' : 'TRACE_BAD_VALUE',
      `${file}:${line}:1: the row has ${record.length} cells where the header has ${expected}${torn ? ', and the file ends in the middle of it' : ''}.`,
      {
        suggestions: torn
          ? ['remove the last line or fetch the file again']
          : ['quote cells that hold the delimiter'],
      },
    )
  }

  #translated(error: unknown, firstLine: number): unknown {
    if (!(error instanceof Error) || !('code' in error) || !('lines' in error)) return error
    const lines = Number(error.lines)
    const open = error.code === 'CSV_QUOTE_NOT_CLOSED'
    return new Problem(
      open ? 'TRACE_TRUNCATED' : 'TRACE_BAD_VALUE',
      `${this.#context.file}:${firstLine + lines - 1}:1: ${open ? 'a quoted cell is not closed before the file ends' : 'a quote stands inside a cell that does not begin with one'}.`,
      {suggestions: ['double a quote that belongs to the text: ""'], cause: error},
    )
  }
}

/** Runs of lines as buffers of their own: a stream may still hold one when the next is read. */
async function* copies(lines: AsyncIterable<Lines>): AsyncGenerator<Buffer> {
  for await (const {bytes, from, to} of lines) yield Buffer.from(bytes.subarray(from, to))
}
