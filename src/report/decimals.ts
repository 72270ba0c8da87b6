/**
 * Whole nanoseconds as decimal text and back, digit by digit: dividing a float by 1e9 would print
 * noise, and a stored run must give back exactly the times that were simulated.
 */

function show(ns: number, digits: number): string {
  if (!Number.isFinite(ns)) return ''
  const scale = 10 ** digits
  const size = Math.abs(ns)
  const whole = Math.floor(size / scale)
  const rest = String(size - whole * scale).padStart(digits, '0')
  return `${ns < 0 ? '-' : ''}${whole}.${rest}`
}

/** Seconds with 9 decimals of whole ns; '' for what did not happen. */
export const secondsText = (ns: number): string => show(ns, 9)

/** Milliseconds with 6 decimals of whole ns; '' for what did not happen. */
export const millisecondsText = (ns: number): string => show(ns, 6)

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
