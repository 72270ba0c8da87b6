/**
 * CSV of any kind into a builder: plain lines by the scanner, single others by the general reader, all of it by
 * csv-parse from the first quote on.
 */
import {Readable} from 'node:stream'
import {Problem} from '../errors.js'
import {type BoundColumn, bindColumns} from './csv-binding.js'
import {MovingCell} from './csv-cell.js'
import type {Cell} from './csv-columns.js'
import {quoteFault, textFrom} from './csv-place.js'
import {counted, raggedFix} from './csv-ragged.js'
import {CsvScanner} from './csv-scan.js'
import {clearDraft, emptyDraft} from './draft.js'
import type {CsvFormat, CsvHeader, ReadContext} from './formats/format.js'
import {partRows} from './parts.js'
import {loneReturn} from './sniff.js'
import type {Lines, Source} from './source.js'
import {refuse} from './spot.js'
import type {TimeParts} from './time-parts.js'
import {maxPrefixTokens} from './trace.js'

/** Which way to go; tests compare both. */
export type CsvWay = 'fastest' | 'general'

/** False where one of the two is no time. */
const isEarlier = (a: TimeParts, b: TimeParts): boolean =>
  a.seconds < b.seconds || (a.seconds === b.seconds && a.nanos < b.nanos)

/** Line breaks within a cell: only a quoted one can hold them. */
const lineBreaks = (cell: string): number => (cell.includes('\n') ? cell.split('\n').length - 1 : 0)

/** A cell without blanks around it; most have none, so look before cutting. */
function trimmed(text: string): string {
  const first = text.charCodeAt(0)
  return first <= 32 || text.charCodeAt(text.length - 1) <= 32 ? text.trim() : text
}

/** Reads the rows of `source` into the builder of `context`, and pauses now and then. */
export async function* readCsv(
  source: Source,
  {header, format}: {readonly header: CsvHeader; readonly format: CsvFormat},
  context: ReadContext,
  way: CsvWay = 'fastest',
): AsyncGenerator<void> {
  const {columns, notes} = bindColumns({...context, header}, format)
  for (const note of notes) context.builder.note(note)
  const failed = format.failed ?? context.failed
  const general = new GeneralReader(columns, {header, format, failed, way}, context)
  const layout = {delimiter: header.delimiter, line: header.line + 1}
  const scans = way === 'fastest' && !header.quoted && CsvScanner.canRead(columns)
  const lines = source.lines(header.bodyOffset, context.torn)
  if (scans) yield* scanned(lines, new CsvScanner(columns, layout, context.builder), general)
  else yield* general.read(lines, layout.line)
  general.finish()
}

/** One odd line (a time with twenty decimals) must not slow down the thousands of plain ones behind it. */
async function* scanned(
  lines: Generator<Lines>,
  scanner: CsvScanner,
  general: GeneralReader,
): AsyncGenerator<void> {
  for (;;) {
    const {value, done} = lines.next()
    if (done) return
    for (let from = scanner.scan(value); from < value.to; ) {
      const odd = firstLine(value, from)
      if (hasQuote(odd)) {
        general.sawDates(scanner.dateLine)
        yield* general.read(followedBy({...value, from}, lines), scanner.line)
        return
      }
      general.split(odd, scanner.line)
      scanner.line++
      from = scanner.scan({...value, from: odd.to})
    }
    general.sawDates(scanner.dateLine)
    yield
  }
}

/** The line that begins at `from`, with its newline if it has one. */
function firstLine({bytes, to}: Lines, from: number): Lines {
  const newline = bytes.indexOf(10, from)
  return {bytes, from, to: newline >= 0 && newline < to ? newline + 1 : to}
}

const hasQuote = ({bytes, from, to}: Lines): boolean => bytes.subarray(from, to).includes(quote)

function* followedBy(first: Lines, rest: Generator<Lines>): Generator<Lines> {
  yield first
  yield* rest
}

interface RowRules {
  readonly header: CsvHeader
  readonly format: CsvFormat
  readonly failed: Cell['failed']
  readonly way: CsvWay
}

const quote = 34

/** Rows as cells of text, with our rules for every row. Split at delimiters while there are no quotes, as most files
 * have none and csv-parse takes several times as long. */
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

  /** The scanner took calendar times, all of them without a zone, from `line` on; 0: none. */
  sawDates(line: number): void {
    if (line > 0) this.#cell.zone('bare', line)
  }

  async *read(lines: Generator<Lines>, line: number): AsyncGenerator<void> {
    this.#cell.line = line
    for (;;) {
      const {value, done} = lines.next()
      if (done) return
      if (this.#rules.way === 'general' || hasQuote(value)) {
        yield* this.#parse(followedBy(value, lines))
        return
      }
      this.split(value, this.#cell.line)
      yield
    }
  }

  /** Says what was left out of the rows that were read. */
  finish(): void {
    for (const note of this.#cell.zoneNotes()) this.#context.builder.note(note)
    if (this.#dropped === 0) return
    this.#context.builder.note(
      `${this.#context.file}: ${this.#dropped === 1 ? '1 row' : `${this.#dropped} rows`} without output tokens (failed requests) left out.`,
    )
  }

  /** Lines without a quote, the first of them number `line`: a delimiter always ends a cell, and a line a row. */
  split({bytes, from, to}: Lines, line: number): void {
    this.#cell.line = line
    const {delimiter} = this.#rules.header
    for (let start = from; start < to; ) {
      const newline = bytes.indexOf(10, start)
      const end = newline >= 0 && newline < to ? newline : to
      const last = end > start && bytes[end - 1] === 13 ? end - 1 : end
      const text = bytes.toString('utf8', start, last)
      const lone = text.search(/\r[^\r]/)
      if (lone >= 0) throw loneReturn(this.#context.file, this.#cell.line, text.slice(0, lone))
      if (trimmed(text) !== '') this.#row(text.split(delimiter))
      this.#cell.line++
      start = end + 1
    }
  }

  async *#parse(lines: Iterable<Lines>): AsyncGenerator<void> {
    const {parse} = await import('csv-parse')
    const {delimiter} = this.#rules.header
    // No `info`, `raw` or `trim`: each makes csv-parse several times slower, and none is needed.
    const parser = parse({
      delimiter,
      record_delimiter: ['\r\n', '\n'],
      relax_column_count: true,
    })
    const bytes = Readable.from(copies(lines))
    bytes.on('error', (error) => parser.destroy(error))
    bytes.pipe(parser)
    try {
      for await (const record of parser as AsyncIterable<readonly string[]>) {
        if (record.length > 1 || trimmed(record[0]!) !== '') this.#row(record)
        this.#cell.line++
        for (const cell of record) this.#cell.line += lineBreaks(cell)
        if (this.#context.builder.length >= partRows) yield
      }
    } catch (error) {
      throw this.#translated(error)
    }
  }

  #row(record: readonly string[]): void {
    if (record.length !== this.#columns.length) this.#ragged(record)
    const draft = clearDraft(this.#draft)
    for (const bound of this.#columns) {
      const {column, index} = bound
      const text = trimmed(record[index]!)
      if (column === undefined || (text === '' && column.empty === 'absent')) continue
      if (text === '' && column.name === 'arrived_at') continue
      column.set(draft, text, this.#cell.at(bound))
    }
    if (this.#rules.failed === 'drop' && draft.output === 0) {
      this.#dropped++
      this.#leaveOut(record)
      return
    }
    if (draft.id !== undefined && this.#context.passes?.(draft.id)) return
    this.#together(record)
    this.#context.builder.add(draft, this.#cell.line)
    for (const {rides, column, header, index} of this.#columns)
      if (column === undefined && rides === 'along')
        this.#context.builder.addExtra(header, trimmed(record[index]!))
  }

  /** What became of a failed request stands in columns of recordings. */
  #leaveOut(record: readonly string[]): void {
    const {leftOut} = this.#context
    const cellOf = (name: string) =>
      trimmed(record[this.#columns.find(({header}) => header === name)?.index ?? -1] ?? '')
    const why = cellOf('http_status') || cellOf('status') || 'without output tokens'
    leftOut.set(why, (leftOut.get(why) ?? 0) + 1)
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
    if (isEarlier(draft.cancel, draft.arrival)) {
      const cancel = this.#columns.find(({column}) => column?.name === 'cancelled_at')!
      refuse(
        this.#spot('cancelled_at'),
        trimmed(record[cancel.index]!),
        'a client cannot hang up before arrived_at',
        ['leave it empty where nobody hung up'],
      )
    }
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
    if (Number(reaches.at(-1)) > maxPrefixTokens)
      refuse(reach, text, `it must be at most ${maxPrefixTokens}`)
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

  #ragged(record: readonly string[]): never {
    const {file} = this.#context
    const {line} = this.#cell
    const expected = this.#columns.length
    const torn = record.length < expected && !textFrom(file, line).includes('\n')
    throw new Problem(
      torn ? 'TRACE_TRUNCATED' : 'TRACE_BAD_VALUE',
      `${file}:${line}:1: the row has ${counted(record.length)} where the header has ${expected}${torn ? ', and the file ends in the middle of it' : ''}.`,
      {
        suggestions: torn
          ? ['remove the last line or fetch the file again']
          : raggedFix(record, expected, this.#rules.header.delimiter),
      },
    )
  }

  #translated(error: unknown): unknown {
    if (!(error instanceof Error) || !('code' in error) || !('lines' in error)) return error
    const {file} = this.#context
    const fault = quoteFault(file, this.#rules.header.delimiter)
    const says = {
      'never closed': 'the quote that opens here is not closed before the file ends',
      'text behind': `the quoted cell that opens here closes before ${fault?.behind}, where no delimiter follows`,
      inside: 'a quote stands inside a cell that does not begin with one',
    }
    return new Problem(
      fault?.kind === 'never closed' ? 'TRACE_TRUNCATED' : 'TRACE_BAD_VALUE',
      fault === undefined
        ? `${file}: the quotes of the file cannot be read (${String(error.code)}).`
        : `${file}:${fault.at}: ${says[fault.kind]}.`,
      {
        suggestions: ['double a quote that belongs to the text: ""', 'close the cell with a quote'],
        cause: error,
      },
    )
  }
}

/** Runs of lines as buffers of their own: a stream may still hold one when the next is read. */
function* copies(lines: Iterable<Lines>): Generator<Buffer> {
  for (const {bytes, from, to} of lines) yield Buffer.from(bytes.subarray(from, to))
}
