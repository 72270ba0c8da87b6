/** Files → Trace. */
import {existsSync} from 'node:fs'
import {closest} from '../edit-distance.js'
import {Problem} from '../errors.js'
import {TraceBuilder} from './builder.js'
import {type CsvWay, readCsv} from './csv-reader.js'
import type {FailedRows, Head, ReadContext, TraceFormat} from './formats/format.js'
import {llmsimCsv} from './formats/llmsim-csv.js'
import {formatNames, formatOf, traceFormats} from './formats/registry.js'
import {readJson, readJsonLines} from './json-reader.js'
import {NeedsWholeTrace, partRows, type TracePart} from './parts.js'
import {isRecording, openFileOf} from './recording.js'
import {serialDays} from './serial-days.js'
import {sniff} from './sniff.js'
import {Source, type TornTail, traceFiles} from './source.js'
import type {Trace} from './trace.js'
import {isTransformed, type TransformOptions, transformTrace} from './transform.js'
import {unrecognised} from './unrecognised.js'

export interface ReadOptions extends TransformOptions {
  /** Name of a format; sniffed from the content when absent. */
  readonly format?: string
  /** Our name of a column (long or short) → the file's. */
  readonly columns?: ReadonlyMap<string, string>
  /** Rows without output tokens: an error, unless they are to be dropped. */
  readonly failed?: FailedRows
  /** A last line without its newline: read (and refused when torn), or dropped while it is being recorded. */
  readonly torn?: TornTail
  /** The way through CSV; for comparison only. */
  readonly csvWay?: CsvWay
}

/**
 * Reads files and folders as one trace, in order of arrival, then applies the transformations of
 * `options`. Throws a Problem (TRACE_…) that names file, line and column or key.
 */
export async function readTrace(
  paths: string | readonly string[],
  options: ReadOptions = {},
): Promise<Trace> {
  const builder = new TraceBuilder()
  const files = typeof paths === 'string' ? [paths] : paths
  for await (const _ of readFiles(files, builder, options)) {
    // The whole of it is wanted.
  }
  return transformTrace(finished(builder), options)
}

/**
 * The same trace as it comes, in parts of `partRows` rows or some more, so that memory need not hold all of it. A short
 * trace is one part; so is one that only makes sense as a whole (sessions, ids, rows out of order, a transformation).
 * @throws NeedsWholeTrace when that turns out after the first part
 */
export async function* readTraceParts(
  paths: readonly string[],
  options: ReadOptions = {},
): AsyncGenerator<TracePart> {
  if (isTransformed(options)) {
    yield {trace: await readTrace(paths, options), place: 'last'}
    return
  }
  let isGiven = false
  try {
    for await (const part of cutParts(paths, options)) {
      isGiven = true
      yield part
    }
    return
  } catch (error) {
    if (!(error instanceof NeedsWholeTrace) || isGiven) throw error
  }
  yield {trace: await readTrace(paths, options), place: 'last'}
}

async function* cutParts(
  paths: readonly string[],
  options: ReadOptions,
): AsyncGenerator<TracePart> {
  const builder = new TraceBuilder()
  // A part is given once a row follows it: the last one must be told from the others.
  let held: Trace | undefined
  for await (const _ of readFiles(paths, builder, options)) {
    if (builder.length < partRows) continue
    const part = builder.cut()
    if (part === undefined) continue
    if (held !== undefined) yield {trace: held, place: 'more follows'}
    held = part
  }
  if (held === undefined) {
    yield {trace: finished(builder), place: 'last'}
    return
  }
  const rest = builder.length > 0 ? builder.cut() : undefined
  yield {trace: held, place: rest === undefined ? 'last' : 'more follows'}
  if (rest !== undefined) yield {trace: rest, place: 'last'}
}

function finished(builder: TraceBuilder): Trace {
  const trace = builder.finish()
  const notes = serialDays(trace)
  return notes.length === 0 ? trace : {...trace, notes: [...trace.notes, ...notes]}
}

async function* readFiles(
  paths: readonly string[],
  builder: TraceBuilder,
  options: ReadOptions,
): AsyncGenerator<void> {
  const forced = options.format === undefined ? undefined : formatNamed(options.format)
  const files = traceFiles(paths)
  const recordings: string[] = []
  const recordedLeftOut: LeftOut = new Map()
  for (const file of files) {
    const isRecorded = isRecording(file)
    let rows = 0
    let before = builder.length
    const leftOut: LeftOut = isRecorded ? recordedLeftOut : new Map()
    const ways = isRecorded ? asRecorded(options) : options
    const request = {forced, builder, leftOut, options: ways}
    for await (const _ of readFile(file, request)) {
      rows += builder.length - before
      yield
      before = builder.length
    }
    if (isRecorded) {
      // A row is written when its request ends.
      builder.expectUnsorted()
      recordings.push(file)
    } else if (rows + builder.length - before === 0) throw empty(file, leftOut)
  }
  for (const file of recordings) {
    yield* readOpen(file, {builder, leftOut: recordedLeftOut, options})
  }
  if (recordings.length > 0 && builder.length === 0) throw empty(recordings[0]!, recordedLeftOut)
  if (files.length === 0) throw new Problem('TRACE_NOT_FOUND', 'No trace was named.')
}

function formatNamed(name: string): TraceFormat {
  const format = formatOf(name)
  if (format) return format
  throw new Problem(
    'FLAG_BAD_VALUE',
    `--format: there is no trace format "${name}"; it can be ${formatNames.join(', ')}.`,
    {suggestions: closest(name, formatNames, 3)},
  )
}

type LeftOut = ReadContext['leftOut']

function empty(file: string, leftOut: LeftOut): Problem {
  if (leftOut.size === 0) {
    return new Problem('TRACE_EMPTY', `${file}: the trace has no requests.`, {
      suggestions: ['see whether the file was written to its end'],
    })
  }
  const rows = [...leftOut.values()].reduce((sum, count) => sum + count, 0)
  const all =
    rows === 1 ? 'its only row is a failed request' : `all ${rows} rows are failed requests`
  const reasons = [...leftOut].map(([why, count]) => `${count} × ${why}`).join(', ')
  return new Problem('TRACE_EMPTY', `${file}: ${all} (${reasons}): there is nothing to replay.`, {
    suggestions: ['record again once the server answers: a failed request has no output tokens'],
  })
}

/** The recorder may have been killed in the middle of a line, and requests that failed at once have no tokens. */
const asRecorded = (options: ReadOptions): ReadOptions => ({
  ...options,
  torn: 'drop',
  failed: 'drop',
})

/** Adds the requests of a recording that were accepted and never ended: the recorder was killed, or still runs. */
async function* readOpen(
  file: string,
  {builder, leftOut, options}: Pick<FileRequest, 'builder' | 'leftOut' | 'options'>,
): AsyncGenerator<void> {
  const open = openFileOf(file)
  if (!existsSync(open)) return
  const before = builder.length
  yield* readFile(open, {
    forced: llmsimCsv,
    builder,
    leftOut,
    options: asRecorded(options),
    passes: (id) => builder.hasId(id),
  })
  const lost = builder.length - before
  if (lost > 0)
    builder.note(`${file}: ${lost} requests were accepted and never ended (status lost).`)
}

interface FileRequest {
  readonly forced: TraceFormat | undefined
  readonly builder: TraceBuilder
  readonly leftOut: LeftOut
  readonly options: ReadOptions
  readonly passes?: ReadContext['passes']
}

async function* readFile(file: string, request: FileRequest): AsyncGenerator<void> {
  const {forced, builder, leftOut, options, passes} = request
  const source = Source.open(file)
  try {
    const head = sniff(file, source.head)
    const mapping = options.columns ?? new Map()
    const format = forced ?? recognise(file, head, mapping)
    const context: ReadContext = {
      file,
      torn: options.torn ?? 'error',
      failed: options.failed ?? 'error',
      mapping,
      builder,
      leftOut,
      passes,
    }
    builder.beginFile(file, format.name)
    if ((format.kind === 'csv') !== (head.kind === 'csv')) throw mismatch(file, format, head.kind)
    if (format.kind !== 'csv' && mapping.size > 0)
      throw new Problem(
        'FLAG_CONFLICT',
        `${file}: --columns maps the columns of CSV files, and this one is ${format.name}: ${format.looks}.`,
      )
    if (format.kind === 'csv' && head.kind === 'csv')
      yield* readCsv(source, {header: head.header, format}, context, options.csvWay)
    else if (format.kind === 'jsonl') {
      yield* readJsonLines(source, format, context)
      // Mostly failed requests; of a stream, chunks.
      for (const [why, count] of leftOut)
        builder.note(
          `${file}: ${count} ${count === 1 ? 'row' : 'rows'} ${why} left out (--drop-failed).`,
        )
    } else if (format.kind === 'json') await readJson(source, format, context)
    if (source.dropped > 0)
      builder.note(`${file}: the last line is torn (${source.dropped} bytes) and was left out.`)
  } finally {
    source.close()
  }
}

const mismatch = (file: string, format: TraceFormat, kind: Head['kind']): Problem =>
  new Problem(
    'TRACE_FORMAT_UNKNOWN',
    `${file}:1:1: --format ${format.name} is ${format.looks}, but the file is ${kind === 'csv' ? 'not JSON' : 'JSON'}.`,
    {suggestions: ['leave --format out: the format is recognised by the content']},
  )

function recognise(file: string, head: Head, mapping: ReadonlyMap<string, string>): TraceFormat {
  const format = traceFormats.find((candidate) => candidate.recognises(head))
  if (format) return format
  if (head.kind === 'csv' && mapping.size > 0) return llmsimCsv
  throw unrecognised(file, head)
}
