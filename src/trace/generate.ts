/** Synthetic traces from a seed: arrivals, lengths, shared prefixes, sessions. */
import {Problem} from '../errors.js'
import {type ArrivalProcess, arrivalTimes, parseArrivals} from './arrivals.js'
import {TraceBuilder} from './builder.js'
import {clearDraft, type Draft, emptyDraft} from './draft.js'
import {readTrace} from './read.js'
import {type Distribution, empirical, parseDistribution, Randomness, zipf} from './samplers.js'
import {maxPrefixTokens, maxTokens, type Trace} from './trace.js'
import {latest} from './transform.js'

export interface GenerateOptions {
  readonly requests: number
  readonly seed: number
  /** Requests per second; of a session the turns count, too. */
  readonly rate: number
  readonly arrivals: ArrivalProcess
  /** Tokens that are new in each prompt: after the shared prefix and what the session said before. */
  readonly input: Distribution
  readonly output: Distribution
  /** Both lengths are of the same row of one trace. */
  readonly paired?: 'input-output'
  readonly prefixes?: SharedPrefixes
  readonly sessions?: Sessions
}

export interface SharedPrefixes {
  readonly groups: number
  readonly tokens: number
  /** Zipf exponent of the groups' shares; 0: all alike. */
  readonly skew: number
}

export interface Sessions {
  readonly turns: Distribution
  /** s from the end of a turn to the start of the next. */
  readonly thinkTime: Distribution
}

/** The same as texts, the way the command line has them. */
export interface GenerateSpec {
  readonly requests: number
  readonly seed: number
  readonly rate: number
  readonly arrivals: string
  readonly input: string
  readonly output: string
  readonly prefixes?: SharedPrefixes
  readonly turns?: string
  readonly thinkTime?: string
}

/** What is generated where nothing else is asked for. */
export const generateDefaults = {
  requests: 1000,
  seed: 0,
  rate: 1,
  arrivals: 'poisson',
  input: 'lognormal:mean=500,p99=3000',
  output: 'lognormal:mean=200,p99=1000',
} as const satisfies GenerateSpec

/** Texts → options, reading the traces that lengths are taken from; FLAG_BAD_VALUE names the flag. */
export async function parseGenerateSpec(spec: GenerateSpec): Promise<GenerateOptions> {
  const {requests, seed, rate, prefixes, turns, thinkTime} = spec
  if (turns === undefined && thinkTime !== undefined)
    throw new Problem('FLAG_CONFLICT', '--think-time needs --turns: only sessions have pauses.')
  return {
    requests,
    seed,
    rate,
    arrivals: parseArrivals(spec.arrivals, 'arrivals'),
    ...(await lengthsOf(spec.input, spec.output)),
    ...(prefixes && {prefixes}),
    ...(turns !== undefined && {
      sessions: {
        turns: wholeTurns(turns),
        thinkTime: shortPauses(thinkTime ?? 'exponential:10'),
      },
    }),
  }
}

async function lengthsOf(
  input: string,
  output: string,
): Promise<Pick<GenerateOptions, 'input' | 'output' | 'paired'>> {
  const file = (text: string): string | undefined => /^empirical:(.+)$/s.exec(text)?.[1]
  const read = async (text: string, flag: 'input' | 'output'): Promise<Distribution> => {
    const path = file(text)
    if (path === undefined) return wholeTokens(parseDistribution(text, flag), text, flag)
    const trace = await readTrace([path])
    return empirical(flag === 'input' ? trace.inputTokens : trace.outputTokens)
  }
  const lengths = {input: await read(input, 'input'), output: await read(output, 'output')}
  const same = file(input) !== undefined && file(input) === file(output)
  return same ? {...lengths, paired: 'input-output'} : lengths
}

function wholeTurns(text: string): Distribution {
  const turns = parseDistribution(text, 'turns')
  const value = turns.quantile(0.5)
  if (!isFixed(text) || (Number.isInteger(value) && value >= 1)) return turns
  throw new Problem('FLAG_BAD_VALUE', `--turns ${text}: a session has a whole number of turns.`, {
    suggestions: [`--turns fixed:${Math.max(1, Math.round(value))}`, '--turns uniform:1,3'],
  })
}

/** A pause past 2^53 ns could not be written. */
function shortPauses(text: string): Distribution {
  const pauses = parseDistribution(text, 'think-time')
  if (pauses.quantile(0.5) <= latest) return pauses
  throw new Problem('FLAG_BAD_VALUE', `--think-time ${text}: a pause is at most 104 days.`, {
    suggestions: ['--think-time exponential:10'],
  })
}

const isFixed = (text: string): boolean => /^(fixed:)?[\d.]+$/.test(text)

/** Lengths that are fixed are taken as they are, and others rounded. */
function wholeTokens(distribution: Distribution, text: string, flag: string): Distribution {
  const value = isFixed(text) ? distribution.quantile(0) : 1
  if (Number.isInteger(value) && value >= 1) return distribution
  throw new Problem(
    'FLAG_BAD_VALUE',
    `--${flag} ${text}: a length is a whole number of tokens, and at least 1.`,
    {suggestions: [`--${flag} fixed:${Math.max(1, Math.round(value))}`]},
  )
}

const tokens = (distribution: Distribution, u: number): number =>
  Math.max(1, Math.round(distribution.quantile(u)))

/** Turns of each session until there are `requests` of them; the last session may be cut. */
function sessionSizes(options: GenerateOptions, randomness: Randomness): Int32Array {
  const {requests, sessions} = options
  if (!sessions) return new Int32Array(requests).fill(1)
  const uniforms = randomness.strata(requests)
  const sizes: number[] = []
  for (let left = requests; left > 0; ) {
    const size = Math.min(left, tokens(sessions.turns, uniforms[sizes.length]!))
    sizes.push(size)
    left -= size
  }
  return Int32Array.from(sizes)
}

/** Some 70 bytes each. */
const mostRequests = 50_000_000

const check = (options: GenerateOptions): void => {
  const {requests, rate, prefixes} = options
  const whole: readonly (readonly [string, number, number])[] = [
    ['requests', requests, 1],
    ['prefix-groups', prefixes?.groups ?? 1, 1],
    ['prefix-tokens', prefixes?.tokens ?? 1, 1],
  ]
  if (prefixes && prefixes.tokens > maxPrefixTokens)
    throw new Problem(
      'FLAG_BAD_VALUE',
      `--prefix-tokens ${prefixes.tokens}: it must be at most ${maxPrefixTokens}.`,
    )
  for (const [flag, value, least] of whole) {
    if (Number.isInteger(value) && value >= least) continue
    throw new Problem(
      'FLAG_BAD_VALUE',
      `--${flag} ${value}: it must be a whole number of at least ${least}.`,
    )
  }
  if (requests > mostRequests)
    throw new Problem(
      'FLAG_BAD_VALUE',
      `--requests ${requests}: at most ${mostRequests} are made at once, in memory.`,
      {suggestions: ['several traces of different --seed, which are read as one']},
    )
  if (!(rate > 0 && rate <= 1e9))
    throw new Problem(
      'FLAG_BAD_VALUE',
      `--rate ${rate}: it must be above 0 ${rate > 1e9 ? 'and at most 10^9 ' : ''}requests per second.`,
      {
        suggestions: ['--rate 4'],
      },
    )
  if (requests / rate >= latest)
    throw new Problem(
      'FLAG_BAD_VALUE',
      `--rate ${rate}: ${requests} requests would take more than ${latest} s, where times end.`,
      {suggestions: ['--rate is in requests per second']},
    )
}

/** The uniforms of one trace, a stream for each purpose. */
function draw(options: GenerateOptions, sizes: Int32Array, randomness: Randomness) {
  const {requests, rate, prefixes, sessions} = options
  const starts = arrivalTimes(
    options.arrivals,
    sizes.length,
    (rate * sizes.length) / requests,
    randomness,
  )
  const inputs = randomness.strata(requests)
  const outputs = options.paired ? inputs : randomness.strata(requests)
  const thinks = randomness.strata(sessions ? requests : 0)
  const groups = randomness.strata(prefixes ? sizes.length : 0)
  return {starts, inputs, outputs, thinks, groups}
}

/** A trace; the same options give the same trace. Lengths and gaps have their moments at any seed. */
export function generateTrace(options: GenerateOptions): Trace {
  check(options)
  const {prefixes, sessions} = options
  const randomness = new Randomness(options.seed)
  const sizes = sessionSizes(options, randomness)
  const {starts, inputs, outputs, thinks, groups} = draw(options, sizes, randomness)
  const share = prefixes && zipf(prefixes.groups, prefixes.skew)
  const builder = new TraceBuilder()
  builder.beginFile('generated', 'generated')
  const draft = emptyDraft()
  for (let session = 0, row = 0; session < sizes.length; session++) {
    const group = share && `g${share.quantile(groups[session]!)}`
    let context = prefixes?.tokens ?? 0
    for (let turn = 0; turn < sizes[session]!; turn++, row++) {
      clearDraft(draft)
      draft.input = context + tokens(options.input, inputs[row]!)
      draft.output = tokens(options.output, outputs[row]!)
      checkLengths(draft)
      if (turn === 0) setTime(draft.arrival, starts[session]!)
      else draft.think = nanoseconds(sessions!.thinkTime.quantile(thinks[row]!))
      if (sessions) {
        draft.session = `s${session}`
        draft.turn = turn
        context = draft.input + draft.output
      }
      setPrefix(draft, group, prefixes?.tokens)
      builder.add(draft, row + 1)
    }
  }
  return builder.finish()
}

const checkLengths = ({input, output}: Draft): void => {
  for (const [flag, length] of [
    ['input', input],
    ['output', output],
  ] as const)
    if (length > maxTokens)
      throw new Problem(
        'FLAG_BAD_VALUE',
        `--${flag}: it makes a request of ${length} tokens, and one has at most ${maxTokens}.`,
        {suggestions: [`--${flag} with max=, as in lognormal:mean=500,cv=1,max=100000`]},
      )
}

/** The group's tokens come first; everything after them is known within the session. */
function setPrefix(draft: Draft, group: string | undefined, shared: number | undefined): void {
  const names = [group, draft.session].filter((name) => name !== undefined)
  if (names.length === 0) return
  const whole = draft.session === undefined ? undefined : draft.input + draft.output
  draft.group = names.join(' ')
  draft.groupTokens = [shared, whole].filter((reach) => reach !== undefined).join(' ')
}

const nanoseconds = (seconds: number): number => Math.max(0, Math.round(seconds * 1e9))

const setTime = (time: {seconds: number; nanos: number}, ns: number): void => {
  time.seconds = Math.floor(ns / 1e9)
  time.nanos = ns - time.seconds * 1e9
}
