/** How much of the prompts of a trace a cache that forgets nothing would hold. */
import {IdTable} from './id-table.js'
import type {PrefixColumn, Trace} from './trace.js'

/** Block size at which reuse is counted, as engines cache by default. */
const cacheBlock = 16

export interface ReuseInfo {
  /** Share of prompt tokens in whole blocks that were seen before. */
  readonly prompt_share: number
  readonly prompt_tokens: number
  /** Different whole blocks of prompts and outputs whose tokens are known. */
  readonly unique_blocks: number
  readonly block_tokens: number
}

/** Id → how many tokens of its span somebody has left in the cache. */
type Held = IdTable

/** Tokens of row `row`, up to `reach`, that are held from the start on. */
function foundIn(held: Held, {spanTokens, offsets, ids}: PrefixColumn, row: number, reach: number) {
  let found = 0
  for (let at = offsets[row]!; at < offsets[row + 1]! && found < reach; at++) {
    const part = Math.min(held.get(ids[at]!), reach - found)
    found += part
    if (part < spanTokens) break
  }
  return found
}

function leaveIn(held: Held, {spanTokens, offsets, ids, knownTokens}: PrefixColumn, row: number) {
  let left = knownTokens[row]!
  for (let at = offsets[row]!; at < offsets[row + 1]!; at++, left -= spanTokens) {
    const part = Math.min(spanTokens, left)
    if (part > held.get(ids[at]!)) held.set(ids[at]!, part)
  }
}

/**
 * Requests in order of the trace, each leaving all tokens of known identity behind; a prompt reuses
 * whole blocks from its start on. Null when the trace has no identity.
 */
export function reuseOf(trace: Trace): ReuseInfo | null {
  const {prefix} = trace
  if (!prefix) return null
  const held: Held = new IdTable()
  let reused = 0
  let prompts = 0
  for (let row = 0; row < trace.length; row++) {
    const input = trace.inputTokens[row]!
    prompts += input
    const reach = Math.min(input, prefix.knownTokens[row]!)
    reused += Math.floor(foundIn(held, prefix, row, reach) / cacheBlock) * cacheBlock
    leaveIn(held, prefix, row)
  }
  const size = Math.min(cacheBlock, prefix.spanTokens)
  let blocks = 0
  for (const part of held.values()) blocks += Math.floor(part / size)
  return {
    prompt_share: reused / prompts,
    prompt_tokens: prompts,
    unique_blocks: Math.floor((blocks * size) / cacheBlock),
    block_tokens: cacheBlock,
  }
}
