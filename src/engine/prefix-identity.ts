/** Which blocks of which requests hold the same tokens, at the engine's block size. */
import type {PrefixColumn} from '../trace/trace.js'

export interface PrefixIdentity {
  /** Full blocks at the start of the request whose identity is known. */
  knownBlocks(row: number): number
  /** Blocks in a span; the last span of a request may be known in part. */
  readonly spanBlocks: number
  /** A number that two spans share only if all tokens up to their ends, as far as both are known, are equal. */
  spanId(row: number, span: number): number
}

/** No request shares anything. */
export const noPrefixes: PrefixIdentity = {
  knownBlocks: () => 0,
  spanBlocks: 1,
  spanId: () => Number.NaN,
}

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

/**
 * Identity from a trace's spans. Where blocks do not fit into spans, each block is a span of its own, known by the
 * span that holds its last token and by where it ends: equal spans are equal tokens from the start, so no reuse is
 * invented.
 */
export function prefixIdentity(prefix: PrefixColumn, blockSize: number): PrefixIdentity {
  const {spanTokens, offsets, ids, knownTokens} = prefix
  const knownBlocks = (row: number) => Math.floor(knownTokens[row]! / blockSize)
  if (spanTokens % blockSize === 0) {
    const spanBlocks = spanTokens / blockSize
    return {knownBlocks, spanBlocks, spanId: (row, span) => ids[offsets[row]! + span]!}
  }
  return {
    knownBlocks,
    spanBlocks: 1,
    spanId(row, block) {
      const end = (block + 1) * blockSize
      return mix(ids[offsets[row]! + Math.floor((end - 1) / spanTokens)]!, end)
    },
  }
}
