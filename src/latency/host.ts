/**
 * What the host adds to every step and request: the largest error of a GPU-only model at low load.
 * The figures stand in engines/*.yaml, one profile per release, with their source.
 */

import type {EngineProfile, SamplerTerms, Sampling} from '../catalogue/engine-profile.js'
import type {Hardware} from '../catalogue/hardware-shape.js'

export interface HostTerms extends LaunchTerms {
  /** GPU idle time per step that waits for the scheduler. */
  readonly stepNs: number
  /** Small kernels and graph gaps. */
  readonly perLayerNs: number
  readonly perSequenceNs: number
  readonly sampler: SamplerTerms
  readonly source: string
}

/** Steps whose kernels the host launches one by one. */
export interface LaunchTerms {
  /** What it takes to launch a layer, in a step of more tokens than the largest CUDA graph has. */
  readonly eagerLayerNs: number
  /** What the device idles between the kernels of a layer in such a step. */
  readonly gapLayerNs: number
  /** 0: there are no graphs. */
  readonly graphTokens: number
}

/** How an engine is used, as far as its host cares. */
export interface HostUse {
  /** Requests come as chat completions. */
  readonly isChat: boolean
  readonly isSynchronous: boolean
  /** No CUDA graphs (`--enforce-eager`). */
  readonly isEager: boolean
  readonly maxNumSeqs: number
}

/** Of whoever says nothing. */
export const plainUse: HostUse = {
  isChat: false,
  isSynchronous: false,
  isEager: false,
  maxNumSeqs: Number.POSITIVE_INFINITY,
}

/** Tokens of the largest CUDA graph: `set_cudagraph_sizes` in vLLM's configuration. */
export const graphTokensOf = (maxNumSeqs: number): number => Math.min(2 * maxNumSeqs, 512)

/**
 * The host terms were fitted beside one kind of device and carried over to the others. A file that extends it is a
 * variant of it, as with its kernels.
 */
export const hostFrom = (
  hardware: Pick<Hardware, 'id' | 'extended'> | undefined,
): 'calibrated' | 'class default' =>
  hardware && [hardware.id, ...hardware.extended].includes('H100') ? 'calibrated' : 'class default'

/** The host of an engine whose requests are sampled that way. */
export const hostTermsOf = (
  profile: EngineProfile,
  sampling: Sampling,
  use: HostUse = plainUse,
): HostTerms => ({
  stepNs: stepOf(profile, use),
  perLayerNs: profile.host.layerNs,
  perSequenceNs: sequenceOf(profile, use),
  ...launchTermsOf(profile, use),
  sampler: samplerOf(profile, sampling),
  source: `engine profile ${profile.id}`,
})

const launchTermsOf = (
  {host}: EngineProfile,
  {isEager, maxNumSeqs}: Pick<HostUse, 'isEager' | 'maxNumSeqs'>,
): LaunchTerms => ({
  eagerLayerNs: host.eagerLayerNs ?? 0,
  gapLayerNs: host.launchGapNs,
  graphTokens: isEager ? 0 : graphTokensOf(maxNumSeqs),
})

const stepOf = ({host}: EngineProfile, {isSynchronous}: HostUse): number =>
  host.stepNs + (isSynchronous ? host.synchronousStepNs : 0)

const sequenceOf = ({host, frontEnd}: EngineProfile, {isChat}: HostUse): number =>
  host.sequenceNs + (isChat ? frontEnd.chatTokenNs : 0)

const samplerOf = ({sampler, penalty}: EngineProfile, sampling: Sampling): SamplerTerms => {
  if (sampling !== 'penalised') return sampler[sampling]
  const {filtered} = sampler
  return {
    stepNs: filtered.stepNs + penalty.stepNs,
    perEntryNs: filtered.perEntryNs + penalty.perEntryNs,
    perSequenceEntryNs: filtered.perSequenceEntryNs + penalty.perSequenceEntryNs,
  }
}

/** The sampler's figure per sequence was measured on this device. */
const h100BandwidthGbS = 3350

/** Time in ns of the sampler: a pass over the vocabulary, and one per sequence at the speed of the memory. */
export const samplerNs = (
  {stepNs, perEntryNs, perSequenceEntryNs}: SamplerTerms,
  vocabulary: number,
  device: {readonly bandwidthGbS: number},
): ((sequences: number) => number) => {
  const once = stepNs + vocabulary * perEntryNs
  const each = (vocabulary * perSequenceEntryNs * h100BandwidthGbS) / device.bandwidthGbS
  return (sequences) => once + sequences * each
}

/**
 * Time in ns of a step's layers, given its tokens and what its kernels take: where no CUDA graph has room for them, the
 * device idles between kernels, and waits for the host where that is slower. Neither takes the same time in every layer,
 * so that where they are nearly alike now one is waited for, now the other: fourth powers add up, the exponent that two
 * servers agree on best (docs/accuracy.md).
 */
export const launchedNs =
  ({eagerLayerNs, gapLayerNs, graphTokens}: LaunchTerms, layers: number) =>
  (tokens: number, kernelsNs: number): number => {
    if (tokens <= graphTokens) return kernelsNs
    const deviceNs = kernelsNs + layers * gapLayerNs
    if (eagerLayerNs === 0) return deviceNs
    const [device, host] = [deviceNs ** 2, (layers * eagerLayerNs) ** 2]
    return Math.sqrt(Math.sqrt(device * device + host * host))
  }

/** The same for the measured layers of a profile, in whole ns. */
export const launchedLayersNs = (
  profile: EngineProfile,
  layers: number,
  use: HostUse = plainUse,
): ((tokens: number, kernelsNs: number) => number) => {
  const launched = launchedNs(launchTermsOf(profile, use), layers)
  return (tokens, kernelsNs) => Math.round(launched(tokens, kernelsNs))
}

/**
 * What the host adds to the measured layers of a profile, which times its small kernels and greedy sampling:
 * the gaps per step and sequence, and what another way of sampling costs beyond greedy.
 */
export const hostBesideProfile = (
  profile: EngineProfile,
  sampling: Sampling,
  model: {readonly vocabSize: number; readonly bandwidthGbS: number},
  use: HostUse = plainUse,
): ((sequences: number) => number) => {
  const [stepNs, sequenceNs] = [stepOf(profile, use), sequenceOf(profile, use)]
  const of = (kind: Sampling) => samplerNs(samplerOf(profile, kind), model.vocabSize, model)
  const [chosen, greedy] = [of(sampling), of('plain')]
  return (sequences) =>
    Math.round(stepNs + sequences * sequenceNs + Math.max(0, chosen(sequences) - greedy(sequences)))
}
