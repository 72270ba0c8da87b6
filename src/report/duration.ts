/** Durations as people type them (`500ms`, `1.5s`, `5m`) to whole nanoseconds and back. */

const nsPerUnit: ReadonlyMap<string, number> = new Map([
  ['us', 1e3],
  ['ms', 1e6],
  ['s', 1e9],
  ['m', 60e9],
  ['min', 60e9],
  ['h', 3600e9],
])

/** What every message says of a text that is none. */
export const durationWords = 'a time such as 500ms, 60s or 5m (us, ms, s, m, h; at most 104 days)'

/** Nanoseconds of `500ms`, `1.5s` or `5m`, rounded to whole ones; undefined for anything else, or past 2^53. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?|\.\d+)\s*(us|ms|s|m|min|h)$/i.exec(text.trim())
  if (!match) return undefined
  const ns = Math.round(Number(match[1]) * nsPerUnit.get(match[2]!.toLowerCase())!)
  return Number.isSafeInteger(ns) ? ns : undefined
}

/** The shortest of `us`, `ms`, `s` that shows a duration (ns) as a whole number, else `ms`. */
export function showDuration(ns: number): string {
  if (ns % 1e9 === 0) return `${ns / 1e9}s`
  if (ns % 1e6 === 0) return `${ns / 1e6}ms`
  return ns % 1e3 === 0 ? `${ns / 1e3}us` : `${ns / 1e6}ms`
}
