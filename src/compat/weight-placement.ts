/**
 * Weights off the device, as LLMServingSim streams them: all loads of a step are issued at once, each memory serves its own in
 * layer order, and a layer waits for its load and for the layer before. Nothing stays on the device for the next step.
 */
import type {ModelShape} from '../catalogue/model-shape.js'
import {kernelNames, type ProfileTimes} from '../latency/profile/profile.js'
import type {BatchShape, Ns} from '../latency/step-time.js'
import type {Node} from './cluster-json.js'
import type {HostCopies, HostMemory} from './llmservingsim.js'
import type {ProfileStep} from './profile-step.js'

/** `npu`, `cpu`, or `cxl:` and the number of a device. */
export type WeightPlace = string

/** Where weights lie: of a layer by name before those of a block before the default. */
export interface WeightPlacement {
  readonly default: WeightPlace
  readonly blocks: ReadonlyMap<number, WeightPlace>
  readonly layers: ReadonlyMap<string, WeightPlace>
}

/** Undefined where everything lies on the device. @throws Problem CLUSTER_BAD_FILE */
export function readPlacement(instance: Node, cxlDevices: number): WeightPlacement | undefined {
  if ((instance.get('placement') ?? undefined) === undefined) return undefined
  const placement = instance.object('placement')
  const placeOf = (node: Node): WeightPlace | undefined => {
    const place = node.option('weights')
    if (place === undefined || place === 'npu' || place === 'cpu') return place
    const device = /^cxl:(\d+)$/.exec(place)?.[1]
    if (device === undefined)
      throw node.fault('weights', `must be npu, cpu or cxl:N, got "${place}"`)
    if (Number(device) >= cxlDevices)
      throw node.fault('weights', `is ${place}, but cxl_mem has ${cxlDevices} devices`)
    return place
  }
  const blocks = new Map<number, WeightPlace>()
  for (const item of placement.get('blocks') === undefined ? [] : placement.list('blocks')) {
    const place = placeOf(item)
    for (const block of blocksOf(item)) if (place !== undefined) blocks.set(block, place)
  }
  const layers = new Map<string, WeightPlace>()
  if (placement.get('layers') !== undefined) {
    const named = placement.object('layers')
    for (const name of named.keys()) {
      const place = placeOf(named.object(name))
      if (place !== undefined) layers.set(name, place)
    }
  }
  const fallback =
    placement.get('default') === undefined ? 'npu' : placeOf(placement.object('default'))
  const all = [fallback ?? 'npu', ...blocks.values(), ...layers.values()]
  if (all.every((place) => place === 'npu')) return undefined
  return {default: fallback ?? 'npu', blocks, layers}
}

/** `0-3,8`. */
function blocksOf(item: Node): number[] {
  return item
    .text('blocks')
    .split(',')
    .flatMap((part) => {
      const [, from, to = from] = /^\s*(\d+)(?:\s*-\s*(\d+))?\s*$/.exec(part) ?? []
      if (from === undefined || Number(to) < Number(from))
        throw item.fault('blocks', `must be numbers and ranges, as 0-3,8, got "${part}"`)
      return Array.from({length: Number(to) - Number(from) + 1}, (_, i) => Number(from) + i)
    })
}

export interface PlacedWeights {
  readonly placement: WeightPlacement
  readonly model: ModelShape
  readonly bytesPerElement: number
  /** Of the node, and of each CXL device. */
  readonly host: HostMemory
  readonly cxl: HostMemory | undefined
}

/** When each kernel of a step has its weights, ns after its loads were issued; 0 for those on the device. */
interface Ready {
  readonly before: readonly Ns[]
  readonly layers: readonly (readonly Ns[])[]
  readonly after: readonly Ns[]
  /** Ends of all loads. */
  readonly ends: readonly Ns[]
}

function readyTimes(weights: PlacedWeights, layers: number): Ready {
  const {placement, model, host, cxl} = weights
  const bytes = weightBytes(weights)
  const free = new Map<WeightPlace, Ns>()
  const ends: Ns[] = []
  const load = (name: string, block?: number): Ns => {
    const ofBlock = block === undefined ? undefined : placement.blocks.get(block)
    const place = placement.layers.get(name) ?? ofBlock ?? placement.default
    const size = bytes[name] ?? 0
    if (place === 'npu' || size === 0) return 0
    const {bandwidthGb, latencyNs} = place === 'cpu' ? host : cxl!
    const took = Math.trunc(latencyNs) + Math.floor(size / Math.trunc(bandwidthGb))
    const end = (free.get(place) ?? 0) + took
    free.set(place, end)
    ends.push(end)
    return end
  }
  const names = kernelNames(model.groups[0]!.mlp.experts !== null)
  return {
    before: names.before.map((name) => load(name)),
    layers: Array.from({length: layers}, (_, block) =>
      names.layer.map((name) => load(name, block)),
    ),
    after: names.after.map((name) => load(name)),
    ends,
  }
}

/** Of each kernel on one device; what is not here has none. */
function weightBytes({model, bytesPerElement: fp}: PlacedWeights): Record<string, number> {
  const {hiddenSize: h, vocabSize, groups} = model
  const {attention, mlp} = groups[0]!
  if (attention.kind !== 'grouped') return {}
  const q = attention.queryHeads * attention.headDim
  const kv = attention.keyValueHeads * attention.headDim
  const ffn = mlp.denseIntermediate
  return {
    embedding: vocabSize * h * fp,
    layernorm: h * fp,
    qkv_proj: h * (q + 2 * kv) * fp,
    qk_norm: attention.qkNorm ? 2 * attention.headDim * fp : 0,
    o_proj: q * h * fp,
    gate_up_proj: h * 2 * ffn * fp,
    down_proj: ffn * h * fp,
    moe: mlp.experts
      ? h * mlp.experts.count * fp + mlp.experts.count * 3 * h * mlp.experts.intermediate * fp
      : 0,
    final_layernorm: h * fp,
    lm_head: h * vocabSize * fp,
  }
}

/** The step of an engine of one device. Loads begin when the token ids are there. */
export function streamedStep(
  times: ProfileTimes,
  copies: HostCopies,
  weights: PlacedWeights,
): ProfileStep {
  let ready: Ready | undefined
  const endsOf = (shape: BatchShape): Ns[] => {
    const {before, attention, norm, mlp, after, layers} = times.kernels(shape)
    ready ??= readyTimes(weights, layers)
    const ends: Ns[] = []
    let end = 0
    const run = (kernels: readonly Ns[], at: readonly Ns[]) => {
      for (const [i, ns] of kernels.entries()) {
        end = Math.max(end, at[i]!) + ns
        ends.push(end)
      }
    }
    run(before, ready.before)
    const layer = [...attention, ...norm, ...mlp]
    for (const at of ready.layers) run(layer, at)
    run(after, ready.after)
    return ends
  }
  return {
    stepTime: (shape) => copies.load(shape) + endsOf(shape).at(-1)! + copies.store(shape),
    nodeEnds(shape, elapsed) {
      const load = copies.load(shape)
      const kernels = endsOf(shape)
      const inside = [0, ...ready!.ends, ...kernels, kernels.at(-1)! + copies.store(shape)]
      const seen = inside.map((end) => load + end).filter((end) => end >= elapsed)
      return seen.length > 0 ? Math.min(...seen) : load + inside.at(-1)!
    },
  }
}
