/** No field of what the package's functions take goes unread, whatever stands in it. */
import {expect} from 'chai'
import fc from 'fast-check'
import * as library from '#llmsim/index.js'
import {type Call, calls, check} from '#llmsim/library/calls.js'
import {
  type AnyKind,
  type Fields,
  flag,
  type Kind,
  maybe,
  number,
  text,
} from '#llmsim/library/kinds.js'
import {code, deployment, forms, samples} from './samples.js'

type Path = readonly (string | number)[]

interface Spot {
  readonly call: Call
  readonly path: Path
  readonly kind: AnyKind
  /** The arguments in which it lies. */
  readonly within: object
}

const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value)

/** The same with another value at `path`. */
const changed = (value: unknown, [key, ...rest]: Path, to: unknown): unknown => {
  if (key === undefined) return to
  const inner = changed((value as Record<string | number, unknown>)[key], rest, to)
  return isList(value)
    ? value.map((entry, i) => (i === key ? inner : entry))
    : {...(value as object), [key]: inner}
}

const at = (value: unknown, path: Path): unknown =>
  path.reduce((inner, key) => (inner as Record<string | number, unknown>)[key], value)

/** `engine.maxNumSeqs`, `tasks[0].input`, as messages have it. */
const written = (path: Path): string =>
  path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${key}`))
    .join('')
    .replace(/^\./, '')

/** Where a message says that something is: the only argument is not named. */
const placeOf = ({call, path}: Pick<Spot, 'call' | 'path'>): string => {
  const [argument, ...rest] = path
  const kinds: Readonly<Record<string, AnyKind>> = calls[call]
  const isAlone = Object.keys(kinds).length === 1
  if (!isAlone || kinds[argument!]!.parts?.kind !== 'fields') return written(path)
  return rest.length === 0 ? `the ${argument}` : written(rest)
}

/** The form of several whose fields are those of the value. */
const formOf = (forms: readonly AnyKind[], value: unknown): AnyKind | undefined => {
  const fits = forms.filter((kind) => kind.isMeant(value))
  const names = (kind: AnyKind) =>
    kind.parts?.kind === 'fields' ? Object.keys(kind.parts.fields) : []
  return fits.find((kind) => Object.keys(value as object).every((key) => names(kind).includes(key)))
}

function* spotsOf(spot: Spot): Generator<Spot> {
  yield spot
  const {parts} = spot.kind
  const value = at(spot.within, spot.path)
  const deeper = (key: string | number, kind: AnyKind) =>
    spotsOf({...spot, path: [...spot.path, key], kind})
  if (parts?.kind === 'fields' && typeof value === 'object') {
    for (const [name, kind] of Object.entries(parts.fields)) yield* deeper(name, kind)
  } else if (parts?.kind === 'entries' && isList(value) && value.length > 0)
    yield* deeper(0, parts.of)
  else if (parts?.kind === 'one of') {
    const meant = formOf(parts.of, value)
    if (meant?.parts !== undefined) yield* [...spotsOf({...spot, kind: meant})].slice(1)
  }
}

const names = Object.keys(calls) as Call[]

const spotsIn = (call: Call, within: object): Spot[] =>
  Object.entries<AnyKind>(calls[call]).flatMap(([argument, kind]) => [
    ...spotsOf({call, path: [argument], kind, within}),
  ])

const ofForms = forms.flatMap(([call, place, value]) => {
  const [argument] = Object.keys(calls[call])
  const isAlone = Object.keys(calls[call]).length === 1
  const steps = place.split('.').map((key) => (/^\d+$/.test(key) ? Number(key) : key))
  const path = isAlone ? [argument!, ...steps] : steps
  const within = changed(samples[call], path, value) as object
  const text = written(path)
  return spotsIn(call, within).filter((spot) => written(spot.path).startsWith(text))
})

const spots: readonly Spot[] = [
  ...names.flatMap((call) => spotsIn(call, samples[call])),
  ...ofForms,
]

const functions = new Map(Object.entries(library) as [string, (...given: unknown[]) => unknown][])

/** What the function does with these arguments; a result is a fault here. */
const outcomeOf = async (call: Call, given: object): Promise<unknown> => {
  const run = functions.get(call)!
  try {
    await run(...Object.keys(calls[call]).map((name) => (given as Record<string, unknown>)[name]))
  } catch (error) {
    return error
  }
  return 'it ran'
}

const refused = async (call: Call, given: object, place: string): Promise<library.Problem> => {
  const error = await outcomeOf(call, given)
  if (!(error instanceof library.Problem)) {
    throw new Error(`${call}: ${place}: ${error instanceof Error ? error.stack : error}`)
  }
  expect(error.message.startsWith(`${call}: ${place} `), `${place}: ${error.message}`).equal(true)
  expect(error.message.includes('\n'), error.message).equal(false)
  return error
}

/** Right nowhere. */
const wrongs: readonly unknown[] = [null, Number.NaN, Symbol('s'), 5n, /x/, new Set()]
/** Right somewhere: as they are refused by most, the rest must be theirs by its rule. */
const odd: readonly unknown[] = [
  '',
  'x',
  '60s',
  -1,
  0.5,
  1e300,
  Number.POSITIVE_INFINITY,
  true,
  [],
  [null],
  {},
  {foo: 1},
  () => 1,
  new Date(Number.NaN),
  new Float64Array(1),
  new Map([[1, 2]]),
  Promise.resolve(1),
  Object.create(null),
]

describe('every function of the package', () => {
  it('looks at what it is given', () => {
    const functions = Object.entries(library).filter(([, one]) => typeof one === 'function')
    expect(names).deep.equal(
      functions
        .map(([name]) => name)
        .filter((name) => name !== 'Problem')
        .sort(),
    )
  })

  it('takes a call in which everything is given', () => {
    for (const call of names) check(call, samples[call] as never)
    expect(spots.length).greaterThan(500)
    const all = names.flatMap((call) => spotsIn(call, samples[call]))
    const lost = all.filter(({within, path}) => at(within, path) === undefined)
    expect(lost.map(placeOf)).deep.equal([])
  })

  it('refuses every field with a value that is none of its kind, and says where', async () => {
    for (const spot of spots) {
      const {call, path, within, kind} = spot
      const others = odd.filter((value) => !kind.isMeant(value))
      for (const value of [...wrongs, ...others]) {
        const problem = await refused(call, changed(within, path, value) as object, placeOf(spot))
        expect(problem.code, problem.message).equal('FLAG_BAD_VALUE')
      }
    }
  })

  it('misses what it needs', async () => {
    for (const spot of spots) {
      const given = changed(spot.within, spot.path, undefined) as object
      if (spot.kind.isMeant(undefined)) continue
      // A place is told from others by having one of these.
      const [chosen] = /^.*(?=\.(gib|rules|map)$)/.exec(placeOf(spot)) ?? []
      const problem = await refused(spot.call, given, chosen ?? placeOf(spot))
      expect(problem.code).equal(chosen === undefined ? 'FLAG_MISSING' : 'FLAG_BAD_VALUE')
    }
  })

  it('takes undefined for nothing, at all depths of a request', async () => {
    const base = {hardware: 'RTX4090'} as const
    const told = async (given: object) => {
      try {
        const {settled, instance} = (await library.deploy({...base, ...given})).engines[0]!
        return JSON.stringify([settled, instance.settings])
      } catch (error) {
        return (error as Error).message
      }
    }
    for (const {call, path, within, kind} of spots) {
      const field = path[1] as string
      if (call !== 'deploy' || path.length < 3 || !kind.isMeant(undefined)) continue
      const outer = at(within, path.slice(0, -1)) as object
      const {[path.at(-1)!]: _, ...without} = outer as Record<string | number, unknown>
      const ofField = (to: unknown, of: Path) => ({
        [field]: (changed(within, of, to) as {request: Record<string, unknown>}).request[field],
      })
      const silent = await told(ofField(without, path.slice(0, -1)))
      expect(await told(ofField(undefined, path)), placeOf({call, path})).equal(silent)
    }
    const {traffic} = await library.deploy({
      ...base,
      layout: {prefill: 1, decode: 1},
      traffic: {network: {bandwidthGbS: undefined} as object},
    })
    expect(traffic.network.bandwidthGbS).equal(50)
  })

  it('refuses a name that is not known, and suggests the one that is meant', async () => {
    for (const spot of spots) {
      const {kind, path, within, call} = spot
      const value = at(within, path)
      if (kind.parts?.kind !== 'fields' || typeof value !== 'object') continue
      const known = Object.keys(kind.parts.fields)
      for (const name of known) {
        if (name.length < 4) continue
        const wrong = `${name}${name.at(-1)}`
        const given = changed(within, path, {...value, [wrong]: 1}) as object
        const problem = await refused(call, given, placeOf(spot))
        expect(problem.code).equal('FLAG_UNKNOWN')
        expect(problem.message).match(new RegExp(`has no field ${wrong}\\.$`))
        const [meant] = problem.suggestions
        expect(meant).equal(name)
      }
    }
  })

  it('has a rule and an example wherever something may be wrong', () => {
    const silent = spots.filter(({kind}) => kind.rule === '' || kind.examples.length === 0)
    expect(silent.map(placeOf)).deep.equal([])
  })
})

describe('values of the right kind, however odd', () => {
  const base = {hardware: 'RTX4090'} as const
  const numbers = fc.oneof(
    fc.constantFrom(1, 2, 3, 16, 0.5, 1e-300, 1e9, 2 ** 31, 2 ** 53 - 1, 1e300),
    fc.double({noNaN: true}),
    fc.integer(),
  )
  const words = fc.oneof(
    fc.constantFrom('0', '-', 'ttft=1', 'a:b', '__proto__', 'x=y,z'),
    fc.string(),
  )

  it('are a Problem or a result, of deployments and runs', async () => {
    const trace = await library.readTrace(code, {limit: 3})
    const own = spots.filter(
      ({call, kind, path}) =>
        call === 'deploy' &&
        path.length > 1 &&
        kind.parts === undefined &&
        path[1] !== 'engineProfile',
    )
    const value = fc.oneof(numbers, words, fc.boolean(), fc.constantFrom(undefined, 'npu', 'cpu'))
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...own), value, async ({path, within}, odd) => {
        const field = path[1] as string
        const given = (changed(within, path, odd) as {request: Record<string, unknown>}).request
        try {
          const built = await library.deploy({...base, [field]: given[field]})
          library.simulate({trace, deployment: built})
        } catch (error) {
          if (!(error instanceof library.Problem)) throw error
        }
      }),
      {numRuns: 400, seed: 11},
    )
  })

  it('are a Problem or a result, of searches, traces and texts', async () => {
    const trace = await library.readTrace(code, {limit: 3})
    const attempts: readonly ((one: never, two: never) => unknown)[] = [
      (share, slo) => library.findRate({trace, deployment, slo, share}),
      (slo, warmup) => library.simulate({trace, deployment, slo, warmup}),
      (ttft, concurrency) => library.simulate({trace, deployment, slo: {ttft}, concurrency}),
      (text) => library.parseSlo(text),
      (from, limit) => library.readTrace(code, {from, limit}),
      (rate, timeScale) => library.readTrace(code, {rate, timeScale, limit: 9}),
      (format, input) => library.readTrace(code, {format, columns: new Map([['input', input]])}),
      (arrivals, input) => library.parseGenerateSpec({arrivals, input}),
      (rate, turns) => library.parseGenerateSpec({rate, turns}).then(library.generateTrace),
      (name) => library.loadModel(name),
      (name) => library.loadHardware(name),
    ]
    const value = fc.oneof(numbers, words)
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...attempts), value, value, async (attempt, one, two) => {
        try {
          await attempt(one as never, two as never)
        } catch (error) {
          if (!(error instanceof library.Problem)) throw error
        }
      }),
      {numRuns: 400, seed: 12},
    )
  })
})

describe('a table of fields', () => {
  interface Settings {
    readonly seats: number
    readonly eager?: boolean | undefined
  }
  const seats = number()

  it('is held to the fields and types of its interface by the compiler', () => {
    const right: Fields<Settings> = {seats, eager: maybe(flag)}
    // @ts-expect-error a field is forgotten
    const forgotten: Fields<Settings> = {seats}
    // @ts-expect-error a field too many
    const strange: Fields<Settings> = {seats, eager: maybe(flag), egaer: flag}
    // @ts-expect-error another type
    const other: Fields<Settings> = {seats: text('a text'), eager: maybe(flag)}
    // @ts-expect-error not every value of the type
    const narrow: Fields<Settings> = {seats, eager: maybe(flag as Kind<true>)}
    // @ts-expect-error may be left out
    const needed: Fields<Settings> = {seats, eager: flag}
    // @ts-expect-error may not be left out
    const left: Fields<Settings> = {seats: maybe(seats), eager: maybe(flag)}
    expect([right, forgotten, strange, other, narrow, needed, left].length).equal(7)
  })
})
