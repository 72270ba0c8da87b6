/** Lends a measured run the prefix identity of the trace that it replayed. */
import {readTrace} from '../trace/read.js'
import {badMeasured} from './fields.js'
import type {MeasuredRun} from './measured-run.js'

/** @throws Problem MEASURED_BAD_FILE where a row of the trace is not the request that was measured */
export async function withPrefixesOf(run: MeasuredRun, path: string): Promise<MeasuredRun> {
  const replayed = await readTrace([path])
  const {trace} = run
  if (replayed.prefix === undefined)
    throw badMeasured(`--trace ${path}: it has no prefix identity to lend.`)
  if (replayed.length !== trace.length)
    throw badMeasured(
      `--trace ${path}: it has ${replayed.length} requests, and ${trace.length} were measured.`,
    )
  for (let row = 0; row < trace.length; row++) {
    const isSame =
      replayed.inputTokens[row] === trace.inputTokens[row] &&
      replayed.outputTokens[row] === trace.outputTokens[row]
    if (!isSame)
      throw badMeasured(
        `--trace ${path}: request ${row + 1} in order of arrival has ${replayed.inputTokens[row]} and ${replayed.outputTokens[row]} tokens, and ${trace.inputTokens[row]} and ${trace.outputTokens[row]} were measured.`,
      )
  }
  const notes = run.notes.filter((note) => !note.includes('without prefix identity'))
  return {...run, trace: {...trace, prefix: replayed.prefix}, notes}
}
