/** Who goes first, and who gives way. A new policy is one entry of `policies`, or a user's own module. */
import {closest} from '../edit-distance.js'
import {Problem, type ProblemOptions} from '../errors.js'

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
  checkFields(name, found)
  const victim = found.victim ?? 'last-admitted'
  if (typeof found.key !== 'function') {
    throw badModule(name, 'it exports no function "key".', {
      suggestions: [
        'Write: export default {key: (request) => request.inputTokens, victim: "last-admitted"}',
      ],
    })
  }
  if (victim !== 'last-admitted' && victim !== 'largest-key') {
    const given = JSON.stringify(victim)
    throw badModule(name, `"victim" must be "last-admitted" or "largest-key", not ${given}.`)
  }
  return heldToNumbers({name, victim, key: (request) => found.key!(request)}, '--policy')
}

const readFields: readonly string[] = ['key', 'victim']

/** A module may export what it likes, but not what is meant for a field that it then lacks. */
function checkFields(name: string, module: object): void {
  for (const field of Object.keys(module)) {
    const [meant] = readFields.includes(field) ? [] : closest(field, readFields)
    if (meant === undefined || meant in module) continue
    throw badModule(name, `nothing reads its "${field}".`, {
      suggestions: [`${meant}, if that is meant`],
    })
  }
}

const badModule = (name: string, fault: string, options: ProblemOptions = {}): Problem =>
  new Problem('POLICY_BAD_MODULE', `--policy ${name}: ${fault}`, options)

const ownFields: readonly (keyof WaitingView)[] = [
  'arrivedAt',
  'inputTokens',
  'predictedOutputTokens',
  'priority',
]

/**
 * A policy of somebody else, whose key is a number or a Problem POLICY_BAD_MODULE that begins with `origin` and its
 * name.
 */
export function heldToNumbers(policy: SchedulingPolicy, origin: string): SchedulingPolicy {
  const {name, victim} = policy
  const suggestions = [`A request has ${ownFields.join(', ')} and nothing else.`]
  const bad = (fault: string, cause?: unknown) =>
    new Problem('POLICY_BAD_MODULE', `${origin} ${name}: ${fault}`, {cause, suggestions})
  const called = (request: WaitingView): unknown => {
    try {
      return policy.key(request)
    } catch (cause) {
      throw bad(`key() threw: ${reasonOf(cause).replace(/\.?$/, '.')}`, cause)
    }
  }
  const key = (request: WaitingView): number => {
    const value = called(request)
    if (typeof value === 'number' && !Number.isNaN(value)) return value
    throw bad(`key() must return a number, it returned ${String(value)}.`)
  }
  return {name, victim, key}
}

async function importPolicy(name: string, url: string): Promise<Partial<SchedulingPolicy>> {
  try {
    const module = (await import(url)) as {
      default?: Partial<SchedulingPolicy>
    } & Partial<SchedulingPolicy>
    return module.default ?? module
  } catch (cause) {
    // Node keeps the place of a syntax error to itself.
    const suggestions = cause instanceof SyntaxError ? [`node --check ${name} shows the line.`] : []
    throw badModule(name, `it could not be loaded: ${reasonOf(cause).replace(/\.?$/, '.')}`, {
      cause,
      suggestions,
    })
  }
}

const reasonOf = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : String(cause)).split('\n')[0]!
