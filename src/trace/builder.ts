/** Turns the rows of one or more files into a Trace: columns, sessions, order, ids. */
import {Problem} from '../errors.js'
import {blockTokens, idsOfGroups, type PrefixLevel} from './block-ids.js'
import type {Draft} from './draft.js'
import {FileRange} from './file-range.js'
import type {GrowingInts} from './growing.js'
import {Rows} from './growing-rows.js'
import {NeedsWholeTrace} from './parts.js'
import {selectRows, sortedOrder} from './select.js'
import {idTwice} from './spot.js'
import type {TimeParts} from './time-parts.js'
import type {Labels, Trace} from './trace.js'

/** From here on (3 years) seconds are calendar times, counted from the first one. */
const calendarSeconds = 1e8
/** From here on (the year 5138) they are no seconds: milliseconds since 1970 have 13 digits. */
const calendarEnd = 1e11
/** 2^53 ns, 104 days: sums of whole nanoseconds are exact up to here. */
const longestNs = Number.MAX_SAFE_INTEGER
export const inexactTimes =
  'times more than 104 days after the start are no longer exact to the nanosecond.'

type Mutable<T> = {-readonly [K in keyof T]: T[K]}

export class TraceBuilder {
  #rows = new Rows()
  #files: FileRange[] = []
  #filesBegun = 0
  readonly #notes = new Set<string>()
  readonly #formats = new Set<string>()
  #origin: number | undefined
  /** Of the first arrival, where times are calendar times: what they count from. */
  #firstAt = Number.NaN
  /** Line of the row that was begun last, and its time. */
  #line = 0
  #latest = Number.NEGATIVE_INFINITY
  #isInOrder = true
  #keepFileOrderIds = false
  #isUnsorted = false
  /** What the parts that were cut off have in common; undefined before the first. */
  #kindOfParts: string | undefined

  constructor() {
    // Written twice: V8 takes a field that was written once for a constant, and compiles its readers anew.
    this.#rows = new Rows()
    this.#files = []
  }

  get length(): number {
    return this.#rows.plain.length
  }

  /** How many files were begun before the present one. */
  get fileIndex(): number {
    return this.#filesBegun - 1
  }

  /** Says from which file the next rows come. */
  beginFile(name: string, format: string): void {
    this.#files.push(new FileRange(name, this.length, undefined))
    this.#filesBegun++
    this.#formats.add(format)
  }

  /** A name that no session has yet. */
  freeSessionName(): string {
    let n = this.#rows.sessions.size
    while (this.#rows.sessions.has(`session_${n}`)) n++
    return `session_${n}`
  }

  hasSession(name: string): boolean {
    return this.#rows.sessions.has(name)
  }

  hasId(requestId: string): boolean {
    return this.#rows.ids.has(requestId)
  }

  note(sentence: string): void {
    this.#notes.add(sentence)
  }

  /** Rows are known to come in another order than their arrival: no note needs to say so. */
  expectUnsorted(): void {
    this.#isUnsorted = true
  }

  /** Should rows be sorted, their numbers in the files stay their ids. */
  keepFileOrderIds(): void {
    this.#keepFileOrderIds = true
  }

  /** A row of nothing but a time and two lengths. */
  addPlain(arrival: TimeParts, input: number, output: number, line: number): void {
    this.#line = line
    const at = this.#nanoseconds(arrival)
    if (at < this.#latest) this.#isInOrder = false
    this.#latest = at
    this.#rows.plain.push(at, input, output, line)
  }

  add(draft: Draft, line: number): void {
    const row = this.length
    this.addPlain(draft.arrival, draft.input, draft.output, line)
    if (draft.id !== undefined) this.#addId(draft.id, row)
    if (draft.model !== undefined) this.#rows.models.set(row, draft.model)
    if (draft.adapter !== undefined) this.#rows.adapters.set(row, draft.adapter)
    if (draft.session !== undefined) this.#rows.sessions.set(row, draft.session)
    if (draft.turn !== undefined) this.#setInt(this.#rows.turns, draft.turn, -1)
    if (draft.priority !== undefined) this.#setInt(this.#rows.priorities, draft.priority, 0)
    if (draft.predicted !== undefined) this.#setInt(this.#rows.predicted, draft.predicted, 0)
    if (draft.think !== undefined) this.#rows.thinks.set(row, draft.think)
    if (!Number.isNaN(draft.cancel.seconds))
      this.#rows.cancels.set(row, this.#nanoseconds(draft.cancel))
    this.#addPrefix(draft, row)
  }

  /** Keeps a column that means nothing to us; call after `add` of its row. */
  addExtra(name: string, value: string): void {
    let column = this.#rows.extra.get(name)
    if (column === undefined) {
      column = []
      this.#rows.extra.set(name, column)
    }
    while (column.length < this.length - 1) column.push('')
    column.push(value)
  }

  #setInt(column: GrowingInts, value: number, absent: number): void {
    column.padTo(this.length - 1, absent)
    column.push(value)
  }

  #addId(id: string, row: number): void {
    const before = this.#rows.ids.get(id)
    if (before !== undefined) throw idTwice(id, this.#place(row), this.#place(before))
    this.#rows.ids.set(id, row)
  }

  #addPrefix(draft: Draft, row: number): void {
    if (draft.group !== undefined && draft.groupTokens !== undefined) {
      this.#rows.groups.set(row, draft.group)
      this.#rows.groupTokens.set(row, draft.groupTokens)
    }
    if (draft.span > 0)
      this.#rows.prefix.set(
        row,
        draft.span,
        draft.ids,
        draft.known ?? draft.ids.length * draft.span,
      )
    else if (draft.group !== undefined && draft.groupTokens !== undefined) {
      const levels = prefixLevels(draft.group, draft.groupTokens)
      this.#rows.prefix.set(row, blockTokens, idsOfGroups(levels), levels.at(-1)!.tokens)
    }
  }

  /** Of a time in the row that was begun last, since the start of the trace or the first calendar time. */
  #nanoseconds(time: TimeParts): number {
    if (Number.isNaN(time.seconds)) return Number.NaN
    const file = this.#files[this.#files.length - 1]!
    const calendar = time.seconds >= calendarSeconds
    file.calendar ??= calendar
    if (file.calendar !== calendar) {
      const others = calendar ? 'times counted from a start' : 'calendar times'
      this.#refuseTime(`follows ${others}; a file must hold one kind`, time)
    }
    if (calendar) this.#origin ??= time.seconds
    if (time.seconds >= calendarEnd)
      this.#refuseTime('is no calendar time; the name of a column in another unit ends in it', time)
    const ns = (time.seconds - (calendar ? this.#origin! : 0)) * 1e9 + time.nanos
    if (Math.abs(ns) > longestNs) this.note(inexactTimes)
    return ns
  }

  #refuseTime(rule: string, {seconds}: TimeParts): never {
    throw new Problem(
      'TRACE_BAD_VALUE',
      `${this.#files.at(-1)!.name}:${this.#line}: a time of ${seconds} s ${rule}.`,
      {suggestions: seconds >= calendarEnd ? ['arrived_at_ms'] : []},
    )
  }

  #fileOf(row: number): FileRange {
    return this.#files.findLast((file) => file.from <= row)!
  }

  #place(row: number): string {
    return `${this.#fileOf(row).name}:${this.#rows.plain.lineOf(row)}`
  }

  /** What makes the rows more than a stretch of a longer trace; undefined: they may be cut off. */
  #boundBy(): string | undefined {
    const {sessions, thinks, ids} = this.#rows
    if (!this.#isInOrder) return 'a row that is earlier than the one before it'
    if (sessions.size > 0 || thinks.size > 0) return 'sessions'
    if (ids.size > 0) return 'request ids'
    return this.#kindOfParts !== undefined && this.#kindOfParts !== this.#kind()
      ? 'columns that the rows before do not have'
      : undefined
  }

  #kind(): string {
    const {models, priorities, prefix} = this.#rows
    return [models.size > 0, priorities.length > 0, prefix.spanTokens].join()
  }

  /**
   * Cuts off all rows so far as a part of the trace, if they may stand alone; undefined if not.
   * @throws NeedsWholeTrace where they may not, and parts were cut off before
   */
  cut(): Trace | undefined {
    const bound = this.#boundBy()
    if (bound === undefined) {
      this.#kindOfParts ??= this.#kind()
      const part = this.finish()
      this.#rows = new Rows()
      this.#files = this.#files.slice(-1).map((file) => file.atStart())
      return part
    }
    if (this.#kindOfParts === undefined) return undefined
    throw new NeedsWholeTrace(bound)
  }

  /** The trace of all rows (since the last cut). Rows out of order are sorted, stably, with a note. */
  finish(): Trace {
    const length = this.length
    const {arrivedAt, ...tokens} = this.#rows.plain.toArrays()
    const cancelledAt = this.#sparse(this.#rows.cancels)
    this.#toStart(arrivedAt, cancelledAt)
    const thinkTime = this.#sparse(this.#rows.thinks)
    const session = this.#rows.sessions.finish(length)
    const keys = this.#releaseTurns(arrivedAt, thinkTime, session)
    const trace: Mutable<Trace> = {
      length,
      arrivedAt,
      ...tokens,
      notes: [],
      format: [...this.#formats].join('+'),
    }
    if (cancelledAt) trace.cancelledAt = cancelledAt
    if (thinkTime?.some((value) => !Number.isNaN(value))) trace.thinkTime = thinkTime
    if (session) trace.session = session
    this.#finishColumns(trace)
    // Calendar times of one file among others may change places with them.
    const isKnown = this.#isInOrder && keys === arrivedAt && this.#origin === undefined
    const order = isKnown ? undefined : sortedOrder(keys)
    if (order) {
      if (!this.#isUnsorted) this.note('rows were not in order of arrival and have been sorted.')
      if (this.#keepFileOrderIds && this.#rows.ids.size === 0)
        trace.requestId = Array.from({length}, (_, row) => String(row))
    }
    this.#checkTurns(trace, order)
    trace.notes = [...this.#notes]
    return order ? selectRows(trace, order) : trace
  }

  #finishColumns(trace: Mutable<Trace>): void {
    const {length} = this
    const model = this.#rows.models.finish(length)
    if (model) trace.model = model
    const adapter = this.#rows.adapters.finish(length)
    if (adapter) trace.adapter = adapter
    const prefix = this.#rows.prefix.finish(length)
    if (prefix) trace.prefix = prefix
    const group = this.#rows.groups.finish(length)
    const reach = this.#rows.groupTokens.finish(length)
    if (group && reach) Object.assign(trace, {prefixGroup: group, prefixTokens: reach})
    const columns = [
      ['turn', this.#rows.turns, -1],
      ['priority', this.#rows.priorities, 0],
      ['predictedOutputTokens', this.#rows.predicted, 0],
    ] as const
    for (const [name, column, absent] of columns) {
      if (column.length === 0) continue
      column.padTo(length, absent)
      trace[name] = column.toArray()
    }
    if (this.#rows.ids.size > 0) trace.requestId = this.#allIds()
    if (this.#rows.extra.size === 0) return
    for (const column of this.#rows.extra.values()) while (column.length < length) column.push('')
    trace.extra = this.#rows.extra
  }

  /** Explicit ids, and the row number (made unique) where a file has none. */
  #allIds(): string[] {
    const ids = new Array<string>(this.length).fill('')
    for (const [id, row] of this.#rows.ids) ids[row] = id
    for (const [row, id] of ids.entries()) {
      if (id !== '') continue
      let own = String(row)
      while (this.#rows.ids.has(own)) own = `row-${own}`
      ids[row] = own
    }
    return ids
  }

  #sparse(values: ReadonlyMap<number, number>): Float64Array | undefined {
    if (values.size === 0) return undefined
    const column = new Float64Array(this.length).fill(Number.NaN)
    for (const [row, value] of values) column[row] = value
    return column
  }

  /** Calendar times become times since the first arrival. */
  #toStart(arrivedAt: Float64Array, cancelledAt: Float64Array | undefined): void {
    if (this.#origin === undefined) return
    const ends = this.#files.map((_, i) => this.#files[i + 1]?.from ?? this.length)
    let first = Number.isNaN(this.#firstAt) ? Number.POSITIVE_INFINITY : this.#firstAt
    const eachRow = (visit: (row: number) => void): void => {
      for (const [i, file] of this.#files.entries()) {
        if (file.calendar) for (let row = file.from; row < ends[i]!; row++) visit(row)
      }
    }
    eachRow((row) => {
      if (arrivedAt[row]! < first) first = arrivedAt[row]!
    })
    this.#firstAt = first
    eachRow((row) => {
      arrivedAt[row] = arrivedAt[row]! - first
      if (cancelledAt) cancelledAt[row] = cancelledAt[row]! - first
    })
    this.note('calendar times are counted from the first arrival.')
  }

  /**
   * Takes the time from turns that the one before releases, refuses those that nothing releases, and
   * returns the keys to sort by: a turn without a time stays behind its predecessor and its neighbour.
   */
  #releaseTurns(
    arrivedAt: Float64Array,
    thinkTime: Float64Array | undefined,
    session: Labels | undefined,
  ): Float64Array {
    if (!thinkTime && !session) return arrivedAt
    const keys = arrivedAt.slice()
    const last = new Float64Array(session?.names.length ?? 0).fill(Number.NaN)
    let before = 0
    for (let row = 0; row < keys.length; row++) {
      const code = session?.codes[row] ?? -1
      const previous = code < 0 ? Number.NaN : last[code]!
      const think = thinkTime?.[row] ?? Number.NaN
      if (Number.isNaN(previous)) this.#checkFirst(row, arrivedAt[row]!, code)
      else if (!Number.isNaN(think)) {
        keys[row] = Math.max(before, previous)
        arrivedAt[row] = Number.NaN
      }
      if (Number.isNaN(previous) && thinkTime && !Number.isNaN(think)) {
        thinkTime[row] = Number.NaN
        this.note('think times of first turns were left out: no turn comes before them.')
      }
      before = keys[row]!
      if (code >= 0) last[code] = before
    }
    return keys
  }

  #checkFirst(row: number, arrivedAt: number, code: number): void {
    if (!Number.isNaN(arrivedAt)) return
    const why =
      code < 0
        ? 'the row has no session whose previous turn could release it'
        : 'it is the first turn of its session'
    throw new Problem(
      'TRACE_BAD_VALUE',
      `${this.#place(row)}: the row has a think time and no arrival time, but ${why}; give it an arrival time.`,
    )
  }

  #checkTurns(trace: Trace, order: Uint32Array | undefined): void {
    const {turn, session} = trace
    if (!turn || !session) return
    const last = new Int32Array(session.names.length).fill(-1)
    for (let i = 0; i < trace.length; i++) {
      const row = order?.[i] ?? i
      const code = session.codes[row]!
      if (code < 0 || turn[row]! < 0) continue
      if (turn[row]! <= last[code]!) {
        throw new Problem(
          'TRACE_BAD_VALUE',
          `${this.#place(row)}: turn ${turn[row]} of session "${session.names[code]}" comes after turn ${last[code]}; the turns of a session must rise in order of arrival.`,
        )
      }
      last[code] = turn[row]!
    }
  }
}

/** Splits `prefix_group` and `prefix_tokens` into levels; one number means one group, blanks and all. */
export function prefixLevels(group: string, tokens: string): PrefixLevel[] {
  const reaches = tokens.split(' ').map(Number)
  const names = reaches.length === 1 ? [group] : group.split(' ')
  return reaches.map((reach, i) => ({name: names[i] ?? '', tokens: reach}))
}
