/** Who goes first, and who gives way. A new policy is one entry of `policies`, or a user's own module. */
import {Problem} from '../errors.js'

/** What a policy may know of a request: never its true output length. */
export interface WaitingView {
  /** ns. */
  readonly arrivedAt: number
  readonly inputTokens: number
  /** Undefined where nobody predicted. */
  readonly predictedOutputTokens: number | undefined
  readonly priority: number
}

export interface SchedulingPolicy {
  readonly name: string
  /** Taken once, on arrival; lower goes first, ties by arrival. */
  key(request: WaitingView): number
  /** Who is preempted when blocks run out. */
  readonly victim: 'last-admitted' | 'largest-key'
}

export const policies: readonly SchedulingPolicy[] = [
  {name: 'fcfs', key: () => 0, victim: 'last-admitted'},
  {name: 'priority', key: (request) => request.priority, victim: 'largest-key'},
  {
    name: 'sjf',
    key: (request) => request.predictedOutputTokens ?? request.inputTokens,
    victim: 'last-admitted',
  },
]

const isPath = (name: string) => /[/\\]|\.[cm]?js$/.test(name)

/**
 * A policy by name, or from a module that exports `key` and optionally `victim` (as default or by name).
 * @throws Problem POLICY_BAD_MODULE
 */
export async function loadPolicy(
  name: string,
  resolve: (path: string) => string,
): Promise<SchedulingPolicy> {
  const known = policies.find((policy) => policy.name === name)
  if (known) return known
  const names = policies.map((policy) => policy.name).join(', ')
  if (!isPath(name)) {
    throw new Problem(
      'FLAG_BAD_VALUE',
      `--policy: there is no policy "${name}"; known are ${names}.`,
      {
        suggestions: ['Name one of these, or the path of a module such as --policy ./mine.mjs.'],
      },
    )
  }
  const found = await importPolicy(name, resolve(name))
  if (typeof found.key !== 'function') {
    throw new Problem('POLICY_BAD_MODULE', `${name}: it exports no function "key".`, {
      suggestions: [
        'Write: export default {key: (request) => request.inputTokens, victim: "last-admitted"}',
      ],
    })
  }
  const victim = found.victim ?? 'last-admitted'
  if (victim !== 'last-admitted' && victim !== 'largest-key') {
    throw new Problem(
      'POLICY_BAD_MODULE',
      `${name}: "victim" must be "last-admitted" or "largest-key", not ${JSON.stringify(victim)}.`,
    )
  }
  const key = found.key
  return {
    name,
    victim,
    key(request) {
      const value: unknown = key(request)
      if (typeof value === 'number' && !Number.isNaN(value)) return value
      throw new Problem(
        'POLICY_BAD_MODULE',
        `${name}: key() must return a number, it returned ${String(value)}.`,
      )
    },
  }
}

async function importPolicy(name: string, url: string): Promise<Partial<SchedulingPolicy>> {
  try {
    const module = (await import(url)) as {
      default?: Partial<SchedulingPolicy>
    } & Partial<SchedulingPolicy>
    return module.default ?? module
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause)
    throw new Problem(
      'POLICY_BAD_MODULE',
      `${name}: it could not be loaded: ${reason?.replace(/\.?$/, '.')}`,
      {cause},
    )
  }
}
