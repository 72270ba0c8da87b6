/** Flags of memory that computes. */
import {Flags} from '@oclif/core'
import {Problem} from '../errors.js'
import type {PimRequest} from '../study/pim.js'

const helpGroup = 'ENGINE'

export const pimFlags = {
  pim: Flags.string({
    helpGroup,
    helpValue: 'SPEC',
    summary: 'Keep KV in memory that attends, as DDR4_8GB_3200_pim.',
  }),
  'pim-channels': Flags.string({
    helpGroup,
    helpValue: 'N',
    summary: 'Channels of it for each device (default: 64).',
  }),
  'pim-bandwidth': Flags.string({
    helpGroup,
    helpValue: 'GB/S',
    summary: 'Between a device and them (default: the PCIe link).',
  }),
  'pim-latency': Flags.string({
    helpGroup,
    helpValue: 'US',
    summary: 'Of a message between them (default: 1).',
  }),
  'sub-batches': Flags.boolean({
    helpGroup,
    summary: 'Attend in it for one half of a step while the device works for the other.',
  }),
}

export interface PimFlagValues {
  readonly pim?: string | undefined
  readonly 'pim-channels'?: string | undefined
  readonly 'pim-bandwidth'?: string | undefined
  readonly 'pim-latency'?: string | undefined
  readonly 'sub-batches'?: boolean | undefined
}

/** Undefined without --pim. @throws Problem FLAG_BAD_VALUE, FLAG_CONFLICT */
export function pimOf(flags: PimFlagValues): PimRequest | undefined {
  const {pim: spec, 'sub-batches': subBatches = false, ...others} = flags
  const channels = numberOf('pim-channels', others)
  const gbPerS = numberOf('pim-bandwidth', others)
  const latencyUs = numberOf('pim-latency', others)
  if (spec !== undefined) return {spec, channels, gbPerS, latencyUs, subBatches}
  const given = {'sub-batches': subBatches || undefined, 'pim-channels': channels}
  const all = {...given, 'pim-bandwidth': gbPerS, 'pim-latency': latencyUs}
  const lonely = Object.entries(all).find(([, value]) => value !== undefined)?.[0]
  if (lonely === undefined) return undefined
  throw new Problem('FLAG_CONFLICT', `--${lonely} without --pim.`, {
    suggestions: ['--pim DDR4_8GB_3200_pim', `Leave --${lonely} out.`],
  })
}

const rules = {
  'pim-channels': {rule: 'a whole number above 0', example: 64},
  'pim-bandwidth': {rule: 'a number above 0', example: 64},
  'pim-latency': {rule: 'a number of at least 0', example: 1},
} as const

function numberOf(flag: keyof typeof rules, flags: PimFlagValues): number | undefined {
  const text = flags[flag]
  if (text === undefined) return undefined
  const value = text.trim() === '' ? Number.NaN : Number(text)
  const isGood =
    Number.isFinite(value) &&
    (flag === 'pim-latency' ? value >= 0 : value > 0) &&
    (flag !== 'pim-channels' || Number.isSafeInteger(value))
  if (isGood) return value
  const {rule, example} = rules[flag]
  throw new Problem('FLAG_BAD_VALUE', `--${flag} ${text}: it must be ${rule}.`, {
    suggestions: [`--${flag} ${example}`],
  })
}
