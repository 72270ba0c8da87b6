/** Flags whose value is a number above 0. */
import {largestNumber, slowestGbPerS} from '../catalogue/link-defaults.js'
import {Problem} from '../errors.js'

/** Undefined without the flag. `example`: a value that would do. @throws Problem FLAG_BAD_VALUE */
export function positiveFlag(
  flag: string,
  text: string | undefined,
  example: number,
): number | undefined {
  if (text === undefined) return undefined
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (value > 0 && value <= largestNumber) return value
  const rule = value > largestNumber ? `at most ${largestNumber}` : 'a number above 0'
  throw new Problem('FLAG_BAD_VALUE', `--${flag} ${text}: it must be ${rule}.`, {
    suggestions: [`--${flag} ${example}`],
  })
}

/** The same of a rate in GB/s. @throws Problem FLAG_BAD_VALUE for one that nothing has */
export function rateFlag(
  flag: string,
  text: string | undefined,
  example: number,
): number | undefined {
  const value = positiveFlag(flag, text, example)
  if (value === undefined || value >= slowestGbPerS) return value
  throw new Problem(
    'FLAG_BAD_VALUE',
    `--${flag} ${text}: it must be at least ${slowestGbPerS} GB/s (10^9 bytes per second).`,
    {suggestions: [`--${flag} ${example}`]},
  )
}
