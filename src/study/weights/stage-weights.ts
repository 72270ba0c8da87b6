/** How many bytes of a model's weights lie outside of one device of each stage, block by block. */

import {type MemoryKind, memoryKinds} from '../../catalogue/memory-devices.js'
import {
  type BlockPart,
  blockParts,
  blockWeightBytes,
  stageWeightBytes,
  type WeightBytes,
} from '../../catalogue/model-arithmetic.js'
import {layerCount} from '../../catalogue/model-shape.js'
import {checkParallelism, stageLayers} from '../../catalogue/parallelism.js'
import {Problem} from '../../errors.js'
import type {Instance} from '../instance.js'
import {type WeightMap, type WeightRequest, weightMap} from './rules.js'

export const outsideKinds = memoryKinds
export type OutsideKind = MemoryKind

/** Bytes of one device, by the memory that has them. */
export type Away = Readonly<Record<OutsideKind, number>>

export interface StageWeights {
  readonly total: number
  readonly blockBytes: number
  readonly blocks: readonly Away[]
  /** Of these bytes, the routed experts. */
  readonly experts: readonly Away[]
  /** Its own bytes; of a tied table those of the table, which are then counted with the head alone. */
  readonly head: Away
  readonly embedding: Away
  /** Of one token, when rows of the embedding are read where they lie. */
  readonly rowBytes: number
}

/** All on the device. */
export const nothing: Away = {cpu: 0, cxl: 0}

export const bytesAway = (away: Away): number => away.cpu + away.cxl

/** All that lies outside of one device of the stage; a tied table once. */
export const stageAway = ({blocks, head, embedding}: StageWeights): Away => {
  const all = [...blocks, head, embedding]
  const sum = (kind: OutsideKind) => all.reduce((bytes, away) => bytes + away[kind], 0)
  return {cpu: sum('cpu'), cxl: sum('cxl')}
}

/** @throws SchemaFault for rules that the model cannot have, Problem FLAG_BAD_VALUE, PARALLELISM_INVALID */
export function outsideWeights(
  {model, tp, pp, ep}: Pick<Instance, 'model' | 'tp' | 'pp' | 'ep'>,
  {place}: WeightRequest,
): StageWeights[] {
  const given = 'map' in place ? place.map : undefined
  const map = 'rules' in place ? weightMap(place.rules, model) : given
  checkParallelism(model, {tp, pp, ep})
  const parts = blockWeightBytes(model, {tp, ep})
  const blockBytes = blockParts.reduce((sum, part) => sum + parts[part], 0)
  const layers = stageLayers(layerCount(model), pp)
  const stages = stageWeightBytes(model, {tp, pp, ep})
  let first = 0
  return layers.map((count, stage) => {
    const weights = stages[stage]!
    const common = {total: weights.total, blockBytes}
    if (map === undefined) {
      const {gib} = place as {gib: number}
      checkGib(gib, blockBytes * Math.max(...layers))
      const rows = {head: nothing, embedding: nothing, rowBytes: 0}
      const blocks = firstBlocks(gib * 2 ** 30, blockBytes, count)
      const experts = blocks.map(({cpu}) => ({cpu: (cpu * parts.experts) / blockBytes, cxl: 0}))
      return {...common, ...rows, blocks, experts}
    }
    const own = map.blocks.slice(first, first + count)
    first += count
    const bytesOf = (named: readonly BlockPart[]) =>
      own.map((places) => {
        const sum = (kind: OutsideKind) =>
          named.reduce((bytes, part) => bytes + (places[part] === kind ? parts[part] : 0), 0)
        return {cpu: sum('cpu'), cxl: sum('cxl')}
      })
    const [blocks, experts] = [bytesOf(blockParts), bytesOf(['experts'])]
    const isTied = model.tiedEmbeddings && pp === 1
    // A rank has its part of the rows, and each token meets one.
    const rowBytes = map.layers.embedding === 'npu' ? 0 : weights.embedding / model.vocabSize
    return {...common, blocks, experts, ...outerBytes(map, weights, isTied), rowBytes}
  })
}

function outerBytes({layers}: WeightMap, weights: WeightBytes, isTied: boolean) {
  const at = (place: string, bytes: number): Away => ({
    cpu: place === 'cpu' ? bytes : 0,
    cxl: place === 'cxl' ? bytes : 0,
  })
  const table = at(layers.embedding, weights.embedding)
  return isTied
    ? {head: table, embedding: nothing}
    : {head: at(layers.lm_head, weights.lmHead), embedding: table}
}

/** Whole blocks in order, and a part of the last. */
function firstBlocks(bytes: number, blockBytes: number, count: number): Away[] {
  return Array.from({length: count}, (_, at) => ({
    cpu: Math.min(blockBytes, Math.max(0, bytes - at * blockBytes)),
    cxl: 0,
  }))
}

/** GiB of one device's blocks, of the stage that has most: what --cpu-offload-gb can take. */
export function blocksGib({
  model,
  tp,
  pp,
  ep,
}: Pick<Instance, 'model' | 'tp' | 'pp' | 'ep'>): number {
  const parts = blockWeightBytes(model, {tp, ep})
  const blockBytes = blockParts.reduce((sum, part) => sum + parts[part], 0)
  return (blockBytes * Math.max(...stageLayers(layerCount(model), pp))) / 2 ** 30
}

function checkGib(gib: number, most: number): void {
  const has = most / 2 ** 30
  if (gib <= has) return
  throw new Problem(
    'FLAG_BAD_VALUE',
    `--cpu-offload-gb ${gib}: a device has only ${has.toFixed(1)} GiB of weights in its blocks.`,
    {suggestions: [`--cpu-offload-gb ${Math.floor(has * 10) / 10}`]},
  )
}

/**
 * Bytes that the buffer takes: the most that units in a row have outside, over the end of a step too. Weights that are
 * read where they lie need none.
 */
export function bufferBytes({blocks, head}: StageWeights, prefetch: WeightRequest['prefetch']) {
  if (prefetch === 'in place') return 0
  const units = [...blocks, head].map(bytesAway).filter((bytes) => bytes > 0)
  const places = Math.min(prefetch + 1, units.length)
  let most = 0
  for (const first of units.keys()) {
    let sum = 0
    for (let at = 0; at < places; at++) sum += units[(first + at) % units.length]!
    most = Math.max(most, sum)
  }
  return most
}
