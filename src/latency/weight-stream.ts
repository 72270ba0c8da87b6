/**
 * Weights that lie outside of the device's memory and cross a link in every step (docs/weight-placement.md): read in place
 * by the kernels, or fetched ahead into a buffer, block by block. A step is what the slowest cycle of it allows.
 */
import {UpperEnvelope} from './envelope.js'
import {type LoadUnit, loadCycles} from './load-cycles.js'
import {type BatchShape, emptyShape, type StepTime} from './step-time.js'

/** What crosses the link for one block, or for the head. */
export interface Outside {
  /** On the link, latency included; 0: all of it lies on the device. */
  readonly loadNs: number
  /** Part of its weights, and so of its time on the device. */
  readonly share: number
  /** Of `loadNs`, for routed experts: read in place, only those that some token picks. Absent: none. */
  readonly expertNs?: number
}

/** How often a step reads weights: those of blocks, of which experts, and those of the head. */
export interface Passes {
  readonly dense: number
  /** In weights of all experts: less than 1 where no token picks some. */
  readonly experts: number
  readonly head: number
}

const once: Passes = {dense: 1, experts: 1, head: 1}

/** What one stage has outside. */
export interface WeightStream {
  /** In the order in which they run; at least one. */
  readonly blocks: readonly Outside[]
  /** `ownNs`: what reading these weights from the device's own memory takes. */
  readonly head: {readonly loadNs: number; readonly ownNs: number}
  /** Rows of an embedding outside are read where they lie. */
  readonly embedding: {readonly latencyNs: number; readonly nsPerToken: number}
  /** How often a step reads it. Absent: once. */
  readonly passes?: ((shape: BatchShape) => Passes) | undefined
  /** Blocks that are fetched ahead. `in place`: kernels read over the link (vLLM's --cpu-offload-gb). */
  readonly prefetch: number | 'in place'
}

/** ns in which all that is outside crosses the link once; of experts read in place, those that one token picks. */
export const streamNs = (stream: WeightStream): number => {
  const {blocks, head, passes} = stream
  const left = passes ? 1 - passes(oneToken).experts : 0
  return blocks.reduce((sum, {loadNs, expertNs = 0}) => sum + loadNs - left * expertNs, head.loadNs)
}

/** The smallest step. */
export const oneToken: BatchShape = {...emptyShape(), tokens: 1, paddedTokens: 1, sequences: 1}

/**
 * Rows that a kernel computes at a time; it reads its weights for each such tile again, as the device caches nothing of
 * host memory that it has mapped. Of dense products, and of experts (the default tile of vLLM's fused experts).
 */
const denseTile = 128
const expertTile = 64

/** Reads of dense weights for so many rows. */
export const densePasses = (rows: number): number => Math.max(1, Math.ceil(rows / denseTile))

/**
 * Reads of experts, in weights of all of them: those that some row picks, as often as its rows fill tiles; the last tile
 * of an expert is half full in the mean.
 * @param picked share of the experts that some row picks, `rows` those of an expert in the mean of all
 */
export const expertPasses = (picked: number, rows: number): number =>
  Math.max(picked, rows / expertTile + picked / 2)

/** A step in ns, of the ns of a block, of what is outside of blocks, and of how often it reads weights. */
export interface StreamLaw {
  readonly at: (blockNs: number, outsideNs: number, passes?: Passes) => number
  /** ns of a block from which on a step waits for no load, each read once; infinite: each step waits. */
  readonly hiddenBlockNs: number
}

export const streamLaw = (stream: WeightStream): StreamLaw =>
  stream.prefetch === 'in place' ? inPlaceLaw(stream) : aheadLaw(stream, stream.prefetch)

/** The steps of a stage whose own time is `time`, of which `outside` is outside of blocks. Never shorter than without. */
export function withWeightStream(
  {time, outside}: {readonly time: StepTime; readonly outside: (shape: BatchShape) => number},
  stream: WeightStream,
): StepTime {
  const law = streamLaw(stream)
  const blocks = stream.blocks.length
  const {latencyNs, nsPerToken} = stream.embedding
  const {passes} = stream
  return (shape) => {
    const own = time(shape)
    const around = Math.min(own, outside(shape))
    const ns = law.at((own - around) / blocks, around, passes?.(shape))
    return Math.max(own, Math.round(ns + latencyNs + nsPerToken * shape.tokens))
  }
}

/**
 * A block of c ns whose share s of weights needs l ns on the link, all of its passes together: (1 − s)·c + max(s·c, l),
 * one after the other. A step is the sum; blocks that are alike are counted.
 */
function inPlaceLaw({blocks, head}: WeightStream): StreamLaw {
  const kinds = new Map<string, Required<Outside> & {count: number}>()
  for (const {loadNs, share, expertNs = 0} of blocks) {
    const key = `${loadNs} ${share} ${expertNs}`
    const kind = kinds.get(key) ?? {loadNs, share, expertNs, count: 0}
    kind.count++
    kinds.set(key, kind)
  }
  const all = [...kinds.values()]
  const headNs = Math.max(0, head.loadNs - head.ownNs)
  return {
    at(blockNs, outsideNs, passes = once) {
      let ns = outsideNs + Math.max(0, passes.head * head.loadNs - head.ownNs)
      for (const {loadNs, share, expertNs, count} of all) {
        const onLink = passes.dense * (loadNs - expertNs) + passes.experts * expertNs
        ns += count * (blockNs + Math.max(0, onLink - share * blockNs))
      }
      return ns
    },
    hiddenBlockNs:
      headNs > 0
        ? Number.POSITIVE_INFINITY
        : Math.max(0, ...all.map(({loadNs, share}) => (loadNs > 0 ? loadNs / share : 0))),
  }
}

/**
 * Fetched ahead, in a steady state of like steps. Loads run one after the other; the load of a unit (a block, or the head)
 * waits for the one before and for a free place in the buffer, which the unit `prefetch + 1` before it has left; a unit is
 * computed after the one before and after its load. A step takes as long as the longest cycle of these dependencies, over
 * the steps that it goes through. Two cycles that cross can be uncrossed without losing work, so those that go through one
 * step are enough: each is a line a + n·(block) + e·(outside), and the step is their maximum.
 */
function aheadLaw(stream: WeightStream, prefetch: number): StreamLaw {
  const blocks = stream.blocks.length
  const units = unitsOf(stream)
  const places = Math.min(prefetch + 1, units.length)
  const {without, around} = loadCycles(units, {blocks, places})
  const inside = new UpperEnvelope(without)
  const whole = new UpperEnvelope(around)
  return {
    at: (blockNs, outsideNs) =>
      Math.max(blocks * blockNs + outsideNs, inside.at(blockNs), outsideNs + whole.at(blockNs)),
    hiddenBlockNs: [...without, ...around].reduce(
      (most, {slope, value}) => (value > 0 ? Math.max(most, value / (blocks - slope)) : most),
      0,
    ),
  }
}

/** What is loaded at a time, in the order of use. */
const unitsOf = ({blocks, head}: WeightStream): LoadUnit[] =>
  [...blocks, head].flatMap(({loadNs}, at) => (loadNs > 0 ? [{at, loadNs}] : []))
