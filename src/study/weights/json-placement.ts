/** `placement` of LLMServingSim's cluster files on our own clock: the same places, our streaming. */
import type {BlockPart} from '../../catalogue/model-arithmetic.js'
import {layerCount, type ModelShape} from '../../catalogue/model-shape.js'
import type {ClusterFile, ClusterInstance} from '../../compat/cluster-json.js'
import {Problem} from '../../errors.js'
import type {Placed} from '../ranks.js'
import {sharingMemories} from './cluster-weights.js'
import type {OuterLayer, WeightMap, WeightPlace, WeightRequest} from './rules.js'

/** Its names of what has weights; q and k norms and the last norm are too small to count. */
const kernelsOf: Readonly<Record<BlockPart | OuterLayer, readonly string[]>> = {
  attention: ['qkv_proj', 'o_proj'],
  mlp: ['gate_up_proj', 'down_proj'],
  experts: ['moe'],
  other: ['layernorm'],
  embedding: ['embedding'],
  lm_head: ['lm_head'],
}

/** @throws Problem NOT_BUILT where a part of a block is torn apart */
export function weightsOfPlacement(
  {placement, path}: ClusterInstance,
  model: ModelShape,
): WeightRequest | undefined {
  if (placement === undefined) return undefined
  const placeOf = (part: BlockPart | OuterLayer, block?: number): WeightPlace => {
    const ofBlock = block === undefined ? undefined : placement.blocks.get(block)
    const [first, ...others] = kernelsOf[part].map(
      (name) => placement.layers.get(name) ?? ofBlock ?? placement.default,
    )
    if (others.some((place) => kindOf(place) !== kindOf(first!)))
      throw torn(path, kernelsOf[part].join(' and '))
    return kindOf(first!)
  }
  const layers = {embedding: placeOf('embedding'), lm_head: placeOf('lm_head')}
  if (model.tiedEmbeddings && layers.embedding !== layers.lm_head)
    throw torn(path, 'embedding and lm_head (one table)')
  const map: WeightMap = {
    blocks: Array.from({length: layerCount(model)}, (_, block) => ({
      attention: placeOf('attention', block),
      mlp: placeOf('mlp', block),
      experts: placeOf('experts', block),
      other: placeOf('other', block),
    })),
    layers,
  }
  return {place: {map}, prefetch: 1}
}

/** Its CXL devices are one memory at the rate of one: a device of the engine reads from one at a time. */
const kindOf = (place: string): WeightPlace => (place === 'npu' || place === 'cpu' ? place : 'cxl')

const torn = (path: string, what: string): Problem =>
  new Problem('NOT_BUILT', `${path}.placement: ${what} lie in different places.`, {
    suggestions: ['Give both the same place.', '--compat llmservingsim, with --profiles DIR'],
  })

/** Engines of a node share its memory, and CXL memory. Sizes are not checked. */
export function sharingNodes(placed: readonly Placed[], {cxl}: ClusterFile): Placed[] {
  const nodes = new Map<number, Placed[]>()
  for (const one of placed) {
    const {node} = one.instance.machine!.instance
    nodes.set(node, [...(nodes.get(node) ?? []), one])
  }
  const anySize = {capacityBytes: undefined, devices: undefined}
  return [...nodes.values()].flatMap((members) => {
    const {hostMemory} = members[0]!.instance.machine!.instance
    return sharingMemories(members, {
      cpu: {...anySize, gbPerS: hostMemory.bandwidthGb, latencyNs: hostMemory.latencyNs},
      cxl: cxl && {...anySize, gbPerS: cxl.bandwidthGb, latencyNs: cxl.latencyNs},
    })
  })
}
