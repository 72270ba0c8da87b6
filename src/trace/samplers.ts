/** Distributions as quantile functions, and the seeded uniforms that drive them. */
import {uniformFloat64} from 'pure-rand/distribution/uniformFloat64'
import {xoroshiro128plus} from 'pure-rand/generator/xoroshiro128plus'
import {Problem} from '../errors.js'
import {inverseNormal} from './special-functions.js'

export interface Distribution {
  /** The value below which a share `u` (0 ≤ u < 1) of the samples lies. */
  quantile(u: number): number
}

/** Independent streams of randomness from one seed. */
export class Randomness {
  readonly #root: ReturnType<typeof xoroshiro128plus>

  constructor(seed: number) {
    this.#root = xoroshiro128plus(seed)
  }

  /**
   * `count` numbers in [0, 1), one from each of `count` equal parts of it, in random order: every
   * sample of them has the moments of its distribution, whatever the seed. The outermost parts give
   * their middles: in a heavy tail, a chance in one of them would outweigh all the others.
   */
  strata(count: number): Float64Array {
    const random = this.#root.clone()
    this.#root.jump()
    const values = new Float64Array(count)
    for (let i = 0; i < count; i++) {
      const within = uniformFloat64(random)
      values[i] = (i + (i === 0 || i === count - 1 ? 0.5 : within)) / count
    }
    for (let i = count - 1; i > 0; i--) {
      const other = Math.floor(uniformFloat64(random) * (i + 1))
      const kept = values[i]!
      values[i] = values[other]!
      values[other] = kept
    }
    return values
  }
}

type Parameters = ReadonlyMap<string, number>

/** `name:a=1,b=2` or `name:1,2` → name and numbers (positional ones under '0', '1', …). */
export function parseSpec(text: string, flag: string): {name: string; parameters: Parameters} {
  const [name = '', rest = ''] = text.split(/:(.*)/s)
  const parameters = new Map<string, number>()
  for (const [i, part] of rest.split(',').entries()) {
    if (part === '') continue
    const [key, value] = part.includes('=') ? part.split('=') : [String(i), part]
    const number = value === undefined || value.trim() === '' ? Number.NaN : Number(value)
    if (!Number.isFinite(number))
      throw new Problem('FLAG_BAD_VALUE', `--${flag} ${text}: "${part}" is not a number.`)
    if (Math.abs(number) > Number.MAX_SAFE_INTEGER)
      throw new Problem(
        'FLAG_BAD_VALUE',
        `--${flag} ${text}: "${part}" is more than ${Number.MAX_SAFE_INTEGER}.`,
      )
    if (parameters.has(key!.trim()))
      throw new Problem('FLAG_BAD_VALUE', `--${flag} ${text}: "${key!.trim()}" is there twice.`)
    parameters.set(key!.trim(), number)
  }
  return {name: name.trim().toLowerCase(), parameters}
}

const shapes = [
  'fixed:500',
  'uniform:100,900',
  'exponential:500',
  'lognormal:mean=500,p99=3000',
  'lognormal:mean=500,cv=1.2',
]

const wrong = (flag: string, text: string, why: string): Problem =>
  new Problem('FLAG_BAD_VALUE', `--${flag} ${text}: ${why}; it can be ${shapes.join(', ')}.`)

/** Numbers by place, or parameters by name. */
const takes = (keys: readonly string[]): string => {
  const places = keys.filter((key) => /^\d$/.test(key)).length
  if (places > 0) return `${places} ${places === 1 ? 'number' : 'numbers'}`
  return `${keys.slice(0, -1).join('=, ')}= and ${keys.at(-1)}=`
}

/** A distribution of `text`, as `lognormal:mean=500,p99=3000,max=4000`. FLAG_BAD_VALUE when it is none. */
export function parseDistribution(text: string, flag: string): Distribution {
  const {name, parameters} = parseSpec(/^[\d.]+$/.test(text) ? `fixed:${text}` : text, flag)
  const fail = (why: string): never => {
    throw wrong(flag, text, why)
  }
  const known: Readonly<Record<string, readonly string[]>> = {
    fixed: ['0'],
    uniform: ['0', '1'],
    exponential: ['0', 'mean', 'min', 'max'],
    lognormal: ['mean', 'p99', 'cv', 'min', 'max'],
  }
  const keys = known[name] ?? fail(`there is no distribution "${name}"`)
  for (const [key, value] of parameters) {
    if (/^\d$/.test(key) && !keys.includes(key)) fail(`${name} takes ${takes(keys)}`)
    if (!keys.includes(key)) fail(`"${key}" means nothing to ${name}`)
    if (value < 0) fail('numbers must not be negative')
  }
  return clamped(shapeOf(name, parameters, fail), parameters)
}

function shapeOf(name: string, parameters: Parameters, fail: (why: string) => never): Distribution {
  const number = (key: string): number => parameters.get(key) ?? fail(`it needs ${key}=`)
  if (name === 'fixed') {
    const value = parameters.get('0') ?? fail('it needs a number')
    return {quantile: () => value}
  }
  if (name === 'uniform') {
    const low = parameters.get('0') ?? fail('it needs two numbers')
    const high = parameters.get('1') ?? fail('it needs two numbers')
    return high < low ? fail('the second number must be the larger') : uniform(low, high)
  }
  const mean = parameters.get('0') ?? number('mean')
  if (!(mean > 0)) fail('the mean must be above 0')
  if (name === 'exponential') return {quantile: (u) => -Math.log1p(-u) * mean}
  const p99 = parameters.get('p99')
  if (p99 === undefined) return lognormal(mean, Math.sqrt(Math.log1p(number('cv') ** 2)))
  if (parameters.has('cv')) fail('p99 and cv cannot both be given')
  return lognormal(mean, sigmaOf(mean, p99) ?? fail(p99Rule))
}

const z99 = inverseNormal(0.99)

const p99Rule = `the 99th percentile must lie between the mean and ${Math.exp(z99 ** 2 / 2).toFixed(1)} times the mean`

/** σ of a log-normal from mean and 99th percentile: the smaller root of σ²/2 − z·σ + ln(p99/mean) = 0. */
function sigmaOf(mean: number, p99: number): number | undefined {
  const log = Math.log(p99 / mean)
  const root = z99 ** 2 - 2 * log
  return log < 0 || root < 0 ? undefined : z99 - Math.sqrt(root)
}

const lognormal = (mean: number, sigma: number): Distribution => ({
  quantile: (u) => mean * Math.exp(sigma * (inverseNormal(Math.max(u, 1e-300)) - sigma / 2)),
})

/** Whole numbers from low to high, ends included and equally likely, when rounded. */
const uniform = (low: number, high: number): Distribution =>
  Number.isInteger(low) && Number.isInteger(high)
    ? {quantile: (u) => low + Math.floor(u * (high - low + 1))}
    : {quantile: (u) => low + u * (high - low)}

function clamped(distribution: Distribution, parameters: Parameters): Distribution {
  const least = parameters.get('min')
  const most = parameters.get('max')
  if (least === undefined && most === undefined) return distribution
  const low = least ?? Number.NEGATIVE_INFINITY
  const high = most ?? Number.POSITIVE_INFINITY
  return {quantile: (u) => Math.min(high, Math.max(low, distribution.quantile(u)))}
}

/** The values themselves, each equally likely; u picks by position, so two columns can be picked alike. */
export function empirical(values: ArrayLike<number>): Distribution {
  return {quantile: (u) => values[Math.floor(u * values.length)]!}
}

/** Numbers 0 … count − 1, number i with weight (i + 1)^−exponent. */
export function zipf(count: number, exponent: number): Distribution {
  const upTo = new Float64Array(count)
  let sum = 0
  for (let i = 0; i < count; i++) upTo[i] = sum += (i + 1) ** -exponent
  return {
    quantile: (u) => {
      const found = upTo.findIndex((limit) => u * sum < limit)
      return found < 0 ? count - 1 : found
    },
  }
}
