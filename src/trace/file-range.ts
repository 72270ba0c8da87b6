/**
 * A file among those that a trace is read from: which rows came from it. A class: V8 throws away the code that reads a
 * literal when a second one is made of it.
 */
export class FileRange {
  readonly name: string
  /** Its first row. */
  readonly from: number
  /** Whether its times are calendar times; undefined before the first. */
  calendar: boolean | undefined

  constructor(name: string, from: number, calendar: boolean | undefined) {
    this.name = name
    this.from = from
    this.calendar = calendar
  }

  /** The same file, where the rows so far were cut off. */
  atStart(): FileRange {
    return new FileRange(this.name, 0, this.calendar)
  }
}
