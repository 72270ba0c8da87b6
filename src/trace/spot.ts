/** The place of a value in a trace file, and the rules that values of every format obey. */
import {Problem} from '../errors.js'
import {isNumber, parseTime, setNumber, type TimeParts, type UnitDigits} from './time-parts.js'
import {maxTokens} from './trace.js'

/** Points at one value; moved along as a file is read, and asked for its place only when it is wrong. */
export interface Spot {
  /** `file:line:column` (CSV) or `file:line` (JSON). */
  where(): string
  /** The column or key, as the file has it. */
  readonly name: string
}

const show = (value: unknown): string => {
  if (value === undefined) return 'missing'
  if (value === '') return 'empty'
  const text = typeof value === 'string' ? `"${value}"` : (JSON.stringify(value) ?? 'missing')
  return text.length > 40 ? `${text.slice(0, 39)}…` : text
}

/** Names for a message: at most 12, or 150 characters. */
export function fewNames(names: readonly string[]): string {
  const shown: string[] = []
  let length = 0
  for (const name of names) {
    const short = name.length > 40 ? `${name.slice(0, 39)}…` : name || '(no name)'
    if (shown.length === 12 || (length > 0 && length + short.length > 150)) break
    shown.push(short)
    length += short.length + 2
  }
  const more = names.length - shown.length
  return shown.join(', ') + (more > 0 ? ` and ${more} more` : '')
}

/** Throws TRACE_BAD_VALUE: place, name, value and the rule that it breaks. */
export function refuse(
  spot: Spot,
  value: unknown,
  rule: string,
  suggestions: readonly string[] = [],
): never {
  const message = `${spot.where()}: ${spot.name} is ${show(value)}: ${rule}.`
  throw new Problem('TRACE_BAD_VALUE', message, {suggestions})
}

/** TRACE_DUPLICATE_ID: two places have one id. */
export const idTwice = (id: string, place: string, before: string): Problem =>
  new Problem(
    'TRACE_DUPLICATE_ID',
    `${place}: request_id "${id}" is already used at ${before}; every request needs its own.`,
    {
      suggestions: [
        'rename one of them',
        "leave the request_id column out; of JSON lines the key id: jq -c 'del(.id)' FILE",
        'chunks of one stream have one id, and are one request: keep the last of them',
      ],
    },
  )

const numberOf = (value: unknown): number => {
  if (typeof value === 'number') return value
  return typeof value === 'string' && isNumber(value) ? Number(value) : Number.NaN
}

/** How numbers and dates of spreadsheets are to be written. */
function spelling(value: unknown): string[] {
  if (typeof value !== 'string') return []
  if (/^\d{1,3}([ ,.'_\u00a0\u202f]\d{3})+$/.test(value))
    return [`write numbers without thousands separators: ${value.replaceAll(/\D/g, '')}`]
  if (/^\d+,\d+$/.test(value)) return [`write decimals with a point: ${value.replace(',', '.')}`]
  if (/^\d+(\.\d+)?[kKM]$/.test(value)) return ['write numbers in full: 1500 for 1.5k']
  if (/^\d{1,4}[./-]\d{1,2}[./-]\d{2,4}/.test(value) || /\d:\d\d/.test(value))
    return ['write calendar times as 2023-11-16 18:15:46']
  return []
}

/** A whole number from `least` to 2^30 − 1; `12.0` counts as whole. */
export function wholeNumber(value: unknown, spot: Spot, least: number): number {
  const number = numberOf(value)
  if (Number.isInteger(number) && number >= least && number <= maxTokens) return number
  const rule =
    number > maxTokens
      ? `it must be at most ${maxTokens}`
      : `it must be a whole number of at least ${least}`
  const hint =
    number === 0 && least === 1 ? ['leave rows without output out with --drop-failed'] : []
  return refuse(spot, value, rule, [...hint, ...spelling(value)])
}

/** A whole number of either sign. */
export function signedNumber(value: unknown, spot: Spot): number {
  const number = numberOf(value)
  if (Number.isInteger(number) && Math.abs(number) <= maxTokens) return number
  return refuse(spot, value, 'it must be a whole number')
}

/** Reads a time into `out`; `unit` is what the value counts. */
export function timeOf(
  value: unknown,
  spot: Spot,
  digits: UnitDigits,
  out: TimeParts = {seconds: 0, nanos: 0},
): TimeParts {
  const read =
    typeof value === 'number' ? Number.isFinite(value) : typeof value === 'string' && value !== ''
  if (read && typeof value === 'number') setNumber(out, value, digits)
  else if (!read || !parseTime(out, value as string, digits))
    refuse(
      spot,
      value,
      `it must be a number of ${unitNames[digits]} or a calendar time`,
      spelling(value),
    )
  if (out.seconds < 0) refuse(spot, value, 'a time must not be negative')
  return out
}

export const unitNames: Readonly<Record<UnitDigits, string>> = {
  0: 'seconds',
  3: 'milliseconds',
  6: 'microseconds',
  9: 'nanoseconds',
}

/** A duration in ns. */
export function durationOf(value: unknown, spot: Spot, digits: UnitDigits): number {
  const parts = timeOf(value, spot, digits)
  return parts.seconds * 1e9 + parts.nanos
}

/** A name: text that is not empty, or a whole number (files write session ids both ways). */
export function nameOf(value: unknown, spot: Spot): string {
  if (typeof value === 'string' && value !== '') return value
  if (typeof value === 'number' && Number.isFinite(value)) return String(value)
  return refuse(spot, value, 'it must be a name')
}
