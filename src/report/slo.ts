/** Service-level objectives: upper bounds that a request must meet to count as goodput. */
import {Problem} from '../errors.js'
import {durationWords, parseDuration} from './duration.js'

export const sloMetrics = ['ttft', 'tpot', 'itl', 'e2e'] as const
export type SloMetric = (typeof sloMetrics)[number]

/** Bounds in ns; what is absent is not bounded. `itl` bounds the largest gap of a request. */
export type Slo = {readonly [metric in SloMetric]?: number}

const isMetric = (name: string): name is SloMetric =>
  (sloMetrics as readonly string[]).includes(name)

const examples = ['--slo ttft=500ms,tpot=50ms', '--slo e2e=10s']

/** Reads `ttft=500ms,tpot=50ms,e2e=10s`. Throws FLAG_BAD_VALUE naming the part that is wrong. */
export function parseSlo(text: string): Slo {
  const slo: {[metric in SloMetric]?: number} = {}
  for (const part of text.split(',')) {
    const [name = '', value, ...more] = part.split('=').map((word) => word.trim())
    const reject = (rule: string, suggestions: readonly string[] = examples): Problem =>
      new Problem('FLAG_BAD_VALUE', `--slo: "${part.trim()}" ${rule}.`, {suggestions})
    if (value === undefined || more.length > 0) throw reject('is not METRIC=DURATION')
    const metric = name.toLowerCase()
    if (!isMetric(metric)) {
      const bare = sloMetrics.find((own) => metric.includes(own)) ?? 'ttft'
      throw /p\d/.test(metric)
        ? reject(
            'names a percentile; a bound is one for every request, and the share that meets it is printed',
            [`--slo ${bare}=${value} (the p99 keeps it where 99 % or more meet it)`],
          )
        : reject(`does not name a metric; there are ${sloMetrics.join(', ')}`)
    }
    if (slo[metric] !== undefined) throw reject(`bounds ${metric} a second time`)
    const ns = parseDuration(value)
    if (ns === undefined) throw reject(`needs ${durationWords}`)
    if (ns <= 0) throw reject('must be more than zero: no request could meet it')
    slo[metric] = ns
  }
  return slo
}
