/**
 * The fast way through a CSV file: bytes straight into columns, for files whose needed columns are
 * numbers and times. It never judges: it stops at a line that is not plain, and the general reader
 * decides what becomes of that.
 */
import type {TraceBuilder} from './builder.js'
import type {BoundColumn} from './csv-binding.js'
import type {Lines} from './source.js'
import {daysFromCivil, daysOfMonth, setDecimal, type UnitDigits} from './time-parts.js'
import {maxTokens} from './trace.js'

const newline = 10
const carriageReturn = 13
const quote = 34
const point = 46
const zero = 48

export class CsvScanner {
  /** Number of the next line. */
  line: number
  /** The first line with a calendar time; 0: none. */
  dateLine = 0
  readonly #columns: readonly BoundColumn[]
  readonly #delimiter: number
  readonly #builder: TraceBuilder
  readonly #time = {seconds: Number.NaN, nanos: 0}
  readonly #fraction = {value: 0, places: 0}
  #dated = 0
  #input = 0
  #output = 0
  #number = 0
  #days = {year: 0, month: 0, day: 0, days: 0}

  constructor(
    columns: readonly BoundColumn[],
    layout: {readonly delimiter: string; readonly line: number},
    builder: TraceBuilder,
  ) {
    this.#columns = columns
    this.#delimiter = layout.delimiter.charCodeAt(0)
    this.line = layout.line
    this.#builder = builder
  }

  /** True when every column we need is a number or a time. */
  static canRead(columns: readonly BoundColumn[]): boolean {
    return columns.every(({column, rides}) =>
      column === undefined ? rides === 'not' : column.scan !== 'none',
    )
  }

  /** Takes lines until one is not plain; returns where it stopped (`lines.to` when it took all). */
  scan({bytes, from, to}: Lines): number {
    let at = from
    while (at < to) {
      const next = this.#row(bytes, at, to)
      if (next < 0) return at
      at = next
      this.line++
    }
    return to
  }

  /** One line from `start`; where the next begins, or −1. */
  #row(bytes: Buffer, start: number, to: number): number {
    if (bytes[start] === newline) return start + 1
    let at = start
    const last = this.#columns.length - 1
    for (let i = 0; i <= last; i++) {
      const bound = this.#columns[i]!
      at = this.#cell(bytes, at, bound)
      if (at < 0 || at >= to) return -1
      if (i < last && bytes[at++] !== this.#delimiter) return -1
    }
    if (bytes[at] === carriageReturn) at++
    if (at >= to || bytes[at] !== newline) return -1
    if (this.dateLine === 0) this.dateLine = this.#dated
    this.#builder.addPlain(this.#time, this.#input, this.#output, this.line)
    return at + 1
  }

  #cell(bytes: Buffer, start: number, {column, digits}: BoundColumn): number {
    switch (column?.scan) {
      case 'input': {
        const end = this.#digits(bytes, start, 10)
        this.#input = this.#number
        return this.#number < 1 || this.#number > maxTokens ? -1 : end
      }
      case 'output': {
        const end = this.#digits(bytes, start, 10)
        this.#output = this.#number
        return this.#number < 1 || this.#number > maxTokens ? -1 : end
      }
      case 'time':
        return this.#decimal(bytes, start, digits)
      case 'datetime':
        return this.#dateTime(bytes, start)
      default:
        return this.#skip(bytes, start)
    }
  }

  #skip(bytes: Buffer, start: number): number {
    for (let at = start; at < bytes.length; at++) {
      const byte = bytes[at]!
      if (byte === quote) return -1
      if (byte === this.#delimiter || byte === newline || byte === carriageReturn) return at
    }
    return -1
  }

  /** Reads 1 … `most` digits into #number; where they end, or −1. */
  #digits(bytes: Buffer, start: number, most: number): number {
    let value = 0
    let at = start
    for (; ; at++) {
      const digit = bytes[at]! - zero
      if (!(digit >= 0 && digit <= 9)) break
      value = value * 10 + digit
    }
    this.#number = value
    return at === start || at - start > most ? -1 : at
  }

  #decimal(bytes: Buffer, start: number, digits: UnitDigits): number {
    let at = this.#digits(bytes, start, 15)
    if (at < 0) return -1
    const whole = this.#number
    const fraction = this.#fraction
    fraction.value = 0
    fraction.places = 0
    if (bytes[at] === point) {
      const from = at + 1
      at = this.#digits(bytes, from, 15)
      if (at < 0) return -1
      fraction.value = this.#number
      fraction.places = at - from
    }
    setDecimal(this.#time, whole, fraction, digits)
    return at
  }

  #fixed(bytes: Buffer, start: number, count: number): number {
    let value = 0
    for (let i = 0; i < count; i++) {
      const digit = bytes[start + i]! - zero
      if (!(digit >= 0 && digit <= 9)) return Number.NaN
      value = value * 10 + digit
    }
    return value
  }

  /** `YYYY-MM-DD hh:mm:ss[.fraction]`; one with a zone is left to the general reader. */
  #dateTime(bytes: Buffer, start: number): number {
    if (bytes[start + 4] !== 45 || bytes[start + 7] !== 45 || bytes[start + 10] !== 32) return -1
    if (bytes[start + 13] !== 58 || bytes[start + 16] !== 58) return -1
    const days = this.#dayNumber(bytes, start)
    const hour = this.#fixed(bytes, start + 11, 2)
    const minute = this.#fixed(bytes, start + 14, 2)
    const second = this.#fixed(bytes, start + 17, 2)
    if (!(hour <= 23 && minute <= 59 && second <= 60) || Number.isNaN(days)) return -1
    this.#dated = this.line
    let at = start + 19
    let nanos = 0
    if (bytes[at] === point) {
      const end = this.#digits(bytes, at + 1, 9)
      if (end < 0) return -1
      nanos = this.#number * 10 ** (9 - (end - at - 1))
      at = end
    }
    this.#time.seconds = days * 86_400 + hour * 3600 + minute * 60 + second
    this.#time.nanos = nanos
    return at
  }

  #dayNumber(bytes: Buffer, start: number): number {
    const year = this.#fixed(bytes, start, 4)
    const month = this.#fixed(bytes, start + 5, 2)
    const day = this.#fixed(bytes, start + 8, 2)
    const last = this.#days
    if (day === last.day && month === last.month && year === last.year) return last.days
    if (!(month >= 1 && month <= 12)) return Number.NaN
    if (!(day >= 1 && day <= daysOfMonth(year, month))) return Number.NaN
    this.#days = {year, month, day, days: daysFromCivil(year, month, day)}
    return this.#days.days
  }
}
