/** A trace with measured columns beside it: ours (ttft_ms, e2e_ms), or a detailed result of `vllm bench serve`. */
import {basename} from 'node:path'
import {readTrace} from '../trace/read.js'
import type {Trace} from '../trace/trace.js'
import {badMeasured} from './fields.js'
import type {MeasuredRequests, MeasuredRun} from './measured-run.js'
import {wholeStage} from './request-rows.js'

/** @throws Problem MEASURED_BAD_FILE when nothing was measured, TRACE_… for a bad trace */
export async function readCapture(path: string): Promise<MeasuredRun> {
  const trace = await readTrace([path])
  const requests = measuredOf(trace, path)
  return {
    name: basename(path),
    format: trace.format,
    // A trace of several models is not one engine's.
    settings: {frontEnd: 'http', model: onlyName(trace)},
    trace,
    stages: [wholeStage(trace, requests)],
    requests,
    notes: trace.notes,
  }
}

const onlyName = ({model}: Trace): string | undefined =>
  model?.names.length === 1 ? model.names[0] : undefined

function measuredOf(trace: Trace, path: string): MeasuredRequests {
  const {length, outputTokens, extra} = trace
  const ttft = column(trace, 'ttft_ms', path)
  const e2e = column(trace, 'e2e_ms', path)
  const status = extra?.get('status')
  if (status) {
    for (let row = 0; row < length; row++) {
      if (['', 'completed', 'ok', 'success', '200'].includes(status[row]!)) continue
      ttft[row] = Number.NaN
      e2e[row] = Number.NaN
    }
  }
  if (e2e.every(Number.isNaN))
    throw badMeasured(`${path}: e2e_ms is empty in every completed row, so nothing was measured.`, [
      'listen measures when it passes requests on to a real server; by itself it only predicts',
    ])
  const tpot = e2e.map((value, row) =>
    outputTokens[row]! < 2 ? Number.NaN : (value - ttft[row]!) / (outputTokens[row]! - 1),
  )
  return {ttft, tpot, e2e}
}

function column({extra, length}: Trace, name: string, path: string): Float64Array {
  const cells = extra?.get(name)
  if (cells === undefined)
    throw badMeasured(`${path}: it has no column ${name}, so there is nothing to compare with.`, [
      'a trace recorded by listen, or vllm bench serve --save-result --save-detailed',
    ])
  return Float64Array.from({length}, (_, row) => {
    const cell = cells[row] ?? ''
    if (cell === '') return Number.NaN
    const value = Number(cell)
    if (Number.isFinite(value) && value >= 0) return value
    throw badMeasured(`${path}: ${name} of request ${row} must be ms, got "${cell}".`)
  })
}
