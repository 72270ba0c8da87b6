/**
 * How vLLM's hybrid KV cache manager lays out a model whose layers see windows of different lengths: in groups of
 * equally many layers, each with a block table of its own over one pool of pages (kv_cache_utils.py).
 */
import type {KvGroup} from './kv-groups.js'
import {keyValueBytes, kvBytesPerTokenPerLayer} from './model-arithmetic.js'
import {type KvDtype, layerCount, type ModelShape} from './model-shape.js'
import {stageLayers} from './parallelism.js'

export interface KvLayout {
  readonly groups: readonly KvGroup[]
  /** Layers of a group; those that a kind lacks are padded. */
  readonly layersPerGroup: number
  /** Bytes of a page for each of its tokens, by pipeline stage. */
  readonly pageBytesPerToken: readonly number[]
  /** Groups as vLLM counts them for its start-up line "GPU KV cache size", in pages of one block. */
  readonly pagesPerBlock: number
}

interface LayoutOptions {
  readonly tp?: number
  readonly pp?: number
  readonly kvDtype?: KvDtype
}

/** Layers that see alike, whatever else they are. */
interface Kind {
  readonly window: number | null
  count: number
  readonly bytes: number
}

/**
 * Undefined where every layer sees the whole context, or where the rule is not known: windows of several lengths, chunks
 * alone, pages that do not divide each other.
 */
export function kvLayoutOf(
  model: ModelShape,
  {tp = 1, pp = 1, kvDtype = 'auto'}: LayoutOptions = {},
): KvLayout | undefined {
  const element = keyValueBytes(model, kvDtype)
  const kinds = kindsOf(model, tp, element)
  const local = kinds.find(({window}) => window !== null)
  const full = kinds.find(({window}) => window === null)
  const sees = chunks(model) ? 'chunk' : 'window'
  if (local === undefined || kinds.length > 2) return undefined
  if (full === undefined && (kinds.length > 1 || sees === 'chunk')) return undefined
  const counts = kinds.map(({count}) => count)
  const layersPerGroup = groupSize(Math.min(...counts), Math.max(...counts))
  const smallest = Math.min(...kinds.map(({bytes}) => bytes))
  // A kind with larger pages takes several of the smallest for a block.
  if (kinds.some(({bytes}) => bytes % smallest > 0)) return undefined
  const pagesOf = ({count, bytes}: Kind) => Math.ceil(count / layersPerGroup) * (bytes / smallest)
  const groups: KvGroup[] = [{sees, window: local.window!, pages: pagesOf(local)}]
  if (full) groups.push({sees: 'everything', window: 0, pages: pagesOf(full)})
  const layers = layerCount(model)
  return {
    groups,
    layersPerGroup,
    pageBytesPerToken: stageLayers(layers, pp).map(
      (count) => Math.ceil((layersPerGroup * count) / layers) * smallest,
    ),
    pagesPerBlock: groups.reduce((sum, {pages}) => sum + pages, 0),
  }
}

/** Llama 4 cuts the context into chunks; all others let a window slide. */
const chunks = ({modelType}: ModelShape): boolean => modelType.startsWith('llama4')

function kindsOf(model: ModelShape, tp: number, element: number): Kind[] {
  const kinds: Kind[] = []
  for (const {attention, count} of model.groups) {
    const window = attention.kind === 'grouped' ? attention.window : null
    const bytes = kvBytesPerTokenPerLayer(attention, tp, element)
    const known = kinds.find((kind) => kind.window === window && kind.bytes === bytes)
    if (known) known.count += count
    else kinds.push({window, count, bytes})
  }
  return kinds
}

/** The smaller kind makes one group of itself, unless the other is hardly larger: then that one does. */
const groupSize = (fewest: number, most: number): number => (most < 1.5 * fewest ? most : fewest)
