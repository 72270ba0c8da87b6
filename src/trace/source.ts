/** Files as bytes: finding them, looking at their head, and reading them in runs of whole lines. */
import {type FileHandle, open, readdir, stat} from 'node:fs/promises'
import {basename, dirname, join} from 'node:path'
import {closest} from '../edit-distance.js'
import {Problem} from '../errors.js'

const headBytes = 64 * 1024
const chunkBytes = 1024 * 1024

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

async function unreadable(path: string, error: unknown): Promise<Problem> {
  const code = codeOf(error)
  if (code !== 'ENOENT' && code !== 'ENOTDIR') {
    const why = code === 'EACCES' ? 'you have no permission' : (code ?? String(error))
    return new Problem('TRACE_NOT_FOUND', `${path}: the trace cannot be read: ${why}.`, {
      cause: error,
    })
  }
  const near = await readdir(dirname(path)).then(
    (names) => closest(basename(path), names, 3),
    () => [],
  )
  const hint = near.map((name) => join(dirname(path), name))
  return new Problem('TRACE_NOT_FOUND', `${path}: there is no such file or folder.`, {
    suggestions: hint,
  })
}

const noStandardInput = (): Problem =>
  new Problem(
    'TRACE_NOT_FOUND',
    '-: a trace is read from files and folders, not from standard input.',
    {suggestions: ['write it to a file first, and name that']},
  )

/** The files of `paths`: those of a folder sorted by name, hidden ones and other endings left out. */
export async function traceFiles(paths: readonly string[]): Promise<string[]> {
  const files: string[] = []
  for (const path of paths) {
    if (path === '-') throw noStandardInput()
    const info = await stat(path).catch(async (error) => {
      throw await unreadable(path, error)
    })
    if (!info.isDirectory()) {
      files.push(path)
      continue
    }
    const names = (await readdir(path)).filter(
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

const refuseBinary = (path: string, head: Buffer): void => {
  const kinds: readonly [string, string, string][] = [
    ['1f8b', 'compressed with gzip', `unpack it: gunzip ${path}`],
    ['28b52ffd', 'compressed with zstd', `unpack it: unzstd ${path}`],
    ['504b0304', 'a zip archive', `unpack it: unzip ${path}`],
    ['50415231', 'a Parquet file', 'convert it to CSV'],
    ['fffe', 'text in UTF-16', 'save it as UTF-8'],
    ['feff', 'text in UTF-16', 'save it as UTF-8'],
  ]
  const start = head.subarray(0, 4).toString('hex')
  const known = kinds.find(([magic]) => start.startsWith(magic))
  let control = head.includes(0)
  for (let i = 0; i < Math.min(head.length, 1024) && !control; i++) {
    const byte = head[i]!
    control = byte < 32 && byte !== 9 && byte !== 10 && byte !== 13 && byte !== 12
  }
  if (!known && !control) return
  throw new Problem(
    'TRACE_BINARY',
    `${path}: the file is ${known?.[1] ?? 'binary'}; a trace is UTF-8 text (CSV, JSONL or JSON).`,
    {suggestions: known ? [known[2]] : []},
  )
}

/** An open trace file. Close it. */
export class Source {
  readonly path: string
  /** The first 64 KiB, without a byte order mark. */
  readonly head: Buffer
  readonly #file: FileHandle
  readonly #skip: number
  /** Bytes of a torn last line that were dropped, once all lines have been read. */
  dropped = 0

  private constructor(path: string, file: FileHandle, head: Buffer) {
    this.path = path
    this.#file = file
    this.#skip = head.subarray(0, 3).toString('hex') === 'efbbbf' ? 3 : 0
    this.head = head.subarray(this.#skip)
  }

  /** Opens a file; TRACE_NOT_FOUND, TRACE_BINARY or TRACE_EMPTY when it cannot be a trace. */
  static async open(path: string): Promise<Source> {
    let file: FileHandle | undefined
    try {
      file = await open(path)
      const buffer = Buffer.alloc(headBytes)
      const {bytesRead} = await file.read(buffer, 0, headBytes, 0)
      const head = buffer.subarray(0, bytesRead)
      refuseBinary(path, head)
      const source = new Source(path, file, head)
      if (source.head.toString('latin1').trim() === '' && bytesRead < headBytes)
        throw new Problem('TRACE_EMPTY', `${path}: the file is empty.`)
      return source
    } catch (error) {
      await file?.close()
      throw error instanceof Problem ? error : await unreadable(path, error)
    }
  }

  async close(): Promise<void> {
    await this.#file.close()
  }

  /** The whole file as lines, from byte `from` of `head` on. Each run is valid until the next is asked for. */
  async *lines(from: number, torn: TornTail): AsyncGenerator<Lines> {
    let buffer = Buffer.allocUnsafe(chunkBytes)
    let position = this.#skip + from
    let kept = 0
    for (;;) {
      if (kept === buffer.length) buffer = Buffer.concat([buffer], kept * 2)
      const {bytesRead} = await this.#file.read(buffer, kept, buffer.length - kept, position)
      position += bytesRead
      const filled = kept + bytesRead
      if (bytesRead === 0) {
        if (filled > 0 && torn === 'error') yield {bytes: buffer, from: 0, to: filled}
        else this.dropped = filled
        return
      }
      const end = buffer.subarray(0, filled).lastIndexOf(10) + 1
      if (end > 0) yield {bytes: buffer, from: 0, to: end}
      kept = filled - end
      buffer.copy(buffer, 0, end, filled)
    }
  }
}
