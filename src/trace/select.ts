/** Any choice of the rows of a trace, in any order, as a trace. */
import type {Labels, PrefixColumn, Trace} from './trace.js'

type Mutable<T> = {-readonly [K in keyof T]: T[K]}

const floats = (column: Float64Array, rows: ArrayLike<number>): Float64Array => {
  const out = new Float64Array(rows.length)
  for (let i = 0; i < rows.length; i++) out[i] = column[rows[i]!]!
  return out
}

const ints = (column: Int32Array, rows: ArrayLike<number>): Int32Array => {
  const out = new Int32Array(rows.length)
  for (let i = 0; i < rows.length; i++) out[i] = column[rows[i]!]!
  return out
}

const strings = (column: readonly string[], rows: ArrayLike<number>): string[] =>
  Array.from(rows, (row) => column[row]!)

const labels = (column: Labels, rows: ArrayLike<number>): Labels => ({
  codes: ints(column.codes, rows),
  names: column.names,
})

const prefixes = (column: PrefixColumn, rows: ArrayLike<number>): PrefixColumn => {
  const offsets = new Float64Array(rows.length + 1)
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!
    offsets[i + 1] = offsets[i]! + column.offsets[row + 1]! - column.offsets[row]!
  }
  const ids = new Float64Array(offsets[rows.length]!)
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!
    ids.set(column.ids.subarray(column.offsets[row]!, column.offsets[row + 1]!), offsets[i]!)
  }
  const {spanTokens} = column
  return {spanTokens, offsets, ids, knownTokens: ints(column.knownTokens, rows)}
}

/** The trace of `rows` (indices), in that order. Notes and format stay; times are not touched. */
export function selectRows(trace: Trace, rows: ArrayLike<number>): Trace {
  const picked: Mutable<Trace> = {
    length: rows.length,
    arrivedAt: floats(trace.arrivedAt, rows),
    inputTokens: ints(trace.inputTokens, rows),
    outputTokens: ints(trace.outputTokens, rows),
    notes: trace.notes,
    format: trace.format,
  }
  if (trace.requestId) picked.requestId = strings(trace.requestId, rows)
  for (const name of ['model', 'adapter', 'session', 'prefixGroup', 'prefixTokens'] as const) {
    const column = trace[name]
    if (column) picked[name] = labels(column, rows)
  }
  for (const name of ['turn', 'priority', 'predictedOutputTokens'] as const) {
    const column = trace[name]
    if (column) picked[name] = ints(column, rows)
  }
  for (const name of ['thinkTime', 'cancelledAt'] as const) {
    const column = trace[name]
    if (column) picked[name] = floats(column, rows)
  }
  if (trace.prefix) picked.prefix = prefixes(trace.prefix, rows)
  if (trace.extra) {
    picked.extra = new Map([...trace.extra].map(([name, column]) => [name, strings(column, rows)]))
  }
  return picked
}

/** Row numbers in order of their keys, stably; undefined when they are in order already. */
export function sortedOrder(keys: Float64Array): Uint32Array | undefined {
  let sorted = true
  for (let i = 1; i < keys.length && sorted; i++) sorted = keys[i]! >= keys[i - 1]!
  if (sorted) return undefined
  const order = new Uint32Array(keys.length)
  for (let i = 0; i < order.length; i++) order[i] = i
  return order.sort((a, b) => keys[a]! - keys[b]! || a - b)
}
