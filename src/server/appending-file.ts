/** A file that only grows, and never by half a line: what could not be written whole is taken back. */
import {closeSync, ftruncateSync, openSync, writeSync} from 'node:fs'

export class AppendingFile {
  readonly path: string
  readonly #handle: number
  /** Bytes that are safely the kernel's. */
  size = 0

  /** Creates the file; it must not be there yet. @throws NodeJS.ErrnoException */
  constructor(path: string) {
    this.path = path
    this.#handle = openSync(path, 'wx')
  }

  /** Hands `text` to the kernel: it then survives the end of this process, however sudden. @throws NodeJS.ErrnoException */
  append(text: string): void {
    const bytes = Buffer.from(text)
    let written = 0
    try {
      while (written < bytes.length)
        written += writeSync(this.#handle, bytes, written, bytes.length - written)
    } catch (error) {
      ftruncateSync(this.#handle, this.size)
      throw error
    }
    this.size += bytes.length
  }

  close(): void {
    closeSync(this.#handle)
  }
}
