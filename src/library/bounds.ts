/** Bounds of latency and warm-ups as code may give them: as texts of the command line, or in nanoseconds. */
import {Problem} from '../errors.js'
import {parseSlo, type Slo, type SloMetric} from '../report/slo.js'
import {parseWarmup, type Warmup} from '../report/warmup.js'
import {choice, type Kind, maybe, shape, tagged, whole} from './kinds.js'
import type {Place} from './place.js'

/** `'ttft=500ms,tpot=50ms'`, or each bound as a text (`'500ms'`) or in ns. */
export type GivenSlo = string | {readonly [metric in SloMetric]?: string | number | undefined}

/** `'60s'`, `'500'` (requests), or what they stand for; `ns` from the first arrival. */
export type GivenWarmup = string | Warmup

/** ns. No server answers within 0.1 ms, so less than that was meant in another unit: 60000 ms would be 60 µs. */
const leastBoundNs = 100_000

const readers = {slo: parseSlo, warmup: parseWarmup}

/** What the reader of a flag says of a text, with the place in the call in front of it and remedies as code. */
function readable(text: string, flag: keyof typeof readers, at: Place): void {
  try {
    readers[flag](text)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    const says = error.message.replace(`--${flag}: `, '').replace(/\.$/, '')
    const tries = error.suggestions.map((line) => `'${line.replace(`--${flag} `, '')}'`)
    throw at.fault(says, tries)
  }
}

const bound = (metric: SloMetric): Kind<string | number> => ({
  rule: `a duration with its unit such as '500ms', or a number of ns of at least ${leastBoundNs}`,
  examples: ["'500ms'", '500e6'],
  isMeant: (value) => typeof value === 'string' || typeof value === 'number',
  check(value, at) {
    if (typeof value === 'string') {
      try {
        parseSlo(`${metric}=${value}`)
        return
      } catch {
        throw at.wrong(this.rule, value, this.examples)
      }
    }
    const isBound = typeof value === 'number' && Number.isFinite(value) && value >= leastBoundNs
    if (!isBound) throw at.wrong(this.rule, value, this.examples)
  },
})

const sloFields = shape<Exclude<GivenSlo, string>>({
  ttft: maybe(bound('ttft')),
  tpot: maybe(bound('tpot')),
  itl: maybe(bound('itl')),
  e2e: maybe(bound('e2e')),
})

const sloRule = "bounds such as 'ttft=500ms,tpot=50ms'"
const sloExamples = ["'ttft=500ms,tpot=50ms'", "{ttft: '500ms'}"]

/** What may be the text that a flag of this name takes, or of `parts`. */
const textOr = <Given extends string | object>(
  flag: 'slo' | 'warmup',
  parts: Kind<Exclude<Given, string>>,
  {rule, examples}: Pick<Kind<Given>, 'rule' | 'examples'>,
): Kind<Given> => ({
  rule,
  examples,
  parts: parts.parts!,
  isMeant: (value) => typeof value === 'string' || parts.isMeant(value),
  check(value, at) {
    if (typeof value === 'string') readable(value, flag, at)
    else if (parts.isMeant(value)) parts.check(value, at)
    else throw at.wrong(rule, value, examples)
  },
})

const someBounds: Kind<Exclude<GivenSlo, string>> = {
  ...sloFields,
  check(value, at) {
    sloFields.check(value, at)
    const isEmpty = Object.values(value as object).every((bound) => bound === undefined)
    if (isEmpty) throw at.wrong('bounds of at least one metric', value, sloExamples)
  },
}

export const sloKind = textOr<GivenSlo>('slo', someBounds, {rule: sloRule, examples: sloExamples})

/** In ns. */
export function sloOf(given: GivenSlo): Slo {
  if (typeof given === 'string') return parseSlo(given)
  const slo: {[metric in SloMetric]?: number} = {}
  for (const [name, bound] of Object.entries(given)) {
    const metric = name as SloMetric
    if (typeof bound === 'number') slo[metric] = bound
    else if (bound !== undefined) Object.assign(slo, parseSlo(`${metric}=${bound}`))
  }
  return slo
}

const warmupParts = tagged('kind', {
  time: shape<Extract<Warmup, {kind: 'time'}>>({
    kind: choice(['time']),
    ns: whole({least: 0, unit: 'ns', example: 60e9}),
  }),
  requests: shape<Extract<Warmup, {kind: 'requests'}>>({
    kind: choice(['requests']),
    count: whole({least: 0, example: 500}),
  }),
})

export const warmupKind = textOr<GivenWarmup>('warmup', warmupParts, {
  rule: "a time such as '60s', or a number of requests such as '500', as a text",
  examples: ["'60s'", "'500'"],
})

export const warmupOf = (given: GivenWarmup): Warmup =>
  typeof given === 'string' ? parseWarmup(given) : given
