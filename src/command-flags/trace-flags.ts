/** The flags of every command that reads a trace, and what they mean to the reader. */
import {Flags} from '@oclif/core'
import {Problem} from '../errors.js'
import type {ReadOptions} from '../trace/read.js'
import {latest} from '../trace/transform.js'
import {durationOrNumberNs} from './duration-flag.js'

const helpGroup = 'TRACE'

/** A number of the command line; Problem names the flag. */
const number = (name: string, what: string) =>
  Flags.custom<number>({
    helpGroup,
    helpValue: what,
    parse: async (text) => {
      const value = text.trim() === '' ? Number.NaN : Number(text)
      if (Number.isFinite(value)) return value
      throw new Problem('FLAG_BAD_VALUE', `--${name} ${text}: it must be a number.`, {
        suggestions: [`--${name} 10`],
      })
    },
  })

/** Seconds, or a time with its unit. Numbers reach as far as times of traces do: some are longer than 104 days. */
const seconds = (name: string) =>
  Flags.custom<number>({
    helpGroup,
    helpValue: 'S',
    parse: async (text) =>
      durationOrNumberNs(name, text, {
        ns: 1e9,
        name: 'a number of seconds',
        example: '60',
        mostNs: latest * 1e9,
      }) / 1e9,
  })

/** Put these into `flags` of a command, and hand what it parsed to `readOptionsOf`. */
export const traceFlags = {
  format: Flags.string({
    helpGroup,
    helpValue: 'NAME',
    summary: 'Format of the trace (default: recognised by its content).',
    description:
      'llmsim, llmservingsim, vidur, azure, mooncake, burstgpt, openai (a log of a gateway) or vllm-bench; see docs/traces.md.',
  }),
  columns: Flags.string({
    helpGroup,
    helpValue: 'MAP',
    summary: 'Columns of a CSV by their names: input=prompt_len,…',
    description:
      'As in --columns arrival=ts_ms,input=prompt_len,output=gen_len. A time is in the unit that its name ends in (_ns, _us, _ms, _s), else in seconds.',
  }),
  from: seconds('from')({summary: 'Leave out what arrives before this second.'}),
  to: seconds('to')({summary: 'Leave out what arrives at this second or later.'}),
  limit: number('limit', 'N')({summary: 'Take the first N requests; sessions are kept whole.'}),
  'time-scale': number(
    'time-scale',
    'X',
  )({summary: 'Multiply arrival times: 0.5 is twice the load.'}),
  rate: number('rate', 'R')({summary: 'Stretch arrival times to a mean of R requests per second.'}),
  'drop-failed': Flags.boolean({
    helpGroup,
    summary: 'Leave out failed requests (no output tokens, or no usage) instead of refusing them.',
  }),
}

export interface TraceFlagValues {
  readonly format?: string | undefined
  readonly columns?: string | undefined
  readonly from?: number | undefined
  readonly to?: number | undefined
  readonly limit?: number | undefined
  readonly 'time-scale'?: number | undefined
  readonly rate?: number | undefined
  readonly 'drop-failed'?: boolean | undefined
}

/** What `readTrace` is to do under the flags that were given. @throws Problem FLAG_CONFLICT, FLAG_BAD_VALUE */
export function readOptionsOf(flags: TraceFlagValues): ReadOptions {
  const {format, columns, from, to, limit, rate} = flags
  const timeScale = flags['time-scale']
  if (rate !== undefined && timeScale !== undefined)
    throw new Problem(
      'FLAG_CONFLICT',
      '--time-scale and --rate: both set the pace, and the rate would win.',
      {
        suggestions: [
          'leave one of the two out: --time-scale 0.5 is twice the load of the trace, --rate 4 is 4 requests per second',
        ],
      },
    )
  return {
    ...(format !== undefined && {format}),
    ...(columns !== undefined && {columns: columnsOf(columns)}),
    ...(from !== undefined && {from}),
    ...(to !== undefined && {to}),
    ...(limit !== undefined && {limit}),
    ...(rate !== undefined && {rate}),
    ...(timeScale !== undefined && {timeScale}),
    ...(flags['drop-failed'] && {failed: 'drop' as const}),
  }
}

/** `input=prompt_len,arrival=ts_ms` → our name → the file's. */
export function columnsOf(text: string): ReadonlyMap<string, string> {
  const columns = new Map<string, string>()
  for (const part of text.split(',')) {
    const [ours = '', theirs = ''] = part.split(/=(.*)/s).map((name) => name.trim())
    if (ours === '' || theirs === '')
      throw new Problem(
        'FLAG_BAD_VALUE',
        `--columns ${text}: "${part}" is not OURS=THEIRS, as in input=prompt_len,arrival=ts_ms.`,
        {suggestions: ['--columns input=prompt_len,output=gen_len']},
      )
    if (columns.has(ours))
      throw new Problem('FLAG_BAD_VALUE', `--columns ${text}: "${ours}" is mapped twice.`)
    columns.set(ours, theirs)
  }
  return columns
}
