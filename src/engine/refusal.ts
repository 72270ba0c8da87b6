/** Which requests an engine turns away at once, because they can never run (docs/scheduler.md, "A request"). */
import {mostPages} from '../catalogue/kv-groups.js'
import type {EngineConfig, Verdict} from './engine-config.js'

/** Why a request of `total` tokens, output included, can never run; undefined: it can. */
export function refusalOf(config: EngineConfig, total: number): Verdict {
  const {kvGroups} = config
  const {maxModelLen, numGpuBlocks, blockSize, enableChunkedPrefill, maxNumBatchedTokens} = config
  if (total > maxModelLen) {
    const message = `prompt and output are ${total} tokens, max_model_len is ${maxModelLen}`
    return {rule: 'model-length', message}
  }
  const most = mostTokens(config, total)
  const needed = kvGroups ? mostPages(kvGroups, most, config) : Math.ceil(most / blockSize)
  if (needed > numGpuBlocks) {
    return {rule: 'blocks', message: `it needs ${needed} KV blocks of ${numGpuBlocks}`}
  }
  if (!enableChunkedPrefill && total - 1 > maxNumBatchedTokens) {
    const message = `${total - 1} tokens exceed max_num_batched_tokens ${maxNumBatchedTokens} and chunked prefill is off`
    return {rule: 'batch', message}
  }
  return undefined
}

/** Tokens that it has in blocks at most: its last token never, but drafts of its last steps. */
function mostTokens({speculation, maxModelLen}: EngineConfig, total: number): number {
  return speculation ? Math.min(total - 1 + speculation.tokens, maxModelLen - 1) : total - 1
}
