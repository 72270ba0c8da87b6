/** Columns that grow while a file is read: typed arrays that double, never arrays of boxed values. */
import type {Labels} from './trace.js'

export class GrowingFloats {
  length = 0
  #data = new Float64Array(1024)

  push(value: number): void {
    if (this.length === this.#data.length) {
      const wider = new Float64Array(this.length * 2)
      wider.set(this.#data)
      this.#data = wider
    }
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
    if (this.length === this.#data.length) {
      const wider = new Int32Array(this.length * 2)
      wider.set(this.#data)
      this.#data = wider
    }
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
