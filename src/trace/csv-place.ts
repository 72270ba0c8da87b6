/** Finding a cell of a CSV file again, to say where it is. */
import {closeSync, openSync, readSync} from 'node:fs'

/** The beginning of line `line` of a file, and what follows (up to 64 KiB). */
export function textFrom(file: string, line: number): string {
  const descriptor = openSync(file, 'r')
  try {
    const bytes = Buffer.alloc(64 * 1024)
    let position = 0
    for (let left = line - 1; left > 0; ) {
      const length = readSync(descriptor, bytes, 0, bytes.length, position)
      if (length === 0) break
      const read = bytes.subarray(0, length)
      let end = 0
      for (let at = read.indexOf(10); at >= 0 && left > 0; at = read.indexOf(10, end)) {
        end = at + 1
        left--
      }
      position += left > 0 ? length : end
    }
    const length = readSync(descriptor, bytes, 0, bytes.length, position)
    return bytes.toString('utf8', 0, length)
  } finally {
    closeSync(descriptor)
  }
}

export interface QuoteFault {
  readonly kind: 'never closed' | 'text behind' | 'inside'
  /** `line:column` of the quote that opens, or that stands inside of a cell. */
  readonly at: string
  /** `line:column` of what follows a closing quote. */
  readonly behind?: string
}

const quote = 34

/** Walks a CSV file to its first quote that breaks the rules: it opens a cell, is doubled inside, and closes it. */
export function quoteFault(file: string, delimiter: string): QuoteFault | undefined {
  const separator = delimiter.charCodeAt(0)
  const descriptor = openSync(file, 'r')
  const bytes = Buffer.alloc(1024 * 1024)
  let state: 'start' | 'plain' | 'quoted' | 'closed' = 'start'
  let line = 1
  let start = 0
  let opened = ''
  try {
    for (let position = 0; ; ) {
      const length = readSync(descriptor, bytes, 0, bytes.length, position)
      if (length === 0) return state === 'quoted' ? {kind: 'never closed', at: opened} : undefined
      const from = position === 0 && bytes.subarray(0, 3).toString('hex') === 'efbbbf' ? 3 : 0
      if (from > 0) start = from
      for (let i = from; i < length; i++) {
        const byte = bytes[i]!
        const place = () => `${line}:${position + i - start + 1}`
        if (byte === quote) {
          if (state === 'plain') return {kind: 'inside', at: place()}
          if (state === 'start') opened = place()
          state = state === 'quoted' ? 'closed' : 'quoted'
        } else if (state !== 'quoted') {
          const ends = byte === separator || byte === 10
          if (state === 'closed' && !ends && byte !== 13)
            return {kind: 'text behind', at: opened, behind: place()}
          if (state !== 'closed' || ends) state = ends ? 'start' : 'plain'
        }
        if (byte === 10) {
          line++
          start = position + i + 1
        }
      }
      position += length
    }
  } finally {
    closeSync(descriptor)
  }
}

/** Where cell `index` of the record that begins `text` is: lines below its first, and the column, from 1. */
export function placeOfCell(
  text: string,
  index: number,
  delimiter: string,
): {line: number; column: number} {
  let cells = 0
  let line = 0
  let start = 0
  let quoted = false
  for (let i = 0; i < text.length && cells < index; i++) {
    if (text[i] === '"') quoted = !quoted
    if (text[i] === '\n') {
      line++
      start = i + 1
    }
    if (text[i] === delimiter && !quoted && ++cells === index) return {line, column: i + 2 - start}
  }
  return {line, column: 1}
}
