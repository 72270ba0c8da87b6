/** What a trace is when code hands one over, how it may be read, and what one may be generated from. */
import type {GenerateOptions, GenerateSpec, SharedPrefixes} from '../trace/generate.js'
import type {ReadOptions} from '../trace/read.js'
import type {Distribution} from '../trace/samplers.js'
import {type Labels, maxTokens, type PrefixColumn, type Trace} from '../trace/trace.js'
import {
  behaviour,
  call,
  choice,
  either,
  type Kind,
  list,
  made,
  maybe,
  number,
  shape,
  text,
} from './kinds.js'
import type {Place} from './place.js'
import {count, seed} from './run-request.js'

const column = <Column extends Float64Array | Int32Array>(
  type: {readonly name: string} & (abstract new (...given: never[]) => Column),
): Kind<Column> =>
  made(`a ${type.name}, one number a row`, `new ${type.name}(length)`, (value) => {
    return value instanceof type
  })
const times = column<Float64Array>(Float64Array)
const ints = column<Int32Array>(Int32Array)
const anyText: Kind<string> = {
  rule: 'a text',
  examples: ["''"],
  isMeant: (value) => typeof value === 'string',
  check(value, at) {
    if (typeof value !== 'string') throw at.wrong('a text', value, ["''"])
  },
}
const labels = shape<Labels>({codes: ints, names: list(anyText)})

/** Kept from call to call: a trace is looked through once. */
const seen = new WeakSet<Trace>()

/** A trace that this library made needs no look. */
export function trusted<Made extends Trace>(trace: Made): Made {
  seen.add(trace)
  return trace
}

const traceFields = shape<Trace>(
  {
    length: count,
    arrivedAt: times,
    inputTokens: ints,
    outputTokens: ints,
    requestId: maybe(list(anyText)),
    model: maybe(labels),
    adapter: maybe(labels),
    session: maybe(labels),
    turn: maybe(ints),
    thinkTime: maybe(times),
    priority: maybe(ints),
    predictedOutputTokens: maybe(ints),
    cancelledAt: maybe(times),
    prefix: maybe(
      shape<PrefixColumn>({spanTokens: count, offsets: times, ids: times, knownTokens: ints}),
    ),
    prefixGroup: maybe(labels),
    prefixTokens: maybe(labels),
    extra: maybe(made('a Map of columns', 'new Map()', (value) => value instanceof Map)),
    notes: list(anyText),
    format: anyText,
  },
  {what: 'a trace', example: "await readTrace('traces/code.csv')"},
)

export const traceKind: Kind<Trace> = {
  ...traceFields,
  check(value, at) {
    if (seen.has(value as Trace)) return
    traceFields.check(value, at)
    const trace = value as Trace
    checkRows(trace, at)
    checkTimes(trace, at)
    seen.add(trace)
  },
}

/** Columns that are as long as the trace, and numbers that readers let through. */
function checkRows(trace: Trace, at: Place): void {
  const {length, requestId, session, model, adapter, prefixGroup, prefixTokens, prefix} = trace
  const {arrivedAt, inputTokens, outputTokens, turn, thinkTime, priority, cancelledAt} = trace
  const {predictedOutputTokens} = trace
  const long = {
    ...{arrivedAt, inputTokens, outputTokens, turn, thinkTime, priority, cancelledAt, requestId},
    ...{predictedOutputTokens, 'prefix.knownTokens': prefix?.knownTokens},
  }
  const named = {session, model, adapter, prefixGroup, prefixTokens}
  for (const [name, of] of Object.entries(named)) {
    if (of === undefined) continue
    Object.assign(long, {[`${name}.codes`]: of.codes})
    const wrong = of.codes.findIndex((code) => code < -1 || code >= of.names.length)
    if (wrong >= 0)
      throw at
        .field(`${name}.codes`)
        .entry(wrong)
        .wrong(`-1 or one of the ${of.names.length} names`, of.codes[wrong], ['-1'])
  }
  for (const [name, values] of Object.entries(long)) {
    if (values === undefined || values.length === length) continue
    throw at.field(name).fault(`has ${values.length} rows, and the trace ${length}`, [])
  }
  for (const name of ['inputTokens', 'outputTokens'] as const) {
    const row = trace[name].findIndex((tokens) => tokens < 1 || tokens > maxTokens)
    if (row >= 0)
      throw at
        .field(name)
        .entry(row)
        .wrong(`a whole number from 1 to ${maxTokens}`, trace[name][row], ['1'])
  }
  if (prefix !== undefined) checkPrefix(trace, prefix, at)
}

/** Rows of ids that follow each other, with as many as the known tokens take. */
function checkPrefix(
  {length, inputTokens, outputTokens}: Trace,
  {spanTokens, offsets, ids, knownTokens}: PrefixColumn,
  at: Place,
): void {
  const places = at.field('prefix.offsets')
  if (offsets.length !== length + 1)
    throw places.fault(`has ${offsets.length} entries; it needs one more than there are rows`, [])
  if (offsets[0] !== 0) throw places.entry(0).wrong('0', offsets[0], ['0'])
  for (let row = 0; row < length; row++) {
    const [from, to] = [offsets[row]!, offsets[row + 1]!]
    if (!(Number.isInteger(to) && to >= from && to <= ids.length))
      throw places
        .entry(row + 1)
        .wrong(`a whole number from ${from} to the ${ids.length} ids`, to, [])
    const known = knownTokens[row]!
    const most = Math.min((to - from) * spanTokens, inputTokens[row]! + outputTokens[row]!)
    if (known < 0 || known > most)
      throw at
        .field('prefix.knownTokens')
        .entry(row)
        .wrong(`from 0 to ${most}, what its ids cover and the request has`, known, [])
  }
}

/** Whole ns of at least 0, or NaN: there is none. */
function checkSpans(times: Float64Array | undefined, place: Place): void {
  const row = times?.findIndex((ns) => !Number.isNaN(ns) && !(Number.isSafeInteger(ns) && ns >= 0))
  if (row !== undefined && row >= 0)
    throw place.entry(row).wrong('a whole number of ns of at least 0, or NaN', times![row], ['0'])
}

/** Sorted whole ns; NaN where the turn before releases a row. Nobody hangs up before coming. */
function checkTimes({arrivedAt, thinkTime, cancelledAt, session, length}: Trace, at: Place): void {
  checkSpans(thinkTime, at.field('thinkTime'))
  checkSpans(cancelledAt, at.field('cancelledAt'))
  const early = cancelledAt?.findIndex((ns, row) => ns < arrivedAt[row]!) ?? -1
  if (early >= 0)
    throw at
      .field('cancelledAt')
      .entry(early)
      .fault('is before arrivedAt: a client cannot hang up before it comes', [])
  const place = at.field('arrivedAt')
  const sessions = new Set<number>()
  let latest = 0
  for (let row = 0; row < length; row++) {
    const time = arrivedAt[row]!
    const code = session?.codes[row] ?? -1
    const isReleased =
      thinkTime !== undefined && !Number.isNaN(thinkTime[row]!) && code >= 0 && sessions.has(code)
    if (code >= 0) sessions.add(code)
    if (Number.isNaN(time) && isReleased) continue
    const spot = place.entry(row)
    if (!(Number.isSafeInteger(time) && time >= 0))
      throw spot.wrong('a whole number of ns of at least 0', time, ['0'])
    if (time < latest) throw spot.fault('is earlier than the row before: rows are sorted', [])
    latest = time
  }
}

export const paths: Kind<string | readonly string[]> = either(
  text('a path', 'traces/code.csv'),
  list(text('a path', 'traces/code.csv'), {least: 1, what: 'a list of paths'}),
)

const moment = number({least: 0, unit: 's'})

export const readOptions = shape<ReadOptions>({
  format: maybe(text('the name of a format', 'azure-2023')),
  columns: maybe(
    made(
      'a Map from our names of columns to those of the file',
      "new Map([['input', 'prompt_len']])",
      (value) =>
        value instanceof Map &&
        [...value].every((pair) => pair.every((name) => typeof name === 'string')),
    ),
  ),
  failed: maybe(choice(['error', 'drop'])),
  torn: maybe(choice(['error', 'drop'])),
  csvWay: maybe(choice(['fastest', 'general'])),
  from: maybe(moment),
  to: maybe(number({above: 0, unit: 's'})),
  limit: maybe(count),
  timeScale: maybe(number({above: 0})),
  rate: maybe(number({above: 0, unit: 'requests per second'})),
})

const prefixes = shape<SharedPrefixes>({groups: count, tokens: count, skew: number({least: 0})})
const pace = number({above: 0, unit: 'requests per second'})
const lengths = text("lengths such as 'lognormal:mean=500,p99=3000'", 'fixed:500')

const arrivals = text("arrivals such as 'poisson' or 'gamma:cv=2'", 'poisson', 'gamma:cv=2')
const others = {
  prefixes: maybe(prefixes),
  turns: maybe(text("turns such as 'uniform:1,6'", 'uniform:1,6')),
  thinkTime: maybe(text("seconds such as 'exponential:20'", 'exponential:20')),
}

export const wholeSpec = shape<GenerateSpec>(
  {requests: count, seed, rate: pace, arrivals, input: lengths, output: lengths, ...others},
  {what: 'what to generate'},
)

/** What is left out has the defaults of the flags of `trace generate`. */
export type GivenSpec = {readonly [Key in keyof GenerateSpec]?: GenerateSpec[Key] | undefined}
export const generateSpec = shape<GivenSpec>(
  {
    requests: maybe(count),
    seed: maybe(seed),
    rate: maybe(pace),
    arrivals: maybe(arrivals),
    input: maybe(lengths),
    output: maybe(lengths),
    ...others,
  },
  {what: 'what to generate', example: '{requests: 1000, rate: 4}'},
)

const distribution = behaviour<Distribution>(
  {quantile: call<Distribution['quantile']>()},
  {what: 'a distribution', example: '{quantile: (u) => 500}'},
)

export const generateOptions = shape<GenerateOptions>(
  {
    requests: count,
    seed,
    rate: pace,
    arrivals: behaviour<GenerateOptions['arrivals']>({
      gap: call<GenerateOptions['arrivals']['gap']>(),
      active: number({above: 0, most: 1, example: 1}),
      time: call<GenerateOptions['arrivals']['time']>(),
    }),
    input: distribution,
    output: distribution,
    paired: maybe(choice(['input-output'])),
    prefixes: maybe(prefixes),
    sessions: maybe(
      shape<NonNullable<GenerateOptions['sessions']>>({
        turns: distribution,
        thinkTime: distribution,
      }),
    ),
  },
  {
    what: 'what parseGenerateSpec gives',
    example: 'await parseGenerateSpec({requests: 1000, rate: 4})',
  },
)
