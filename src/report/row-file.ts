/** A text file written row by row with bounded memory, and the quoting of CSV. */
import {closeSync, openSync, writeSync} from 'node:fs'
import {dirname} from 'node:path'
import {makeFolders, notWritable} from '../make-folder.js'

const bufferChars = 1 << 16

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
