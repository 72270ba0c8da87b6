/** Which blocks of which requests hold the same tokens, at the engine's block size. */
import type {PrefixColumn} from '../trace/trace.js'
import {enlarged} from './columns.js'
import {NumberIndex} from './number-index.js'

/**
 * The blocks of a request as spans: stretches with one identity. Two requests that share a block share the start of
 * its span, so the block has the same place in it for both.
 */
export interface PrefixIdentity {
  /** Full blocks at the start of the request whose identity is known. */
  knownBlocks(row: number): number
  /** Number of the span that holds a known block. */
  spanAt(row: number, block: number): number
  /** First block of a span, and the first behind it (which may lie beyond the known blocks). */
  spanStart(row: number, span: number): number
  spanEnd(row: number, span: number): number
  /** A number that two spans share only if all tokens up to their ends, as far as both are known, are equal. */
  spanId(row: number, span: number): number
}

/** Spans of equal length. */
export interface EvenSpans {
  knownBlocks(row: number): number
  readonly spanBlocks: number
  spanId(row: number, span: number): number
}

export const evenSpans = ({knownBlocks, spanBlocks, spanId}: EvenSpans): PrefixIdentity => ({
  knownBlocks,
  spanAt: (_row, block) => Math.floor(block / spanBlocks),
  spanStart: (_row, span) => span * spanBlocks,
  spanEnd: (_row, span) => (span + 1) * spanBlocks,
  spanId,
})

/** No request shares anything. */
export const noPrefixes: PrefixIdentity = evenSpans({
  knownBlocks: () => 0,
  spanBlocks: 1,
  spanId: () => Number.NaN,
})

/** 53-bit mix of an id and a position: two 32-bit lanes of a murmur-style finaliser. */
function mix(id: number, position: number): number {
  const low = id >>> 0
  const high = Math.floor(id / 0x1_0000_0000) >>> 0
  let a = Math.imul(low ^ Math.imul(position, 0x9e3779b1), 0x85ebca6b)
  let b = Math.imul(high ^ Math.imul(position, 0xc2b2ae35) ^ (a >>> 15), 0x27d4eb2f)
  a = Math.imul(a ^ (b >>> 13), 0x165667b1)
  b = Math.imul(b ^ (a >>> 16), 0x9e3779b1)
  a ^= b >>> 14
  return (b >>> 11) * 0x1_0000_0000 + (a >>> 0)
}

/** Chained ids of stretches of equal length, by row: a trace's column, or requests that are still being served. */
export interface SpanIds {
  readonly spanTokens: number
  /** Tokens of prompt ++ output whose identity is known. */
  knownTokens(row: number): number
  idAt(row: number, span: number): number
}

/**
 * Identity from ids of any stretch. Where blocks do not fit into spans, each block is a span of its own, known by the
 * span that holds its last token and by where it ends: equal spans are equal tokens from the start, so no reuse is
 * invented.
 */
export function spanIdentity(source: SpanIds, blockSize: number): PrefixIdentity {
  const {spanTokens} = source
  const knownBlocks = (row: number) => Math.floor(source.knownTokens(row) / blockSize)
  if (spanTokens % blockSize === 0) {
    const spanBlocks = spanTokens / blockSize
    return evenSpans({knownBlocks, spanBlocks, spanId: (row, span) => source.idAt(row, span)})
  }
  return evenSpans({
    knownBlocks,
    spanBlocks: 1,
    spanId(row, block) {
      const end = (block + 1) * blockSize
      return mix(source.idAt(row, Math.floor((end - 1) / spanTokens)), end)
    },
  })
}

/** Identity from a trace's spans; those of the engine's block size are joined to longer ones, which changes nothing but the speed. */
export function prefixIdentity(
  prefix: PrefixColumn,
  blockSize: number,
  spans: 'joined' | 'single' = 'joined',
): PrefixIdentity {
  const {spanTokens, offsets, ids, knownTokens} = prefix
  if (spanTokens === blockSize && spans === 'joined') {
    return joinedSpans(prefix, (row) => Math.floor(knownTokens[row]! / blockSize))
  }
  const source: SpanIds = {
    spanTokens,
    knownTokens: (row) => knownTokens[row]!,
    idAt: (row, span) => ids[offsets[row]! + span]!,
  }
  return spanIdentity(source, blockSize)
}

const nobody = -1
const several = -2

/**
 * Single blocks joined to the longest spans that no request leaves in the middle for another block: what all requests
 * of a group share, or one has alone, is one span, however many blocks it has. Known only once a whole trace is.
 */
function joinedSpans(prefix: PrefixColumn, knownBlocks: (row: number) => number): PrefixIdentity {
  const {offsets, ids} = prefix
  const rows = offsets.length - 1
  const isFirst = firstBlocks(prefix)
  const from = new Float64Array(rows + 1)
  let spans = 0
  for (let row = 0; row < rows; row++) {
    from[row] = spans
    for (let at = offsets[row]!; at < offsets[row + 1]!; at++) spans += isFirst[at]!
  }
  from[rows] = spans
  const start = new Int32Array(spans)
  const id = new Float64Array(spans)
  let span = 0
  for (let row = 0; row < rows; row++) {
    const begin = offsets[row]!
    for (let at = begin; at < offsets[row + 1]!; at++) {
      if (isFirst[at] === 0) continue
      start[span] = at - begin
      id[span++] = ids[at]!
    }
  }
  return {
    knownBlocks,
    spanAt(row, block) {
      let low = from[row]!
      let high = from[row + 1]! - 1
      while (low < high) {
        const middle = (low + high + 1) >>> 1
        if (start[middle]! <= block) low = middle
        else high = middle - 1
      }
      return low - from[row]!
    },
    spanStart: (row, index) => start[from[row]! + index]!,
    spanEnd(row, index) {
      const at = from[row]! + index + 1
      return at < from[row + 1]! ? start[at]! : offsets[row + 1]! - offsets[row]!
    },
    spanId: (row, index) => id[from[row]! + index]!,
  }
}

/**
 * For each block of each row whether it starts a span: behind a fork, behind unequal blocks, or at the start. What
 * followed a block first mostly follows it again, and was numbered right behind it: that is looked at before the table.
 */
function firstBlocks({offsets, ids}: PrefixColumn): Uint8Array {
  const numbers = new NumberIndex()
  let before = new Int32Array(1024)
  let behind = new Int32Array(1024)
  let first = new Int32Array(1024)
  const numbered = new Int32Array(ids.length)
  for (let row = 0; row + 1 < offsets.length; row++) {
    let previous = nobody
    const end = offsets[row + 1]!
    for (let at = offsets[row]!; at < end; at++) {
      const id = ids[at]!
      const guess = previous >= 0 ? first[previous]! : nobody
      const known = numbers.size
      const number = guess >= 0 && numbers.at(guess) === id ? guess : numbers.place(id)
      if (number === known) {
        if (number === before.length) {
          before = enlarged(before, number * 2)
          behind = enlarged(behind, number * 2)
          first = enlarged(first, number * 2)
        }
        before[number] = previous
        behind[number] = first[number] = nobody
      } else if (before[number] !== previous) before[number] = several
      if (previous >= 0 && behind[previous] !== number) {
        if (behind[previous] === nobody) behind[previous] = first[previous] = number
        else behind[previous] = several
      }
      numbered[at] = number
      previous = number
    }
  }
  const isFirst = new Uint8Array(ids.length)
  for (let row = 0; row + 1 < offsets.length; row++) {
    const end = offsets[row + 1]!
    for (let at = offsets[row]!; at < end; at++) {
      const previous = before[numbered[at]!]!
      if (previous < 0 || behind[previous] === several) isFirst[at] = 1
    }
  }
  return isFirst
}
