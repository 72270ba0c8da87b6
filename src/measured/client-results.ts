/**
 * Result files of load generators, request by request. Fields as their documentation has them: inference-perf's
 * per_request_lifecycle_metrics.json, aiperf's profile_export.jsonl, GuideLLM's benchmarks.json (two generations).
 */
import {basename} from 'node:path'
import {parseJson} from '../catalogue/json-text.js'
import {badMeasured, Fields, readJsonLines, readText} from './fields.js'
import type {MeasuredRun, MeasuredSettings} from './measured-run.js'
import {checkRow, type RequestRow, tabulate} from './request-rows.js'

interface ClientFormat {
  readonly name: string
  readonly recognises: (document: unknown, file: string) => boolean
  /** `placeOf` the i-th item of a list. */
  readonly read: (document: unknown, placeOf: (i?: number) => string) => ClientRows
}

interface ClientRows {
  readonly rows: readonly RequestRow[]
  readonly failed: number
  readonly settings?: MeasuredSettings
  readonly concurrency?: number | undefined
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const inferencePerf: ClientFormat = {
  name: 'inference-perf',
  recognises: (document) =>
    Array.isArray(document) && isObject(document[0]) && 'start_time' in document[0],
  read: (document, placeOf) => {
    const all = (document as unknown[]).map((item, i) => new Fields(item, placeOf(i)))
    const good = all.filter((item) => !item.has('error'))
    return {failed: all.length - good.length, rows: good.map(lifecycleRow)}
  },
}

function lifecycleRow(item: Fields): RequestRow {
  const info = item.child('info')
  const start = item.number('start_time')
  const times = info.values.output_token_times
  const first = Array.isArray(times) && typeof times[0] === 'number' ? times[0] : Number.NaN
  return {
    place: item.place,
    arrival: start,
    input: info.number('input_tokens'),
    output: info.number('output_tokens'),
    ttft: (first - start) * 1e3,
    e2e: (item.number('end_time') - start) * 1e3,
  }
}

/** A metric of aiperf: `{value, unit}`, in ms. */
function metric(metrics: Fields, ...names: string[]): number {
  const name = names.find((each) => metrics.has(each)) ?? names[0]!
  const {values} = metrics
  if (typeof values[name] === 'number') return metrics.number(name)
  const value = metrics.child(name)
  const unit = value.maybeText('unit') ?? 'ms'
  const scale = {ms: 1, s: 1e3, sec: 1e3, ns: 1e-6, us: 1e-3, tokens: 1}[unit]
  if (scale === undefined) throw value.wrong('unit', 'must be ms, s, us, ns or tokens')
  return value.number('value') * scale
}

const aiperf: ClientFormat = {
  name: 'aiperf',
  recognises: (document) =>
    Array.isArray(document) && isObject(document[0]) && 'metadata' in document[0],
  read: (document, placeOf) => {
    const all = (document as unknown[]).map((item, i) => new Fields(item, placeOf(i)))
    const profiled = all.filter((item) => {
      const phase = item.child('metadata').maybeText('benchmark_phase')
      return phase === undefined || phase === 'profiling'
    })
    const good = profiled.filter(
      (item) => !item.has('error') && item.child('metadata').maybeFlag('was_cancelled') !== true,
    )
    return {failed: profiled.length - good.length, rows: good.map(aiperfRow)}
  },
}

function aiperfRow(item: Fields): RequestRow {
  const metrics = item.child('metrics')
  return {
    place: item.place,
    arrival: item.child('metadata').number('request_start_ns') / 1e9,
    input: metric(metrics, 'input_sequence_length'),
    output: metric(metrics, 'output_sequence_length', 'output_token_count'),
    ttft: metrics.has('time_to_first_token') ? metric(metrics, 'time_to_first_token') : Number.NaN,
    e2e: metric(metrics, 'request_latency'),
  }
}

const guideLlm: ClientFormat = {
  name: 'guidellm',
  recognises: (document) => isObject(document) && Array.isArray(document.benchmarks),
  read: (document, placeOf) => {
    const benchmarks = new Fields(document, placeOf()).children('benchmarks')
    if (benchmarks.length !== 1)
      throw badMeasured(
        `${placeOf()}: it holds ${benchmarks.length} benchmarks; one run is validated at a time.`,
        ['Save each benchmark into a file of its own.'],
      )
    const requests = benchmarks[0]!.child('requests')
    const failed = ['errored', 'incomplete'].reduce((sum, key) => {
      const list = requests.values[key]
      return sum + (Array.isArray(list) ? list.length : 0)
    }, 0)
    return {failed, rows: requests.children('successful').map(guideRow)}
  },
}

/** Tokens and times stand in the request itself (0.2, 0.3) or below `info.timings` (0.4). */
function guideRow(item: Fields): RequestRow {
  const timings = (item.maybeChild('info') ?? item.maybeChild('scheduler_info'))?.maybeChild(
    'timings',
  )
  const start =
    item.maybeNumber('start_time') ??
    item.maybeNumber('request_start_time') ??
    timings?.maybeNumber('request_start')
  if (start === undefined) throw item.wrong('start_time', 'must be a number of seconds')
  const e2e = item.maybeNumber('request_latency')
  const end = item.maybeNumber('end_time') ?? timings?.maybeNumber('request_end')
  if (e2e === undefined && end === undefined)
    throw item.wrong('request_latency', 'must be a number of seconds')
  const first = item.maybeNumber('first_token_time') ?? timings?.maybeNumber('first_iteration')
  const seconds = first === undefined ? Number.NaN : (first - start) * 1e3
  return {
    place: item.place,
    arrival: start,
    input: item.number('prompt_tokens'),
    output: item.number('output_tokens'),
    ttft: item.maybeNumber('time_to_first_token_ms') ?? seconds,
    e2e: (e2e ?? end! - start) * 1e3,
  }
}

const formats = [inferencePerf, aiperf, guideLlm]

/** The run in a load generator's file, or undefined where it is none that is read here. */
export function readClientResult(file: string): MeasuredRun | undefined {
  const parsed = parse(file)
  if (parsed === undefined) return undefined
  const {document, placeOf} = parsed
  const format = formats.find(({recognises}) => recognises(document, file))
  if (format === undefined) return undefined
  const {rows, failed, settings = {}} = format.read(document, placeOf)
  if (rows.length === 0) throw badMeasured(`${file}: no request of it succeeded.`)
  for (const row of rows) checkRow(row)
  const {trace, requests, stage} = tabulate(rows, format.name)
  const notes = ['The requests are replayed without prefix identity: the file has no token ids.']
  if (failed > 0) notes.push(`${failed} failed requests were left out.`)
  return {
    name: basename(file),
    format: format.name,
    settings: {frontEnd: 'http', ...settings},
    trace,
    stages: [stage],
    requests,
    notes,
  }
}

/** What a JSON file says; undefined: it is no JSON, or lines of it that are read elsewhere. @throws Problem for broken JSON */
function parse(file: string): {document: unknown; placeOf: (i?: number) => string} | undefined {
  if (/\.jsonl$/i.test(file)) {
    const rows = readJsonLines(file)
    const placeOf = (i?: number) => (i === undefined ? file : rows[i]!.place)
    return {document: rows.map(({values}) => values), placeOf}
  }
  const text = readText(file)
  if (!/^\ufeff?\s*[[{]/.test(text) || isLines(text.trimStart().split('\n')[0]!, text))
    return undefined
  const placeOf = (i?: number) => (i === undefined ? file : `${file}: [${i}]`)
  return {document: parseJson(text, file, 'MEASURED_BAD_FILE'), placeOf}
}

/** Whether the first line is a document of its own and not the whole: JSON Lines under another name. */
function isLines(first: string, text: string): boolean {
  if (first.trim() === text.trim()) return false
  try {
    JSON.parse(first)
    return true
  } catch {
    return false
  }
}
