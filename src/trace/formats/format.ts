/** What a trace format is: how it is recognised, read and, where it can hold a trace, written. */
import type {TraceBuilder} from '../builder.js'
import type {CsvColumn} from '../csv-columns.js'
import type {TornTail} from '../source.js'
import type {Trace} from '../trace.js'

/** What the first bytes of a file say. */
export type Head =
  | {readonly kind: 'csv'; readonly header: CsvHeader}
  | {readonly kind: 'json'; readonly keys: readonly string[]}

export interface CsvHeader {
  readonly columns: readonly string[]
  readonly delimiter: string
  readonly line: number
  /** Where the rows begin, in bytes after a byte order mark. */
  readonly bodyOffset: number
  /** A quote character is in the sampled head. */
  readonly quoted: boolean
}

/** How rows without output are taken: requests that failed in the measured system. */
export type FailedRows = 'error' | 'drop'

export interface ReadContext {
  readonly file: string
  readonly torn: TornTail
  readonly failed: FailedRows
  /** Rows to pass over: those of requests that are in the trace already. */
  readonly passes?: ((requestId: string) => boolean) | undefined
  /** Our name of a column → the file's name of it, from --columns. */
  readonly mapping: ReadonlyMap<string, string>
  readonly builder: TraceBuilder
  /** Rows that were left out because their requests failed, by what the file says of them. */
  readonly leftOut: Map<string, number>
}

/** What a written file cannot say is named in `lost`. */
export interface Written {
  readonly lines: Iterable<string>
  readonly lost: readonly string[]
  /** What it says less exactly, one sentence each. */
  readonly coarser?: readonly string[]
}

interface FormatCommon {
  readonly name: string
  /** One line for messages and docs: how the file looks. */
  readonly looks: string
  recognises(head: Head): boolean
  write?(trace: Trace): Written
}

export interface CsvFormat extends FormatCommon {
  readonly kind: 'csv'
  readonly columns: readonly CsvColumn[]
  /** Unknown columns are kept in `extra`. */
  readonly extras: 'keep' | 'ignore'
  /** Columns that its publisher writes and that say nothing to us, in lower case: no note names them. */
  readonly publishes?: readonly string[]
  readonly failed?: FailedRows
}

export interface JsonLinesFormat extends FormatCommon {
  readonly kind: 'jsonl'
  /** Keys of a line that mean something. */
  readonly keys: readonly string[]
  /** A fresh reader per file, for what lines share. */
  reader(context: ReadContext): LineReader
}

/** Handles one line. `end`: all lines have been read, for formats whose lines need their neighbours. */
export type LineReader = ((row: JsonRow) => void) & {end?(): void}

export interface JsonFormat extends FormatCommon {
  readonly kind: 'json'
  read(document: JsonObject, context: ReadContext): void
}

export type TraceFormat = CsvFormat | JsonLinesFormat | JsonFormat

export interface JsonObject {
  readonly [key: string]: unknown
}

export interface JsonRow {
  readonly object: JsonObject
  readonly line: number
  /** The place of a key of this line, for messages. */
  spot(key: string): {where(): string; readonly name: string}
}
