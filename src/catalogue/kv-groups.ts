/**
 * KV cache groups of models whose layers do not all see the whole context, as vLLM's hybrid KV cache manager has them:
 * one pool of pages of one size, and for each group of layers a block table of its own. Of its sliding-window layers a
 * request keeps only blocks that a later token can still see. (vLLM, docs/design/hybrid_kv_cache_manager.md)
 */

/** Groups of layers that see alike, so that a request has as many blocks in each of them. */
export interface KvGroup {
  /** Everything, the last `window` tokens (its own included), or the chunk of so many that a token lies in. */
  readonly sees: 'everything' | 'window' | 'chunk'
  /** Tokens; 0 where it sees everything. */
  readonly window: number
  /** Pages of the pool for one block: one for each group. */
  readonly pages: number
}

/** What bounds the blocks that a request ever has in a group with a window. */
export interface BlockLimits {
  readonly blockSize: number
  readonly maxNumBatchedTokens: number
  readonly maxModelLen: number
}

/** First blocks of a request that no token behind the `computed` first ones sees. */
export function unseenBlocks({sees, window}: KvGroup, computed: number, blockSize: number): number {
  if (sees === 'everything') return 0
  const first = sees === 'window' ? computed - window + 1 : computed - (computed % window)
  return Math.max(0, Math.floor(first / blockSize))
}

/** Most blocks that a request of `tokens` tokens has in a group at once: what a step sees, and what it computes. */
export function mostBlocks(group: KvGroup, tokens: number, limits: BlockLimits): number {
  const {blockSize, maxNumBatchedTokens, maxModelLen} = limits
  const all = Math.ceil(tokens / blockSize)
  if (group.sees === 'everything') return all
  const seen = group.sees === 'window' ? group.window - 1 : group.window
  const held = Math.ceil(Math.min(seen + maxNumBatchedTokens, maxModelLen) / blockSize)
  // What is seen need not begin with a block.
  const isCut = group.sees === 'window' || group.window % blockSize > 0
  return Math.min(all, held + (isCut ? 1 : 0))
}

/** Pages that one block of a request takes in all groups. */
export const pagesPerBlock = (groups: readonly KvGroup[]): number =>
  groups.reduce((sum, {pages}) => sum + pages, 0)

/** Whether a request that computes a token a step leaves a block just where it fills one. */
export const leavesAsItFills = (groups: readonly KvGroup[], blockSize: number): boolean =>
  groups.every(({sees, window}) => sees !== 'chunk' && window % blockSize === 0)

/** Most pages that a request of `tokens` tokens takes. */
export const mostPages = (
  groups: readonly KvGroup[],
  tokens: number,
  limits: BlockLimits,
): number => groups.reduce((sum, group) => sum + group.pages * mostBlocks(group, tokens, limits), 0)

/** The longest request for which `pages` pages are enough, up to `most` tokens. */
export function longestRequest(
  groups: readonly KvGroup[],
  pages: number,
  most: number,
  limits: Omit<BlockLimits, 'maxModelLen'>,
): number {
  let [fits, fitsNot] = [0, most + 1]
  while (fitsNot - fits > 1) {
    const middle = Math.floor((fits + fitsNot) / 2)
    if (mostPages(groups, middle, {...limits, maxModelLen: middle}) <= pages) fits = middle
    else fitsNot = middle
  }
  return fits
}
