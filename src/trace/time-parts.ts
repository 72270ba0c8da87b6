/** Times of files, read exactly: whole seconds and the nanoseconds in them, so that calendar times fit. */

export interface TimeParts {
  /** Whole seconds; NaN: no time. */
  seconds: number
  /** 0 … 1e9 (1e9 itself after rounding up). */
  nanos: number
}

/** Decimal places between a unit and a nanosecond's place: 0 for seconds, 9 for nanoseconds. */
export type UnitDigits = 0 | 3 | 6 | 9

const powers = Array.from({length: 19}, (_, i) => 10 ** i)

/** Sets `out` to `whole.fraction` units, where `fraction` was written with `places` digits. */
export function setDecimal(
  out: TimeParts,
  whole: number,
  fraction: {value: number; places: number},
  digits: UnitDigits,
): void {
  const perSecond = powers[digits]!
  const seconds = Math.floor(whole / perSecond)
  const room = 9 - digits
  const {value, places} = fraction
  const tail =
    places <= room
      ? value * powers[room - places]!
      : Math.floor(value / powers[places - room]! + 0.5)
  out.seconds = seconds
  out.nanos = (whole - seconds * perSecond) * powers[room]! + tail
}

/** Sets `out` to a number of units, rounded to whole nanoseconds. */
export function setNumber(out: TimeParts, value: number, digits: UnitDigits): void {
  const perSecond = powers[digits]!
  out.seconds = Math.floor(value / perSecond)
  out.nanos = Math.round((value - out.seconds * perSecond) * powers[9 - digits]!)
}

const plain = /^([+-]?)(\d+)(?:\.(\d*))?$/
const float = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/

/** True for the numbers a file may hold: decimal, no NaN, no Infinity, no hexadecimal. */
export const isNumber = (text: string): boolean => float.test(text)

const scratch = {value: 0, places: 0}

/** Sets `out` to the time that `text` writes in its unit; false when it is not a number. */
export function parseTime(out: TimeParts, text: string, digits: UnitDigits): boolean {
  const match = plain.exec(text)
  const whole = match?.[2] ?? ''
  const fraction = match?.[3] ?? ''
  if (match === null || match[1] === '-' || fraction.length > 15) {
    if (!isNumber(text)) return false
    setNumber(out, Number(text), digits)
    return true
  }
  if (whole.length > 15) {
    // Past 2^53: cut where the seconds end (nanoseconds of a calendar time have 19 digits).
    const cut = whole.length - digits
    out.seconds = Number(whole.slice(0, cut))
    const tail = `${whole.slice(cut)}${fraction}`.padEnd(9, '0')
    out.nanos = Number(tail.slice(0, 9)) + (tail.length > 9 && tail[9]! >= '5' ? 1 : 0)
    return true
  }
  scratch.value = fraction === '' ? 0 : Number(fraction)
  scratch.places = fraction.length
  setDecimal(out, Number(whole), scratch, digits)
  return true
}

/** Days from 1970-01-01 to a date of the Gregorian calendar (Howard Hinnant, days_from_civil). */
export function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const dayOfEra =
    yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

export const daysOfMonth = (year: number, month: number): number =>
  month === 12 ? 31 : daysFromCivil(year, month + 1, 1) - daysFromCivil(year, month, 1)

const calendar =
  /^(\d{4})-(\d{2})-(\d{2})[ T](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:Z|([+-])(\d{2}):?(\d{2})?)?$/

/** Sets `out` to the seconds since 1970 of `2023-11-16 18:15:46.6805900`, UTC unless a zone is given. */
export function parseDateTime(out: TimeParts, text: string): boolean {
  const match = calendar.exec(text)
  if (match === null) return false
  const [, year, month, day, hour, minute, second, fraction, sign, zoneHours, zoneMinutes] = match
  if (+month! < 1 || +month! > 12 || +day! < 1 || +day! > daysOfMonth(+year!, +month!)) return false
  if (+hour! > 23 || +minute! > 59 || +second! > 60) return false
  const zone = (+(zoneHours ?? 0) * 60 + +(zoneMinutes ?? 0)) * (sign === '-' ? -60 : 60)
  out.seconds =
    daysFromCivil(+year!, +month!, +day!) * 86_400 + +hour! * 3600 + +minute! * 60 + +second! - zone
  out.nanos = fraction === undefined ? 0 : +fraction.padEnd(9, '0')
  return true
}

const calendarDay = (days: number): [number, number, number] => {
  // The inverse of daysFromCivil (Hinnant, civil_from_days).
  const z = days + 719_468
  const era = Math.floor(z / 146_097)
  const doe = z - era * 146_097
  const yoe = Math.floor(
    (doe - Math.floor(doe / 1460) + Math.floor(doe / 36_524) - Math.floor(doe / 146_096)) / 365,
  )
  const doy = doe - (365 * yoe + Math.floor(yoe / 4) - Math.floor(yoe / 100))
  const mp = Math.floor((5 * doy + 2) / 153)
  const month = mp < 10 ? mp + 3 : mp - 9
  return [yoe + era * 400 + (month <= 2 ? 1 : 0), month, doy - Math.floor((153 * mp + 2) / 5) + 1]
}

/** `2023-11-16 18:15:46.6805900` of whole seconds since 1970 and a count of 100 ns. */
export function formatDateTime(seconds: number, ticks: number): string {
  const days = Math.floor(seconds / 86_400)
  const rest = seconds - days * 86_400
  const two = (n: number): string => String(n).padStart(2, '0')
  const [year, month, day] = calendarDay(days)
  const clock = `${two(Math.floor(rest / 3600))}:${two(Math.floor(rest / 60) % 60)}:${two(rest % 60)}`
  return `${year}-${two(month)}-${two(day)} ${clock}.${String(ticks).padStart(7, '0')}`
}

/** Nanoseconds as seconds with 9 decimals, exactly. */
export function formatSeconds(ns: number): string {
  const seconds = Math.floor(ns / 1e9)
  return `${seconds}.${String(ns - seconds * 1e9).padStart(9, '0')}`
}
