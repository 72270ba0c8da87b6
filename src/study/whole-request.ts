/** What code asks for made a whole request: the defaults of the flags, and names that nothing would read refused. */
import {closest} from '../edit-distance.js'
import type {SchedulingPolicy} from '../engine/policy.js'
import {Problem} from '../errors.js'
import type {LayoutRequest} from './layout.js'
import {defaultModel, type EngineSettings, type RunRequest} from './run-request.js'

/** As for the flags: what is absent, or undefined, has their defaults. */
export type GivenRequest = {readonly [Key in keyof RunRequest]?: RunRequest[Key] | undefined}

const defaults = {
  model: defaultModel,
  layout: {},
  engine: {},
  latency: 'auto',
  policy: 'fcfs',
  frontEnd: 'http',
  seed: 0,
} as const satisfies GivenRequest

type Names<Of> = Readonly<Record<keyof Of, true>>

const requestNames: Names<RunRequest> = {
  ...{model: true, engineProfile: true, efficiencyScale: true, sampling: true, hardware: true},
  ...{link: true, layout: true, engine: true, latency: true, profiles: true, cluster: true},
  ...{compat: true, policy: true, expertLoad: true, traffic: true, router: true, frontEnd: true},
  ...{seed: true, autoscale: true, lora: true, speculation: true, weights: true, kvOffload: true},
  ...{pim: true, pricePerHour: true},
}
const engineNames: Names<EngineSettings> = {
  ...{maxNumSeqs: true, maxNumBatchedTokens: true, longPrefillTokenThreshold: true},
  ...{blockSize: true, maxModelLen: true, numGpuBlocksOverride: true, gpuMemoryUtilization: true},
  ...{enablePrefixCaching: true, enableChunkedPrefill: true, reserveFullPrompt: true},
  ...{asyncScheduling: true, enforceEager: true, dtype: true, kvCacheDtype: true},
  ...{all2allBackend: true, disableHybridKvCacheManager: true},
}
const layoutNames: Names<LayoutRequest> = {
  ...{npu: true, tp: true, pp: true, dp: true, ep: true, instances: true},
  ...{prefill: true, decode: true},
}

/** @throws Problem FLAG_UNKNOWN for a name that nothing reads */
export function wholeRequest(given: GivenRequest): RunRequest {
  check(given, 'the request', requestNames)
  check(given.engine, 'engine', engineNames)
  check(given.layout, 'layout', layoutNames)
  const named = Object.entries(given).filter(([, value]) => value !== undefined)
  return {...defaults, ...Object.fromEntries(named)}
}

function check(given: object | undefined, place: string, names: Readonly<Record<string, true>>) {
  const unknown = Object.keys(given ?? {}).find((name) => !Object.hasOwn(names, name))
  if (unknown === undefined) return
  const spelt = unknown.replaceAll(/[-_](\w)/g, (_, letter: string) => letter.toUpperCase())
  const known = Object.keys(names)
  const meant = Object.hasOwn(names, spelt) ? [spelt] : closest(unknown, known)
  throw new Problem('FLAG_UNKNOWN', `${place} has no field ${unknown}.`, {
    suggestions: meant.length > 0 ? meant : [`known: ${known.join(', ')}`],
  })
}

/** A policy that is an object: held to what a module of its kind is. @throws Problem POLICY_BAD_MODULE */
export function ownPolicy(given: Partial<SchedulingPolicy>): SchedulingPolicy {
  const {name = 'own', victim = 'last-admitted'} = given
  const bad = (rule: string): Problem =>
    new Problem('POLICY_BAD_MODULE', `policy ${name}: ${rule}.`, {
      suggestions: [
        "{name: 'shortest', key: (request) => request.inputTokens, victim: 'last-admitted'}",
      ],
    })
  if (typeof given.key !== 'function') throw bad('it has no function key')
  if (victim !== 'last-admitted' && victim !== 'largest-key')
    throw bad(`victim must be last-admitted or largest-key, not ${String(victim)}`)
  return {
    name,
    victim,
    key: (request) => {
      const value: unknown = given.key!(request)
      if (typeof value === 'number' && !Number.isNaN(value)) return value
      throw bad(`key() must return a number, it returned ${String(value)}`)
    },
  }
}
