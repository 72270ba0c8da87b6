/** What to try where a model leaves no memory for KV: more devices, weights elsewhere, fewer bits. */
import {
  type Fits,
  fewerBits,
  largerDegrees,
  type MemoryPlan,
  type MemoryRequest,
  type OutsideBytes,
} from '../catalogue/memory.js'
import {layerCount} from '../catalogue/model-shape.js'
import type {Instance} from './instance.js'
import type {LayoutRequest} from './layout.js'
import {blocksGib, outsideBytesOf} from './weights/placement.js'

/** Each was tried: with it at least one block fits. */
export const remediesOf =
  (instance: Instance, layout: LayoutRequest): NonNullable<MemoryRequest['remedies']> =>
  (plan, fits) => {
    const {model} = instance
    const asked = smallerSettings(instance, fits)
    if (asked.length > 0) return asked
    const tries = [
      moreDevices(instance, layout, fits),
      lessAhead(instance, fits),
      onHost(instance, plan, fits),
    ]
    const found = tries.filter((text) => text !== undefined)
    return [
      ...(found.length === 0 ? ['No --tp fits on this hardware.'] : found),
      ...fewerBits(model),
    ]
  }

/** A setting that takes the memory, where the server's own default leaves some. */
function smallerSettings({settings, profile, hardware}: Instance, fits: Fits): string[] {
  const isLarge = (hardware?.memoryGib ?? 0) >= 70
  const {maxNumBatchedTokens, maxNumSeqs} = isLarge
    ? profile.defaults.largeDevice
    : profile.defaults.smallDevice
  const usual = {maxNumBatchedTokens, maxNumSeqs, blockSize: profile.defaults.blockSize}
  const flags = {
    maxNumBatchedTokens: '--max-num-batched-tokens',
    maxNumSeqs: '--max-num-seqs',
    blockSize: '--block-size',
  }
  const names = Object.keys(flags) as (keyof typeof flags)[]
  return names
    .filter((name) => (settings[name] ?? 0) > usual[name] && fits({[name]: usual[name]}))
    .map((name) => `${flags[name]} ${usual[name]} would fit.`)
}

/** What lies outside of an instance that is laid out otherwise. */
const outsideOf = (instance: Instance): readonly OutsideBytes[] | undefined =>
  instance.weights && outsideBytesOf(instance, instance.weights)

function moreDevices(instance: Instance, layout: LayoutRequest, fits: Fits): string | undefined {
  const {model, pp, ep, link, wired} = instance
  const tp = largerDegrees(model, instance).find((tp) =>
    fits({parallelism: {tp, pp, ep}, outside: outsideOf({...instance, tp})}),
  )
  if (tp === undefined) return undefined
  const isWithin = wired !== undefined || link === null || link.scaleOut || tp <= link.maxDevices
  const devices = `--tp ${tp}${npuFor(tp, instance, layout)}`
  if (isWithin) return `${devices} would fit.`
  const nodes = Math.ceil(tp / link.maxDevices)
  const joined = `--link ${link.name}+infiniband:50`
  return `${devices} ${joined} would fit: ${nodes} nodes of ${link.maxDevices} devices, each with a port of 50 GB/s.`
}

/** `--npu` as it must be for that degree; nothing where it was not given, or may stay. */
function npuFor(tp: number, {tp: now}: Instance, {npu, pp = 1, dp = 1, ...asked}: LayoutRequest) {
  if (npu === undefined) return ''
  const isFree = asked.instances === undefined && asked.prefill === undefined
  if (isFree && asked.tp !== undefined && npu % (tp * pp * dp) === 0) return ''
  return ` --npu ${(npu / now) * tp}`
}

/** Blocks that are fetched ahead need room on the device. */
function lessAhead(instance: Instance, fits: Fits): string | undefined {
  const {weights, model} = instance
  if (weights === undefined || weights.prefetch === 'in place') return undefined
  const most = Math.min(weights.prefetch, layerCount(model))
  const fewer = Array.from({length: most}, (_, at) => most - 1 - at)
  const ways = [...fewer, 'in place' as const]
  const prefetch = ways.find((prefetch) =>
    fits({outside: outsideBytesOf(instance, {...weights, prefetch})}),
  )
  return prefetch === undefined
    ? undefined
    : `--weight-prefetch ${prefetch === 'in place' ? 'in-place' : prefetch} would fit.`
}

function onHost(instance: Instance, plan: MemoryPlan, fits: Fits): string | undefined {
  const {hardware, weights, pim, hostBytes = Number.POSITIVE_INFINITY} = instance
  if (pim !== undefined || (weights !== undefined && !('gib' in weights.place))) return undefined
  const here = plan.weights.total - (plan.offloadedBytes ?? 0)
  const room = plan.budgetBytes - plan.activationBytes - plan.runtimeBytes - plan.blockBytes
  const least = Math.ceil(((plan.offloadedBytes ?? 0) + here - room) / 2 ** 30)
  const gib = [least, least + 1].find(
    (gib) =>
      gib <= blocksGib(instance) &&
      gib * 2 ** 30 <= hostBytes &&
      fits({outside: outsideBytesOf(instance, {place: {gib}, prefetch: 'in place'})}),
  )
  if (gib === undefined) return undefined
  const hasLink = weights?.gbPerS !== undefined || hardware?.links.some(({kind}) => kind === 'pcie')
  const rate = hasLink ? '' : ' --weight-bandwidth 64'
  return `--cpu-offload-gb ${gib}${rate} would fit, on a host that has ${gib} GiB for each device; slower, as they cross its link every step.`
}
