/** Our own CSV: everything that a Trace can hold, in seconds with 9 decimals. */
import {idToHex} from '../block-ids.js'
import {arrivalColumn, holds, inputColumn, optionalColumns, outputColumn} from '../csv-columns.js'
import {csvCell} from '../csv-text.js'
import {recordedColumns} from '../recording.js'
import {formatSeconds} from '../time-parts.js'
import type {Labels, Trace} from '../trace.js'
import type {CsvFormat} from './format.js'

const arrival = arrivalColumn('arrived_at', 'arrival', 'arrival_time', 'timestamp')
const input = inputColumn(
  'input_tokens',
  'prompt_tokens',
  'input_len',
  'input_length',
  'prompt_len',
  'prompt_length',
)
const output = outputColumn(
  'output_tokens',
  'completion_tokens',
  'output_len',
  'output_length',
  'generated_tokens',
)

export const llmsimCsv: CsvFormat = {
  name: 'llmsim',
  looks: 'CSV with arrived_at,input_tokens,output_tokens',
  kind: 'csv',
  columns: [arrival, input, output, ...optionalColumns],
  extras: 'keep',
  publishes: recordedColumns,
  // One of them is enough: what is missing is then named, instead of "unknown format".
  recognises: (head) =>
    head.kind === 'csv' && (holds(head.header, input) || holds(head.header, output)),
  write: (trace) => ({lost: [], lines: lines(trace)}),
}

interface WrittenColumn {
  readonly name: string
  cell(row: number): string
}

const seconds = (ns: number): string => (Number.isNaN(ns) ? '' : formatSeconds(ns))

const labelColumn = (name: string, column: Labels | undefined): WrittenColumn[] =>
  column ? [{name, cell: (row) => csvCell(column.names[column.codes[row]!] ?? '')}] : []

function intColumn(name: string, column: Int32Array | undefined, absent: number): WrittenColumn[] {
  return column ? [{name, cell: (row) => (column[row] === absent ? '' : String(column[row]))}] : []
}

const timeColumn = (name: string, column: Float64Array | undefined): WrittenColumn[] =>
  column ? [{name, cell: (row) => seconds(column[row]!)}] : []

/** Identity as hashes, for the rows whose groups do not say it already. */
function prefixColumns(trace: Trace): WrittenColumn[] {
  const {prefix, prefixGroup} = trace
  if (!prefix) return []
  const hashed: boolean[] = []
  let plain = true
  for (let row = 0; row < trace.length; row++) {
    const spans = prefix.offsets[row + 1]! - prefix.offsets[row]!
    hashed[row] = spans > 0 && (prefixGroup?.codes[row] ?? -1) < 0
    if (hashed[row] && prefix.knownTokens[row] !== spans * prefix.spanTokens) plain = false
  }
  if (!hashed.includes(true)) return []
  const name = prefix.spanTokens === 16 ? 'block_hashes' : `block_hashes_${prefix.spanTokens}`
  const hashes: WrittenColumn = {
    name,
    cell: (row) =>
      hashed[row]
        ? Array.from(
            prefix.ids.subarray(prefix.offsets[row], prefix.offsets[row + 1]),
            idToHex,
          ).join(' ')
        : '',
  }
  const known: WrittenColumn = {
    name: 'known_tokens',
    cell: (row) => (hashed[row] ? String(prefix.knownTokens[row]) : ''),
  }
  return plain ? [hashes] : [hashes, known]
}

function columnsOf(trace: Trace): WrittenColumn[] {
  const {requestId} = trace
  return [
    {name: 'arrived_at', cell: (row) => seconds(trace.arrivedAt[row]!)},
    {name: 'input_tokens', cell: (row) => String(trace.inputTokens[row])},
    {name: 'output_tokens', cell: (row) => String(trace.outputTokens[row])},
    ...(requestId ? [{name: 'request_id', cell: (row: number) => csvCell(requestId[row]!)}] : []),
    ...labelColumn('model', trace.model),
    ...labelColumn('adapter', trace.adapter),
    ...labelColumn('session_id', trace.session),
    ...intColumn('turn', trace.turn, -1),
    ...timeColumn('think_time_s', trace.thinkTime),
    ...intColumn('priority', trace.priority, Number.NaN),
    ...intColumn('predicted_output_tokens', trace.predictedOutputTokens, 0),
    ...labelColumn('prefix_group', trace.prefixGroup),
    ...labelColumn('prefix_tokens', trace.prefixTokens),
    ...prefixColumns(trace),
    ...timeColumn('cancelled_at', trace.cancelledAt),
    ...[...(trace.extra ?? [])].map(([name, column]) => ({
      name: csvCell(name),
      cell: (row: number) => csvCell(column[row]!),
    })),
  ]
}

function* lines(trace: Trace): Generator<string> {
  const columns = columnsOf(trace)
  yield columns.map(({name}) => name).join(',')
  for (let row = 0; row < trace.length; row++)
    yield columns.map((column) => column.cell(row)).join(',')
}
