/**
 * A step as LLMServingSim runs it: host copies around the nodes of a profile. Its engines ask for work whenever
 * any node of the cluster ends, so the ends inside a step can be seen from outside.
 */
import type {ProfileTimes} from '../latency/profile/profile.js'
import type {BatchShape, NodeEnds, Ns, StepTime} from '../latency/step-time.js'
import type {HostCopies} from './llmservingsim.js'

export interface ProfileStep {
  readonly stepTime: StepTime
  readonly nodeEnds: NodeEnds
}

/** What lies around the layers of a step, or of one stage of it. */
export interface StepEnds {
  /** Ranks whose token ids are copied first, one after the other; 0: none are. */
  readonly loads: number
  /** After the last kernel; absent: nothing. */
  readonly last?: (shape: BatchShape) => Ns
  /** From the end of the QKV projection of the last layer until its KV has arrived elsewhere. */
  readonly kvNs?: (shape: BatchShape) => Ns
}

/** A step, or the part of it that one stage runs. Collectives count as one node each, and all ranks as one. */
export function partStep(times: ProfileTimes, copies: HostCopies, ends: StepEnds): ProfileStep {
  const {loads: ranks, last = () => 0, kvNs} = ends
  const plain = (shape: BatchShape) => times.at(shape) + ranks * copies.load(shape) + last(shape)
  return {
    stepTime(shape) {
      if (kvNs === undefined) return plain(shape)
      const {block, after} = times.nodes(shape)
      const behindQkv = sum(block.slice(qkvNodes)) + sum(after) + last(shape)
      return Math.max(plain(shape), plain(shape) - behindQkv + kvNs(shape))
    },
    nodeEnds(shape, elapsed) {
      const {before, block, layers, after} = times.nodes(shape)
      const loads = new Array<Ns>(ranks).fill(copies.load(shape))
      const blockNs = sum(block)
      const blocksFrom = sum(loads) + sum(before)
      const blocksTo = blocksFrom + layers * blockNs
      if (elapsed <= blocksFrom) return firstEnd([...loads, ...before], 0, elapsed)
      if (elapsed > blocksTo) return firstEnd([...after, last(shape)], blocksTo, elapsed)
      // Layers are alike: the one in which `elapsed` falls, its last end included.
      const layer = Math.ceil((elapsed - blocksFrom) / blockNs) - 1
      return firstEnd(block, blocksFrom + layer * blockNs, elapsed)
    },
  }
}

/** Nodes of a layer up to its QKV projection: the norm and the projection. */
const qkvNodes = 2

/** The step of an engine with `tp` ranks. */
export const profileStep = (times: ProfileTimes, copies: HostCopies, tp: number): ProfileStep =>
  partStep(times, copies, {loads: tp, last: copies.store})

const sum = (nodes: readonly Ns[]): Ns => nodes.reduce((total, node) => total + node, 0)

/** First end at `elapsed` or later of nodes that begin at `from`; the last end if all are earlier. */
function firstEnd(nodes: readonly Ns[], from: Ns, elapsed: Ns): Ns {
  let end = from
  for (const node of nodes) {
    end += node
    if (end >= elapsed) break
  }
  return end
}
