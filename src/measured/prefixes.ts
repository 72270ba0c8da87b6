/** Lends a measured run the prefix identity of the trace that it replayed. */
import {readTrace} from '../trace/read.js'
import {selectRows} from '../trace/select.js'
import type {Trace} from '../trace/trace.js'
import {badMeasured} from './fields.js'
import type {MeasuredRun} from './measured-run.js'

/** @throws Problem MEASURED_BAD_FILE where a row of the trace is not the request that was measured */
export async function withPrefixesOf(run: MeasuredRun, path: string): Promise<MeasuredRun> {
  const replayed = await readTrace([path])
  const {trace} = run
  if (replayed.prefix === undefined)
    throw badMeasured(`--trace ${path}: it has no prefix identity to lend.`)
  const rows = byId(trace, replayed) ?? byOrder(trace, replayed, path)
  const {prefix} = rows === undefined ? replayed : selectRows(replayed, rows)
  const notes = run.notes.filter((note) => !note.includes('without prefix identity'))
  return {...run, trace: {...trace, prefix: prefix!}, notes}
}

/** The row of each measured request by its id, which is its number in a trace without ids; undefined where they differ. */
function byId(measured: Trace, replayed: Trace): Int32Array | undefined {
  const {requestId} = measured
  if (requestId === undefined) return undefined
  const ids = replayed.requestId ?? Array.from({length: replayed.length}, (_, row) => String(row))
  const rowOf = new Map(ids.map((id, row) => [id, row]))
  const rows = new Int32Array(measured.length)
  for (let i = 0; i < rows.length; i++) {
    const row = rowOf.get(requestId[i]!)
    if (row === undefined || !areAlike(measured, i, replayed, row)) return undefined
    rows[i] = row
  }
  return rows
}

const areAlike = (a: Trace, i: number, b: Trace, j: number): boolean =>
  a.inputTokens[i] === b.inputTokens[j] && a.outputTokens[i] === b.outputTokens[j]

/** Both in the order of arrival. @throws Problem MEASURED_BAD_FILE for the first that differs */
function byOrder(measured: Trace, replayed: Trace, path: string): undefined {
  if (replayed.length !== measured.length)
    throw badMeasured(
      `--trace ${path}: it has ${replayed.length} requests, and ${measured.length} were measured.`,
    )
  for (let row = 0; row < measured.length; row++) {
    if (areAlike(measured, row, replayed, row)) continue
    const [ours, theirs] = [replayed, measured].map(
      ({inputTokens, outputTokens}) => `${inputTokens[row]} and ${outputTokens[row]}`,
    )
    const isReleased = replayed.arrivedAt.some(Number.isNaN)
    throw badMeasured(
      isReleased
        ? `--trace ${path}: turns of its sessions come when the one before has ended, so only request_id tells which request was which, and it names others in the measured run.`
        : `--trace ${path}: request ${row + 1} in order of arrival has ${ours} tokens, and ${theirs} were measured.`,
      isReleased ? ['a column request_id in both files, with the same names'] : [],
    )
  }
  return undefined
}
