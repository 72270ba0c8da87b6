/** A text file written row by row with bounded memory, and the quoting of CSV. */
import {closeSync, openSync, writeSync} from 'node:fs'
import {dirname} from 'node:path'
import {Problem} from '../errors.js'
import {makeFolders} from '../make-folder.js'

const bufferChars = 1 << 16

/** OUTPUT_NOT_WRITABLE for a path, saying what the system said. */
export function notWritable(path: string, cause: unknown): Problem {
  const code = (cause as NodeJS.ErrnoException).code
  const reasons: ReadonlyMap<string | undefined, string> = new Map([
    ['EACCES', 'permission denied'],
    ['EPERM', 'permission denied'],
    ['EROFS', 'the file system is read-only'],
    ['ENOSPC', 'the disk is full'],
    ['EISDIR', 'it is a folder'],
    ['ENOTDIR', 'a part of the path is a file'],
    ['EEXIST', 'a file is in its way'],
  ])
  const reason = reasons.get(code) ?? code ?? String(cause)
  return new Problem('OUTPUT_NOT_WRITABLE', `${path} cannot be written: ${reason}.`, {
    cause,
    suggestions: ['name another file or folder'],
  })
}

/** A cell of a CSV row, quoted where RFC 4180 needs it. */
export const csvCell = (text: string): string =>
  /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text

/** Appends lines to a file that it creates (with its folder). Throws OUTPUT_NOT_WRITABLE. */
export class RowFile {
  readonly path: string
  private readonly handle: number
  private buffer = ''

  constructor(path: string, header: string) {
    this.path = path
    try {
      makeFolders(dirname(path))
      this.handle = openSync(path, 'w')
    } catch (cause) {
      throw notWritable(path, cause)
    }
    this.write(header)
  }

  write(line: string): void {
    this.buffer += `${line}\n`
    if (this.buffer.length >= bufferChars) this.flush()
  }

  /** Must be called: what is still in memory goes to the file. */
  close(): void {
    try {
      this.flush()
    } finally {
      closeSync(this.handle)
    }
  }

  private flush(): void {
    const bytes = Buffer.from(this.buffer)
    this.buffer = ''
    try {
      // A pipe or a full disk may take a part only.
      for (let at = 0; at < bytes.length; ) at += writeSync(this.handle, bytes, at)
    } catch (cause) {
      throw notWritable(this.path, cause)
    }
  }
}
