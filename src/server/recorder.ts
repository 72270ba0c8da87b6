/**
 * Keeps the trace of what was served: one row when a request ends, handed to the kernel before its client gets the
 * last byte. Rows of one turn of the event loop are written together.
 */
import {existsSync, rmSync, statSync, writeFileSync} from 'node:fs'
import {dirname, extname, join} from 'node:path'
import {Problem} from '../errors.js'
import {makeFolders, notWritable} from '../make-folder.js'
import {
  type KeptText,
  metaFileOf,
  openFileOf,
  type RecordedRow,
  recordingHeader,
  recordingKind,
  recordingLine,
} from '../trace/recording.js'
import {AppendingFile} from './appending-file.js'
import {OpenJournal} from './open-journal.js'

export interface RecorderOptions {
  /** The trace; it must not exist. Further parts get a number: `FILE-2.csv`. */
  readonly path: string
  readonly kept: KeptText
  /** Begin a new part at this size or age. */
  readonly rotate?: {readonly bytes?: number | undefined; readonly ms?: number | undefined}
  /** What else the meta file says; `salt` belongs in it. */
  readonly meta: {readonly [field: string]: unknown}
  /** Told in one sentence when the disk refuses rows, and when it takes them again. */
  readonly onTrouble: (sentence: string) => void
  /** How the trace's files are made; for tests of disks that refuse. */
  readonly create?: (path: string) => LineFile
}

/** What a recorder needs of a file. */
export type LineFile = Pick<AppendingFile, 'path' | 'size' | 'append' | 'close'>

/** Called when the row is the kernel's (`kept`), or could not be written (`lost`): then the client must not be told "done". */
export type RowFate = (fate: 'kept' | 'lost') => void

interface Pending {
  row: RecordedRow
  fate: RowFate | undefined
}

const retryMs = 1000

/** After a part that could not be begun the next one is not tried sooner. */
const nextPartMs = 60_000

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String(error.code) : String(error)

export class Recorder {
  /** All parts so far, the present one last. */
  readonly files: string[] = []
  /** Rows in all parts. */
  rows = 0
  /** Why nothing more can be recorded now; undefined while all is well. */
  trouble: string | undefined
  readonly #options: RecorderOptions
  readonly #header: string
  #file: LineFile
  #journal: OpenJournal
  #pending: Pending[] = []
  #flushing: NodeJS.Immediate | undefined
  #isEnding = false
  #retry: NodeJS.Timeout | undefined
  #partSince = performance.now()
  /** No new part before that. */
  #partAfter = 0

  /** @throws Problem OUTPUT_NOT_WRITABLE when the file exists or cannot be made */
  constructor(options: RecorderOptions) {
    this.#options = options
    this.#header = recordingHeader(options.kept)
    try {
      makeFolders(dirname(options.path))
      this.#file = this.#begin(options.path)
      this.#journal = new OpenJournal(openFileOf(options.path), this.#header)
    } catch (cause) {
      throw notMade(options.path, cause)
    }
  }

  #begin(path: string): LineFile {
    const file = this.#options.create?.(path) ?? new AppendingFile(path)
    const meta = {kind: recordingKind, ...this.#options.meta, part: this.files.length + 1}
    try {
      file.append(this.#header)
      writeFileSync(metaFileOf(path), `${JSON.stringify(meta, undefined, 2)}\n`)
    } catch (error) {
      file.close()
      rmSync(path, {force: true})
      throw error
    }
    this.files.push(path)
    return file
  }

  /** A request is in the system: should we be killed, it is known to be lost. */
  accept(row: RecordedRow): void {
    this.#journal.add(row.requestId, recordingLine(row, this.#options.kept))
    this.#soon()
  }

  /** A request has ended. `fate` is called soon, when what runs now is done. */
  end(row: RecordedRow, fate?: RowFate): void {
    this.#pending.push({row, fate})
    if (this.#isEnding) return
    // All that end at one event together, and before other streams are written to.
    this.#isEnding = true
    process.nextTick(this.#flushEnded)
  }

  readonly #flushEnded = (): void => {
    this.#isEnding = false
    if (this.#pending.length > 0) this.flush()
  }

  #soon(): void {
    this.#flushing ??= setImmediate(() => this.flush())
  }

  /** Writes what waits, now. */
  flush(): void {
    if (this.#flushing !== undefined) clearImmediate(this.#flushing)
    this.#flushing = undefined
    const pending = this.#pending
    try {
      for (const {row} of pending) this.#journal.remove(row.requestId)
      this.#journal.flush()
      if (pending.length > 0) this.#write(pending)
    } catch (error) {
      this.#refused(error, pending)
      return
    }
    this.#pending = []
    this.#recovered()
    for (const {fate} of pending) fate?.('kept')
    this.#rotateWhenDue()
  }

  #write(pending: readonly Pending[]): void {
    const {kept} = this.#options
    this.#file.append(pending.map(({row}) => recordingLine(row, kept)).join(''))
    this.rows += pending.length
  }

  /** The rows stay, as those of failed requests; their clients are told, and new requests are turned away. */
  #refused(error: unknown, pending: readonly Pending[]): void {
    if (this.trouble === undefined) {
      this.trouble = `${this.#file.path} cannot be written (${codeOf(error)})`
      this.#options.onTrouble(`${this.trouble}: requests get 503 until it can.`)
    }
    for (const entry of pending) {
      const {fate} = entry
      if (fate === undefined) continue
      entry.fate = undefined
      entry.row = {...entry.row, status: 'failed'}
      fate('lost')
    }
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined
      this.flush()
    }, retryMs)
  }

  #recovered(): void {
    if (this.trouble === undefined) return
    this.trouble = undefined
    clearTimeout(this.#retry)
    this.#retry = undefined
    this.#options.onTrouble(`${this.#file.path} can be written again: requests are served.`)
  }

  #rotateWhenDue(): void {
    const {bytes = Number.POSITIVE_INFINITY, ms = Number.POSITIVE_INFINITY} =
      this.#options.rotate ?? {}
    const now = performance.now()
    if ((this.#file.size < bytes && now - this.#partSince < ms) || now < this.#partAfter) return
    const path = this.#nextPath()
    try {
      const next = this.#begin(path)
      this.#file.close()
      this.#file = next
      this.#journal = this.#journal.moveTo(openFileOf(path))
      this.#partSince = performance.now()
    } catch (error) {
      this.#options.onTrouble(
        `${path} cannot be begun (${codeOf(error)}): the trace goes on in ${this.#file.path}.`,
      )
      this.#partAfter = now + nextPartMs
    }
  }

  /** A number that no file has: parts of an earlier recording may be left. */
  #nextPath(): string {
    const extension = extname(this.#options.path)
    const stem = this.#options.path.slice(0, this.#options.path.length - extension.length)
    for (let n = this.files.length + 1; ; n++) {
      const path = `${stem}-${n}${extension}`
      if (!existsSync(path) && !existsSync(openFileOf(path))) return path
    }
  }

  /** Nothing was recorded and nothing will be: the files go. */
  discard(): void {
    this.#file.close()
    this.#journal.end()
    for (const file of this.files) {
      rmSync(file, {force: true})
      rmSync(metaFileOf(file), {force: true})
    }
  }

  /** Writes what waits and closes the files. @throws Problem OUTPUT_NOT_WRITABLE when rows are left */
  close(): void {
    this.flush()
    clearTimeout(this.#retry)
    const left = this.#pending.length
    this.#file.close()
    this.#journal.close()
    if (left === 0) return
    throw new Problem(
      'OUTPUT_NOT_WRITABLE',
      `${this.#file.path}: the last ${left} rows could not be written: ${this.trouble}.`,
      {suggestions: ['make room on the disk; the trace is whole up to them']},
    )
  }
}

function notMade(path: string, cause: unknown): Problem {
  const code = codeOf(cause)
  if (statSync(path, {throwIfNoEntry: false})?.isDirectory())
    return new Problem('OUTPUT_NOT_WRITABLE', `${path} is a folder: a recording is a file.`, {
      suggestions: [`--trace ${join(path, 'trace.csv')}`],
      cause,
    })
  if (code === 'EEXIST') {
    return new Problem(
      'OUTPUT_NOT_WRITABLE',
      `${path} exists already, or ${openFileOf(path)} does: a recording is never written over another.`,
      {suggestions: ['name another file with --trace', 'move the old one away'], cause},
    )
  }
  return notWritable(path, cause)
}
