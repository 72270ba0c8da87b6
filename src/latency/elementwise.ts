/**
 * The small kernels of a layer: norms, activation, rotary embedding and cache write only move bytes. What fits half of
 * the cache stays there between one kernel and the next and moves three times as fast as from memory, the rest at 0.8 of
 * the bandwidth (aiconfigurator's figure for memory operations). Both shares were found in layer profiles of
 * LLMServingSim: 16 % mean error on the RTX 4090 and 18 % on the RTX PRO 6000, against 117 and 158 % with all bytes from
 * memory. Their launches are part of the host's time per layer.
 */
import type {Hardware} from '../catalogue/hardware-shape.js'
import type {LayerGroup} from '../catalogue/model-shape.js'

const memoryEfficiency = 0.8
const cacheSpeedup = 3
const cacheShare = 0.5

/** ns of the small kernels of one layer, for so many tokens on one of `tp` ranks. */
export const elementwiseNs = (
  group: LayerGroup,
  {hiddenSize, tp}: {hiddenSize: number; tp: number},
  {bandwidthGbS, l2Mb}: Pick<Hardware, 'bandwidthGbS' | 'l2Mb'>,
): ((tokens: number) => number) => {
  const kernels = elementsPerToken(group, hiddenSize, tp)
  const kept = cacheShare * (l2Mb ?? 0) * 2 ** 20
  return (tokens) => {
    let ns = 0
    for (const elements of kernels) {
      const bytes = 2 * elements * tokens
      const inside = Math.min(bytes, kept)
      ns += inside / (bandwidthGbS * cacheSpeedup)
      ns += (bytes - inside) / (bandwidthGbS * memoryEfficiency)
    }
    return ns
  }
}

/**
 * Elements that each kernel moves per token: two residual norms (2 hidden sizes each, as the other half stays in
 * cache), the gated activation (3 intermediate sizes), rotary and cache write.
 */
const elementsPerToken = (group: LayerGroup, hiddenSize: number, tp: number): readonly number[] => {
  const {attention, mlp} = group
  const heads =
    attention.kind === 'grouped'
      ? (attention.queryHeads * attention.headDim) / tp +
        Math.ceil(attention.keyValueHeads / tp) * (attention.headDim + attention.valueHeadDim)
      : (attention.queryHeads * (attention.nopeHeadDim + attention.ropeHeadDim)) / tp +
        attention.keyValueRank +
        attention.ropeHeadDim
  return [2 * hiddenSize, 2 * hiddenSize, (3 * mlp.denseIntermediate) / tp, heads]
}
