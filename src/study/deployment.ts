/** A request for a run made whole: engines with their settings and step times, and the words to describe them. */
import {existsSync} from 'node:fs'
import {resolve} from 'node:path'
import {pathToFileURL} from 'node:url'
import type {EngineProfile} from '../catalogue/engine-profile.js'
import {kvBytesPerToken} from '../catalogue/model-arithmetic.js'
import {layerCount} from '../catalogue/model-shape.js'
import type {AdapterConfig} from '../cluster/adapter-slots.js'
import type {ReplicaConfig, SimulationConfig} from '../cluster/cluster.js'
import type {StepTimes} from '../cluster/loading-times.js'
import {routers} from '../cluster/router.js'
import {loadPolicy, type SchedulingPolicy} from '../engine/policy.js'
import {Problem} from '../errors.js'
import type {Price} from '../report/cost.js'
import type {PowerPlan} from '../report/energy.js'
import type {TieredKv} from '../tiers/tier-groups.js'
import {checkAutoscale} from './autoscaling.js'
import {type ChosenLatency, chooseLatency} from './choose-latency.js'
import {eagerLaunchOf, launched} from './eager-launch.js'
import {type SettledEngine, settleEngine} from './engine-settings.js'
import {checkIndependent} from './independent.js'
import {type Instance, placeInstances} from './instance.js'
import {kvLinksOf, weightsBesideKv} from './kv-links.js'
import {checkTiers, sharedFault, tieredKvOf} from './kv-tiers.js'
import type {Layout} from './layout.js'
import {adaptersOf, checkLora, settleLora} from './lora.js'
import {pimLatency, pimMemoryOf} from './pim.js'
import {planPower} from './power-plan.js'
import {hasExperts} from './ranks.js'
import type {RunRequest} from './run-request.js'
import {draftedLatency, loadSpeculator, type Speculator, settleSpeculation} from './speculation.js'
import {
  checkHandOffs,
  checkViewAge,
  type SettledNetwork,
  settleTraffic,
  type Traffic,
} from './traffic.js'
import {placedLatency, type WeightPlacement, weightPlacementOf} from './weights/placement.js'
import {type GivenRequest, ownPolicy, wholeRequest} from './whole-request.js'

export type {GivenRequest} from './whole-request.js'

export interface DeployedEngine {
  readonly instance: Instance
  readonly settled: SettledEngine
  readonly latency: ChosenLatency
  readonly adapters: AdapterConfig | undefined
  /** Absent: all weights lie on the devices. */
  readonly weights: WeightPlacement | undefined
  /** Step times while KV comes over the link that weights come over; absent: it makes no difference. */
  readonly whileLoading: StepTimes | undefined
}

export interface Deployment {
  readonly request: RunRequest
  readonly layout: Layout
  readonly engines: readonly DeployedEngine[]
  readonly replicas: readonly ReplicaConfig[]
  /** Of each engine. */
  readonly tiers: readonly (TieredKv | undefined)[]
  readonly policy: SchedulingPolicy
  readonly traffic: Traffic
  readonly kvLinks: SimulationConfig['kvLinks']
  readonly price: Price | undefined
  readonly power: PowerPlan | undefined
  readonly speculator: Speculator | undefined
  /** What a user should know, one sentence each. */
  readonly notes: readonly string[]
}

/** @throws Problem for anything in the request that does not exist, fit or divide */
export async function deploy(given: GivenRequest): Promise<Deployment> {
  const request = wholeRequest(given)
  checkRouters(request)
  const policy =
    typeof request.policy === 'string'
      ? await loadPolicy(request.policy, moduleUrl)
      : ownPolicy(request.policy)
  const {instances, layout, notes, traffic: fromFile} = await placeInstances(request)
  const speculator = await loadSpeculator(request)
  checkLora(request)
  checkAutoscale(request, instances.length)
  checkIndependent(request, instances)
  checkHandOffs(request, instances)
  checkViewAge(request, instances)
  checkSameKv(instances)
  checkExperts(request, instances)
  const traffic = settleTraffic(request, fromFile)
  const {network} = traffic
  const made = await enginesOf(instances, {request, policy, speculator, network})
  const engines = instances.map(({instance}) => made.get(instance)!)
  const places = engines.map(({instance, settled: {config}, weights}) => ({
    instance,
    config,
    weights,
  }))
  for (const instance of new Set(places.map((place) => place.instance))) {
    const place = places.find((one) => one.instance === instance)!
    await told(instance, async () => checkTiers(place, network, request))
  }
  const unshared = sharedFault(places)
  if (unshared) await told(unshared.instance, () => Promise.reject(unshared.problem))
  const tiers = tieredKvOf(places, network)
  return {
    request,
    layout,
    engines,
    traffic,
    kvLinks: kvLinksOf(places, network, request),
    tiers,
    replicas: engines.map(({instance, settled, latency, whileLoading, adapters}, at) => ({
      engine: settled.config,
      adapters,
      tiers: tiers[at],
      stepTime: latency.stepTime,
      pipeline: latency.pipeline,
      whileLoading,
      ...(latency.nodeEnds ? {nodeEnds: latency.nodeEnds} : {}),
      frontEnd: frontEndOf(request, instance.profile),
      role: instance.role,
      group: instances[at]!.group,
      ranks: latency.ranks,
      kv: kvOf(instance),
    })),
    policy,
    price: priceOf(engines, request.pricePerHour),
    power: planPower(
      instances.map(({instance}) => instance),
      {
        pimOf: (instance) => pimMemoryOf(instance, request),
        weightsOf: (instance) => made.get(instance)?.weights,
      },
    ),
    speculator,
    notes: [
      ...notes,
      ...new Set(engines.flatMap(({settled, latency}) => [...settled.notes, ...latency.notes])),
    ],
  }
}

function checkRouters({router, traffic}: RunRequest): void {
  const given = {router, 'decode-router': traffic?.decodeRouter}
  for (const [flag, name] of Object.entries(given)) {
    if (name === undefined || routers[name] !== undefined) continue
    throw new Problem('FLAG_BAD_VALUE', `--${flag}: there is no router "${name}".`, {
      suggestions: Object.keys(routers).map((known) => `--${flag} ${known}`),
    })
  }
}

/** @throws Problem PARALLELISM_INVALID where an engine would decode from the KV of a model or format that is not its own */
function checkSameKv(places: readonly {readonly instance: Instance}[]): void {
  const decode = places.find(({instance}) => instance.role === 'decode')?.instance
  if (decode === undefined) return
  const wanted = kvOf(decode)
  for (const {instance} of places) {
    if (instance.role === undefined) continue
    const {bytesPerToken, layers} = kvOf(instance)
    if (bytesPerToken === wanted.bytesPerToken && layers === wanted.layers) continue
    const text = ({model}: Instance, kv: typeof wanted) =>
      `${model.id} has ${kv.bytesPerToken} bytes of KV a token in ${kv.layers} layers`
    throw new Problem(
      'PARALLELISM_INVALID',
      `prefill and decode: ${text(instance, {bytesPerToken, layers})}, ${text(decode, wanted)}; none of it is of use to the other.`,
      {suggestions: ['the same model and kv_cache_dtype for both roles']},
    )
  }
}

/** @throws Problem FLAG_CONFLICT where --expert-load changes nothing */
function checkExperts(
  {expertLoad}: RunRequest,
  places: readonly {readonly instance: Instance}[],
): void {
  if (expertLoad === undefined || places.some(({instance}) => hasExperts(instance.model))) return
  const models = [...new Set(places.map(({instance}) => instance.model.id))]
  const who = `${models.join(', ')} ${models.length === 1 ? 'has' : 'have'} no experts`
  throw new Problem('FLAG_CONFLICT', `--expert-load: ${who}, so nothing would use it.`, {
    suggestions: ['Leave --expert-load out.', '--model Qwen/Qwen3-30B-A3B, which has experts'],
  })
}

/** The KV of one token, once however many ranks keep copies. */
const kvOf = ({model, settings}: Instance) => ({
  bytesPerToken: kvBytesPerToken(model, {kvDtype: settings.kvCacheDtype ?? 'auto'}),
  layers: layerCount(model),
})

interface Common {
  readonly request: RunRequest
  readonly policy: SchedulingPolicy
  readonly speculator: Speculator | undefined
  readonly network: SettledNetwork
}

/** What fails of an instance, with its place where a cluster file makes it. */
const told = <Made>({blame}: Instance, make: () => Promise<Made>): Promise<Made> =>
  blame ? make().catch(blame) : make()

/** Instances that are alike share an engine's settings and step times. */
async function enginesOf(
  places: readonly {readonly instance: Instance}[],
  common: Common,
): Promise<ReadonlyMap<Instance, DeployedEngine>> {
  const made = new Map<Instance, DeployedEngine>()
  for (const {instance} of places)
    if (!made.has(instance)) {
      made.set(instance, await told(instance, () => engineOf(instance, common)))
    }
  return made
}

async function engineOf(
  placed: Instance,
  {request, policy, ...common}: Common,
): Promise<DeployedEngine> {
  const launch = await eagerLaunchOf(placed)
  const {instance} = launch
  // Who only runs prompts has nothing to draft.
  const speculator = instance.role === 'prefill' ? undefined : common.speculator
  // The order matters for messages: a cut that does not divide comes before a model that does not fit.
  const weights = weightPlacementOf(instance, request)
  const pim = pimMemoryOf(instance, request)
  const settled = settleEngine(instance, request, policy, weights?.memory)
  const resident = launched(await chooseLatency(instance, request), launch)
  const attending = pim ? pimLatency(resident, pim, instance) : resident
  const timesWith = (placed: WeightPlacement | undefined): ChosenLatency => {
    const latency = placed ? placedLatency(attending, placed) : attending
    return speculator ? draftedLatency(latency, speculator, instance) : latency
  }
  const beside = weightsBesideKv({instance, weights}, common.network)
  const {lora} = request
  const drafted = speculator ? settleSpeculation(settled, speculator, instance) : settled
  return {
    instance,
    settled: lora ? settleLora(drafted, lora, instance) : drafted,
    latency: timesWith(weights),
    whileLoading: beside && timesWith(beside),
    adapters: lora && adaptersOf(instance, lora),
    weights,
  }
}

/** Node's own message would name files of llmsim. */
function moduleUrl(path: string): string {
  if (existsSync(path)) return pathToFileURL(resolve(path)).href
  throw new Problem('POLICY_BAD_MODULE', `--policy ${path}: there is no such file.`, {
    suggestions: ['--policy fcfs', 'the path of a module, from the folder you are in'],
  })
}

function frontEndOf({compat, frontEnd}: RunRequest, profile: EngineProfile) {
  if (compat !== undefined || frontEnd === 'none') return {delayNs: 0, perTokenNs: 0, afterNs: 0}
  const {httpNs, inProcessNs, perTokenNs} = profile.frontEnd
  const delayNs = Math.round(frontEnd === 'in-process' ? inProcessNs : httpNs)
  return {delayNs, perTokenNs: Math.round(perTokenNs), afterNs: 0}
}

/** Mean price of the devices, where it was given or the catalogue has one for all. */
function priceOf(engines: readonly DeployedEngine[], given: number | undefined): Price | undefined {
  let devices = 0
  let usdPerHour = 0
  for (const {instance} of engines) {
    const price = given ?? instance.hardware?.priceUsdPerHour ?? undefined
    if (price === undefined) return undefined
    const {tp, pp} = instance
    devices += tp * pp
    usdPerHour += tp * pp * price
  }
  return {usdPerHour: usdPerHour / devices, devices}
}
