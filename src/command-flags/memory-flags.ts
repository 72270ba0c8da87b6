/** Flags of what lies outside of the device's memory. */
import {Flags} from '@oclif/core'
import {Problem} from '../errors.js'
import {ruleOfText, type WeightRequest} from '../study/weights/rules.js'
import {positiveFlag, rateFlag} from './positive-flag.js'

const helpGroup = 'ENGINE'

export const memoryFlags = {
  weights: Flags.string({
    helpGroup,
    helpValue: 'RULE',
    multiple: true,
    multipleNonGreedy: true,
    summary: "Weights elsewhere: 'blocks 16-31:cpu', 'experts:cpu', 'lm_head:cpu'.",
  }),
  'cpu-offload-gb': Flags.string({
    helpGroup,
    helpValue: 'GIB',
    summary: 'The same of the first blocks: GiB of each device that lie in host memory.',
  }),
  'weight-bandwidth': Flags.string({
    helpGroup,
    helpValue: 'GB/S',
    summary: 'Rate at which they come (default: the PCIe link).',
  }),
  'weight-prefetch': Flags.string({
    helpGroup,
    helpValue: 'N|in-place',
    summary: 'Blocks fetched ahead (default: 1; with --cpu-offload-gb they are read in place).',
  }),
}

export interface MemoryFlagValues {
  readonly weights?: string[] | undefined
  readonly 'cpu-offload-gb'?: string | undefined
  readonly 'weight-bandwidth'?: string | undefined
  readonly 'weight-prefetch'?: string | undefined
}

/** Undefined without --weights and --cpu-offload-gb. @throws Problem FLAG_BAD_VALUE, FLAG_CONFLICT */
export function weightsOf(flags: MemoryFlagValues): WeightRequest | undefined {
  // 0 is vLLM's own default: scripts say it to mean nothing.
  const offload = flags['cpu-offload-gb']?.trim() === '0' ? undefined : flags['cpu-offload-gb']
  const gib = positiveFlag('cpu-offload-gb', offload, 10)
  const gbPerS = rateFlag('weight-bandwidth', flags['weight-bandwidth'], 10)
  const prefetch = prefetchOf(flags['weight-prefetch'])
  const rules = flags.weights?.map(ruleOfText)
  if (gib !== undefined && rules !== undefined) {
    throw new Problem('FLAG_CONFLICT', '--weights and --cpu-offload-gb: both place weights.', {
      suggestions: ['Leave one of the two out.'],
    })
  }
  if (gib !== undefined) return {place: {gib}, gbPerS, prefetch: prefetch ?? 'in place'}
  if (rules !== undefined) return {place: {rules}, gbPerS, prefetch: prefetch ?? 1}
  const lonely = gbPerS !== undefined ? 'weight-bandwidth' : 'weight-prefetch'
  if (gbPerS === undefined && prefetch === undefined) return undefined
  throw new Problem('FLAG_CONFLICT', `--${lonely} without --weights or --cpu-offload-gb.`, {
    suggestions: ["--weights 'blocks 16-31:cpu'", `Leave --${lonely} out.`],
  })
}

function prefetchOf(text: string | undefined): WeightRequest['prefetch'] | undefined {
  if (text === undefined) return undefined
  if (text === 'in-place' || text === 'in place') return 'in place'
  if (/^\d{1,6}$/.test(text)) return Number(text)
  throw new Problem(
    'FLAG_BAD_VALUE',
    `--weight-prefetch ${text}: it must be a number of blocks, or in-place.`,
    {suggestions: ['--weight-prefetch 1', '--weight-prefetch in-place']},
  )
}
