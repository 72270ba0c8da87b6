/** The rows that a run writes: `requests.csv`, the labels beside it, and the side files of --itl and --steps. */

import {type Outcomes, status, statusNames} from '../stats/outcomes.js'
import {ByteRows} from './byte-rows.js'
import {secondsText} from './decimals.js'
import type {RequestColumns, RequestResults} from './measures.js'
import {e2eOf, queueOf, tpotOf, ttftOf} from './request-metrics.js'
import {csvCell, RowFile} from './row-file.js'

export const requestFields = [
  'request_id',
  'instance',
  'arrived_at',
  'input_tokens',
  'output_tokens',
  'cached_tokens',
  'queue_ms',
  'ttft_ms',
  'tpot_ms',
  'e2e_ms',
  'finished_at',
  'preemptions',
  'status',
] as const

export const labelFields = ['model', 'session', 'priority'] as const

/** `requests.csv` in request order, written part by part; a cell without a value is empty. */
export class RequestsFile {
  readonly #rows: ByteRows
  #written = 0

  /** @throws Problem OUTPUT_NOT_WRITABLE */
  constructor(path: string) {
    this.#rows = new ByteRows(path, requestFields.join(','))
  }

  /** Appends the rows of a part; one without an id is called by its number in the whole trace. */
  add({trace, outcomes}: RequestResults): void {
    for (let row = 0; row < outcomes.length; row++) {
      const id = trace.requestId?.[row]
      if (id === undefined) this.#rows.whole(this.#written + row)
      else this.#rows.text(id)
      writeRequest(this.#rows, trace, outcomes, row)
    }
    this.#written += outcomes.length
  }

  /** Must be called: what is still in memory goes to the file. */
  close(): void {
    this.#rows.close()
  }
}

function writeRequest(rows: ByteRows, trace: RequestColumns, o: Outcomes, row: number): void {
  const served = o.status[row] === status.completed || o.status[row] === status.cancelled
  if (o.instance[row]! < 0) rows.empty()
  else rows.whole(o.instance[row]!)
  rows.time(o.arrivedAt[row]!, 9)
  rows.whole(trace.inputTokens[row]!)
  // Of a cancelled request the tokens that it still got.
  rows.whole(served ? o.producedTokens[row]! : trace.outputTokens[row]!)
  rows.whole(o.cachedTokens[row]!)
  rows.time(queueOf(o, row), 6)
  rows.time(ttftOf(o, row), 6)
  rows.time(tpotOf(o, row), 6)
  rows.time(e2eOf(o, row), 6)
  rows.time(o.finishedAt[row]!, 9)
  rows.whole(o.preemptions[row]!)
  rows.text(statusNames[o.status[row]!]!)
  rows.endRow()
}

/** Model, session and priority of every request, those that the trace has; no file if it has none. */
export class LabelsFile {
  readonly #path: string
  #file: RowFile | undefined
  #fields: readonly (typeof labelFields)[number][] = []
  #written = 0

  constructor(path: string) {
    this.#path = path
  }

  /** Appends the rows of a part; all parts have the columns of the first. Throws OUTPUT_NOT_WRITABLE. */
  add(trace: RequestColumns): void {
    if (this.#written === 0) this.#fields = labelFields.filter((name) => trace[name] !== undefined)
    if (this.#fields.length > 0) this.#addRows(trace)
    this.#written += trace.length
  }

  #addRows(trace: RequestColumns): void {
    this.#file ??= new RowFile(this.#path, ['request_id', ...this.#fields].join(','))
    const cell = (field: (typeof labelFields)[number], row: number): string => {
      const column = trace[field]!
      if (!('codes' in column)) return String(column[row])
      return csvCell(column.names[column.codes[row]!] ?? '')
    }
    for (let row = 0; row < trace.length; row++) {
      const id = trace.requestId?.[row] ?? String(this.#written + row)
      const cells = this.#fields.map((field) => cell(field, row))
      this.#file.write([csvCell(id), ...cells].join(','))
    }
  }

  close(): void {
    this.#file?.close()
  }
}

/** --itl: one row per request with every gap between its tokens, in whole ns. */
export class ItlFile {
  private readonly file: RowFile

  constructor(path: string) {
    this.file = new RowFile(path, 'request_id,itl_ns')
  }

  add(requestId: string, gaps: Iterable<number>): void {
    this.file.write(`${csvCell(requestId)},${[...gaps].join(' ')}`)
  }

  close(): void {
    this.file.close()
  }
}

/** One step of an engine; times in ns, counts as they were when it was planned. */
export interface StepRow {
  readonly instance: number
  readonly start: number
  readonly end: number
  readonly tokens: number
  readonly prefillTokens: number
  readonly decodeTokens: number
  readonly running: number
  readonly waiting: number
  readonly freeBlocks: number
  readonly preempted: number
}

/** --steps: one row per step of every engine. */
export class StepsFile {
  private readonly file: RowFile

  constructor(path: string) {
    this.file = new RowFile(
      path,
      'start_s,end_s,tokens,prefill_tokens,decode_tokens,running,waiting,free_blocks,preempted,instance',
    )
  }

  add(step: StepRow): void {
    const times = `${secondsText(step.start)},${secondsText(step.end)}`
    const tokens = `${step.tokens},${step.prefillTokens},${step.decodeTokens}`
    const queue = `${step.running},${step.waiting},${step.freeBlocks},${step.preempted}`
    this.file.write(`${times},${tokens},${queue},${step.instance}`)
  }

  close(): void {
    this.file.close()
  }
}
