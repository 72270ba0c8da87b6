/** Flags of what a deployment may have besides engines: speculative decoding. */

import {Flags} from '@oclif/core'
import {type AutoscaleConfig, signals} from '../cluster/autoscaler.js'
import {mostDrafts} from '../engine/speculation.js'
import {Problem} from '../errors.js'
import {type LoraRequest, mostAdapters, mostOverhead} from '../study/lora.js'
import type {SpeculationRequest} from '../study/speculation.js'
import {durationNs, durationOrNumberNs} from './duration-flag.js'

const helpGroup = 'SPECULATION'

const duration = (summary: string) =>
  Flags.string({helpGroup: 'AUTOSCALING', helpValue: '60s', summary})

const milliseconds = {ns: 1e6, name: 'a number of milliseconds', example: '30'}

interface AmountHelp {
  readonly helpValue: string
  /** A value that would do. */
  readonly example: number
  readonly most: number
}

/** A number from 0 up. */
const amount = (name: string, summary: string, {helpValue, example, most}: AmountHelp) =>
  Flags.custom<number>({
    helpGroup: 'LORA',
    helpValue,
    summary,
    parse: async (text) => {
      const value = text.trim() === '' ? Number.NaN : Number(text)
      if (value >= 0 && value <= most) return value
      const rule = value > most ? `at most ${most}` : 'a number from 0 up'
      throw new Problem('FLAG_BAD_VALUE', `--${name} ${text}: it must be ${rule}.`, {
        suggestions: [`--${name} ${example}`],
      })
    },
  })()

export const extraFlags = {
  'num-speculative-tokens': Flags.integer({
    helpGroup,
    helpValue: 'N',
    min: 1,
    summary: 'Drafts behind the last token of every decode.',
  }),
  'acceptance-rate': Flags.string({
    helpGroup,
    helpValue: 'RATE,…',
    summary: 'Chance that a draft is accepted after those before it: one for all, or by place.',
  }),
  'draft-model': Flags.string({
    helpGroup,
    helpValue: 'ID|PATH',
    summary: 'Model that makes the drafts (default: n-grams of the prompt, at no cost).',
  }),

  'max-loras': Flags.integer({
    helpGroup: 'LORA',
    helpValue: 'N',
    min: 1,
    summary: 'Adapters that an engine holds at once; the column adapter says whose is whose.',
  }),
  'lora-rank': Flags.integer({
    helpGroup: 'LORA',
    helpValue: 'R',
    min: 1,
    summary: 'Rank of the adapters (default: 16).',
  }),
  'lora-load-ms': Flags.custom<number>({
    helpGroup: 'LORA',
    helpValue: 'MS',
    summary: 'Time to load an adapter (default: its bytes over PCIe).',
    parse: async (text) => durationOrNumberNs('lora-load-ms', text, milliseconds) / 1e6,
  })(),
  'lora-overhead': amount(
    'lora-overhead',
    'Share of a step for each adapter in use (default: by rank).',
    {helpValue: 'SHARE', example: 0.035, most: mostOverhead},
  ),
  autoscale: Flags.string({
    helpGroup: 'AUTOSCALING',
    helpValue: 'SIGNAL=TARGET',
    summary: 'Scale instances by queue=N (waiting each), utilisation=SHARE or kv=SHARE.',
  }),
  'min-instances': Flags.integer({
    helpGroup: 'AUTOSCALING',
    helpValue: 'N',
    min: 1,
    summary: 'Ready from the start, and never fewer (default: 1); at most all --instances.',
  }),
  'provision-delay': duration('Until a new machine is there.'),
  'cold-start': duration('From then until its engine is ready.'),
  'scale-window': duration('How often the signal is looked at (default: 15s).'),
  'scale-in-after': duration('Nobody asked for more for so long (default: 300s).'),
  adapters: Flags.integer({
    helpGroup: 'LORA',
    helpValue: 'N',
    min: 1,
    summary: 'Draw one of N adapters for every request that names none.',
  }),
}

/** What oclif makes of `extraFlags`. */
export interface ExtraFlagValues {
  readonly autoscale?: string | undefined
  readonly 'min-instances'?: number | undefined
  readonly 'scale-window'?: string | undefined
  readonly 'provision-delay'?: string | undefined
  readonly 'cold-start'?: string | undefined
  readonly 'scale-in-after'?: string | undefined
  readonly 'max-loras'?: number | undefined
  readonly 'lora-rank'?: number | undefined
  readonly 'lora-load-ms'?: number | undefined
  readonly 'lora-overhead'?: number | undefined
  readonly adapters?: number | undefined
  readonly 'num-speculative-tokens'?: number | undefined
  readonly 'acceptance-rate'?: string | undefined
  readonly 'draft-model'?: string | undefined
}

/** @throws Problem FLAG_BAD_VALUE, with the reason for the bound */
function atMost(name: string, value: number | undefined, most: number, why: string): void {
  if (value === undefined || value <= most) return
  throw new Problem('FLAG_BAD_VALUE', `--${name} ${value}: it must be at most ${most}: ${why}.`, {
    suggestions: [`--${name} ${most}`],
  })
}

/** Undefined without --num-speculative-tokens. @throws Problem FLAG_MISSING, FLAG_BAD_VALUE, FLAG_CONFLICT */
export function speculationOf(flags: ExtraFlagValues): SpeculationRequest | undefined {
  const tokens = flags['num-speculative-tokens']
  const rates = flags['acceptance-rate']
  const draftModel = flags['draft-model']
  if (tokens === undefined) {
    const lonely = rates !== undefined ? 'acceptance-rate' : 'draft-model'
    if (rates === undefined && draftModel === undefined) return undefined
    throw new Problem('FLAG_CONFLICT', `--${lonely} without --num-speculative-tokens.`, {
      suggestions: ['--num-speculative-tokens 4', `Leave --${lonely} out.`],
    })
  }
  if (rates === undefined) {
    throw new Problem(
      'FLAG_MISSING',
      'Missing --acceptance-rate RATE: how often the model accepts a draft depends on your prompts.',
      {suggestions: ['--acceptance-rate 0.7', '--acceptance-rate 0.8,0.7,0.6']},
    )
  }
  const why = 'every step computes all drafts, and one so far behind is as good as never accepted'
  atMost('num-speculative-tokens', tokens, mostDrafts, why)
  return {tokens, rates: ratesOf(rates, tokens), draftModel}
}

/** Undefined without --max-loras. @throws Problem FLAG_CONFLICT */
export function loraOf(flags: ExtraFlagValues): LoraRequest | undefined {
  const maxLoras = flags['max-loras']
  const others = ['lora-rank', 'lora-load-ms', 'lora-overhead', 'adapters'] as const
  if (maxLoras === undefined) {
    const lonely = others.find((name) => flags[name] !== undefined)
    if (lonely === undefined) return undefined
    throw new Problem('FLAG_CONFLICT', `--${lonely} without --max-loras.`, {
      suggestions: ['--max-loras 4', `Leave --${lonely} out.`],
    })
  }
  atMost('adapters', flags.adapters, mostAdapters, 'no fleet serves more')
  return {
    maxLoras,
    rank: flags['lora-rank'] ?? 16,
    loadMs: flags['lora-load-ms'],
    overhead: flags['lora-overhead'],
    adapters: flags.adapters,
  }
}

/** Undefined without --autoscale. @throws Problem FLAG_MISSING, FLAG_BAD_VALUE, FLAG_CONFLICT */
export function autoscaleOf(flags: ExtraFlagValues): AutoscaleConfig | undefined {
  const {autoscale} = flags
  if (autoscale === undefined) {
    const others = ['min-instances', ...delays] as const
    const lonely = others.find((name) => flags[name] !== undefined)
    if (lonely === undefined) return undefined
    throw new Problem('FLAG_CONFLICT', `--${lonely} without --autoscale.`, {
      suggestions: ['--autoscale queue=4', `Leave --${lonely} out.`],
    })
  }
  return {
    ...signalOf(autoscale),
    minInstances: flags['min-instances'] ?? 1,
    windowNs: delayOf(flags, 'scale-window', '15s'),
    provisionNs: delayOf(flags, 'provision-delay'),
    coldStartNs: delayOf(flags, 'cold-start'),
    stabilisationNs: delayOf(flags, 'scale-in-after', '300s'),
  }
}

const delays = ['scale-window', 'provision-delay', 'cold-start', 'scale-in-after'] as const

function signalOf(text: string): Pick<AutoscaleConfig, 'signal' | 'target'> {
  const [name, value, ...rest] = text.split('=')
  const signal = signals.find((known) => known === name)
  const target = value === undefined || value.trim() === '' ? Number.NaN : Number(value)
  const most = signal === 'queue' ? Number.MAX_VALUE : 1
  if (signal !== undefined && rest.length === 0 && target > 0 && target <= most)
    return {signal, target}
  const rule =
    signal === undefined
      ? `the signal is one of ${signals.join(', ')}`
      : `the target of ${signal} is a number above 0${most === 1 ? ' and at most 1' : ''}`
  throw new Problem('FLAG_BAD_VALUE', `--autoscale ${text}: ${rule}.`, {
    suggestions: ['--autoscale queue=4', '--autoscale utilisation=0.8', '--autoscale kv=0.7'],
  })
}

function delayOf(
  flags: ExtraFlagValues,
  name: (typeof delays)[number],
  otherwise?: string,
): number {
  const text = flags[name] ?? otherwise
  if (text === undefined) {
    throw new Problem('FLAG_MISSING', `Missing --${name}: how long that takes is yours to know.`, {
      suggestions: [`--${name} 60s`, `--${name} 0s`],
    })
  }
  const ns = durationNs(name, text)
  if (ns > 0 || name !== 'scale-window') return ns
  throw new Problem('FLAG_BAD_VALUE', `--${name} ${text}: it must be a time above 0.`, {
    suggestions: [`--${name} 60s`],
  })
}

function ratesOf(text: string, tokens: number): number[] {
  const rates = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)))
  const wrong = rates.findIndex((rate) => !(rate >= 0 && rate <= 1))
  if (wrong >= 0) {
    throw new Problem(
      'FLAG_BAD_VALUE',
      `--acceptance-rate ${text}: place ${wrong + 1} must be a number from 0 to 1.`,
      {suggestions: ['--acceptance-rate 0.7']},
    )
  }
  if (rates.length > 1 && rates.length !== tokens) {
    throw new Problem(
      'FLAG_BAD_VALUE',
      `--acceptance-rate ${text}: ${rates.length} rates for --num-speculative-tokens ${tokens}; give one for all, or one for each.`,
    )
  }
  return rates
}
