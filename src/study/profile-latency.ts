/** Step times from a bundle of layer profiles: which bundle serves an engine, and what stands beside its layers. */
import {existsSync} from 'node:fs'
import {join} from 'node:path'
import {layerCount} from '../catalogue/model-shape.js'
import type {StageCut} from '../catalogue/parallelism.js'
import {findBundle, readBundle} from '../catalogue/profile-bundle.js'
import type {RankWork} from '../compat/rank-work.js'
import type {EngineListener} from '../engine/engine-config.js'
import type {RequestPool} from '../engine/request-pool.js'
import {Problem} from '../errors.js'
import {busiestRank} from '../latency/expert-load.js'
import {hostBesideProfile, launchedLayersNs} from '../latency/host.js'
import {ProfileTimes} from '../latency/profile/profile.js'
import type {StepTimeModel} from '../latency/step-time.js'
import {compatStep, ringOf, type TimesOf} from './compat-step.js'
import {hostUseOf} from './host-use.js'
import type {Instance} from './instance.js'
import {measuredCollectives} from './measured-collectives.js'
import {checkOffDevice} from './off-device.js'
import type {RunRequest} from './run-request.js'
import {inStages, type StageTime} from './stage-times.js'

export interface ProfileLatency extends StepTimeModel {
  /** In place of step times, where ranks run node by node. */
  readonly ranks?: RankWork | undefined
  /** What the engine must tell, where step times are not made of sums alone. */
  readonly listener?: ((requests: RequestPool) => EngineListener) | undefined
}

/** Folder name of a weight format: bf16, or fp8-kvfp8. */
function variantOf({model, settings}: Instance): string {
  const dtype = model.quantization?.dtype ?? model.dtype
  return settings.kvCacheDtype === 'fp8' ? `${dtype}-kvfp8` : dtype
}

/**
 * The folder of the bundle that serves an engine; undefined: none is asked for, or `auto` finds none.
 *
 * @throws Problem LATENCY_UNAVAILABLE where a profile was named and there is none; PROFILE_BAD_FILE
 */
export function bundleOf(instance: Instance, request: RunRequest): string | undefined {
  const {latency, profiles} = request
  if (profiles !== undefined && !existsSync(profiles)) {
    throw new Problem('PROFILE_BAD_FILE', `--profiles ${profiles}: there is no such folder.`, {
      suggestions: ['the folder that holds <hardware>/<org>/<model>/<variant>/tp<N>'],
    })
  }
  if (latency !== 'profile' && latency !== 'auto') return undefined
  const bundle = profiles === undefined ? undefined : bundleIn(profiles, instance)
  if (bundle === undefined && latency === 'profile') throw noBundle(instance, profiles)
  return bundle
}

/** A bundle of any model of the same shape serves: weights do not change times. */
function bundleIn(root: string, instance: Instance): string | undefined {
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

export async function profileLatency(
  instance: Instance,
  request: RunRequest,
  path: string,
): Promise<ProfileLatency> {
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

function stepOfProfile(instance: Instance, request: RunRequest, timesOf: TimesOf) {
  if (request.compat !== undefined) return compatStep(instance, timesOf)
  const device = {
    vocabSize: instance.model.vocabSize,
    bandwidthGbS: instance.hardware?.bandwidthGbS ?? 1000,
  }
  const use = hostUseOf(instance, request)
  const host = hostBesideProfile(instance.profile, instance.sampling, device, use)
  const stageOf = (stage?: StageCut) => {
    const layers = stage?.layers ?? layerCount(instance.model)
    const launched = launchedLayersNs(instance.profile, layers, use)
    return oneStage(timesOf(stage), {host, launched})
  }
  return instance.pp === 1 ? stageOf() : inStages(instance, stageOf)
}

/** What the host does beside the layers, by sequences, and what these take once launched, by tokens and kernel time. */
interface HostBeside {
  readonly host: (sequences: number) => number
  readonly launched: (tokens: number, kernelsNs: number) => number
}

const oneStage = (times: ProfileTimes, {host, launched}: HostBeside): StageTime => ({
  stepTime: (shape) => {
    const head = times.head(shape)
    const layers = launched(shape.tokens, times.at(shape) - head)
    return layers + head + host(shape.sequences)
  },
  outsideLayers: (shape) => times.head(shape) + host(shape.sequences),
})

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
