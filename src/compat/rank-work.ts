/**
 * What each rank of an engine does in a step of LLMServingSim: kernels, host copies, ring collectives and hops one
 * after the other, as its graphs have them.
 */
import type {ProfileTimes} from '../latency/profile/profile.js'
import type {BatchShape, Ns} from '../latency/step-time.js'
import {type HostCopies, messageNs, type RingLink} from './llmservingsim.js'

/** One trip of messages around a ring of ranks. */
export interface RingPhase {
  /** Over the ranks of a stage, or over those with the same place in the engines of a data-parallel group. */
  readonly among: 'stage' | 'group'
  readonly steps: number
  /** Of each message. */
  readonly stepNs: Ns
  /** The first so many steps end with a local reduction. */
  readonly reductions: number
  readonly reduceNs: Ns
}

export type Operation =
  | {readonly kind: 'kernel'; readonly ns: Ns}
  /** Over the one queue of the node. */
  | {readonly kind: 'host copy'; readonly ns: Ns}
  /** To the same rank of the next stage; the sender is busy until it has arrived. */
  | {readonly kind: 'send'; readonly ns: Ns}
  | {readonly kind: 'receive'}
  | {
      readonly kind: 'collective'
      /** Which one of its layer. */
      readonly place: number
      readonly phases: readonly RingPhase[]
      /** A kernel that does not wait for it, and that the next operation waits for as well. */
      readonly besideNs?: Ns
    }

/** The operations of a rank in order; those of a layer are repeated. */
export interface RankPlan {
  readonly before: readonly Operation[]
  readonly layer: readonly Operation[]
  readonly layers: number
  readonly after: readonly Operation[]
}

/** How the ranks of an engine are laid out, and what they do. */
export interface RankWork {
  readonly stages: number
  /** Ranks of a stage. */
  readonly ranks: number
  /** Ranks of a node share its host queue. */
  readonly node: number
  /** Engines whose experts are shared pad, and have nothing in flight but what the group runs. */
  readonly hasExperts: boolean
  plan(shape: BatchShape, stage: number, rank: number): RankPlan
}

export interface RankWorkRequest {
  /** Of each stage. */
  readonly times: readonly ProfileTimes[]
  readonly copies: HostCopies
  /** Of the dimensions of the network: within a stage, between stages, within a group. */
  readonly links: {readonly stage: RingLink; readonly hop: RingLink; readonly group: RingLink}
  /** GB/s of the accelerator's memory; its fraction is dropped. */
  readonly memoryBandwidthGb: number
  readonly tp: number
  /** Over how many ranks experts are spread; 1: over none. */
  readonly ep: number
  /** Engines of its data-parallel group. */
  readonly group: number
  readonly node: number
  readonly hiddenSize: number
  /** 0: a dense model. */
  readonly experts: number
  readonly bytesPerElement: number
}

export function rankWork(request: RankWorkRequest): RankWork {
  const {times, copies, links, tp, node, hiddenSize, bytesPerElement, experts} = request
  const collectives = layerCollectives(request)
  const hop = (tokens: number) => messageNs(links.hop, tokens * hiddenSize * bytesPerElement)
  return {
    stages: times.length,
    ranks: tp,
    node,
    hasExperts: experts > 0,
    plan(shape, stage, rank) {
      const {before, attention, norm, mlp, after, layers} = times[stage]!.kernels(shape)
      const tokens = shape.paddedTokens
      const {reduce, gather, scatter} = collectives(tokens)
      const reduced = (place: number): Operation[] =>
        tp > 1 ? [{kind: 'collective', place, phases: [reduce]}] : []
      return {
        before: [
          stage === 0 ? {kind: 'host copy', ns: copies.load(shape)} : {kind: 'receive'},
          ...before.map(kernel),
        ],
        layer: [
          ...attention.map(kernel),
          ...reduced(0),
          ...norm.map(kernel),
          ...(experts === 0
            ? [...mlp.map(kernel), ...reduced(1)]
            : spreadExperts(mlp[0] ?? 0, {rank, gather, scatter})),
        ],
        layers,
        after: [
          ...after.map(kernel),
          stage === times.length - 1
            ? {kind: 'host copy', ns: copies.store(shape)}
            : {kind: 'send', ns: hop(tokens)},
        ],
      }
    },
  }
}

const kernel = (ns: Ns): Operation => ({kind: 'kernel', ns})

/** The experts of the second rank of a stage and those behind it do not wait for what is gathered. */
function spreadExperts(
  ns: Ns,
  given: {rank: number; gather: readonly RingPhase[]; scatter: readonly RingPhase[]},
): Operation[] {
  const {rank, gather, scatter} = given
  if (gather.length === 0) return [kernel(ns)]
  const combine: Operation = {kind: 'collective', place: 2, phases: scatter}
  if (rank > 0) return [{kind: 'collective', place: 1, phases: gather, besideNs: ns}, combine]
  return [{kind: 'collective', place: 1, phases: gather}, kernel(ns), combine]
}

interface LayerCollectives {
  readonly reduce: RingPhase
  /** Outer dimension first. Empty: experts are not spread. */
  readonly gather: readonly RingPhase[]
  /** Inner dimension first. */
  readonly scatter: readonly RingPhase[]
}

/** Sizes of the messages by tokens. Experts within a stage take its dimension only, others the group's as well. */
function layerCollectives(request: RankWorkRequest): (tokens: number) => LayerCollectives {
  const {links, tp, ep, group, hiddenSize, experts, bytesPerElement} = request
  const memory = Math.trunc(request.memoryBandwidthGb)
  const phase = (among: RingPhase['among'], bytes: number, reduces: boolean): RingPhase => {
    const degree = among === 'stage' ? tp : group
    return {
      among,
      steps: degree - 1,
      stepNs: messageNs(links[among], bytes),
      reductions: reduces ? degree - 1 : 0,
      reduceNs: 3 * Math.trunc(bytes / memory),
    }
  }
  const taken = (ep <= tp ? (['stage'] as const) : (['stage', 'group'] as const)).filter(
    (among) => ep > 1 && (among === 'stage' ? tp : group) > 1,
  )
  return (tokens) => {
    const hidden = tokens * hiddenSize * bytesPerElement
    const reduce = phase('stage', Math.floor(hidden / tp), true)
    const chunk = Math.max(1, Math.floor(tokens / ep)) * (hiddenSize + experts) * bytesPerElement
    const scatter: RingPhase[] = []
    let part = hidden
    for (const among of taken) {
      part = Math.floor(part / (among === 'stage' ? tp : group))
      scatter.push(phase(among, part, true))
    }
    const gather: RingPhase[] = []
    let gathered = chunk
    for (const among of [...taken].reverse()) {
      gather.push(phase(among, gathered, false))
      gathered *= among === 'stage' ? tp : group
    }
    return {reduce: {...reduce, steps: 2 * (tp - 1)}, gather, scatter}
  }
}
