/** Collects the prefix identity of rows whose files may count it in blocks of different sizes. */
import {derivedId} from './block-ids.js'
import {GrowingFloats, GrowingInts} from './growing.js'
import type {PrefixColumn} from './trace.js'

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

export class PrefixBuilder {
  readonly #ids = new GrowingFloats()
  readonly #ends = new GrowingFloats()
  readonly #spans = new GrowingInts()
  readonly #known = new GrowingInts()
  #common = 0

  /** Tokens per span that all rows so far can be counted in; 0: none has identity. */
  get spanTokens(): number {
    return this.#common
  }

  /** Sets the identity of `row`, which must lie after every row set before. */
  set(row: number, span: number, ids: readonly number[], known: number): void {
    this.#pad(row)
    for (const id of ids) this.#ids.push(id)
    this.#ends.push(this.#ids.length)
    this.#spans.push(span)
    this.#known.push(known)
    this.#common = gcd(span, this.#common)
  }

  #pad(length: number): void {
    while (this.#ends.length < length) {
      this.#ends.push(this.#ids.length)
      this.#spans.push(0)
      this.#known.push(0)
    }
  }

  /** Undefined when no row has identity. Rows of larger blocks are cut into the common size. */
  finish(length: number): PrefixColumn | undefined {
    const spanTokens = this.#common
    if (spanTokens === 0) return undefined
    this.#pad(length)
    const offsets = new Float64Array(length + 1)
    const out = new GrowingFloats()
    for (let row = 0, from = 0; row < length; row++) {
      const to = this.#ends.at(row)
      const parts = this.#spans.at(row) / spanTokens
      const wanted = Math.ceil(this.#known.at(row) / spanTokens)
      for (let i = from; i < to; i++) {
        const id = this.#ids.at(i)
        // Every part of a block is identified by the whole block, which is all that is known.
        for (let k = 0; k < parts && out.length - offsets[row]! < wanted; k++)
          out.push(parts === 1 ? id : derivedId(id, k))
      }
      offsets[row + 1] = out.length
      from = to
    }
    return {spanTokens, offsets, ids: out.toArray(), knownTokens: this.#known.toArray()}
  }
}
