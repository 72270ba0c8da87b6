/**
 * The small kernels of a layer: norms, activation, rotary embedding and cache write only move bytes. What fits half of
 * the cache stays there between one kernel and the next and moves three times as fast as from memory, the rest at 0.8 of
 * the bandwidth (aiconfigurator's figure for memory operations). Both shares were found in layer profiles of
 * LLMServingSim: 16 % mean error on the RTX 4090 and 18 % on the RTX PRO 6000, against 117 and 158 % with all bytes from
 * memory. Their launches are part of the host's time per layer, which is that of the four of a Llama layer; other layers
 * have more of them.
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

/** Two norms, rotary embedding and activation: what the host's time per layer was fitted to. */
const plainKernels = 4

/**
 * Small kernels of a layer, over those of a Llama layer. Each takes 2.0 to 2.7 µs from one token on (layer profiles of
 * LLMServingSim), which four of them make the 9 µs that serving runs say. Norms of queries and keys are one more; latent
 * attention has norms of both compressions, a copy of each part of the query, and a write of its own into the cache; routed
 * experts have a router's choice in place of the activation, which is part of their kernel, and shared ones, whose
 * activation runs beside them on a stream of its own, a sum.
 */
export const smallKernels = ({attention, mlp}: LayerGroup): number => {
  const attending = attention.kind === 'latent' ? 5 : attention.qkNorm ? 1 : 0
  const shared = mlp.experts !== null && mlp.denseIntermediate > 0 ? 1 : 0
  return (plainKernels + attending + shared) / plainKernels
}
