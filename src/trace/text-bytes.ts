/** Whether bytes are text in UTF-8, and what they are instead. */
import {isUtf8} from 'node:buffer'
import {closeSync, openSync, readSync} from 'node:fs'
import {Problem} from '../errors.js'

const kinds: readonly (readonly [magic: string, what: string, fix: string])[] = [
  ['1f8b', 'compressed with gzip', 'unpack it: gunzip'],
  ['28b52ffd', 'compressed with zstd', 'unpack it: unzstd'],
  ['425a68', 'compressed with bzip2', 'unpack it: bunzip2'],
  ['fd377a585a', 'compressed with xz', 'unpack it: unxz'],
  [
    '504b0304',
    'a zip archive (or an Excel workbook)',
    'unpack it, or save the sheet as CSV: unzip',
  ],
  ['d0cf11e0', 'an Excel workbook', 'save the sheet as CSV'],
  ['50415231', 'a Parquet file', 'convert it to CSV'],
  ['4152524f57', 'an Arrow file', 'convert it to CSV'],
  ['53514c69746520', 'an SQLite database', 'export the table as CSV'],
]

/** Half of the bytes of text in UTF-16 are 0, all at even or all at odd places. */
function isUtf16(head: Buffer): boolean {
  if (/^(fffe|feff)/.test(head.subarray(0, 2).toString('hex'))) return true
  const sample = head.subarray(0, 512)
  const zeros = [0, 0]
  for (const [at, byte] of sample.entries()) if (byte === 0) zeros[at % 2]!++
  return sample.length >= 8 && Math.max(...zeros) > sample.length / 3 && Math.min(...zeros) === 0
}

/** Refuses a file by its first bytes. @throws Problem TRACE_BINARY */
export function refuseBinary(path: string, head: Buffer): void {
  const start = head.subarray(0, 8).toString('hex')
  const known = kinds.find(([magic]) => start.startsWith(magic))
  if (known !== undefined) {
    const [, what, fix] = known
    throw binary(path, what, fix.endsWith('CSV') ? fix : `${fix} ${path}`)
  }
  if (isUtf16(head))
    throw binary(
      path,
      'text in UTF-16',
      `save it as UTF-8: iconv -f UTF-16 -t UTF-8 ${path} > utf8.csv`,
    )
  let control = false
  for (let i = 0; i < Math.min(head.length, 1024) && !control; i++) {
    const byte = head[i]!
    control = byte < 32 && byte !== 0 && byte !== 9 && byte !== 10 && byte !== 13 && byte !== 12
  }
  if (control) throw binary(path, 'binary', 'convert it to CSV')
}

const binary = (path: string, what: string, fix: string): Problem =>
  new Problem(
    'TRACE_BINARY',
    `${path}: the file is ${what}; a trace is UTF-8 text (CSV, JSONL or JSON).`,
    {suggestions: [fix]},
  )

/** Refuses whole lines, from byte `position` of a file on, that are not text. @throws Problem TRACE_BINARY */
export function checkText(path: string, bytes: Buffer, position: number): void {
  const zero = bytes.indexOf(0)
  const at = zero >= 0 ? zero : isUtf8(bytes) ? -1 : firstWrong(bytes)
  if (at < 0) return
  const where = placeOf(path, position + at)
  const hex = bytes[at]!.toString(16).padStart(2, '0')
  throw zero >= 0
    ? new Problem('TRACE_BINARY', `${where}: a NUL byte stands here; a trace is text.`, {
        suggestions: ["fetch the file again, or remove it: tr -d '\\0' < FILE > clean.csv"],
      })
    : new Problem(
        'TRACE_BINARY',
        `${where}: the byte ${hex} is not UTF-8 (Latin-1, as of Excel?); a trace is UTF-8 text.`,
        {suggestions: [`save it as UTF-8: iconv -f LATIN1 -t UTF-8 ${path} > utf8.csv`]},
      )
}

/** Where the first character begins that is none. */
function firstWrong(bytes: Buffer): number {
  let at = 0
  while (at < bytes.length) {
    const lead = bytes[at]!
    const size = lead < 128 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2
    if (size > 1 && !isUtf8(bytes.subarray(at, at + size))) return at
    at += size
  }
  return -1
}

/** `file:line:column` of a byte. */
function placeOf(path: string, offset: number): string {
  const file = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(1024 * 1024)
    let line = 1
    let start = 0
    for (let position = 0; position < offset; ) {
      const length = readSync(file, bytes, 0, Math.min(bytes.length, offset - position), position)
      if (length === 0) break
      for (let at = bytes.indexOf(10); at >= 0 && at < length; at = bytes.indexOf(10, at + 1)) {
        line++
        start = position + at + 1
      }
      position += length
    }
    return `${path}:${line}:${offset - start + 1}`
  } finally {
    closeSync(file)
  }
}
