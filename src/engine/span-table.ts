/**
 * Spans that can be found, by their identity: an open-addressing table in typed arrays. A Map makes an object of every
 * identity that it is asked for, as they are larger than its small numbers, and looks in three places for one.
 */
import {hashOf} from './number-index.js'

const empty = -1

export class SpanTable {
  /** Spans in the table. */
  size = 0
  #spans = new Float64Array(64)
  #pieces = new Int32Array(64).fill(empty)

  /** The piece of a span; −1: it has none. */
  get(span: number): number {
    return this.#pieces[this.#placeOf(span)]!
  }

  /** The span has a piece from now on, or another one. */
  set(span: number, piece: number): void {
    const place = this.#placeOf(span)
    const isNew = this.#pieces[place] === empty
    this.#spans[place] = span
    this.#pieces[place] = piece
    if (isNew && ++this.size * 2 > this.#pieces.length) this.#grow()
  }

  /** A span that has a piece has none any more. Those that had to go past it move up, so that no search ends early. */
  delete(span: number): void {
    const spans = this.#spans
    const pieces = this.#pieces
    const mask = pieces.length - 1
    let gap = this.#placeOf(span)
    this.size--
    for (let at = (gap + 1) & mask; pieces[at] !== empty; at = (at + 1) & mask) {
      const distance = (at - hashOf(spans[at]!)) & mask
      if (distance < ((at - gap) & mask)) continue
      spans[gap] = spans[at]!
      pieces[gap] = pieces[at]!
      gap = at
    }
    pieces[gap] = empty
  }

  /** Where a span is, or would be. */
  #placeOf(span: number): number {
    const spans = this.#spans
    const pieces = this.#pieces
    const mask = pieces.length - 1
    let at = hashOf(span) & mask
    while (pieces[at] !== empty && spans[at] !== span) at = (at + 1) & mask
    return at
  }

  #grow(): void {
    const spans = this.#spans
    const pieces = this.#pieces
    this.#spans = new Float64Array(2 * spans.length)
    this.#pieces = new Int32Array(2 * spans.length).fill(empty)
    for (let at = 0; at < pieces.length; at++) {
      if (pieces[at] === empty) continue
      const place = this.#placeOf(spans[at]!)
      this.#spans[place] = spans[at]!
      this.#pieces[place] = pieces[at]!
    }
  }
}
