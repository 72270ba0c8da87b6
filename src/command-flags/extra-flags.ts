/** Flags of what a deployment may have besides engines: speculative decoding. */
import {Flags} from '@oclif/core'
import {Problem} from '../errors.js'
import type {SpeculationRequest} from '../study/speculation.js'

const helpGroup = 'SPECULATION'

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
}

/** What oclif makes of `extraFlags`. */
export interface ExtraFlagValues {
  readonly 'num-speculative-tokens'?: number | undefined
  readonly 'acceptance-rate'?: string | undefined
  readonly 'draft-model'?: string | undefined
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
  return {tokens, rates: ratesOf(rates, tokens), draftModel}
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
