/** Flags whose value is a time: one way to write it, and one message, for all of them. */
import {Problem} from '../errors.js'
import {durationWords, parseDuration} from '../report/duration.js'

/** Nanoseconds of `500ms`, `60s`, `5m`. @throws Problem FLAG_BAD_VALUE */
export function durationNs(flag: string, text: string, example = '60s'): number {
  const ns = parseDuration(text)
  if (ns !== undefined) return ns
  throw new Problem('FLAG_BAD_VALUE', `--${flag} ${text}: it must be ${durationWords}.`, {
    suggestions: [`--${flag} ${example}`],
  })
}

interface BareUnit {
  readonly ns: number
  readonly name: string
  readonly example: string
  /** What a number may be at most, in ns; default: 2^53, as far as whole ones are exact. */
  readonly mostNs?: number
}

/** The same where a number without a unit has one of its own. Returns nanoseconds. @throws Problem FLAG_BAD_VALUE */
export function durationOrNumberNs(flag: string, text: string, unit: BareUnit): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  const ns = Number.isFinite(value) && value >= 0 ? value * unit.ns : parseDuration(text)
  if (ns !== undefined && ns <= (unit.mostNs ?? Number.MAX_SAFE_INTEGER)) return ns
  throw new Problem(
    'FLAG_BAD_VALUE',
    `--${flag} ${text}: it must be ${unit.name} or ${durationWords}.`,
    {suggestions: [`--${flag} ${unit.example}`]},
  )
}
