/** The columns that CSV formats are made of, and how a header is matched to them. */
import {idOfHex} from './block-ids.js'
import type {Draft} from './draft.js'
import type {CsvHeader, FailedRows} from './formats/format.js'
import {durationOf, nameOf, refuse, type Spot, signedNumber, timeOf, wholeNumber} from './spot.js'
import {parseDateTime, type TimeParts, type UnitDigits} from './time-parts.js'

/** What the byte scanner can read by itself; anything else goes through the general reader. */
export type Scan = 'input' | 'output' | 'time' | 'datetime' | 'none'

export interface Cell extends Spot {
  /** Unit of this column, from the end of its name. */
  readonly digits: UnitDigits
  /** Tokens per block of this column, from the end of its name. */
  readonly span: number
  readonly failed: FailedRows
  /** What separates the cells of the file. */
  readonly delimiter: string
  /** Told of each calendar time: a note says where a file holds both kinds. */
  zone(kind: 'zoned' | 'bare'): void
}

export interface CsvColumn {
  /** Our name of it: in messages and in --columns. */
  readonly name: string
  /** Names that files give it, in lower case, without a unit at the end. */
  readonly aliases: readonly string[]
  readonly need: 'required' | 'optional'
  readonly scan: Scan
  /** Its values have a unit, which may stand at the end of its name. */
  readonly counts?: 'time'
  /** Short names for --columns. */
  readonly short?: string
  /** An empty cell is left alone instead of handed to `set`. */
  readonly empty?: 'absent'
  set(draft: Draft, text: string, cell: Cell): void
}

/** Where semicolons separate cells, 1.000 may be a thousand, as in Excel, or one, as in programs. */
function tokensOf(text: string, cell: Cell, least: number): number {
  if (cell.delimiter === ';' && /^\d{1,3}\.\d{3}$/.test(text))
    refuse(cell, text, 'it may be thousands or a fraction', [
      `write ${text.replace('.', '')}${Number.isInteger(Number(text)) ? ` or ${Number(text)}` : ''}`,
    ])
  return wholeNumber(text, cell, least)
}

/** Semicolons come from places where decimals have a comma: then all of the file has, and is changed at once. */
function checkPoint(text: string, cell: Cell): void {
  if (cell.delimiter !== ';' || !/^(\d*|\d{1,3}(\.\d{3})+),\d+$/.test(text)) return
  const file = cell.where().replace(/:\d+:\d+$/, '')
  if (text.includes('.'))
    refuse(cell, text, 'decimals have a point, and thousands nothing between them, in all rows', [
      `tr -d '.' < ${file} | tr ',' '.' > points.csv (where points are nothing but thousands)`,
    ])
  refuse(cell, text, 'decimals have a point, in all rows', [
    `tr ',' '.' < ${file} > points.csv (where commas are nothing but decimals)`,
    'where the comma means thousands, leave it out',
  ])
}

export const inputColumn = (...aliases: readonly string[]): CsvColumn => ({
  name: 'input_tokens',
  short: 'input',
  aliases,
  need: 'required',
  scan: 'input',
  set(draft, text, cell) {
    draft.input = tokensOf(text, cell, cell.failed === 'drop' ? 0 : 1)
  },
})

export const outputColumn = (...aliases: readonly string[]): CsvColumn => ({
  name: 'output_tokens',
  short: 'output',
  aliases,
  need: 'required',
  scan: 'output',
  set(draft, text, cell) {
    draft.output = tokensOf(text, cell, cell.failed === 'drop' ? 0 : 1)
  },
})

export const arrivalColumn = (...aliases: readonly string[]): CsvColumn => ({
  name: 'arrived_at',
  short: 'arrival',
  aliases,
  need: 'required',
  scan: 'time',
  counts: 'time',
  set(draft, text, cell) {
    timeOrDate(text, cell, draft.arrival)
  },
})

export const dateTimeColumn = (...aliases: readonly string[]): CsvColumn => ({
  ...arrivalColumn(...aliases),
  scan: 'datetime',
  set(draft, text, cell) {
    setDate(text, cell, draft.arrival)
  },
})

function setDate(text: string, cell: Cell, out: TimeParts): void {
  if (!parseDateTime(out, text))
    refuse(cell, text, 'it must be a time like 2023-11-16 18:15:46.6805900', [
      'write date and time to the second, with a zone (Z, +02:00) if it is not UTC',
    ])
  cell.zone(endsWithZone.test(text.slice(10)) ? 'zoned' : 'bare')
}

const endsWithZone = /(?:Z|[+-]\d{2}(?::?\d{2})?)$/

/** 1.2e-05, a number, has its hyphen in the same place. */
const startsWithYear = /^\d{4}-/

/** A number in the unit of its column; where that has none, also a calendar time, as logs have them. */
function timeOrDate(text: string, cell: Cell, out: TimeParts): void {
  checkPoint(text, cell)
  if (cell.digits === 0 && startsWithYear.test(text)) setDate(text, cell, out)
  else timeOf(text, cell, cell.digits, out)
}

const optional = (
  name: string,
  short: string,
  set: CsvColumn['set'],
  ...aliases: readonly string[]
): CsvColumn => ({
  name,
  short,
  aliases: [name, ...aliases],
  need: 'optional',
  scan: 'none',
  empty: 'absent',
  set,
})

export const modelColumn = (...aliases: readonly string[]): CsvColumn =>
  optional(
    'model',
    'model',
    (draft, text) => {
      draft.model = text
    },
    ...aliases,
  )

export const sessionColumn = (...aliases: readonly string[]): CsvColumn =>
  optional(
    'session_id',
    'session',
    (draft, text) => {
      draft.session = text
    },
    ...aliases,
  )

const hashes = /^[0-9a-f]{1,16}$/i

const blockHashes: CsvColumn['set'] = (draft, text, cell) => {
  const words = text.split(' ')
  const wrong = words.find((word) => !hashes.test(word))
  if (wrong !== undefined)
    refuse(cell, wrong, 'hashes must be hexadecimal of up to 16 digits, one space between them')
  draft.span = cell.span
  draft.ids = words.map(idOfHex)
}

const groupTokens: CsvColumn['set'] = (draft, text, cell) => {
  const reaches = text.split(' ').map((word) => wholeNumber(word, cell, 1))
  if (reaches.some((reach, i) => i > 0 && reach <= reaches[i - 1]!))
    refuse(cell, text, 'the reaches of nested groups must rise')
  draft.groupTokens = text
}

/** The optional columns of our own CSV. */
export const optionalColumns: readonly CsvColumn[] = [
  {
    name: 'request_id',
    short: 'id',
    aliases: ['request_id'],
    need: 'optional',
    scan: 'none',
    set(draft, text, cell) {
      draft.id = nameOf(text, cell)
    },
  },
  modelColumn(),
  optional(
    'adapter',
    'adapter',
    (draft, text) => {
      draft.adapter = text
    },
    'lora',
    'lora_adapter',
  ),
  sessionColumn('session'),
  optional('turn', 'turn', (draft, text, cell) => {
    draft.turn = wholeNumber(text, cell, 0)
  }),
  {
    ...optional('think_time', 'think', (draft, text, cell) => {
      checkPoint(text, cell)
      draft.think = durationOf(text, cell, cell.digits)
    }),
    counts: 'time',
  },
  optional('priority', 'priority', (draft, text, cell) => {
    draft.priority = signedNumber(text, cell)
  }),
  optional('predicted_output_tokens', 'predicted', (draft, text, cell) => {
    draft.predicted = wholeNumber(text, cell, 1)
  }),
  optional('prefix_group', 'group', (draft, text) => {
    draft.group = text
  }),
  optional('prefix_tokens', 'group-tokens', groupTokens),
  optional('block_hashes', 'hashes', blockHashes),
  optional('known_tokens', 'known', (draft, text, cell) => {
    draft.known = wholeNumber(text, cell, 0)
  }),
  {
    ...optional('cancelled_at', 'cancel', (draft, text, cell) => {
      timeOrDate(text, cell, draft.cancel)
    }),
    counts: 'time',
  },
]

const unitOf = /_(s|ms|us|ns)$/
const digitsOf: Readonly<Record<string, UnitDigits>> = {s: 0, ms: 3, us: 6, ns: 9}

export const normal = (name: string): string => name.trim().toLowerCase()

/** A header's name without unit or block size, the unit, and the block size. */
export function dissect(header: string): {base: string; digits: UnitDigits; span: number} {
  const name = normal(header)
  const unit = unitOf.exec(name)?.[1]
  const blocks = /^(block_hashes)_(\d+)$/.exec(name)
  if (blocks) return {base: blocks[1]!, digits: 0, span: Number(blocks[2])}
  return {
    base: unit === undefined ? name : name.slice(0, -unit.length - 1),
    digits: digitsOf[unit ?? 's'] ?? 0,
    span: 16,
  }
}

/** A unit belongs to the name of a time alone: output_tokens_s are a rate, not a number of tokens. */
export const isNamed = (column: CsvColumn, header: string): boolean => {
  const name = normal(header)
  if (column.aliases.includes(name)) return true
  return (
    (column.counts === 'time' || !unitOf.test(name)) &&
    column.aliases.includes(dissect(header).base)
  )
}

/** True when a header holds a column under one of its names. */
export function holds(header: CsvHeader, column: CsvColumn): boolean {
  return header.columns.some((name) => isNamed(column, name))
}
