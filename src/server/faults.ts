/** `--fail`: turns away a share of the requests, for tests of what clients do then. */
import {uniformFloat64} from 'pure-rand/distribution/uniformFloat64'
import {xoroshiro128plus} from 'pure-rand/generator/xoroshiro128plus'
import {Problem} from '../errors.js'
import {ApiError} from './api-error.js'

const kinds: Readonly<Record<string, () => ApiError>> = {
  '400': () => new ApiError(400, 'Injected fault: bad request.', {code: 'injected'}),
  '401': () => new ApiError(401, 'Injected fault: wrong API key.', {code: 'invalid_api_key'}),
  '404': () => new ApiError(404, 'Injected fault: no such model.', {code: 'model_not_found'}),
  '429': () =>
    new ApiError(429, 'Injected fault: rate limit reached.', {
      code: 'rate_limit_exceeded',
      headers: {'retry-after': '1'},
    }),
  '500': () => new ApiError(500, 'Injected fault: the server had an error.', {code: 'injected'}),
  '503': () =>
    new ApiError(503, 'Injected fault: the server is overloaded.', {
      code: 'injected',
      headers: {'retry-after': '1'},
    }),
}

export class Faults {
  readonly #rate: number
  readonly #kinds: readonly (() => ApiError)[]
  readonly #random: ReturnType<typeof xoroshiro128plus>
  #next = 0

  /** `rate` of all requests get one of `types` (HTTP statuses) in turn. */
  constructor(rate: number, types: readonly string[], seed: number) {
    this.#rate = rate
    this.#kinds = types.map((type) => kinds[type]!)
    this.#random = xoroshiro128plus(seed)
  }

  /** The fault of the next request; undefined: it is served. */
  next(): ApiError | undefined {
    if (uniformFloat64(this.#random) >= this.#rate) return undefined
    return this.#kinds[this.#next++ % this.#kinds.length]!()
  }
}

/** `rate=1%,type=429` or `rate=0.01,type=429|500`. @throws Problem FLAG_BAD_VALUE */
export function parseFaults(text: string, seed: number): Faults {
  const fields = new Map(text.split(',').map((part) => part.split(/=(.*)/s) as [string, string]))
  const rate = fields.get('rate')?.trim() ?? ''
  const share = rate.endsWith('%') ? Number(rate.slice(0, -1)) / 100 : Number(rate)
  const types = (fields.get('type') ?? '500').split('|').map((type) => type.trim())
  const unknown = [...fields.keys()].find((key) => key !== 'rate' && key !== 'type')
  const wrong = types.find((type) => !Object.hasOwn(kinds, type))
  if (unknown !== undefined) throw bad(text, `it takes rate= and type=, not "${unknown}"`)
  if (rate === '' || !(share >= 0 && share <= 1)) throw bad(text, 'rate must be 0 % to 100 %')
  if (wrong !== undefined)
    throw bad(text, `type "${wrong}" is none of ${Object.keys(kinds).join(', ')}`)
  return new Faults(share, types, seed)
}

const bad = (text: string, why: string): Problem =>
  new Problem('FLAG_BAD_VALUE', `--fail ${text}: ${why}.`, {
    suggestions: ["--fail 'rate=1%,type=429'", "--fail 'rate=5%,type=429|500'"],
  })
