/** The KV cache of an engine: by runs of blocks, or by groups of layers where some keep a window only. */
import {BlockPool} from './block-pool.js'
import type {EngineConfig} from './engine-config.js'
import {GroupedBlocks} from './grouped-blocks.js'
import type {KvBelow} from './kv-below.js'
import type {PrefixIdentity} from './prefix-identity.js'
import {type PrefixMatch, RequestBlocks} from './request-blocks.js'
import type {RequestPool} from './request-pool.js'

/** The free memory: BlockPool, or PagePool where layers lie in groups. */
export type Pool = Pick<BlockPool, 'free' | 'total' | 'used' | 'work' | 'take'> & {
  readonly index: Pick<BlockPool['index'], 'isDirty'>
}

/** What requests hold of it: RequestBlocks, or GroupedBlocks. */
export type Blocks = Pick<
  RequestBlocks,
  | 'pagesPerBlock'
  | 'shareable'
  | 'count'
  | 'needed'
  | 'missing'
  | 'extend'
  | 'shrink'
  | 'enterFull'
  | 'enterPresent'
  | 'match'
  | 'adopt'
  | 'peek'
  | 'reach'
  | 'has'
  | 'hasOwn'
  | 'giveUp'
  | 'giveBack'
  | 'keep'
  | 'leave'
> & {
  /** Blocks, beside those of its hits, without which a request is not admitted: of `held` tokens, and of those up to `end`. */
  toAdmit(match: PrefixMatch, held: number, end: number): number
}

export interface KvCacheParts {
  readonly requests: RequestPool
  readonly identity: PrefixIdentity
  readonly below: KvBelow | undefined
}

export function kvCacheOf(
  config: EngineConfig,
  {requests, identity, below}: KvCacheParts,
): {readonly pool: Pool; readonly blocks: Blocks} {
  const {kvGroups} = config
  if (kvGroups === undefined) {
    const pool = new BlockPool(config.numGpuBlocks)
    if (below) pool.tell(below)
    return {pool, blocks: new RequestBlocks({pool, requests, identity, rules: config, below})}
  }
  if (below) throw new Error('an engine with KV cache groups has no memory tiers')
  const blocks = new GroupedBlocks({config, groups: kvGroups, requests, identity})
  return {pool: blocks.pool, blocks}
}
