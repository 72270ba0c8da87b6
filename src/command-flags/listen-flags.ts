/** Values of the flags of `listen` that are more than a number or a word. */
import {Problem} from '../errors.js'
import {durationWords, parseDuration} from '../report/duration.js'

const sizes: Readonly<Record<string, number>> = {kb: 1e3, mb: 1e6, gb: 1e9}

/** `100MB` (a size) or `1h` (a time): when to begin a new file. @throws Problem FLAG_BAD_VALUE */
export function rotationOf(text: string): {bytes?: number; ms?: number} {
  const match = /^(\d+(?:\.\d+)?)\s*(kb|mb|gb)$/i.exec(text.trim())
  if (match) return {bytes: Number(match[1]) * sizes[match[2]!.toLowerCase()]!}
  const ns = parseDuration(text)
  if (ns !== undefined) return {ms: ns / 1e6}
  throw new Problem(
    'FLAG_BAD_VALUE',
    `--rotate ${text}: it must be a size such as 100MB or ${durationWords}.`,
    {suggestions: ['--rotate 100MB', '--rotate 1h']},
  )
}

const isPlain = /^[\w@%+=:,./-]+$/

/** The flags of `names` that were typed, as text to type again. */
export function retyped(
  names: readonly string[],
  raw: readonly {readonly type: string; readonly flag?: string}[],
  values: Readonly<Record<string, unknown>>,
): string[] {
  const typed = new Set(raw.flatMap(({type, flag}) => (type === 'flag' && flag ? [flag] : [])))
  return names
    .filter((name) => typed.has(name))
    .flatMap((name) => {
      const value = values[name]
      if (typeof value === 'boolean') return [value ? `--${name}` : `--no-${name}`]
      const texts = Array.isArray(value) ? value.map(String) : [String(value)]
      return texts.flatMap((text) => [`--${name}`, quoted(text)])
    })
}

/** For a shell. */
export const quoted = (text: string): string =>
  isPlain.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`

/** `10` → 10. @throws Problem FLAG_BAD_VALUE */
export function speedOf(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (value > 0 && Number.isFinite(value)) return value
  throw new Problem('FLAG_BAD_VALUE', `--speed ${text}: it must be a number above 0.`)
}

/** `gpt-4o, gpt-4o-mini` → two names; none: the model's own. @throws Problem FLAG_BAD_VALUE */
export function namesOf(text: string | undefined): string[] {
  const names = (text ?? '').split(',').map((name) => name.trim())
  if (text === undefined) return []
  if (!names.includes('')) return names
  throw new Problem('FLAG_BAD_VALUE', `--served-model-name "${text}": a name is empty.`)
}
