/** `--latency`: which step-time source serves an engine. A source that was named serves or fails, it never falls back. */
import {existsSync} from 'node:fs'
import {join} from 'node:path'
import type {Link} from '../catalogue/hardware-shape.js'
import {layerCount} from '../catalogue/model-shape.js'
import {checkParallelism, type StageCut, stageCuts} from '../catalogue/parallelism.js'
import {findBundle, readBundle} from '../catalogue/profile-bundle.js'
import {hostCopies, messageNs, ringCollectives} from '../compat/llmservingsim.js'
import {partStep} from '../compat/profile-step.js'
import type {RankWork} from '../compat/rank-work.js'
import {streamedStep} from '../compat/weight-placement.js'
import type {EngineListener} from '../engine/engine-config.js'
import type {RequestPool} from '../engine/request-pool.js'
import {Problem} from '../errors.js'
import {busiestRank, checkExpertLoad} from '../latency/expert-load.js'
import {
  type HostTerms,
  type HostUse,
  hostBesideProfile,
  hostTermsOf,
  launchNs,
} from '../latency/host.js'
import {stageHop} from '../latency/point-to-point.js'
import {ProfileTimes} from '../latency/profile/profile.js'
import {rooflineModel} from '../latency/roofline.js'
import type {BatchShape, PipelineTime, StepTime, StepTimeModel} from '../latency/step-time.js'
import {ranksOfInstance} from './compat-ranks.js'
import {elementBytes, seatsOf} from './engine-settings.js'
import type {Instance} from './instance.js'
import {measuredCollectives} from './measured-collectives.js'
import {checkOffDevice, inPim, placedWeights} from './off-device.js'
import type {RunRequest} from './run-request.js'
import {hopLink, joinedBy} from './wiring.js'

/** LLMServingSim's machine where flags do not describe one: a host memory of 256 GB/s. */
const defaultHostMemory = {bandwidthGb: 256, latencyNs: 0}
/** That simulator charges the kernels alone. */
const silent = (host: HostTerms): HostTerms => ({
  ...host,
  perLayerNs: 0,
  stepNs: 0,
  perSequenceNs: 0,
  eagerLayerNs: 0,
})

export interface ChosenLatency extends StepTimeModel {
  /** In place of step times, where ranks run node by node. */
  readonly ranks?: RankWork | undefined
  /** What the engine must tell, where step times are not made of sums alone. */
  readonly listener?: ((requests: RequestPool) => EngineListener) | undefined
}

/** @throws Problem LATENCY_UNAVAILABLE, PROFILE_BAD_FILE, PARALLELISM_INVALID, FLAG_BAD_VALUE */
export async function chooseLatency(
  instance: Instance,
  request: RunRequest,
): Promise<ChosenLatency> {
  const {latency, profiles} = request
  checkExpertLoad(request.expertLoad, instance.model)
  if (profiles !== undefined && !existsSync(profiles)) {
    throw new Problem('PROFILE_BAD_FILE', `--profiles ${profiles}: there is no such folder.`, {
      suggestions: ['the folder that holds <hardware>/<org>/<model>/<variant>/tp<N>'],
    })
  }
  if (latency === 'profile' || (latency === 'auto' && profiles !== undefined)) {
    const bundle = profiles === undefined ? undefined : bundleOf(instance, profiles)
    if (bundle !== undefined) return profileModel(instance, request, bundle)
    if (latency === 'profile') throw noBundle(instance, profiles)
  }
  const {hardware, link, model, tp, ep, settings, profile, sampling} = instance
  checkOffDevice(instance, 'another')
  if (hardware === undefined) {
    throw new Problem(
      'LATENCY_UNAVAILABLE',
      `${instance.hardwareName} is not in the catalogue, so only a profile could serve it.`,
      {
        suggestions: ['--profiles DIR with a bundle of this device', 'llmsim hardware list'],
      },
    )
  }
  const host = hostTermsOf(profile, sampling, useOf(instance, request))
  const {wired} = instance
  const coefficients = latency === 'datasheet' ? ('class' as const) : ('measured' as const)
  const of = (stage: StageCut | undefined) =>
    rooflineModel({
      model,
      hardware,
      link,
      parallelism: {tp, ep},
      kvDtype: settings.kvCacheDtype ?? 'auto',
      host: request.compat === undefined ? host : silent(host),
      expertLoad: request.expertLoad,
      coefficients,
      stage,
      joined: wired && joinedBy(wired, link, coefficients),
      exchange: settings.all2allBackend === 'deepep_high_throughput' ? 'all-to-all' : 'gather',
    })
  if (instance.pp === 1) return of(undefined)
  return {...of(undefined), ...inStages(instance, of)}
}

interface StageTime {
  readonly stepTime: StepTime
  readonly outsideLayers: StepTime
}

/** The stages of a pipeline, and what joins them. Stages that are alike share their remembered figures. */
function inStages(
  {model, link, tp, pp, ep, wired}: Instance,
  timeOf: (stage: StageCut) => StageTime,
): {stepTime: StepTime; pipeline: PipelineTime} {
  checkParallelism(model, {tp, pp, ep})
  const made = new Map<string, StageTime>()
  const stages = stageCuts(model, pp).map((stage) => {
    const name = JSON.stringify(stage)
    const time = made.get(name) ?? timeOf(stage)
    made.set(name, time)
    return time
  })
  const hop = stageHop((wired && hopLink(wired)) ?? linkOfStages(link, tp * pp), {
    hiddenSize: model.hiddenSize,
    tp,
    pp,
  })
  return {
    stepTime: stages[0]!.stepTime,
    pipeline: {
      stages: stages.map(({stepTime}) => stepTime),
      outsideLayers: stages.map(({outsideLayers}) => outsideLayers),
      hop,
    },
  }
}

/** Stages that do not all fit into one group are told apart by the network; within a group hops would be faster. */
const linkOfStages = (link: Link | null, devices: number): Link | null =>
  link?.scaleOut && devices > link.maxDevices ? {...link, ...link.scaleOut} : link

/** A pipeline has batches enough in flight not to wait for the host. */
const useOf = (instance: Instance, {frontEnd}: RunRequest): HostUse => {
  const {settings, profile, pp} = instance
  return {
    isChat: frontEnd === 'chat',
    isSynchronous: pp === 1 && !(settings.asyncScheduling ?? profile.defaults.asyncScheduling),
    isEager: settings.enforceEager === true,
    maxNumSeqs: seatsOf(instance),
  }
}

/** Folder name of a weight format: bf16, or fp8-kvfp8. */
function variantOf({model, settings}: Instance): string {
  const dtype = model.quantization?.dtype ?? model.dtype
  return settings.kvCacheDtype === 'fp8' ? `${dtype}-kvfp8` : dtype
}

/** A bundle of any model of the same shape serves: weights do not change times. */
function bundleOf(instance: Instance, root: string): string | undefined {
  const {hardwareName, hardware, found, model, tp} = instance
  const names = [hardwareName, ...(hardware ? [hardware.id, ...hardware.aliases] : [])]
  for (const name of new Set(names)) {
    for (const id of new Set([model.id, ...found.ids])) {
      const path = findBundle(root, {hardware: name, model: id, variant: variantOf(instance), tp})
      if (path !== undefined) return path
    }
  }
  return undefined
}

function noBundle(instance: Instance, root: string | undefined): Problem {
  if (root === undefined) {
    return new Problem(
      'LATENCY_UNAVAILABLE',
      '--latency profile needs --profiles DIR with the bundles.',
      {
        suggestions: ['--profiles DIR', '--latency roofline'],
      },
    )
  }
  const {hardwareName, model, tp} = instance
  const path = join(root, hardwareName, ...model.id.split('/'), variantOf(instance), `tp${tp}`)
  return new Problem('LATENCY_UNAVAILABLE', `--latency profile: there is no bundle ${path}.`, {
    suggestions: [
      '--latency roofline, which needs no profile',
      'Another --tp, --model or --dtype that was profiled.',
    ],
  })
}

async function profileModel(
  instance: Instance,
  request: RunRequest,
  path: string,
): Promise<ChosenLatency> {
  const {model, tp, ep, hardwareName} = instance
  checkOffDevice(instance, request.compat === undefined ? 'another' : 'its own')
  const group = model.groups[0]!
  const {experts} = group.mlp
  const isByNode = request.compat !== undefined && instance.machine?.isCoupled === true
  const isShared = request.compat === undefined && ep > tp
  if (experts !== null && !isByNode && !isShared && ep !== tp && tp > 1) {
    throw new Problem(
      'LATENCY_UNAVAILABLE',
      `--ep ${ep} with --tp ${tp}: a profile times whole experts, so they can only be spread over all ${tp} devices.`,
      {suggestions: [`--ep ${tp}`, '--latency roofline']},
    )
  }
  const bundle = await readBundle(path, tp)
  const collectives =
    request.compat === undefined ? measuredCollectives(instance) : ringOf(instance)
  const timesOf = (stage?: StageCut) =>
    new ProfileTimes(
      {
        bundle,
        layers: stage?.layers ?? layerCount(model),
        ...(stage && {stage}),
        experts: experts === null ? undefined : {count: experts.count, perToken: experts.perToken},
        ep,
        ...(isShared ? {members: ep / tp} : {}),
        ...(experts && request.expertLoad
          ? {busiest: busiestRank(request.expertLoad, experts.count, ep)}
          : {}),
        skip: hardwareName.includes('TPU') ? ['rotary_emb'] : [],
      },
      collectives.collectives,
    )
  const times = timesOf()
  const step = stepOfProfile(instance, request, timesOf)
  return {
    source: 'profile',
    ...step,
    provenance: [
      {term: 'layers', from: 'profile', detail: `${path} (vLLM ${bundle.vllmVersion})`},
      ...collectives.provenance,
    ],
    notes: notesOf(times, bundle, request),
  }
}

type TimesOf = (stage?: StageCut) => ProfileTimes

function stepOfProfile(instance: Instance, request: RunRequest, timesOf: TimesOf) {
  if (request.compat !== undefined) return compatStep(instance, timesOf)
  const device = {
    vocabSize: instance.model.vocabSize,
    bandwidthGbS: instance.hardware?.bandwidthGbS ?? 1000,
  }
  const use = useOf(instance, request)
  const host = hostBesideProfile(instance.profile, instance.sampling, device, use)
  const stageOf = (stage?: StageCut) => {
    const layers = stage?.layers ?? layerCount(instance.model)
    return oneStage(timesOf(stage), {host, least: launchNs(instance.profile, layers, use)})
  }
  return instance.pp === 1 ? stageOf() : inStages(instance, stageOf)
}

/** What the host does beside the layers, by sequences, and the least that these take, by tokens. */
interface HostBeside {
  readonly host: (sequences: number) => number
  readonly least: (tokens: number) => number
}

const oneStage = (times: ProfileTimes, {host, least}: HostBeside): StageTime => ({
  stepTime: (shape) => {
    const head = times.head(shape)
    const layers = Math.max(times.at(shape) - head, least(shape.tokens))
    return layers + head + host(shape.sequences)
  },
  outsideLayers: (shape) => times.head(shape) + host(shape.sequences),
})

/** LLMServingSim's step: host copies before the first stage and after the last, hops, and KV that is sent along. */
function compatStep(instance: Instance, timesOf: TimesOf) {
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

function notesOf(
  times: ProfileTimes,
  bundle: {sweptTokens: number; sweptSequences: number},
  {engine}: RunRequest,
): string[] {
  const notes: string[] = []
  if (times.missing.length > 0) {
    notes.push(`The profile has no times for ${times.missing.join(', ')}: they cost nothing here.`)
  }
  const isBeyond =
    (engine.maxNumBatchedTokens ?? 0) > bundle.sweptTokens ||
    (engine.maxNumSeqs ?? 0) > bundle.sweptSequences
  if (isBeyond) {
    notes.push(
      `The profile was measured up to ${bundle.sweptTokens} tokens and ${bundle.sweptSequences} sequences a step; larger steps are extrapolated.`,
    )
  }
  return notes
}

function ringOf(instance: Instance) {
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
