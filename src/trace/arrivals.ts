/** Arrival processes: when `count` things come at a mean rate. */
import {Problem} from '../errors.js'
import {parseSpec, type Randomness} from './samplers.js'
import {inverseGamma} from './special-functions.js'

/** Gaps of mean 1 from uniforms, and the clock that they are counted on. */
export interface ArrivalProcess {
  gap(u: number): number
  /** Share of the time in which things come. */
  readonly active: number
  /** Time of a moment of the active time (both in s). */
  time(active: number): number
}

const shapes = ['poisson', 'constant', 'gamma:cv=2', 'bursty:on=10,off=30']

const steady = {active: 1, time: (active: number): number => active}

/** The process of `text`; FLAG_BAD_VALUE when it is none. */
export function parseArrivals(text: string, flag: string): ArrivalProcess {
  const {name, parameters} = parseSpec(text, flag)
  const fail = (why: string): never => {
    throw new Problem(
      'FLAG_BAD_VALUE',
      `--${flag} ${text}: ${why}; it can be ${shapes.join(', ')}.`,
    )
  }
  const positive = (key: string): number => {
    const value = parameters.get(key) ?? fail(`it needs ${key}=`)
    return value > 0 ? value : fail(`${key} must be above 0`)
  }
  const exponential = (u: number): number => -Math.log1p(-u)
  switch (name) {
    case 'poisson':
      return {...steady, gap: exponential}
    case 'constant':
      return {...steady, gap: () => 1}
    case 'gamma': {
      const shape = 1 / positive('cv') ** 2
      return {...steady, gap: (u) => inverseGamma(shape, u) / shape}
    }
    case 'bursty': {
      const on = positive('on')
      const cycle = on + positive('off')
      return {
        gap: exponential,
        active: on / cycle,
        time: (active) => Math.floor(active / on) * cycle + (active % on),
      }
    }
    default:
      return fail(`there is no process "${name}"`)
  }
}

/** Times in whole ns, from 0, at a mean of `rate` per second. */
export function arrivalTimes(
  arrivals: ArrivalProcess,
  count: number,
  rate: number,
  randomness: Randomness,
): Float64Array {
  const uniforms = randomness.strata(Math.max(0, count - 1))
  const times = new Float64Array(count)
  const meanGap = arrivals.active / rate
  let active = 0
  for (let i = 1; i < count; i++) {
    active += arrivals.gap(uniforms[i - 1]!) * meanGap
    times[i] = Math.round(arrivals.time(active) * 1e9)
  }
  return times
}
