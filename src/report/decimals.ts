/**
 * Whole nanoseconds as decimal text and back, digit by digit: dividing a float by 1e9 would print
 * noise, and a stored run must give back exactly the times that were simulated.
 */

/** Seconds with 9 decimals of whole ns; '' for what did not happen. */
export function secondsText(ns: number): string {
  if (!Number.isFinite(ns)) return ''
  const size = Math.abs(ns)
  const whole = Math.floor(size / 1e9)
  const rest = String(size - whole * 1e9).padStart(9, '0')
  return `${ns < 0 ? '-' : ''}${whole}.${rest}`
}

function parse(text: string, digits: number): number | undefined {
  if (text === '') return Number.NaN
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text)
  const fraction = match?.[3] ?? ''
  if (!match || fraction.length > digits) return undefined
  const size = Number(match[2]) * 10 ** digits + Number(fraction.padEnd(digits, '0'))
  return match[1] === '-' ? -size : size
}

/** ns of a text in seconds; NaN for an empty one, undefined for what is no time of whole ns. */
export const nsOfSeconds = (text: string): number | undefined => parse(text, 9)

/** ns of a text in milliseconds; NaN for an empty one, undefined for what is no time of whole ns. */
export const nsOfMilliseconds = (text: string): number | undefined => parse(text, 6)
