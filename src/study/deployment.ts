/** A request for a run made whole: engines with their settings and step times, and the words to describe them. */
import {existsSync} from 'node:fs'
import {resolve} from 'node:path'
import {pathToFileURL} from 'node:url'
import type {EngineProfile} from '../catalogue/engine-profile.js'
import type {ReplicaConfig} from '../cluster/cluster.js'
import {routers} from '../cluster/router.js'
import {loadPolicy, type SchedulingPolicy} from '../engine/policy.js'
import {Problem} from '../errors.js'
import type {StepTimeModel} from '../latency/step-time.js'
import type {Price} from '../report/summary.js'
import {chooseLatency} from './choose-latency.js'
import {type SettledEngine, settleEngine} from './engine-settings.js'
import {type Instance, placeInstances} from './instance.js'
import type {Layout} from './layout.js'
import type {RunRequest} from './run-request.js'

export interface DeployedEngine {
  readonly instance: Instance
  readonly settled: SettledEngine
  readonly latency: StepTimeModel
}

export interface Deployment {
  readonly request: RunRequest
  readonly layout: Layout
  readonly engines: readonly DeployedEngine[]
  readonly replicas: readonly ReplicaConfig[]
  readonly policy: SchedulingPolicy
  readonly price: Price | undefined
  /** What a user should know, one sentence each. */
  readonly notes: readonly string[]
}

/** @throws Problem for anything in the request that does not exist, fit or divide */
export async function deploy(request: RunRequest): Promise<Deployment> {
  if (routers[request.router] === undefined) {
    throw new Problem('FLAG_BAD_VALUE', `--router: there is no router "${request.router}".`, {
      suggestions: Object.keys(routers).map((name) => `--router ${name}`),
    })
  }
  const policy = await loadPolicy(request.policy, moduleUrl)
  const {instances, layout, notes} = await placeInstances(request)
  const made = new Map<Instance, DeployedEngine>()
  const engines: DeployedEngine[] = []
  for (const instance of instances) {
    const engine = made.get(instance) ?? {
      instance,
      // The order matters for messages: a cut that does not divide comes before a model that does not fit.
      settled: settleEngine(instance, request, policy),
      latency: await chooseLatency(instance, request),
    }
    made.set(instance, engine)
    engines.push(engine)
  }
  return {
    request,
    layout,
    engines,
    replicas: engines.map(({instance, settled, latency}) => ({
      engine: settled.config,
      stepTime: latency.stepTime,
      pipeline: latency.pipeline,
      ...(latency.nodeEnds ? {nodeEnds: latency.nodeEnds} : {}),
      frontEnd: frontEndOf(request, instance.profile),
    })),
    policy,
    price: priceOf(engines),
    notes: [
      ...notes,
      ...new Set(engines.flatMap(({settled, latency}) => [...settled.notes, ...latency.notes])),
    ],
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

/** Mean price of the devices, where the catalogue has one for all. */
function priceOf(engines: readonly DeployedEngine[]): Price | undefined {
  let devices = 0
  let usdPerHour = 0
  for (const {instance} of engines) {
    if (instance.hardware === undefined) return undefined
    const {tp, pp} = instance
    devices += tp * pp
    usdPerHour += tp * pp * instance.hardware.priceUsdPerHour
  }
  return {usdPerHour: usdPerHour / devices, devices}
}
