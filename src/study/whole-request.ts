/** What code asks for made a whole request: the defaults of the flags, and a policy of its own. */
import {heldToNumbers, type SchedulingPolicy} from '../engine/policy.js'
import {Problem} from '../errors.js'
import {defaultModel, type RunRequest} from './run-request.js'

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

/** What is absent, or undefined, has the defaults of the flags. */
export function wholeRequest(given: GivenRequest): RunRequest {
  const named = Object.entries(given).filter(([, value]) => value !== undefined)
  return {...defaults, ...Object.fromEntries(named)}
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
  return heldToNumbers({name, victim, key: (request) => given.key!(request)}, 'policy')
}
