/** Columns that grow while a file is read: typed arrays that double, never arrays of boxed values. */
import type {Labels} from './trace.js'

export class GrowingFloats {
  length = 0
  #data = new Float64Array(1024)

  push(value: number): void {
    if (this.length === this.#data.length) this.#data = twiceAsLong(this.#data)
    this.#data[this.length++] = value
  }

  at(index: number): number {
    return this.#data[index]!
  }

  toArray(): Float64Array {
    return this.#data.slice(0, this.length)
  }
}

export class GrowingInts {
  length = 0
  #data = new Int32Array(1024)

  push(value: number): void {
    if (this.length === this.#data.length) this.#data = twiceAsLong(this.#data)
    this.#data[this.length++] = value
  }

  at(index: number): number {
    return this.#data[index]!
  }

  /** Appends `value` until there are `length` values. */
  padTo(length: number, value: number): void {
    while (this.length < length) this.push(value)
  }

  toArray(): Int32Array {
    return this.#data.slice(0, this.length)
  }
}

/** Few distinct strings, one code a row; rows that were skipped are absent (-1). */
export class GrowingLabels {
  readonly #codes = new GrowingInts()
  readonly #names: string[] = []
  readonly #codeOf = new Map<string, number>()

  /** Sets the label of `row`, which must lie after every row set before; returns its code. */
  set(row: number, name: string): number {
    let code = this.#codeOf.get(name)
    if (code === undefined) {
      code = this.#names.length
      this.#codeOf.set(name, code)
      this.#names.push(name)
    }
    this.#codes.padTo(row, -1)
    this.#codes.push(code)
    return code
  }

  has(name: string): boolean {
    return this.#codeOf.has(name)
  }

  get size(): number {
    return this.#names.length
  }

  /** Undefined when no row has a label. */
  finish(length: number): Labels | undefined {
    if (this.#names.length === 0) return undefined
    this.#codes.padTo(length, -1)
    return {codes: this.#codes.toArray(), names: this.#names}
  }
}

/** What every row has, in columns that grow together: one look for room, and one call, for each row. */
export class PlainColumns {
  length = 0
  #arrived = new Float64Array(512)
  #input = new Int32Array(512)
  #output = new Int32Array(512)
  #lines = new Float64Array(512)

  constructor() {
    // Written twice: V8 takes a field that was written once for a constant, and compiles its readers anew.
    this.#grow()
  }

  push(arrived: number, input: number, output: number, line: number): void {
    if (this.length === this.#lines.length) this.#grow()
    const row = this.length++
    this.#arrived[row] = arrived
    this.#input[row] = input
    this.#output[row] = output
    this.#lines[row] = line
  }

  lineOf(row: number): number {
    return this.#lines[row]!
  }

  toArrays(): {arrivedAt: Float64Array; inputTokens: Int32Array; outputTokens: Int32Array} {
    const {length} = this
    return {
      arrivedAt: this.#arrived.slice(0, length),
      inputTokens: this.#input.slice(0, length),
      outputTokens: this.#output.slice(0, length),
    }
  }

  #grow(): void {
    this.#arrived = twiceAsLong(this.#arrived)
    this.#input = twiceAsLong(this.#input)
    this.#output = twiceAsLong(this.#output)
    this.#lines = twiceAsLong(this.#lines)
  }
}

function twiceAsLong<T extends Int32Array | Float64Array>(column: T): T {
  const wider = new (column.constructor as new (length: number) => T)(2 * column.length)
  wider.set(column)
  return wider
}
