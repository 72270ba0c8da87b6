/**
 * A step as LLMServingSim runs it: host copies around the nodes of a profile. Its engines ask for work whenever
 * any node of the cluster ends, so the ends inside a step can be seen from outside.
 */
import type {ProfileTimes} from '../latency/profile/profile.js'
import type {NodeEnds, Ns, StepTime} from '../latency/step-time.js'
import type {HostCopies} from './llmservingsim.js'

export interface ProfileStep {
  readonly stepTime: StepTime
  readonly nodeEnds: NodeEnds
}

/** The step of an engine with `tp` ranks. Collectives count as one node each, and all ranks as one. */
export function profileStep(times: ProfileTimes, copies: HostCopies, tp: number): ProfileStep {
  return {
    stepTime: (shape) => times.at(shape) + tp * copies.load(shape) + copies.store(shape),
    nodeEnds(shape, elapsed) {
      const {before, block, layers, after} = times.nodes(shape)
      const loads = new Array<Ns>(tp).fill(copies.load(shape))
      const blockNs = sum(block)
      const blocksFrom = tp * loads[0]! + sum(before)
      const blocksTo = blocksFrom + layers * blockNs
      if (elapsed <= blocksFrom) return firstEnd([...loads, ...before], 0, elapsed)
      if (elapsed > blocksTo) return firstEnd([...after, copies.store(shape)], blocksTo, elapsed)
      // Layers are alike: the one in which `elapsed` falls, its last end included.
      const layer = Math.ceil((elapsed - blocksFrom) / blockNs) - 1
      return firstEnd(block, blocksFrom + layer * blockNs, elapsed)
    },
  }
}

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
