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
