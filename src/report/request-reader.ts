/** Reads back what `request-files.ts` wrote, checking every cell: a stored run may have been edited. */
import {existsSync} from 'node:fs'
import {basename} from 'node:path'
import {Problem} from '../errors.js'
import {type Outcomes, status, statusNames} from '../stats/outcomes.js'
import type {Labels} from '../trace/trace.js'
import {CsvFault, readCsv} from './csv-rows.js'
import {nsOfMilliseconds, nsOfSeconds} from './decimals.js'
import type {RequestColumns, RequestResults} from './measures.js'
import {labelFields, requestFields} from './request-files.js'

/** Hands every row after the header to `take`, with its place. Throws RUN_BAD_FILE. */
function readRows(
  path: string,
  header: (cells: readonly string[]) => string | undefined,
  take: (cells: readonly string[], place: string) => void,
): void {
  if (!existsSync(path)) throw badFile(path, `the run has no ${basename(path)}`)
  let width = 0
  try {
    readCsv(path, (cells, line) => {
      if (width === 0) {
        const rule = header(cells)
        if (rule !== undefined) throw badFile(`${path}:${line}`, rule)
        width = cells.length
      } else if (cells.length === width) take(cells, `${path}:${line}`)
      else {
        const rule = `the row has ${cells.length} cells, the header has ${width}`
        throw badFile(`${path}:${line}`, rule)
      }
    })
  } catch (cause) {
    if (!(cause instanceof CsvFault)) throw cause
    throw badFile(cause.line > 0 ? `${path}:${cause.line}` : path, cause.message, cause)
  }
  if (width === 0) throw badFile(path, 'the file is empty')
}

export const badFile = (place: string, rule: string, cause?: unknown): Problem =>
  new Problem('RUN_BAD_FILE', `${place}: ${rule}.`, {
    cause,
    suggestions: ['run the simulation again', 'take the file from a copy'],
  })

const fieldIndex = Object.fromEntries(requestFields.map((field, i) => [field, i])) as {
  readonly [field in (typeof requestFields)[number]]: number
}

/** Columns that grow while rows come in; a run does not say beforehand how many there are. */
class OutcomeRows {
  readonly ids: string[] = []
  readonly input: number[] = []
  readonly output: number[] = []
  readonly instance: number[] = []
  readonly status: number[] = []
  readonly arrivedAt: number[] = []
  readonly scheduledAt: number[] = []
  readonly firstTokenAt: number[] = []
  readonly finishedAt: number[] = []
  readonly cached: number[] = []
  readonly preemptions: number[] = []

  add(cells: readonly string[], place: string): void {
    const cell = (field: (typeof requestFields)[number]): string => cells[fieldIndex[field]]!
    const bad = (field: string, rule: string): Problem =>
      badFile(place, `${field} "${cell(field as 'status')}" ${rule}`)
    const whole = (field: (typeof requestFields)[number]): number => {
      if (!/^\d+$/.test(cell(field))) throw bad(field, 'is not a whole number')
      return Number(cell(field))
    }
    const time = (
      field: (typeof requestFields)[number],
      parse: (text: string) => number | undefined,
      digits: number,
    ): number => {
      const ns = parse(cell(field))
      if (ns === undefined) throw bad(field, `is not a number of at most ${digits} decimals`)
      return ns
    }
    const code = (statusNames as readonly string[]).indexOf(cell('status'))
    if (code < 0) throw bad('status', `is none of ${statusNames.join(', ')}`)
    const arrived = time('arrived_at', nsOfSeconds, 9)
    const finished = time('finished_at', nsOfSeconds, 9)
    if (code === status.completed && Number.isNaN(arrived + finished)) {
      throw badFile(place, 'a completed request needs arrived_at and finished_at')
    }
    this.ids.push(cell('request_id'))
    this.instance.push(cell('instance') === '' ? -1 : whole('instance'))
    this.arrivedAt.push(arrived)
    this.input.push(whole('input_tokens'))
    this.output.push(whole('output_tokens'))
    this.cached.push(whole('cached_tokens'))
    this.scheduledAt.push(arrived + time('queue_ms', nsOfMilliseconds, 6))
    this.firstTokenAt.push(arrived + time('ttft_ms', nsOfMilliseconds, 6))
    this.finishedAt.push(finished)
    this.preemptions.push(whole('preemptions'))
    this.status.push(code)
  }

  results(): {trace: RequestColumns; outcomes: Outcomes} {
    return {
      trace: {
        length: this.ids.length,
        requestId: this.ids,
        inputTokens: Int32Array.from(this.input),
        outputTokens: Int32Array.from(this.output),
      },
      outcomes: {
        length: this.ids.length,
        status: Uint8Array.from(this.status),
        instance: Int32Array.from(this.instance),
        arrivedAt: Float64Array.from(this.arrivedAt),
        scheduledAt: Float64Array.from(this.scheduledAt),
        firstTokenAt: Float64Array.from(this.firstTokenAt),
        finishedAt: Float64Array.from(this.finishedAt),
        producedTokens: Int32Array.from(this.output, (tokens, row) =>
          this.status[row] === status.completed || this.status[row] === status.cancelled
            ? tokens
            : 0,
        ),
        cachedTokens: Int32Array.from(this.cached),
        preemptions: Int32Array.from(this.preemptions),
        reasons: new Map(),
      },
    }
  }
}

/** The outcomes of a stored run; with `labelsPath` also model, session and priority. Throws RUN_BAD_FILE. */
export function readRequests(path: string, labelsPath: string): RequestResults {
  const rows = new OutcomeRows()
  readRows(
    path,
    (cells) =>
      cells.join(',') === requestFields.join(',')
        ? undefined
        : `the columns must be ${requestFields.join(',')}`,
    (cells, place) => rows.add(cells, place),
  )
  const {trace, outcomes} = rows.results()
  if (!existsSync(labelsPath)) return {trace, outcomes}
  return {trace: {...trace, ...readLabels(labelsPath, trace.requestId!)}, outcomes}
}

function readLabels(path: string, ids: readonly string[]): Partial<RequestColumns> {
  let fields: readonly string[] = []
  const columns = new Map<string, string[]>()
  let row = 0
  readRows(
    path,
    (cells) => {
      fields = cells.slice(1)
      for (const field of fields) columns.set(field, [])
      const known = fields.every((field) => (labelFields as readonly string[]).includes(field))
      return cells[0] === 'request_id' && known
        ? undefined
        : `the columns must be request_id and some of ${labelFields.join(', ')}`
    },
    (cells, place) => {
      if (cells[0] !== ids[row]) {
        throw badFile(place, `request_id "${cells[0]}" is not that of the same row of requests.csv`)
      }
      row += 1
      fields.forEach((field, i) => {
        const cell = cells[i + 1]!
        if (field === 'priority' && !/^-?\d+$/.test(cell)) {
          throw badFile(place, `priority "${cell}" is not a whole number`)
        }
        columns.get(field)!.push(cell)
      })
    },
  )
  if (row !== ids.length) {
    throw badFile(path, `there are ${row} rows, requests.csv has ${ids.length}`)
  }
  const [model, session, priority] = labelFields.map((field) => columns.get(field))
  return {
    ...(model && {model: toLabels(model)}),
    ...(session && {session: toLabels(session)}),
    ...(priority && {priority: Int32Array.from(priority, Number)}),
  }
}

function toLabels(cells: readonly string[]): Labels {
  const codes = new Map<string, number>()
  const column = Int32Array.from(cells, (cell) => {
    if (cell === '') return -1
    const code = codes.get(cell) ?? codes.size
    codes.set(cell, code)
    return code
  })
  return {codes: column, names: [...codes.keys()]}
}
