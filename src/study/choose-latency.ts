/** `--latency`: which step-time source serves an engine. A source that was named serves or fails, it never falls back. */
import type {StageCut} from '../catalogue/parallelism.js'
import {Problem} from '../errors.js'
import {checkExpertLoad} from '../latency/expert-load.js'
import {type HostTerms, hostTermsOf} from '../latency/host.js'
import {rooflineModel} from '../latency/roofline.js'
import {hostUseOf} from './host-use.js'
import type {Instance} from './instance.js'
import {checkOffDevice} from './off-device.js'
import {bundleOf, type ProfileLatency, profileLatency} from './profile-latency.js'
import type {RunRequest} from './run-request.js'
import {inStages} from './stage-times.js'
import {joinedBy} from './wiring.js'

export type ChosenLatency = ProfileLatency

/** @throws Problem LATENCY_UNAVAILABLE, PROFILE_BAD_FILE, PARALLELISM_INVALID, FLAG_BAD_VALUE */
export async function chooseLatency(
  instance: Instance,
  request: RunRequest,
): Promise<ChosenLatency> {
  checkExpertLoad(request.expertLoad, instance.model)
  const bundle = bundleOf(instance, request)
  return bundle === undefined
    ? rooflineLatency(instance, request)
    : profileLatency(instance, request, bundle)
}

/** That simulator charges the kernels alone. */
const silent = (host: HostTerms): HostTerms => ({
  ...host,
  perLayerNs: 0,
  stepNs: 0,
  perSequenceNs: 0,
  eagerLayerNs: 0,
  gapLayerNs: 0,
})

function rooflineLatency(instance: Instance, request: RunRequest): ChosenLatency {
  const {hardware, link, model, tp, ep, settings, profile, sampling, wired} = instance
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
  const host = hostTermsOf(profile, sampling, hostUseOf(instance, request))
  const coefficients = request.latency === 'datasheet' ? ('class' as const) : ('measured' as const)
  const of = (stage: StageCut | undefined) =>
    rooflineModel({
      model,
      hardware,
      link,
      parallelism: {tp, ep},
      mxfp4Experts: profile.marlinMxfp4.includes(hardware.architecture) ? 'marlin' : 'own',
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
