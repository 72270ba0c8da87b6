/** A stream of server-sent events, cut into events as its bytes come. */

const newline = 10
const carriage = 13

/** Where the first event ends: behind its blank line; -1: it is not complete. */
function endOfEvent(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(newline, from); at >= 0; at = bytes.indexOf(newline, at + 1)) {
    const next = bytes[at + 1] === carriage ? at + 2 : at + 1
    if (bytes[next] === newline) return next + 1
  }
  return -1
}

export class EventSplitter {
  #rest: Buffer = Buffer.alloc(0)

  /** Whole events, as they came. */
  push(chunk: Buffer): Buffer[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const events: Buffer[] = []
    let from = 0
    for (let end = endOfEvent(bytes, from); end >= 0; end = endOfEvent(bytes, from)) {
      events.push(bytes.subarray(from, end))
      from = end
    }
    this.#rest = bytes.subarray(from)
    return events
  }

  /** What is left of an event that never ended. */
  get rest(): Buffer {
    return this.#rest
  }
}

/** The data of an event; undefined: it has none. */
export function dataOf(event: Buffer): string | undefined {
  const lines = event.toString().split(/\r?\n/)
  const data = lines.filter((line) => line.startsWith('data:'))
  if (data.length === 0) return undefined
  return data.map((line) => line.slice(line[5] === ' ' ? 6 : 5)).join('\n')
}
