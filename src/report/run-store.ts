/** Runs on disk: a folder with `run.json`, `requests.csv` and, where the trace has labels, `labels.csv`. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import {basename, dirname, join} from 'node:path'
import {Problem} from '../errors.js'
import {makeFolders, notWritable} from '../make-folder.js'
import type {RequestResults} from './measures.js'
import {LabelsFile, RequestsFile} from './request-files.js'
import {badFile, readRequests} from './request-reader.js'
import type {Summary} from './summary.js'

export const runsFolder = join('.llmsim', 'runs')

/** The content of `run.json`. */
export interface RunRecord {
  /** Version that made the run. */
  readonly llmsim: string
  readonly command: string
  /** What was built and where each number comes from, one fact a line. */
  readonly header?: readonly string[]
  readonly config: {readonly [field: string]: unknown}
  readonly summary: Summary
  /** What this machine took; the only part that may differ between two equal runs. */
  readonly timing?: {readonly [field: string]: number}
}

export interface StoredRun extends RunRecord {
  /** Name of its folder. */
  readonly name: string
  readonly folder: string
  /** The outcomes of its requests, read from disk at each call. */
  readonly requests: () => RequestResults
}

export interface NewRun {
  /** Parent of all runs; `.llmsim/runs` by default. */
  readonly root?: string | undefined
  /** Exactly this folder instead. */
  readonly out?: string | undefined
  readonly startedAt: Date
  /** What ran on what, e.g. the trace's name and the hardware. */
  readonly about: readonly string[]
}

/** `20250131T235959Z`: sorts by time, has no character that a shell or a file system minds. */
export const timeStamp = (at: Date): string => at.toISOString().replace(/[-:]|\.\d+/g, '')

/** `traces/My Chat.csv` on `H100` → `my-chat-h100`; at most 60 characters. */
export function slugOf(about: readonly string[]): string {
  const words = about.map((part) =>
    basename(part)
      .replaceAll(/\.[a-z]+(\.gz)?(?=\+|$)/gi, '')
      .toLowerCase()
      .replace(/[^a-z0-9.]+/g, '-')
      .replace(/^[-.]+|[-.]+$/g, ''),
  )
  const slug = words.filter((word) => word !== '').join('-')
  return slug.slice(0, 60).replace(/[-.]+$/, '') || 'run'
}

/** What the folder of a run may hold. */
export const runFiles = {
  requests: 'requests.csv',
  labels: 'labels.csv',
  series: 'timeseries.csv',
  power: 'power.csv',
  fleet: 'instances.csv',
  record: 'run.json',
} as const

/** Creates the folder of a new run and returns it. Throws OUTPUT_NOT_WRITABLE. */
export function createRunFolder(run: NewRun): string {
  if (run.out !== undefined) return made(run.out, makeFolders)
  const root = made(run.root ?? runsFolder, makeFolders)
  const name = join(root, `${timeStamp(run.startedAt)}-${slugOf(run.about)}`)
  for (let n = 1; ; n++) {
    const folder = n === 1 ? name : `${name}-${n}`
    // Two runs may start within one second: the folder that mkdir refuses is not ours.
    if (!existsSync(folder)) return made(folder, mkdirSync)
  }
}

function made(folder: string, make: (path: string) => void): string {
  try {
    make(folder)
  } catch (cause) {
    throw notWritable(folder, cause)
  }
  return folder
}

/** Writes a run into its folder. */
export function writeRun(folder: string, record: RunRecord, requests: RequestResults): void {
  const writer = new RunWriter(folder)
  try {
    writer.add(requests)
  } finally {
    writer.close()
  }
  writer.finish(record)
}

/** Files that only some runs have must not stay beside those of a run that has none. */
function dropOlderRun(folder: string): void {
  if (!existsSync(join(folder, runFiles.record))) return
  for (const name of Object.values(runFiles)) {
    const path = join(folder, name)
    try {
      rmSync(path, {force: true})
    } catch (cause) {
      throw notWritable(path, cause)
    }
  }
}

/** Writes a run whose results come part by part. `run.json` comes last and at once, so it stands for a whole run. */
export class RunWriter {
  readonly folder: string
  readonly #requests: RequestsFile
  readonly #labels: LabelsFile

  /** @throws Problem OUTPUT_NOT_WRITABLE */
  constructor(folder: string) {
    this.folder = folder
    dropOlderRun(folder)
    this.#requests = new RequestsFile(join(folder, runFiles.requests))
    this.#labels = new LabelsFile(join(folder, runFiles.labels))
  }

  add(part: RequestResults): void {
    this.#requests.add(part)
    this.#labels.add(part.trace)
  }

  /** Must be called, whatever happened: what is still in memory goes to the files. */
  close(): void {
    this.#requests.close()
    this.#labels.close()
  }

  finish(record: RunRecord): void {
    const {llmsim, command, header, config, summary, timing} = record
    const content = {llmsim, command, header, config, summary, timing}
    const text = JSON.stringify(content, null, 2)
    const path = join(this.folder, runFiles.record)
    try {
      writeFileSync(`${path}.part`, `${text}\n`)
      renameSync(`${path}.part`, path)
    } catch (cause) {
      throw notWritable(path, cause)
    }
  }
}

/** Names of the complete runs in a folder of runs, oldest first. */
export function listRuns(root: string = runsFolder): string[] {
  if (!existsSync(root)) return []
  const runs = readdirSync(root).flatMap((name) => {
    const file = join(root, name, runFiles.record)
    return existsSync(file) ? [{name, at: statSync(file).mtimeMs}] : []
  })
  return runs.sort(byStart).map(({name}) => name)
}

interface Listed {
  readonly name: string
  /** When run.json was written, ms. */
  readonly at: number
}

const stampLength = '20250131T235959Z'.length

/** By the second in the name; within one second by what was written first, and "-10" after "-9". */
function byStart(a: Listed, b: Listed): number {
  const [first, second] = [a, b].map(({name}) => name.slice(0, stampLength)) as [string, string]
  if (first !== second) return first < second ? -1 : 1
  return a.at - b.at || a.name.localeCompare(b.name, 'en', {numeric: true})
}

/** The run that was started last. Throws RUN_NOT_FOUND where there is none. */
export function newestRun(root: string = runsFolder): StoredRun {
  const name = listRuns(root).at(-1)
  if (name !== undefined) return readRun(name, root)
  throw new Problem('RUN_NOT_FOUND', `There are no runs in ${root} yet.`, {
    suggestions: ['llmsim simulate TRACE --hardware NAME', 'llmsim report FOLDER'],
  })
}

/**
 * Reads a run by the path of its folder or `run.json`, by its name, or by a part of its name that no
 * other run has. Throws RUN_NOT_FOUND and RUN_BAD_FILE.
 */
export function readRun(run: string, root: string = runsFolder): StoredRun {
  const folder = findFolder(run, root)
  const record = parseRecord(join(folder, runFiles.record))
  return {
    ...record,
    name: basename(folder),
    folder,
    requests: () => readRequests(join(folder, runFiles.requests), join(folder, runFiles.labels)),
  }
}

function findFolder(run: string, root: string): string {
  for (const path of [run, join(root, run)]) {
    if (!existsSync(path)) continue
    if (!statSync(path).isDirectory()) {
      if (basename(path) === runFiles.record) return dirname(path)
      throw new Problem('RUN_NOT_FOUND', `${path} is a file; a run is a folder with a run.json.`, {
        suggestions: existsSync(join(dirname(path), runFiles.record)) ? [dirname(path)] : [],
      })
    }
    if (existsSync(join(path, runFiles.record))) return path
    throw new Problem(
      'RUN_NOT_FOUND',
      `${path} holds no run.json: not a run, or one that broke off.`,
    )
  }
  const names = listRuns(root)
  const matches = names.filter((name) => name.includes(run))
  if (matches.length === 1) return join(root, matches[0]!)
  const suggestions = (matches.length > 1 ? matches : names).slice(-5).reverse()
  const fault =
    matches.length > 1
      ? `"${run}" is a part of the names of ${matches.length} runs in ${root}`
      : `There is no run "${run}", neither as a path nor in ${root}`
  throw new Problem('RUN_NOT_FOUND', `${fault}.`, {suggestions})
}

function parseRecord(path: string): RunRecord {
  const text = readFileSync(path, 'utf8')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw badFile(`${path}:${faultyLine(text, cause)}`, 'this is not JSON', cause)
  }
  const fault = faultOf(value)
  if (fault !== undefined) throw badFile(`${path}:1`, fault)
  return value as RunRecord
}

function faultyLine(text: string, cause: unknown): number {
  const at = /at position (\d+)/.exec(String(cause))
  // "Unexpected end of JSON input" has no position: it is the last line.
  return text.slice(0, at ? Number(at[1]) : text.length).split('\n').length
}

const isObject = (value: unknown): value is {readonly [field: string]: unknown} =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What `report` reads without looking; the rest of a summary may be missing and shows as no value. */
function faultOf(value: unknown): string | undefined {
  if (!isObject(value)) return 'a run is a JSON object'
  if (typeof value.llmsim !== 'string') return 'the field llmsim (a version) is missing'
  if (!isObject(value.config)) return 'the field config (an object) is missing'
  const summary = value.summary
  if (!isObject(summary)) return 'the field summary (an object) is missing'
  const parts = [
    'requests',
    'throughput',
    'ttft_ms',
    'tpot_ms',
    'itl_ms',
    'e2e_ms',
    'queue_ms',
    'kv',
    'prefix_cache',
  ]
  const missing = parts.find((part) => !isObject(summary[part]))
  if (missing !== undefined) return `the field summary.${missing} (an object) is missing`
  if (!Array.isArray(summary.engines)) return 'the field summary.engines (a list) is missing'
  return undefined
}
