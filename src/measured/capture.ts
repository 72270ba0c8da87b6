/** A trace with measured columns beside it: ours (ttft_ms, e2e_ms), or a detailed result of `vllm bench serve`. */
import {readFileSync} from 'node:fs'
import {basename} from 'node:path'
import {closest, editDistance} from '../edit-distance.js'
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
    stages: [wholeStage(trace, requests.measured)],
    requests: requests.measured,
    notes: [...trace.notes, ...requests.notes, ...prefixNotes(trace)],
  }
}

/** What the comparison cannot know: who shares a prefix, and with it what the server did not compute. */
function prefixNotes({prefix, extra, inputTokens, length}: Trace): string[] {
  if (prefix !== undefined) return []
  const unknown = 'The requests are replayed without prefix identity: the file does not have it.'
  const lend = '--trace FILE lends it from the trace that was replayed.'
  const cells = extra?.get('cached_tokens')
  let cached = 0
  let prompt = 0
  for (let row = 0; row < length; row++) {
    cached += Number(cells?.[row] ?? 0) || 0
    prompt += inputTokens[row]!
  }
  if (cells === undefined)
    return [`${unknown} Prefix hits of the server would make it faster; ${lend}`]
  if (cached === 0) return []
  const share = ((100 * cached) / prompt).toFixed(0)
  return [
    `${unknown} The server found ${share} % of the prompt tokens in its cache (cached_tokens), and the simulation computes them: its TTFT is too long. ${lend}`,
  ]
}

const onlyName = ({model}: Trace): string | undefined =>
  model?.names.length === 1 ? model.names[0] : undefined

interface Capture {
  readonly measured: MeasuredRequests
  /** What of it is not compared, and why. */
  readonly notes: readonly string[]
}

async function measuredOf(trace: Trace, path: string): Promise<Capture> {
  const {length, outputTokens} = trace
  checkColumns(trace, path)
  const ttft = await column(trace, 'ttft_ms', path)
  const e2e = await column(trace, 'e2e_ms', path)
  const left = await leftOut(trace, e2e, path)
  for (const row of left.keys()) {
    ttft[row] = Number.NaN
    e2e[row] = Number.NaN
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
  return {measured: {ttft, tpot, e2e}, notes: notesOn(left, length)}
}

const read = ['status', 'ttft_ms', 'e2e_ms', 'cached_tokens']
/** Columns of recordings and of runs that are one slip away from those that are read. */
const others = ['tpot_ms']

/** A column that is read under another name would not be missed. @throws Problem MEASURED_BAD_FILE */
function checkColumns({extra}: Trace, path: string): void {
  for (const name of extra?.keys() ?? []) {
    if (read.includes(name) || others.includes(name)) continue
    const meant = read.find((known) => editDistance(name.toLowerCase(), known) <= 1)
    if (meant === undefined || extra!.has(meant)) continue
    throw badMeasured(`${path}: nothing reads its column "${name}".`, [
      `${meant}, if that is meant`,
    ])
  }
}

const served = ['completed', 'ok', 'success']
const unserved = [
  ...['cancelled', 'canceled', 'aborted', 'failed', 'error', 'lost', 'rejected', 'timeout'],
  'unfinished',
]

/** Rows that are not compared, with the reason. @throws Problem MEASURED_BAD_FILE for a status that is none */
async function leftOut(
  trace: Trace,
  e2e: Float64Array,
  path: string,
): Promise<ReadonlyMap<number, string>> {
  const left = new Map<number, string>()
  const status = trace.extra?.get('status')
  for (let row = 0; row < trace.length; row++) {
    const word = (status?.[row] ?? '').trim().toLowerCase()
    const isServed = word === '' || served.includes(word) || word === '200'
    if (isServed) {
      if (Number.isNaN(e2e[row])) left.set(row, 'without e2e_ms')
    } else if (unserved.includes(word) || /^[1-5]\d\d$/.test(word)) left.set(row, word)
    else {
      throw badMeasured(
        `${await placeOf(trace, path, row)}: status is "${status![row]}", which is none: ${served.join(', ')} or 200 are compared, ${unserved.join(', ')} and other codes of HTTP are left out.`,
        closest(word, [...served, ...unserved]),
      )
    }
  }
  return left
}

function notesOn(left: ReadonlyMap<number, string>, length: number): string[] {
  if (left.size === 0) return []
  const counts = new Map<string, number>()
  for (const reason of left.values()) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  const reasons = [...counts].map(([reason, count]) => `${count} ${reason}`)
  return [
    `${left.size} of ${length} requests are simulated and not compared: ${reasons.join(', ')}.`,
  ]
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
