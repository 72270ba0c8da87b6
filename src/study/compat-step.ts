/** The steps of LLMServingSim's engines from layer profiles: its copies, ring and stages, under `--compat llmservingsim`. */
import {type StageCut, stageCuts} from '../catalogue/parallelism.js'
import {hostCopies, messageNs, ringCollectives} from '../compat/llmservingsim.js'
import {partStep} from '../compat/profile-step.js'
import {streamedStep} from '../compat/weight-placement.js'
import type {ProfileTimes} from '../latency/profile/profile.js'
import type {BatchShape} from '../latency/step-time.js'
import {ranksOfInstance} from './compat-ranks.js'
import {elementBytes} from './engine-settings.js'
import type {Instance} from './instance.js'
import {inPim, placedWeights} from './off-device.js'

/** LLMServingSim's machine where flags do not describe one: a host memory of 256 GB/s. */
const defaultHostMemory = {bandwidthGb: 256, latencyNs: 0}

/** Layer profiles of an engine, or of one of its stages. */
export type TimesOf = (stage?: StageCut) => ProfileTimes

/** LLMServingSim's step: host copies before the first stage and after the last, hops, and KV that is sent along. */
export function compatStep(instance: Instance, timesOf: TimesOf) {
  const {machine, model, tp, pp, role, settings} = instance
  const copies = copiesOf(instance)
  const link = linkOf(instance)
  const message = (bytes: number) => messageNs(link, bytes)
  const {attention} = model.groups[0]!
  const kvHeads = attention.kind === 'grouped' ? attention.keyValueHeads * attention.headDim : 0
  const kvElement = settings.kvCacheDtype === 'fp8' ? 1 : elementBytes(instance)
  // A prefill engine sends the sampled ids instead of copying them to the host, and each layer's KV.
  const last = role === 'prefill' ? (shape: BatchShape) => message(4 * shape.tokens) : copies.store
  const sent = (shape: BatchShape) =>
    message(Math.floor((2 * kvHeads * shape.prefillTokens * kvElement) / tp))
  const kv = role === 'prefill' ? {kvNs: sent} : {}
  if (machine?.instance.pim) return inPim(instance, timesOf(), copies)
  if (machine?.instance.placement) return streamedStep(timesOf(), copies, placedWeights(instance))
  if (pp === 1) {
    const times = timesOf()
    const ranks = ranksOfInstance(instance, [times], copies)
    return {...partStep(times, copies, {loads: tp, last, ...kv}), ranks}
  }
  const cuts = stageCuts(model, pp)
  const times = cuts.map((stage) => timesOf(stage))
  const stages = cuts.map((stage, at) =>
    partStep(times[at]!, copies, {
      loads: stage.isFirst ? tp : 0,
      ...(stage.isLast ? {last, ...kv} : {}),
    }),
  )
  return {
    ranks: ranksOfInstance(instance, times, copies),
    stepTime: stages[0]!.stepTime,
    pipeline: {
      stages: stages.map(({stepTime}) => stepTime),
      hop: (shape: BatchShape) =>
        message(shape.paddedTokens * model.hiddenSize * elementBytes(instance)),
      style: 'polled' as const,
      nodeEnds: stages.map(({nodeEnds}) => nodeEnds),
    },
  }
}

/** The one link that it knows: the file's, or the device's. */
const linkOf = ({machine, link}: Instance) =>
  machine?.file.link ?? {bandwidthGb: link?.gbPerS ?? 16, latencyNs: 0}

const copiesOf = (instance: Instance) =>
  hostCopies(instance.machine?.instance.hostMemory ?? defaultHostMemory, elementBytes(instance))

/** What joins its ranks: the ring of its network, over the one link that it knows. */
export function ringOf(instance: Instance) {
  const {machine, hardware, tp, ep, model} = instance
  const group = model.groups[0]!
  const ring = linkOf(instance)
  const collectives = ringCollectives({
    link: ring,
    // Its network knows one memory bandwidth, that of the first instance.
    memoryBandwidthGb: machine?.file.instances[0]?.memory.bandwidthGb ?? hardware!.bandwidthGbS,
    tp,
    ep,
    hiddenSize: model.hiddenSize,
    experts: group.mlp.experts?.count ?? 0,
    bytesPerElement: elementBytes(instance),
  })
  const detail = `LLMServingSim's ring, ${ring.bandwidthGb} GB/s, ${ring.latencyNs} ns`
  const provenance = {term: 'all-reduce', from: 'class default', detail} as const
  return {collectives, provenance: tp > 1 ? [provenance] : []}
}
