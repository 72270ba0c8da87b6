/**
 * CSV rows as bytes: numbers go digit by digit into one buffer. Building a string per row took as long as simulating
 * the request that the row is about.
 */
import {closeSync, openSync, writeSync} from 'node:fs'
import {dirname} from 'node:path'
import {makeFolders, notWritable} from '../make-folder.js'
import {csvCell} from './row-file.js'

const bufferBytes = 1 << 20
/** By exponent: computing one takes as long as writing a cell. */
const powersOfTen = [1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9]

/** More than any number and separator take; texts check for themselves. */
const roomBytes = 64
const comma = 44
const newline = 10
const zero = 48
const minus = 45
const point = 46

/** Writes cells in order: each method one cell, `endRow` instead of the last separator. */
export class ByteRows {
  readonly path: string
  readonly #handle: number
  readonly #bytes = Buffer.allocUnsafe(bufferBytes)
  #at = 0

  /** @throws Problem OUTPUT_NOT_WRITABLE */
  constructor(path: string, header: string) {
    this.path = path
    try {
      makeFolders(dirname(path))
      this.#handle = openSync(path, 'w')
    } catch (cause) {
      throw notWritable(path, cause)
    }
    this.#text(header)
    this.#bytes[this.#at++] = newline
  }

  text(value: string): void {
    this.#text(csvCell(value))
    this.#bytes[this.#at++] = comma
  }

  empty(): void {
    this.#reserve(roomBytes)
    this.#bytes[this.#at++] = comma
  }

  whole(value: number): void {
    this.#reserve(roomBytes)
    this.#digits(value, 1)
    this.#bytes[this.#at++] = comma
  }

  /** Whole ns with the point `digits` from the right: 9 for seconds, 6 for ms. Empty for what did not happen. */
  time(ns: number, digits: 6 | 9): void {
    this.#reserve(roomBytes)
    if (Number.isFinite(ns)) {
      const size = Math.abs(ns)
      const scale = digits === 9 ? 1e9 : 1e6
      const whole = Math.floor(size / scale)
      if (ns < 0) this.#bytes[this.#at++] = minus
      this.#digits(whole, 1)
      this.#bytes[this.#at++] = point
      this.#digits(size - whole * scale, digits)
    }
    this.#bytes[this.#at++] = comma
  }

  /** Ends the row behind the last cell. */
  endRow(): void {
    this.#bytes[this.#at - 1] = newline
  }

  /** Must be called: what is still in memory goes to the file. */
  close(): void {
    try {
      this.#flush()
    } finally {
      closeSync(this.#handle)
    }
  }

  /** A whole number of at least 0, with leading zeros up to `width`. */
  #digits(value: number, width: number): void {
    let count = width
    for (let limit = powersOfTen[width]!; value >= limit; limit *= 10) count++
    let rest = value
    for (let i = this.#at + count - 1; i >= this.#at; i--) {
      const tenth = Math.floor(rest / 10)
      this.#bytes[i] = zero + (rest - tenth * 10)
      rest = tenth
    }
    this.#at += count
  }

  #text(value: string): void {
    if (value.length * 3 + roomBytes > bufferBytes) {
      this.#flush()
      this.#write(Buffer.from(value))
      return
    }
    this.#reserve(value.length * 3 + roomBytes)
    this.#at += this.#bytes.write(value, this.#at)
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes > bufferBytes) this.#flush()
  }

  #flush(): void {
    this.#write(this.#bytes.subarray(0, this.#at))
    this.#at = 0
  }

  #write(bytes: Uint8Array): void {
    try {
      // A pipe or a full disk may take a part only.
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#handle, bytes, at)
    } catch (cause) {
      throw notWritable(this.path, cause)
    }
  }
}
