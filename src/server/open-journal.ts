/** `FILE.open`: a line for each request that was accepted, so that none is forgotten should we be killed. */
import {renameSync, rmSync} from 'node:fs'
import {AppendingFile} from './appending-file.js'

/** From here on lines of requests that have ended are worth being thrown out. */
const compactAtBytes = 8 * 1024 * 1024

export class OpenJournal {
  readonly #path: string
  readonly #header: string
  readonly #lines = new Map<string, string>()
  #file: AppendingFile
  /** Lines that the kernel does not have yet. */
  #waiting: string[] = []

  /** @throws NodeJS.ErrnoException */
  constructor(path: string, header: string) {
    this.#path = path
    this.#header = header
    this.#file = new AppendingFile(path)
    this.#file.append(header)
  }

  /** A request is in the system. `line` reaches the file with the next `flush`. */
  add(requestId: string, line: string): void {
    this.#lines.set(requestId, line)
    this.#waiting.push(requestId)
  }

  /** Its row is in the trace, or will be with the same flush. */
  remove(requestId: string): void {
    this.#lines.delete(requestId)
  }

  /** Lines of requests that were added and not removed. @throws NodeJS.ErrnoException */
  flush(): void {
    if (this.#waiting.length === 0) return
    const text = this.#waiting.map((id) => this.#lines.get(id) ?? '').join('')
    if (text !== '') this.#file.append(text)
    this.#waiting = []
    if (this.#file.size > compactAtBytes) this.#compact()
  }

  /** A new file with what is open takes the place of the old one, in one move. */
  #compact(): void {
    const open = [...this.#lines.values()].join('')
    // Mostly open requests: nothing is won.
    if (open.length > compactAtBytes / 2) return
    const beside = `${this.#path}.new`
    rmSync(beside, {force: true})
    const file = new AppendingFile(beside)
    file.append(this.#header + open)
    renameSync(beside, this.#path)
    this.#file.close()
    this.#file = file
  }

  /** A journal for the next part of the trace, with all that is open. */
  moveTo(path: string): OpenJournal {
    this.flush()
    const next = new OpenJournal(path, this.#header)
    for (const [id, line] of this.#lines) next.add(id, line)
    next.flush()
    this.end()
    return next
  }

  /** Closes and removes the file. */
  end(): void {
    this.#file.close()
    rmSync(this.#path, {force: true})
  }

  /** Closes the file; it stays if somebody is still open. */
  close(): void {
    if (this.#lines.size === 0) this.end()
    else this.#file.close()
  }
}
