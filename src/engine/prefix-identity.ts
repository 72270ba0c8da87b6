/** Which blocks of which requests hold the same tokens, at the engine's block size. */
import type {PrefixColumn} from '../trace/trace.js'

export interface PrefixIdentity {
  /** Full blocks at the start of the request whose identity is known. */
  knownBlocks(row: number): number
  /** A number that two blocks share only if all tokens up to their ends are equal. */
  blockId(row: number, block: number): number
}

/** No request shares anything. */
export const noPrefixes: PrefixIdentity = {knownBlocks: () => 0, blockId: () => Number.NaN}

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
 * Identity from a trace's spans. A block that is not exactly one span is known by the span that holds its last
 * token and by where it ends: equal spans are equal tokens from the start, so no reuse is invented, and for spans
 * that are multiples of the block none is lost.
 */
export function prefixIdentity(prefix: PrefixColumn, blockSize: number): PrefixIdentity {
  const {spanTokens, offsets, ids, knownTokens} = prefix
  const knownBlocks = (row: number) => Math.floor(knownTokens[row]! / blockSize)
  if (spanTokens === blockSize) {
    return {knownBlocks, blockId: (row, block) => ids[offsets[row]! + block]!}
  }
  return {
    knownBlocks,
    blockId(row, block) {
      const end = (block + 1) * blockSize
      return mix(ids[offsets[row]! + Math.floor((end - 1) / spanTokens)]!, end)
    },
  }
}
