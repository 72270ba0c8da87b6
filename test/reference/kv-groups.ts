/** Groups of layers, one block table for each of their pages, in the plainest form. */
import type {Block} from './block-pool.js'

export interface ReferenceGroup {
  readonly sees: 'everything' | 'window' | 'chunk'
  readonly window: number
  readonly pages: number
}

/** By group: the pages of each block of a request; undefined where they went back. */
export type Tables = (Block[] | undefined)[][]

/** Blocks found at the start of a request: how many, and which pages of them its next token sees. */
export interface Hits {
  readonly length: number
  readonly tables: Tables
}

export const wholeContext: readonly ReferenceGroup[] = [{sees: 'everything', window: 0, pages: 1}]

/** Whether somebody who has computed `computed` tokens looks at a token of block `k` in its next step or later. */
export const isSeen = (
  {sees, window}: ReferenceGroup,
  {k, blockSize}: {readonly k: number; readonly blockSize: number},
  computed: number,
): boolean => {
  const last = (k + 1) * blockSize - 1
  if (sees === 'everything') return true
  // The next token has the position `computed`.
  if (sees === 'window') return last > computed - window
  return last >= Math.floor(computed / window) * window
}

/** Most blocks that vLLM takes a request of `tokens` tokens to have at once. */
export const mostBlocks = (
  {sees, window}: ReferenceGroup,
  tokens: number,
  limits: {
    readonly blockSize: number
    readonly maxNumBatchedTokens: number
    readonly maxModelLen: number
  },
): number => {
  const {blockSize, maxNumBatchedTokens, maxModelLen} = limits
  const whole = Math.ceil(tokens / blockSize)
  if (sees === 'everything') return whole
  if (sees === 'window') {
    const held = Math.min(window - 1 + maxNumBatchedTokens, maxModelLen)
    return Math.min(whole, Math.ceil(held / blockSize) + 1)
  }
  const held = Math.ceil(Math.min(window + maxNumBatchedTokens, maxModelLen) / blockSize)
  return Math.min(whole, window % blockSize === 0 ? held : held + 1)
}

/** All pages of some tables, in order of groups and blocks. */
export const pagesOf = (tables: Tables): Block[] => tables.flat().flatMap((block) => block ?? [])
