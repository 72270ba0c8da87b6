/** Turns what oclif's parser throws into Problems: one line each, with the nearest name. */
import {stripVTControlCharacters} from 'node:util'
import {closest} from './edit-distance.js'
import {Problem} from './errors.js'
import {isOfOclif} from './fault.js'

/** What the translation needs to know of the command that was called. */
export interface CommandNames {
  /** As typed, e.g. `llmsim trace info`. */
  readonly call: string
  /** Long names without dashes, `no-…` forms included. */
  readonly flags: readonly string[]
}

interface FlagDefinitions {
  readonly flags?: Readonly<Record<string, unknown>>
  readonly baseFlags?: Readonly<Record<string, unknown>>
}

/** The names of one command, from its id (`trace:info`) and its definition. */
export const commandNames = (bin: string, id: string, command: FlagDefinitions): CommandNames => {
  const all = {...command.baseFlags, ...command.flags, json: {}, help: {}}
  const flags = Object.entries(all).flatMap(([name, flag]) => {
    const {allowNo = false, aliases = []} = flag as {allowNo?: boolean; aliases?: string[]}
    return [name, ...aliases].flatMap((word) => (allowNo ? [word, `no-${word}`] : [word]))
  })
  return {call: `${bin} ${id.replaceAll(':', ' ')}`.trim(), flags}
}

interface ParserError extends Error {
  readonly flags?: readonly string[]
  readonly args?: readonly unknown[] | Record<string, unknown>
}

/** oclif pads its messages for a screen; here they become one line. */
const oneLine = (message: string): string =>
  stripVTControlCharacters(message)
    .replace(/\n?See more help with --help\s*$/, '')
    .replaceAll(/\s+/g, ' ')
    .trim()

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1)

/** What vLLM and load generators call what is a flag of another name here. */
const otherNames: Readonly<Record<string, string>> = {
  'tensor-parallel-size': 'tp',
  'pipeline-parallel-size': 'pp',
  'data-parallel-size': 'dp',
  'enable-expert-parallel': 'ep',
  'expert-parallel-size': 'ep',
  gpu: 'hardware',
  device: 'hardware',
  gpus: 'npu',
  'num-gpus': 'npu',
  replicas: 'instances',
  quantization: 'dtype',
  'scheduling-policy': 'policy',
  'speculative-config': 'num-speculative-tokens',
  'lora-modules': 'max-loras',
  'max-lora-rank': 'lora-rank',
  'kv-transfer-config': 'kv-offload',
  'request-rate': 'rate',
  qps: 'rate',
  'max-concurrency': 'concurrency',
  'num-prompts': 'limit',
  'dataset-path': 'trace',
}

const meantFlags = (flag: string, names: CommandNames): string[] => {
  const meant = otherNames[flag]
  return meant !== undefined && names.flags.includes(meant)
    ? [meant]
    : closest(flag, names.flags, 2)
}

const unknownFlags = (words: readonly string[], names: CommandNames): Problem => {
  const flags = words.map((word) => word.replace(/=.*$/s, ''))
  const near = flags.flatMap((flag) =>
    flag.startsWith('--') ? meantFlags(flag.slice(2), names) : [],
  )
  const noun = flags.length === 1 ? 'flag' : 'flags'
  return new Problem('FLAG_UNKNOWN', `${names.call} has no ${noun} ${flags.join(', ')}.`, {
    suggestions: [...near.map((flag) => `--${flag}`), `${names.call} --help`],
  })
}

const missingArguments = (args: readonly unknown[], names: CommandNames): Problem => {
  const wanted = args.map((arg) => {
    const {name, description} = arg as {name: string; description?: string}
    return description ? `${name.toUpperCase()} (${lowerFirst(description)})` : name.toUpperCase()
  })
  return new Problem('ARGUMENT_MISSING', `${names.call} needs ${oneLine(wanted.join(' and '))}.`, {
    suggestions: [`${names.call} --help`],
  })
}

const unexpectedArguments = (args: readonly unknown[], names: CommandNames): Problem => {
  const noun = args.length === 1 ? 'argument' : 'arguments'
  return new Problem('ARGUMENT_UNEXPECTED', `${names.call} takes no ${noun} ${args.join(', ')}.`, {
    suggestions: [`${names.call} --help`],
  })
}

/** Rules between flags; several may be broken at once. */
const brokenRules = (message: string, names: CommandNames): Problem => {
  const rules = oneLine(message).replace(/^The following errors? occurred: /, '')
  const missing = [...rules.matchAll(/Missing required flag (\S+)/g)].map(
    (match) => `--${match[1]}`,
  )
  if (missing.length > 0)
    return new Problem('FLAG_MISSING', `${names.call} needs ${missing.join(' and ')}.`, {
      suggestions: [`${names.call} --help`],
    })
  return new Problem('FLAG_CONFLICT', `${rules}.`, {suggestions: [`${names.call} --help`]})
}

const badValue = (message: string, names: CommandNames): Problem => {
  const help = `${names.call} --help`
  const problem = (text: string, near: readonly string[] = []): Problem =>
    new Problem('FLAG_BAD_VALUE', text, {suggestions: [...near, help]})
  const option = /^Expected (?:--(\S+?)=)?(.*) to be one of: (.*)$/.exec(message)
  if (option) {
    const [, flag, value = '', options = ''] = option
    const near = closest(value, options.split(', '))
    const place = flag === undefined ? `"${value}"` : `--${flag}: "${value}"`
    const typed = near.map((name) => (flag === undefined ? name : `--${flag} ${name}`))
    return problem(`${place} is not one of ${options}.`, typed)
  }
  const parsed = /^Parsing (--\S+) (.*)$/.exec(message)
  if (parsed) return problem(`${parsed[1]}: ${lowerFirst(parsed[2]!)}.`)
  return problem(`${message.replace(/^Flag (--\S+) /, '$1 ')}.`)
}

/** An error thrown by a flag's own parser keeps its sentence: oclif writes its frame around it. */
const unframe = (error: Error): Error => {
  const framed = /^Parsing --\S+ \n\t([\s\S]*)\nSee more help with --help$/.exec(error.message)
  if (framed) error.message = framed[1]!
  return error
}

/** `--flag false` or `--flag=false`: the flag takes no value, and the word would be read as an argument, such as a trace. */
export function valueOfSwitch(
  argv: readonly string[],
  flags: Readonly<Record<string, unknown>>,
): Problem | undefined {
  for (const [at, word] of argv.entries()) {
    const [, no = '', name = '', own] = /^--(no-)?([a-z0-9-]+)(?:=(.*))?$/.exec(word) ?? []
    const value = own ?? argv[at + 1]
    if (value !== 'true' && value !== 'false') continue
    const flag = flags[name] as {type?: string; allowNo?: boolean} | undefined
    if (flag?.type !== 'boolean') continue
    const isOn = (value === 'true') === (no === '')
    const meant = isOn ? `--${name}` : `--no-${name}`
    return new Problem('FLAG_BAD_VALUE', `--${no}${name} ${value}: the flag takes no value.`, {
      suggestions: [isOn || flag.allowNo ? meant : `Leave --${name} out.`],
    })
  }
  return undefined
}

/** Long flags of `argv` that the command does not have. */
const unknownAmong = (argv: readonly string[], names: CommandNames): string[] => {
  const end = argv.indexOf('--')
  return (end === -1 ? argv : argv.slice(0, end))
    .filter((word) => word.startsWith('--'))
    .map((word) => word.replace(/=.*$/s, ''))
    .filter((flag) => !names.flags.includes(flag.slice(2)))
}

/**
 * The Problem that a fault of parsing is, or the error itself when it is no fault of the user
 * (a TypeError in a flag's parser, a wrong definition of a command).
 */
export const parseFault = (
  error: unknown,
  names: CommandNames,
  argv: readonly string[],
): unknown => {
  if (!(error instanceof Error)) return error
  if (error instanceof Problem) return unframe(error)
  const {flags = [], args, message} = error as ParserError
  const list = Array.isArray(args) ? args : []
  // The classes themselves are not part of oclif's public face; their names are.
  switch (error.constructor.name) {
    case 'NonExistentFlagsError':
      return unknownFlags(flags, names)
    case 'RequiredArgsError':
      return missingArguments(list, names)
    case 'UnexpectedArgsError':
      return unexpectedArguments(list, names)
    case 'FailedFlagValidationError':
    case 'ViolatedFlagConstraintError':
      return brokenRules(message, names)
    case 'InvalidArgsSpecError':
      return error
  }
  const ofUser = isOfOclif(error) || error.constructor === Error
  if (!ofUser) return unframe(error)
  // The value of a mistyped flag is taken for an argument, and is often a wrong one.
  const unknown = /^(Parsing|Flag|Expected) --/.test(message) ? [] : unknownAmong(argv, names)
  return unknown.length > 0 ? unknownFlags(unknown, names) : badValue(oneLine(message), names)
}
