/** Flags of what lies outside of the device's memory. */
import {Flags} from '@oclif/core'
import {Problem} from '../errors.js'
import type {WeightOffloadRequest} from '../study/weight-offload.js'

const helpGroup = 'ENGINE'

export const memoryFlags = {
  'cpu-offload-gb': Flags.string({
    helpGroup,
    helpValue: 'GIB',
    summary: 'Weights of each device that lie in host memory.',
  }),
  'weight-bandwidth': Flags.string({
    helpGroup,
    helpValue: 'GB/S',
    summary: 'Rate at which they come (default: the PCIe link).',
  }),
  'weight-prefetch': Flags.boolean({
    helpGroup,
    summary: 'Fetch them ahead, instead of reading them in place.',
  }),
}

export interface MemoryFlagValues {
  readonly 'cpu-offload-gb'?: string | undefined
  readonly 'weight-bandwidth'?: string | undefined
  readonly 'weight-prefetch'?: boolean | undefined
}

/** Undefined without --cpu-offload-gb. @throws Problem FLAG_BAD_VALUE, FLAG_CONFLICT */
export function weightOffloadOf(flags: MemoryFlagValues): WeightOffloadRequest | undefined {
  const gib = positive('cpu-offload-gb', flags['cpu-offload-gb'])
  const gbPerS = positive('weight-bandwidth', flags['weight-bandwidth'])
  if (gib !== undefined) return {gib, gbPerS, mode: flags['weight-prefetch'] ? 'prefetch' : 'read'}
  const lonely = gbPerS !== undefined ? 'weight-bandwidth' : 'weight-prefetch'
  if (gbPerS === undefined && !flags['weight-prefetch']) return undefined
  throw new Problem('FLAG_CONFLICT', `--${lonely} without --cpu-offload-gb.`, {
    suggestions: ['--cpu-offload-gb 10', `Leave --${lonely} out.`],
  })
}

function positive(flag: keyof MemoryFlagValues, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (value > 0 && Number.isFinite(value)) return value
  throw new Problem('FLAG_BAD_VALUE', `--${flag} ${text}: it must be a number above 0.`, {
    suggestions: [`--${flag} 10`],
  })
}
