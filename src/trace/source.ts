/**
 * Files as bytes: finding them, looking at their head, and reading them in runs of whole lines. Without promises:
 * threads of Node's pool get their turn late while V8 compiles, and waiting for them took longer than reading.
 */
import {closeSync, openSync, readdirSync, readSync, type Stats, statSync} from 'node:fs'
import {basename, dirname, join} from 'node:path'
import {closest} from '../edit-distance.js'
import {Problem} from '../errors.js'
import {checkText, refuseBinary} from './text-bytes.js'

const headBytes = 64 * 1024
const chunkBytes = 1024 * 1024
const longestLine = 256 * 1024 * 1024

const tooLong = (path: string, longest: number): Problem =>
  new Problem(
    'TRACE_BAD_VALUE',
    `${path}: a line of more than ${Math.floor(longest / 2 ** 20)} MiB has no end; every request stands on a line of its own.`,
    {suggestions: ['end lines with LF or CRLF']},
  )

/** Whole lines in bytes[from … to); only the last line of a file may lack its newline. */
export interface Lines {
  readonly bytes: Buffer
  readonly from: number
  readonly to: number
}

/** What to do with a last line that has no newline. */
export type TornTail = 'error' | 'drop'

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error ? String(error.code) : undefined

function unreadable(path: string, error: unknown): Problem {
  const code = codeOf(error)
  if (code !== 'ENOENT' && code !== 'ENOTDIR') {
    if (code === 'ESPIPE') return notSeekable(path)
    const why = code === 'EACCES' ? 'you have no permission' : (code ?? String(error))
    return new Problem('TRACE_NOT_FOUND', `${path}: the trace cannot be read: ${why}.`, {
      cause: error,
    })
  }
  if (/^https?:\/\//.test(path)) return remote(path)
  const folder = dirname(path)
  const hint = closest(basename(path), namesIn(folder), 3).map((name) => join(folder, name))
  return new Problem('TRACE_NOT_FOUND', `${path}: there is no such file or folder.`, {
    suggestions: hint,
  })
}

/** What lies in a folder; nothing where it cannot be read. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

const remote = (url: string): Problem =>
  new Problem('TRACE_NOT_FOUND', `${url}: a trace is read from files, not from the network.`, {
    suggestions: [`download it first: curl -LO ${url}`],
  })

/** Standard input and pipes: the head of a trace is read, then all of it, and a long one by every run. */
const notSeekable = (path: string): Problem =>
  new Problem(
    'TRACE_NOT_FOUND',
    `${path}: a trace is read from files and folders, not from ${path === '-' ? 'standard input' : 'a pipe'}.`,
    {suggestions: ['write it to a file first, and name that']},
  )

function statOf(path: string): Stats {
  try {
    return statSync(path)
  } catch (error) {
    throw unreadable(path, error)
  }
}

/** The files of `paths`: those of a folder sorted by name, hidden ones and other endings left out. */
export function traceFiles(paths: readonly string[]): string[] {
  const files: string[] = []
  for (const path of paths) {
    if (path === '-') throw notSeekable(path)
    if (!statOf(path).isDirectory()) {
      files.push(path)
      continue
    }
    const names = readdirSync(path).filter(
      (name) => /\.(csv|jsonl|json|ndjson|txt)$/i.test(name) && !/^\.|\.meta\.json$/.test(name),
    )
    if (names.length === 0) {
      throw new Problem(
        'TRACE_NOT_FOUND',
        `${path}: the folder holds no trace (a file that ends in .csv, .jsonl, .ndjson, .json or .txt).`,
        {suggestions: ['name the file itself if it ends otherwise']},
      )
    }
    files.push(...names.sort().map((name) => join(path, name)))
  }
  return files
}

/** An open trace file. Close it. */
export class Source {
  readonly path: string
  /** The first 64 KiB, without a byte order mark. */
  readonly head: Buffer
  readonly #file: number
  readonly #skip: number
  /** Bytes of a torn last line that were dropped, once all lines have been read. */
  dropped = 0

  private constructor(path: string, file: number, head: Buffer) {
    this.path = path
    this.#file = file
    this.#skip = head.subarray(0, 3).toString('hex') === 'efbbbf' ? 3 : 0
    this.head = head.subarray(this.#skip)
  }

  /** Opens a file; TRACE_NOT_FOUND, TRACE_BINARY or TRACE_EMPTY when it cannot be a trace. */
  static open(path: string): Source {
    let file: number | undefined
    try {
      file = openSync(path, 'r')
      const buffer = Buffer.alloc(headBytes)
      const bytesRead = readSync(file, buffer, 0, headBytes, 0)
      const head = buffer.subarray(0, bytesRead)
      refuseBinary(path, head)
      checkText(path, head.subarray(0, head.lastIndexOf(10) + 1), 0)
      const source = new Source(path, file, head)
      if (source.head.toString('latin1').trim() === '' && bytesRead < headBytes)
        throw new Problem('TRACE_EMPTY', `${path}: the file is empty.`, {
          suggestions: ['see whether the file was written to its end'],
        })
      return source
    } catch (error) {
      if (file !== undefined) closeSync(file)
      throw error instanceof Problem ? error : unreadable(path, error)
    }
  }

  close(): void {
    closeSync(this.#file)
  }

  /**
   * The whole file as lines of at most `longest` bytes, from byte `from` of `head` on. Each run is valid until the next is
   * asked for. @throws Problem TRACE_BAD_VALUE, TRACE_BINARY
   */
  *lines(from: number, torn: TornTail, longest = longestLine): Generator<Lines> {
    let buffer = Buffer.allocUnsafe(chunkBytes)
    let position = this.#skip + from
    let kept = 0
    for (;;) {
      if (kept === buffer.length) buffer = Buffer.concat([buffer], kept * 2)
      const bytesRead = readSync(this.#file, buffer, kept, buffer.length - kept, position)
      position += bytesRead
      const filled = kept + bytesRead
      // In one line of 256 MB there is no trace; it would only fill the memory.
      if (kept > longest) throw tooLong(this.path, longest)
      if (bytesRead === 0) {
        if (torn === 'error') checkText(this.path, buffer.subarray(0, filled), position - filled)
        if (filled > 0 && torn === 'error') yield {bytes: buffer, from: 0, to: filled}
        else this.dropped = filled
        return
      }
      const end = buffer.subarray(0, filled).lastIndexOf(10) + 1
      checkText(this.path, buffer.subarray(0, end), position - filled)
      if (end > 0) yield {bytes: buffer, from: 0, to: end}
      kept = filled - end
      buffer.copy(buffer, 0, end, filled)
    }
  }
}
