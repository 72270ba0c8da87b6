/** `timeseries.csv` of a run: one row per interval and engine. */
import {existsSync, readFileSync} from 'node:fs'
import type {EngineMoment, Series} from '../stats/series.js'
import {secondsText} from './decimals.js'
import {badFile} from './request-reader.js'
import {RowFile} from './row-file.js'

/** State at the end of the interval, rates over it; `instance` counts from 0. */
export const seriesFields = [
  'start_s',
  'end_s',
  'instance',
  'running',
  'waiting',
  'kv_used_blocks',
  'kv_usage',
  'prefill_tokens_per_s',
  'decode_tokens_per_s',
  'prefix_hit_rate',
  'preemptions',
] as const

export type SeriesField = (typeof seriesFields)[number]
/** A cell without a value is null: no prompt was looked up in the interval. */
export type SeriesRow = Readonly<Record<SeriesField, number | null>>

/** `blocks`: of each engine. Throws OUTPUT_NOT_WRITABLE. */
export function writeSeries(path: string, series: Series, blocks: readonly number[]): void {
  const file = new RowFile(path, seriesFields.join(','))
  try {
    let start = 0
    let before: readonly EngineMoment[] | undefined
    for (const {at, engines} of series.moments) {
      for (const [instance, engine] of engines.entries()) {
        const times = [secondsText(start), secondsText(at), instance]
        const past = before?.[instance]?.totals
        file.write(
          [...times, ...cellsOf(engine, past, {ns: at - start, blocks: blocks[instance]!})].join(
            ',',
          ),
        )
      }
      start = at
      before = engines
    }
  } finally {
    file.close()
  }
}

function cellsOf(
  {running, waiting, usedBlocks, totals}: EngineMoment,
  past: EngineMoment['totals'] | undefined,
  {ns, blocks}: {ns: number; blocks: number},
): (string | number)[] {
  const grown = (counter: keyof EngineMoment['totals']) => totals[counter] - (past?.[counter] ?? 0)
  const rate = (tokens: number) => ((tokens / ns) * 1e9).toFixed(3)
  const lookedUp = grown('lookedUpTokens')
  return [
    running,
    waiting,
    usedBlocks,
    (blocks > 0 ? usedBlocks / blocks : 0).toFixed(6),
    rate(grown('prefillTokens')),
    rate(grown('decodeTokens')),
    lookedUp > 0 ? (grown('hitTokens') / lookedUp).toFixed(6) : '',
    grown('preemptions'),
  ]
}

/** Undefined for a run that was made without one. Throws RUN_BAD_FILE. */
export function readSeries(path: string): SeriesRow[] | undefined {
  if (!existsSync(path)) return undefined
  const [header, ...lines] = readFileSync(path, 'utf8').trimEnd().split('\n')
  if (header !== seriesFields.join(','))
    throw badFile(`${path}:1`, `the header must be ${seriesFields.join(',')}`)
  return lines.map((line, i) => rowOf(line, `${path}:${i + 2}`))
}

function rowOf(line: string, place: string): SeriesRow {
  const cells = line.split(',')
  if (cells.length !== seriesFields.length)
    throw badFile(place, `${cells.length} cells where the header has ${seriesFields.length}`)
  const entries = seriesFields.map((field, i) => {
    const value = cells[i] === '' ? null : Number(cells[i])
    if (Number.isNaN(value)) throw badFile(place, `${field} is not a number: ${cells[i]}`)
    return [field, value] as const
  })
  return Object.fromEntries(entries) as Record<SeriesField, number | null>
}

const shownIntervals = 20

/** All engines together, in at most twenty intervals; `prefix_hit_rate` is left out, since its weights are not in the file. */
export interface SeriesSum {
  readonly start_s: number
  readonly end_s: number
  readonly running: number
  readonly waiting: number
  readonly kv_usage: number
  readonly prefill_tokens_per_s: number
  readonly decode_tokens_per_s: number
  readonly preemptions: number
}

/** Intervals side by side become one: states are those at its end, rates its mean, preemptions its sum. */
export function sumSeries(rows: readonly SeriesRow[]): SeriesSum[] {
  const byEnd = new Map<number, SeriesRow[]>()
  for (const row of rows) {
    const own = byEnd.get(row.end_s!)
    if (own) own.push(row)
    else byEnd.set(row.end_s!, [row])
  }
  const intervals = [...byEnd.values()]
  const width = Math.ceil(intervals.length / shownIntervals)
  const blocks = blocksByEngine(rows)
  const sums: SeriesSum[] = []
  for (let i = 0; i < intervals.length; i += width)
    sums.push(merged(intervals.slice(i, i + width), blocks))
  return sums
}

function merged(
  intervals: readonly (readonly SeriesRow[])[],
  blocks: ReadonlyMap<number, number>,
): SeriesSum {
  const last = intervals.at(-1)!
  const start = intervals[0]![0]!.start_s!
  const end = last[0]!.end_s!
  const all = intervals.flat()
  const sum = (rows: readonly SeriesRow[], field: SeriesField) =>
    rows.reduce((total, row) => total + (row[field] ?? 0), 0)
  const mean = (field: SeriesField) =>
    all.reduce((total, row) => total + (row[field] ?? 0) * (row.end_s! - row.start_s!), 0) /
    (end - start)
  return {
    start_s: start,
    end_s: end,
    running: sum(last, 'running'),
    waiting: sum(last, 'waiting'),
    kv_usage: usageOfAll(last, blocks),
    prefill_tokens_per_s: mean('prefill_tokens_per_s'),
    decode_tokens_per_s: mean('decode_tokens_per_s'),
    preemptions: sum(all, 'preemptions'),
  }
}

/** Blocks of each engine: what it used over the share that this was, where the share has most digits. */
function blocksByEngine(rows: readonly SeriesRow[]): Map<number, number> {
  const most = new Map<number, number>()
  const blocks = new Map<number, number>()
  for (const {instance, kv_used_blocks: used, kv_usage: share} of rows) {
    if (!used || !share || share <= (most.get(instance!) ?? 0)) continue
    most.set(instance!, share)
    blocks.set(instance!, used / share)
  }
  return blocks
}

/** Share of the blocks of all engines, large and small; one that never used any is taken for as large as the mean. */
function usageOfAll(rows: readonly SeriesRow[], blocks: ReadonlyMap<number, number>): number {
  if (blocks.size === 0) return 0
  const mean = [...blocks.values()].reduce((total, each) => total + each, 0) / blocks.size
  let used = 0
  let all = 0
  for (const {instance, kv_used_blocks} of rows) {
    used += kv_used_blocks ?? 0
    all += blocks.get(instance!) ?? mean
  }
  return used / all
}
