/** Where weights lie, as rules say it: ranges of blocks, parts of them, and what is before and behind them. */
import {type BlockPart, blockParts} from '../../catalogue/model-arithmetic.js'
import {layerCount, type ModelShape} from '../../catalogue/model-shape.js'
import {SchemaFault} from '../../catalogue/schema-section.js'
import {Problem} from '../../errors.js'

export const weightPlaces = ['npu', 'cpu', 'cxl'] as const
export type WeightPlace = (typeof weightPlaces)[number]

/** What a rule may name inside of a block; router and normalisation go with whole blocks. */
export const namedParts = ['attention', 'mlp', 'experts'] as const
export type NamedPart = (typeof namedParts)[number]

export const outerLayers = ['embedding', 'lm_head'] as const
export type OuterLayer = (typeof outerLayers)[number]

export interface WeightRule {
  /** Numbers and ranges, as 0-3,8; absent: all. */
  readonly blocks?: string | undefined
  /** Absent: whole blocks. */
  readonly parts?: readonly NamedPart[] | undefined
  readonly layers?: readonly OuterLayer[] | undefined
  readonly on: WeightPlace
}

/** The place of everything; what no rule names is on the device. */
export interface WeightMap {
  /** By the number of a block in the whole model. */
  readonly blocks: readonly Readonly<Record<BlockPart, WeightPlace>>[]
  readonly layers: Readonly<Record<OuterLayer, WeightPlace>>
}

/** What an engine is asked to have outside. */
export interface WeightRequest {
  /** GiB of each device, its first blocks first, as vLLM's --cpu-offload-gb takes them; what rules say; or all of it. */
  readonly place:
    | {readonly gib: number}
    | {readonly rules: readonly WeightRule[]}
    | {readonly map: WeightMap}
  /** Blocks that are fetched ahead of their use. */
  readonly prefetch: number | 'in place'
  /** GB/s between each device and the host; absent: its PCIe link. */
  readonly gbPerS?: number | undefined
}

/** @throws SchemaFault at [rule, key] for what the model does not have or two rules place */
export function weightMap(rules: readonly WeightRule[], model: ModelShape): WeightMap {
  const count = layerCount(model)
  const blocks = Array.from({length: count}, () => new Map<BlockPart, WeightPlace>())
  const layers = new Map<OuterLayer, WeightPlace>()
  for (const [at, rule] of rules.entries()) {
    checkRule(rule, model, at)
    for (const layer of rule.layers ?? []) {
      if (layers.has(layer)) throw twice([at, 'layers'], layer)
      layers.set(layer, rule.on)
    }
    if (rule.blocks === undefined && rule.parts === undefined) continue
    const numbers = blocksOf(rule.blocks, count, at)
    const parts = rule.parts ?? blockParts
    for (const number of numbers) {
      for (const part of parts) {
        const key = rule.blocks === undefined ? 'parts' : 'blocks'
        if (blocks[number]!.has(part))
          throw twice([at, key], placedText(number, rule.parts && part))
        blocks[number]!.set(part, rule.on)
      }
    }
  }
  return {
    blocks: blocks.map((places) => {
      const placeOf = (part: BlockPart) => places.get(part) ?? 'npu'
      return {
        attention: placeOf('attention'),
        mlp: placeOf('mlp'),
        experts: placeOf('experts'),
        other: placeOf('other'),
      }
    }),
    layers: outer(layers, model, rules),
  }
}

const placedText = (number: number, part: BlockPart | undefined): string =>
  part === undefined ? `block ${number}` : `${part} of block ${number}`

const twice = (path: readonly PropertyKey[], what: string): SchemaFault =>
  new SchemaFault(path, `places ${what}, which an earlier rule already places`, {
    suggestions: ['Name it in one of the two rules.'],
  })

function checkRule({blocks, parts, layers}: WeightRule, model: ModelShape, at: number): void {
  if (blocks === undefined && parts === undefined && layers === undefined) {
    throw new SchemaFault([at], 'names no weights', {
      suggestions: ['blocks: 0-15', 'parts: [experts]', 'layers: [lm_head]'],
    })
  }
  const has: Readonly<Record<NamedPart, boolean>> = {
    attention: true,
    mlp: model.groups.some(({mlp}) => mlp.denseIntermediate > 0),
    experts: model.groups.some(({mlp}) => mlp.experts !== null),
  }
  const missing = parts?.find((part) => !has[part])
  if (missing === undefined) return
  const own = namedParts.filter((part) => has[part])
  throw new SchemaFault([at, 'parts'], `names ${missing}, and ${model.id} has none`, {
    suggestions: [`parts: [${own.join(', ')}]`],
  })
}

/** The numbers that a text of ranges names, in order and once each. */
function blocksOf(text: string | undefined, count: number, at: number): number[] {
  if (text === undefined) return Array.from({length: count}, (_, number) => number)
  const found = new Set<number>()
  for (const piece of text.split(',')) {
    const [, from, to = from] = /^\s*(\d+)(?:\s*-\s*(\d+))?\s*$/.exec(piece) ?? []
    if (from === undefined || Number(to) < Number(from)) {
      throw new SchemaFault(
        [at, 'blocks'],
        `must be numbers and ranges, as 0-3,8, but has "${piece.trim()}"`,
        {suggestions: [`blocks: ${from === undefined ? `0-${count - 1}` : `${to}-${from}`}`]},
      )
    }
    if (Number(to) >= count) {
      throw new SchemaFault(
        [at, 'blocks'],
        `names block ${Number(to)}, and the model has blocks 0 to ${count - 1}`,
        {suggestions: [`blocks: ${Math.min(Number(from), count - 1)}-${count - 1}`]},
      )
    }
    for (let number = Number(from); number <= Number(to); number++) {
      if (found.has(number)) {
        throw new SchemaFault([at, 'blocks'], `names block ${number} twice`)
      }
      found.add(number)
    }
  }
  return [...found].sort((a, b) => a - b)
}

/** A tied table is one: whoever names one of its two uses names both. */
function outer(
  given: ReadonlyMap<OuterLayer, WeightPlace>,
  {id, tiedEmbeddings}: ModelShape,
  rules: readonly WeightRule[],
): WeightMap['layers'] {
  const [embedding, head] = [given.get('embedding'), given.get('lm_head')]
  if (!tiedEmbeddings) return {embedding: embedding ?? 'npu', lm_head: head ?? 'npu'}
  if (embedding !== undefined && head !== undefined && embedding !== head) {
    const at = rules.findLastIndex(({layers}) => layers !== undefined)
    throw new SchemaFault(
      [at, 'layers'],
      `parts embedding and lm_head, which are one table in ${id}`,
      {suggestions: ['layers: [embedding, lm_head]']},
    )
  }
  const place = embedding ?? head ?? 'npu'
  return {embedding: place, lm_head: place}
}

/** `blocks 16-31:cpu`, `blocks 0-7 experts:cpu`, `lm_head:cpu`. @throws Problem FLAG_BAD_VALUE */
export function ruleOfText(text: string): WeightRule {
  const [, what, on] = /^(.*):\s*(\w+)\s*$/.exec(text) ?? []
  const place = weightPlaces.find((known) => known === on)
  if (what === undefined || place === undefined) {
    throw malformed(text, `it must end in :${weightPlaces.join(', :')}`)
  }
  const [, word, blocks, named = ''] = /^\s*(?:(blocks?)(?:\s+(\d[\d\s,-]*))?(?:\s|$))?(.*)$/.exec(
    what,
  )!
  const names = named.split(/[\s,]+/).filter((name) => name !== '')
  const parts = namedParts.filter((part) => names.includes(part))
  const layers = outerLayers.filter((layer) => names.includes(layer))
  const unknown = names.find((name) => ![...parts, ...layers].includes(name as NamedPart))
  if (unknown !== undefined) {
    const known = [...namedParts, ...outerLayers].join(', ')
    const isRange = word !== undefined && blocks === undefined
    const rule = isRange ? 'neither a range of blocks, as 0-3,8, nor one of' : 'not one of blocks,'
    throw malformed(text, `"${unknown}" is ${rule} ${known}`)
  }
  if (word !== undefined && blocks === undefined)
    throw malformed(text, 'blocks needs numbers and ranges, as 0-3,8')
  return {
    on: place,
    ...(blocks === undefined ? {} : {blocks: blocks.trim()}),
    ...(parts.length === 0 ? {} : {parts}),
    ...(layers.length === 0 ? {} : {layers}),
  }
}

const malformed = (text: string, rule: string): Problem =>
  new Problem('FLAG_BAD_VALUE', `--weights '${text}': ${rule}.`, {
    suggestions: ["--weights 'blocks 16-31:cpu'", "--weights 'experts:cpu'"],
  })
