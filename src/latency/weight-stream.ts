/**
 * Weights that lie outside of the device's memory and cross a link in every step (docs/weight-placement.md): read in place
 * by the kernels, or fetched ahead into a buffer, block by block. A step is what the slowest cycle of it allows.
 */
import {UpperEnvelope} from './envelope.js'
import {type LoadUnit, loadCycles} from './load-cycles.js'
import type {BatchShape, StepTime} from './step-time.js'

/** What crosses the link for one block, or for the head. */
export interface Outside {
  /** On the link, latency included; 0: all of it lies on the device. */
  readonly loadNs: number
  /** Part of its weights, and so of its time on the device. */
  readonly share: number
}

/** What one stage has outside. */
export interface WeightStream {
  /** In the order in which they run; at least one. */
  readonly blocks: readonly Outside[]
  /** `ownNs`: what reading these weights from the device's own memory takes. */
  readonly head: {readonly loadNs: number; readonly ownNs: number}
  /** Rows of an embedding outside are read where they lie. */
  readonly embedding: {readonly latencyNs: number; readonly nsPerToken: number}
  /** Blocks that are fetched ahead. `in place`: kernels read over the link (vLLM's --cpu-offload-gb). */
  readonly prefetch: number | 'in place'
}

/** ns in which all that is outside crosses the link once. */
export const streamNs = ({blocks, head}: WeightStream): number =>
  blocks.reduce((sum, {loadNs}) => sum + loadNs, head.loadNs)

/** A step in ns, of the ns of a block and of what is outside of blocks. */
export interface StreamLaw {
  readonly at: (blockNs: number, outsideNs: number) => number
  /** ns of a block from which on a step waits for no load; infinite: each step waits. */
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
  return (shape) => {
    const own = time(shape)
    const around = Math.min(own, outside(shape))
    const ns = law.at((own - around) / blocks, around) + latencyNs + nsPerToken * shape.tokens
    return Math.max(own, Math.round(ns))
  }
}

/**
 * A block of c ns whose share s of weights needs l ns on the link: (1 − s)·c + max(s·c, l), one after the other. A step is
 * the sum; alike blocks are counted.
 */
function inPlaceLaw({blocks, head}: WeightStream): StreamLaw {
  const kinds = new Map<string, {loadNs: number; share: number; count: number}>()
  for (const {loadNs, share} of blocks) {
    const key = `${loadNs} ${share}`
    const kind = kinds.get(key) ?? {loadNs, share, count: 0}
    kind.count++
    kinds.set(key, kind)
  }
  const all = [...kinds.values()]
  const headNs = Math.max(0, head.loadNs - head.ownNs)
  return {
    at(blockNs, outsideNs) {
      let ns = outsideNs + headNs
      for (const {loadNs, share, count} of all)
        ns += count * (blockNs + Math.max(0, loadNs - share * blockNs))
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
