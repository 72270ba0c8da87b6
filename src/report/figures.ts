/** Numbers for people: as many digits as carry meaning. Files keep the full value. */

const thousands = (text: string): string => text.replace(/\B(?=(\d{3})+(?!\d))/g, ',')

/** Three to four significant digits, `0.123`, `4.56`, `78.9`, `12,345`, `12.3M`; `–`: none. */
export function figure(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–'
  const size = Math.abs(value)
  if (size === 0) return '0'
  if (size >= 1e10) return value.toExponential(2)
  // A column holds nine characters; what is larger keeps three digits.
  if (size >= 9_999_999.5) return `${(value / 1e6).toFixed(size < 99.95e6 ? 1 : 0)}M`
  if (size >= 99.95) return thousands(value.toFixed(0))
  if (size >= 9.995) return value.toFixed(1)
  return size >= 0.9995 ? value.toFixed(2) : value.toPrecision(3)
}

/** A count in full, `12,345`; `–`: none. */
export const count = (value: number | null): string =>
  value === null ? '–' : thousands(String(Math.round(value)))

/** A count with its noun, `1 step`, `12,345 steps`. */
export const counted = (value: number, noun: string): string =>
  `${count(value)} ${noun}${Math.round(value) === 1 ? '' : 's'}`

/** Two digits and a magnitude: `950`, `7.7k`, `12k`, `3.4M`. */
export function compact(value: number): string {
  for (const [scale, sign] of [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const) {
    // 999.7 is 1.0k, not 1000.
    if (value < scale * 0.9995) continue
    const part = value / scale
    return `${part < 9.95 ? part.toFixed(1) : part.toFixed(0)}${sign}`
  }
  return value < 9.95 ? value.toFixed(1) : value.toFixed(0)
}

/** A share 0–1 as `96 %`; under ten per cent with one decimal, `0.4 %`; `–`: none. */
export function share(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return '–'
  const percent = value * 100
  return `${percent !== 0 && percent < 9.95 ? percent.toFixed(1) : percent.toFixed(0)} %`
}

/** Seconds as `12.3 s`, `4 min 05 s` or `2 h 03 min`. */
export function seconds(value: number | null): string {
  if (value === null) return '–'
  if (value < 119.95) return `${figure(value)} s`
  const whole = Math.round(value)
  const two = (n: number): string => String(n).padStart(2, '0')
  if (whole < 7200) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`
}

/** `$12.34`, below ten cents with the digits that carry meaning, `$0.00222`, from a thousand on `$12,345`; `–`: none. */
export function dollars(value: number | null): string {
  if (value === null) return '–'
  if (value > 0 && value < 0.0995) return `$${figure(value)}`
  return `$${value < 999.995 ? value.toFixed(2) : thousands(value.toFixed(0))}`
}
