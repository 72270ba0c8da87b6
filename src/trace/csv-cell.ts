/** The place of the CSV cell that is being read, and what the cells of a file have in common. */
import type {BoundColumn} from './csv-binding.js'
import type {Cell} from './csv-columns.js'
import {placeOfCell, textFrom} from './csv-place.js'
import type {UnitDigits} from './time-parts.js'

/** The cell that is being read, whatever it is: one object per file. */
export class MovingCell implements Cell {
  readonly failed: Cell['failed']
  readonly #file: string
  readonly delimiter: string
  /** First lines of calendar times with a time zone and without one; 0: none. */
  readonly #zones = {zoned: 0, bare: 0}
  #bound: BoundColumn | undefined
  /** Where the row begins. */
  line = 0

  constructor(file: string, delimiter: string, failed: Cell['failed']) {
    this.#file = file
    this.delimiter = delimiter
    this.failed = failed
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

  where(): string {
    // Only a wrong cell asks, so its column is looked up in the file instead of kept for every row.
    const text = textFrom(this.#file, this.line)
    const {line, column} = placeOfCell(text, this.#bound!.index, this.delimiter)
    return `${this.#file}:${this.line + line}:${column}`
  }

  zone(kind: 'zoned' | 'bare', line = this.line): void {
    this.#zones[kind] ||= line
  }

  /** What was done with times of which only some name a zone. */
  zoneNotes(): string[] {
    const {zoned, bare} = this.#zones
    if (zoned === 0 || bare === 0) return []
    return [
      `${this.#file}: calendar times without a time zone (the first in line ${bare}) were read as UTC; others have one (line ${zoned}).`,
    ]
  }
}
