import {Flags} from '@oclif/core'
import {BaseCommand} from '../../base-command.js'
import {checkOutputs, replacedBy} from '../../command-flags/outputs.js'
import {Problem} from '../../errors.js'
import {
  type GenerateSpec,
  generateDefaults,
  generateTrace,
  parseGenerateSpec,
} from '../../trace/generate.js'
import {type TraceInfo, traceInfo} from '../../trace/info.js'
import {infoLines} from '../../trace/info-text.js'
import {writeTrace} from '../../trace/write.js'

const lengths =
  'fixed:500, uniform:100,900, exponential:500, lognormal:mean=500,p99=3000 (or cv=1.2; min=, max=) or empirical:TRACE'

const count = (name: string) =>
  Flags.custom<number>({
    parse: async (text) => {
      const value = text.trim() === '' ? Number.NaN : Number(text)
      if (Number.isFinite(value)) return value
      throw new Problem('FLAG_BAD_VALUE', `--${name} ${text}: it must be a number.`, {
        suggestions: [`--${name} 10`],
      })
    },
  })

export default class Generate extends BaseCommand {
  static override summary = 'Make a synthetic trace from a seed.'
  static override examples = [
    '<%= config.bin %> <%= command.id %> --out t.csv --requests 1000 --rate 4 --input lognormal:mean=500,p99=3000',
    '<%= config.bin %> <%= command.id %> --out t.csv --arrivals bursty:on=10,off=30 --prefix-groups 8 --prefix-tokens 1024',
    '<%= config.bin %> <%= command.id %> --out t.csv --turns uniform:1,6 --think-time exponential:20',
  ]
  static override flags = {
    out: Flags.string({char: 'o', helpValue: 'FILE', required: true, summary: 'File to write.'}),
    requests: count('requests')({
      default: generateDefaults.requests,
      helpValue: 'N',
      summary: 'How many requests.',
    }),
    seed: Flags.integer({
      default: generateDefaults.seed,
      min: 0,
      max: 2 ** 32 - 1,
      summary: 'Same seed, same trace.',
    }),
    rate: count('rate')({
      default: generateDefaults.rate,
      helpValue: 'R',
      summary: 'Mean requests per second; turns of sessions count.',
    }),
    arrivals: Flags.string({
      default: generateDefaults.arrivals,
      helpValue: 'PROCESS',
      summary: 'poisson, constant, gamma:cv=2 or bursty:on=10,off=30 (seconds).',
    }),
    input: Flags.string({
      default: generateDefaults.input,
      helpValue: 'LENGTHS',
      summary: 'New tokens of each prompt.',
      description: lengths,
    }),
    output: Flags.string({
      default: generateDefaults.output,
      helpValue: 'LENGTHS',
      summary: 'Tokens of each answer.',
      description: lengths,
    }),
    'prefix-groups': count('prefix-groups')({
      helpValue: 'N',
      dependsOn: ['prefix-tokens'],
      summary: 'How many different shared prefixes there are (default 1).',
    }),
    'prefix-tokens': count('prefix-tokens')({
      helpValue: 'N',
      summary: 'Tokens of the shared prefix, before the new tokens.',
    }),
    'prefix-skew': count('prefix-skew')({
      helpValue: 'S',
      summary: 'Zipf exponent of how often each prefix is used (default 1); 0: all alike.',
    }),
    turns: Flags.string({
      helpValue: 'LENGTHS',
      summary: 'Turns per session; each prompt repeats the session so far.',
    }),
    'think-time': Flags.string({
      helpValue: 'LENGTHS',
      summary: 'Seconds from an answer to the next turn (default exponential:10).',
    }),
  }

  async run(): Promise<TraceInfo> {
    const {flags} = await this.parse(Generate)
    const {out, ...others} = flags
    const given = Object.values(others).map((value) => String(value).replace('empirical:', ''))
    checkOutputs([['out', out]], given)
    const {requests, seed, rate, arrivals, input, output, turns} = flags
    const thinkTime = flags['think-time']
    const tokens = flags['prefix-tokens']
    const groups = flags['prefix-groups'] ?? 1
    const skew = flags['prefix-skew']
    if (skew !== undefined && !(groups > 1)) throw nothingToSkew(skew, tokens)
    const spec: GenerateSpec = {
      ...{requests, seed, rate, arrivals, input, output},
      ...(turns !== undefined && {turns}),
      ...(thinkTime !== undefined && {thinkTime}),
      ...(tokens !== undefined && {
        prefixes: {tokens, groups, skew: skew ?? 1},
      }),
    }
    const trace = generateTrace(await parseGenerateSpec(spec))
    const replaced = replacedBy([out])
    await writeTrace(trace, out)
    for (const line of replaced) this.logToStderr(line)
    const info = traceInfo(trace)
    for (const line of infoLines(info)) this.log(line)
    return info
  }
}

const nothingToSkew = (skew: number, tokens = 1024): Problem =>
  new Problem(
    'FLAG_CONFLICT',
    `--prefix-skew ${skew} needs --prefix-groups 2 or more: one prefix is shared by all requests.`,
    {suggestions: [`--prefix-groups 8 --prefix-tokens ${tokens} --prefix-skew ${skew}`]},
  )
