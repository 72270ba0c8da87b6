/**
 * The link between a device and its host, and who shares it: KV from and to tiers, KV of other engines, and weights that lie
 * outside. docs/cluster.md, "The host link".
 */
import {linkDefaults} from '../catalogue/link-defaults.js'
import {stageKvBytesPerToken} from '../catalogue/model-arithmetic.js'
import {type EngineLinks, KvLinks} from '../cluster/kv-links.js'
import type {EngineConfig} from '../engine/engine-config.js'
import {Problem} from '../errors.js'
import type {Instance} from './instance.js'
import type {TierRequest} from './kv-tiers.js'
import type {RunRequest} from './run-request.js'
import type {SettledNetwork} from './traffic.js'
import {slowerLatencies, type WeightPlacement} from './weights/placement.js'

/** An engine as far as its tiers are concerned. */
export interface TierPlace {
  readonly instance: Instance
  readonly config: EngineConfig
}

/** An engine, and which of its weights lie outside of its devices. */
export interface LinkedPlace extends TierPlace {
  readonly weights: WeightPlacement | undefined
}

/** What a memory does, as told or by default: GB/s, and µs of a transfer. */
export const ratesOf = (
  tier: Pick<TierRequest, 'kind' | 'readGbPerS' | 'writeGbPerS' | 'latencyUs'>,
) => {
  const {readGbPerS, writeGbPerS, transferUs} = linkDefaults[tier.kind]
  return {
    read: tier.readGbPerS ?? readGbPerS,
    write: tier.writeGbPerS ?? writeGbPerS,
    latencyUs: tier.latencyUs ?? transferUs,
  }
}

export const tiersOf = ({kvOffload}: Instance): readonly TierRequest[] => kvOffload?.tiers ?? []

/** KV of one token over all devices: ranks that keep copies write and read them too. */
export const bytesPerToken = ({model, tp, pp, settings}: Instance): number =>
  tp *
  stageKvBytesPerToken(model, {tp, pp, kvDtype: settings.kvCacheDtype ?? 'auto'}).reduce(
    (sum, bytes) => sum + bytes,
    0,
  )

/** 10^9 bytes per second between a device and its host, in one direction; undefined: nobody says. */
export const hostLinkOf = ({hardware, kvOffload, weights}: Instance): number | undefined =>
  kvOffload?.hostGbPerS ??
  weights?.gbPerS ??
  hardware?.links.find(({kind}) => kind === 'pcie')?.gbPerS

/** Whether what engines send each other crosses the host links of this one's devices. */
export function isBehindHostLink(
  instance: Instance,
  {bandwidthGbS, behindHostLink}: SettledNetwork,
): boolean {
  const link = hostLinkOf(instance)
  if (link === undefined || behindHostLink === false) return false
  // No card behind these links is as fast as somebody says that it is.
  return behindHostLink === true || bandwidthGbS <= link * devicesOf(instance)
}

const devicesOf = ({tp, pp}: Instance): number => tp * pp

/** Two queues that both want a link: max-min fair shares of it, in its unit. */
export function halved(
  link: number,
  {weights, kv}: {readonly weights: number; readonly kv: number},
): {readonly weights: number; readonly kv: number} {
  const ofWeights = Math.min(weights, Math.max(link / 2, link - kv))
  return {weights: ofWeights, kv: link - ofWeights}
}

/** What weights and KV have of a device's link where both come over it, as if weights came all the time. */
function sharesOf(
  {instance, weights}: Pick<LinkedPlace, 'instance' | 'weights'>,
  network: SettledNetwork,
): {readonly weights: number; readonly kv: number} | undefined {
  const link = hostLinkOf(instance)
  if (weights === undefined || link === undefined) return undefined
  const pulls = instance.role === 'decode' && isBehindHostLink(instance, network)
  const read = tiersOf(instance).reduce((sum, tier) => sum + ratesOf(tier).read, 0)
  const kv = (read + (pulls ? network.bandwidthGbS : 0)) / devicesOf(instance)
  if (kv === 0) return undefined
  const most = weights.shares.flatMap(({cpu, cxl}) => [cpu?.gbPerS ?? 0, cxl?.gbPerS ?? 0])
  return halved(link, {weights: Math.min(link, Math.max(...most)), kv: Math.min(link, kv)})
}

/** Weights as they come while KV is on its way to the engine; undefined: no KV comes over their link. */
export function weightsBesideKv(
  place: Pick<LinkedPlace, 'instance' | 'weights'>,
  network: SettledNetwork,
): WeightPlacement | undefined {
  const shares = sharesOf(place, network)
  return shares && slowerLatencies(place.instance, place.weights!, shares.weights)
}

/** The links of one engine, the `at`-th. @throws Problem FLAG_MISSING for tiers below a device whose link nobody knows */
export function engineLinks(
  {instance, config, weights}: LinkedPlace,
  at: number,
  network: SettledNetwork,
): EngineLinks {
  const link = hostLinkOf(instance)
  const tiers = tiersOf(instance)
  if (link === undefined && tiers.length > 0) throw noHostLink(instance)
  const devices = devicesOf(instance)
  const shares = sharesOf({instance, weights}, network)
  return {
    instance: at,
    hostGbPerS: (link ?? 0) * devices,
    toDeviceGbPerS: shares && shares.kv * devices,
    blockBytes: bytesPerToken(instance) * config.blockSize,
    port: isBehindHostLink(instance, network) ? 'behind the host link' : undefined,
    tiers: tiers.map((tier) => {
      const {read, write, latencyUs} = ratesOf(tier)
      return {
        pool: poolOf(tier, at),
        readGbPerS: read,
        writeGbPerS: write,
        latencyNs: Math.round(latencyUs * 1000),
      }
    }),
  }
}

/** Name of the pool that a tier of the `at`-th engine keeps its blocks in. */
export const poolOf = (
  {kind, isShared}: {readonly kind: string; readonly isShared: boolean},
  at: number,
): string => (isShared ? kind : `${kind} of ${at}`)

const noHostLink = ({hardware}: Instance): Problem =>
  new Problem(
    'FLAG_MISSING',
    `Missing --kv-offload-bandwidth GB/S: the file of ${hardware?.id ?? 'the device'} has no PCIe link.`,
    {suggestions: ['--kv-offload-bandwidth 64', 'host_link_gb_s: 64, in a cluster file']},
  )

/** What carries KV where engines hand it on; undefined: none does, or a clock of another simulator has its own rules. */
export function kvLinksOf(
  places: readonly LinkedPlace[],
  network: SettledNetwork,
  {compat}: Pick<RunRequest, 'compat'>,
): (() => KvLinks) | undefined {
  const handsOn = places.some(({instance}) => instance.role === 'decode')
  if (!handsOn || compat !== undefined) return undefined
  const engines = places.map((place, at) => engineLinks(place, at, network))
  const port = {
    gbPerS: network.bandwidthGbS,
    latencyNs: Math.round(network.latencyUs * 1000),
  }
  return () => new KvLinks(engines, port)
}
