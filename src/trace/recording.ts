/**
 * A trace that is being recorded, or was: `FILE` with one row for each request that ended, `FILE.open` with one for
 * each that was accepted and may not have ended, and `FILE.meta.json`. Writer and reader share what stands here.
 */
import {readFileSync} from 'node:fs'
import {csvCell} from './csv-text.js'
import {formatSeconds} from './time-parts.js'

/** How the rows of a recording end. */
export type RecordedStatus = 'completed' | 'cancelled' | 'failed' | 'lost'

/** One request as it is recorded. Times are ns from the start of the trace; NaN or undefined: an empty cell. */
export interface RecordedRow {
  readonly arrivedAt: number
  readonly inputTokens: number
  /** All that it would have got, whether it did or not; 0: not known. */
  readonly outputTokens: number
  readonly requestId: string
  readonly model: string
  readonly session: string | undefined
  readonly turn: number | undefined
  readonly priority: number
  /** Hexadecimal hashes of the full blocks of prompt ++ output, separated by spaces. */
  readonly blockHashes: string
  readonly cancelledAt: number | undefined
  readonly status: RecordedStatus
  readonly endpoint: string
  readonly mode: 'stream' | 'whole'
  readonly producedTokens: number | undefined
  /** What the model says, durations in ns. */
  readonly cachedTokens: number | undefined
  readonly preemptions: number | undefined
  readonly predictedQueue: number | undefined
  readonly predictedTtft: number | undefined
  readonly predictedE2e: number | undefined
  /** What was measured on a real server, durations in ns. */
  readonly ttft: number | undefined
  readonly e2e: number | undefined
  readonly gaps: readonly number[] | undefined
  readonly httpStatus: number | undefined
  /** JSON of what was asked and answered, when texts are kept. */
  readonly text?: {readonly prompt: string; readonly answer: string} | undefined
}

const whole = (value: number | undefined): string => (value === undefined ? '' : String(value))

const seconds = (ns: number | undefined): string =>
  ns === undefined || Number.isNaN(ns) ? '' : formatSeconds(ns)

/** Exact: the last digit is a nanosecond. */
function milliseconds(ns: number | undefined): string {
  if (ns === undefined || Number.isNaN(ns)) return ''
  const ms = Math.floor(ns / 1e6)
  return `${ms}.${String(ns - ms * 1e6).padStart(6, '0')}`
}

/** Of a measured answer, to the nearest ns. */
function tpotOf({ttft, e2e, producedTokens = 0}: RecordedRow): number | undefined {
  if (ttft === undefined || e2e === undefined || producedTokens < 2) return undefined
  return Math.round((e2e - ttft) / (producedTokens - 1))
}

const columns: readonly (readonly [name: string, cell: (row: RecordedRow) => string])[] = [
  ['arrived_at', (row) => seconds(row.arrivedAt)],
  ['input_tokens', (row) => String(row.inputTokens)],
  ['output_tokens', (row) => String(row.outputTokens)],
  ['request_id', (row) => csvCell(row.requestId)],
  ['model', (row) => csvCell(row.model)],
  ['session_id', (row) => row.session ?? ''],
  ['turn', (row) => whole(row.turn)],
  ['priority', (row) => String(row.priority)],
  ['block_hashes', (row) => row.blockHashes],
  ['cancelled_at', (row) => seconds(row.cancelledAt)],
  ['status', (row) => row.status],
  ['endpoint', (row) => row.endpoint],
  ['mode', (row) => row.mode],
  ['produced_tokens', (row) => whole(row.producedTokens)],
  ['cached_tokens', (row) => whole(row.cachedTokens)],
  ['preemptions', (row) => whole(row.preemptions)],
  ['predicted_queue_ms', (row) => milliseconds(row.predictedQueue)],
  ['predicted_ttft_ms', (row) => milliseconds(row.predictedTtft)],
  ['predicted_e2e_ms', (row) => milliseconds(row.predictedE2e)],
  ['ttft_ms', (row) => milliseconds(row.ttft)],
  ['tpot_ms', (row) => milliseconds(tpotOf(row))],
  ['e2e_ms', (row) => milliseconds(row.e2e)],
  ['gaps_ms', (row) => (row.gaps ?? []).map(milliseconds).join(' ')],
  ['http_status', (row) => whole(row.httpStatus)],
]

const textColumns: typeof columns = [
  ['prompt_json', (row) => csvCell(row.text?.prompt ?? '')],
  ['answer_json', (row) => csvCell(row.text?.answer ?? '')],
]

/** Every column that a recording may have. */
export const recordedColumns: readonly string[] = [...columns, ...textColumns].map(([name]) => name)

/** Whether a recording holds texts. */
export type KeptText = 'texts' | 'no texts'

/** First line of a recording, with its newline. */
export function recordingHeader(kept: KeptText): string {
  const all = kept === 'texts' ? [...columns, ...textColumns] : columns
  return `${all.map(([name]) => name).join(',')}\n`
}

/** One line of a recording, with its newline; no cell holds a line break. */
export function recordingLine(row: RecordedRow, kept: KeptText): string {
  let line = ''
  for (const [, cell] of columns) line += line === '' ? cell(row) : `,${cell(row)}`
  if (kept === 'texts') for (const [, cell] of textColumns) line += `,${cell(row)}`
  return `${line}\n`
}

export const openFileOf = (file: string): string => `${file}.open`
export const metaFileOf = (file: string): string => `${file}.meta.json`

/** Word in the meta file by which a reader knows a recording. */
export const recordingKind = 'llmsim recording'

/** Whether `file` was written by a recorder: then its last line may be torn, and requests may be open. */
export function isRecording(file: string): boolean {
  try {
    const meta: unknown = JSON.parse(readFileSync(metaFileOf(file), 'utf8'))
    return (
      typeof meta === 'object' && meta !== null && 'kind' in meta && meta.kind === recordingKind
    )
  } catch {
    return false
  }
}
