/** `--enforce-eager`: what the launch of a layer takes where no CUDA graph spares it, and how that is known. */
import {loadEngine} from '../catalogue/engines.js'
import {hostFrom} from '../latency/host.js'
import type {Provenance, StepTimeModel} from '../latency/step-time.js'
import type {Instance} from './instance.js'

/** The only profile with a figure of its own: nothing measured of newer servers shows one. */
const measuredProfile = 'vllm-0.11'

export interface EagerLaunch {
  /** The engine with that figure in its profile. */
  readonly instance: Instance
  readonly provenance: StepTimeModel['provenance']
  readonly notes: readonly string[]
}

/** An engine as it is launched; with graphs as it is. */
export async function eagerLaunchOf(instance: Instance): Promise<EagerLaunch> {
  if (!instance.settings.enforceEager) return {instance, provenance: [], notes: []}
  const {profile} = instance
  const own = profile.host.eagerLayerNs
  if (own !== undefined) {
    const from = hostFrom(instance.hardware)
    return {instance, provenance: [lineOf(own, from, profile.id)], notes: []}
  }
  const eagerLayerNs = (await loadEngine(measuredProfile)).profile.host.eagerLayerNs!
  return {
    instance: {...instance, profile: {...profile, host: {...profile.host, eagerLayerNs}}},
    provenance: [lineOf(eagerLayerNs, 'class default', `${measuredProfile}, carried over`)],
    notes: [
      `--enforce-eager: nobody has measured what the launch of a layer takes in ${profile.name}; the ${eagerLayerNs / 1e3} µs of ${measuredProfile} are taken.`,
    ],
  }
}

const lineOf = (ns: number, from: Provenance, profile: string) => ({
  term: 'launch of layers',
  from,
  detail: `no CUDA graphs: ${ns / 1e3} µs a layer, engine profile ${profile}`,
})

/** Its step times, with what is to be said of them. */
export const launched = <Latency extends StepTimeModel>(
  latency: Latency,
  {provenance, notes}: EagerLaunch,
): Latency => ({
  ...latency,
  provenance: [...latency.provenance, ...provenance],
  notes: [...latency.notes, ...notes],
})
