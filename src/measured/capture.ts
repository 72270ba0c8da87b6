/** A trace with measured columns beside it: ours (ttft_ms, e2e_ms), or a detailed result of `vllm bench serve`. */
import {readFileSync} from 'node:fs'
import {basename} from 'node:path'
import {readTrace} from '../trace/read.js'
import type {Trace} from '../trace/trace.js'
import {badMeasured} from './fields.js'
import type {MeasuredRequests, MeasuredRun} from './measured-run.js'
import {checkTimes, wholeStage} from './request-rows.js'

/** @throws Problem MEASURED_BAD_FILE when nothing was measured, TRACE_… for a bad trace */
export async function readCapture(path: string): Promise<MeasuredRun> {
  const trace = await readTrace([path])
  const requests = await measuredOf(trace, path)
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

async function measuredOf(trace: Trace, path: string): Promise<MeasuredRequests> {
  const {length, outputTokens, extra} = trace
  const ttft = await column(trace, 'ttft_ms', path)
  const e2e = await column(trace, 'e2e_ms', path)
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
  for (let row = 0; row < length; row++) {
    if (e2e[row]! < ttft[row]!) checkTimes(await placeOf(trace, path, row), ttft[row]!, e2e[row]!)
  }
  const tpot = e2e.map((value, row) =>
    outputTokens[row]! < 2 ? Number.NaN : (value - ttft[row]!) / (outputTokens[row]! - 1),
  )
  return {ttft, tpot, e2e}
}

async function column(trace: Trace, name: string, path: string): Promise<Float64Array> {
  const {extra, length} = trace
  const cells = extra?.get(name)
  if (cells === undefined)
    throw badMeasured(`${path}: it has no column ${name}, so there is nothing to compare with.`, [
      'a trace recorded by listen, or vllm bench serve --save-result --save-detailed',
    ])
  const values = Float64Array.from(cells, (cell) => (cell === '' ? Number.NaN : Number(cell)))
  for (let row = 0; row < length; row++) {
    const cell = cells[row]!
    if (cell === '' || (Number.isFinite(values[row]) && values[row]! >= 0)) continue
    const place = await placeOf(trace, path, row)
    throw badMeasured(`${place}: ${name} must be ms, got "${cell}".`)
  }
  return values
}

/** `file:line` of a CSV row, which is the first that was measured so; of other files its number in order of arrival. */
async function placeOf({extra, requestId}: Trace, path: string, row: number): Promise<string> {
  const measured = ['ttft_ms', 'e2e_ms'] as const
  const cells = measured.map((name) => extra!.get(name)![row])
  const {parse} = await import('csv-parse/sync')
  try {
    const options = {columns: true, info: true, bom: true, relax_column_count: true} as const
    const rows: {record: Record<string, string>; info: {lines: number}}[] = parse(
      readFileSync(path),
      options,
    )
    const found = rows.find(({record}) => measured.every((name, at) => record[name] === cells[at]))
    if (found) return `${path}:${found.info.lines}`
  } catch {
    // No CSV: a result of vllm bench serve.
  }
  return `${path}: request ${requestId?.[row] ?? row + 1}`
}
