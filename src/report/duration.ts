/** Durations as people type them (`500ms`, `1.5s`) to whole nanoseconds and back. */

const nsPerUnit: ReadonlyMap<string, number> = new Map([
  ['us', 1e3],
  ['ms', 1e6],
  ['s', 1e9],
])

/** Nanoseconds of `500ms`, `50us` or `1.5s`, rounded to whole ones; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?|\.\d+)\s*(us|ms|s)$/.exec(text.trim())
  if (!match) return undefined
  return Math.round(Number(match[1]) * nsPerUnit.get(match[2]!)!)
}

/** The shortest of `us`, `ms`, `s` that shows a duration (ns) as a whole number, else `ms`. */
export function showDuration(ns: number): string {
  if (ns % 1e9 === 0) return `${ns / 1e9}s`
  if (ns % 1e6 === 0) return `${ns / 1e6}ms`
  return ns % 1e3 === 0 ? `${ns / 1e3}us` : `${ns / 1e6}ms`
}
