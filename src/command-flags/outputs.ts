/** Files that a command writes: never over one that it reads, nor over another of its own. */
import {readdirSync, realpathSync, statSync} from 'node:fs'
import {basename, dirname, join, resolve} from 'node:path'
import {Problem} from '../errors.js'

/** A flag and a path that it makes the command write; undefined: none. */
export type Output = readonly [flag: string, path: string | undefined]

/**
 * `given`: everything that was typed beside the outputs, as it was parsed; what of it is a file is an input.
 *
 * @throws Problem FLAG_CONFLICT, FLAG_BAD_VALUE for a name that is empty
 */
export function checkOutputs(outputs: readonly Output[], given: readonly unknown[]): void {
  const inputs = new Set(given.flatMap(wordsOf).flatMap(filesAt).map(placeOf))
  const seen = new Map<string, string>()
  for (const [flag, path] of outputs) {
    if (path === undefined) continue
    if (path.trim() === '') throw nameless(flag)
    const place = placeOf(path)
    const other = seen.get(place)
    if (other !== undefined && other !== flag)
      throw conflict(`--${other} and --${flag} ${path}: both would write the same file.`, flag)
    if (inputs.has(place))
      throw conflict(
        `--${flag} ${path}: this command reads that file, and would overwrite it.`,
        flag,
      )
    seen.set(place, flag)
  }
}

/** What to tell of the outputs of which an older one is there, before it is replaced: a line each. */
export const replacedBy = (paths: readonly string[]): string[] =>
  paths
    .filter((path) => statSync(path, {throwIfNoEntry: false})?.isFile())
    .map((path) => `${path}: replaced the older file`)

const nameless = (flag: string): Problem =>
  new Problem('FLAG_BAD_VALUE', `--${flag} "": it must name a file or folder to write.`, {
    suggestions: [`Give --${flag} a name, or leave it out.`],
  })

const conflict = (message: string, flag: string): Problem =>
  new Problem('FLAG_CONFLICT', message, {suggestions: [`Give --${flag} another name.`]})

/** A value, each of several, and each of a list with commas. */
const wordsOf = (value: unknown): string[] => {
  if (Array.isArray(value)) return value.flatMap(wordsOf)
  return typeof value === 'string' ? [value, ...value.split(',')] : []
}

/** The file itself; of a folder what it holds, as traces are read. */
function filesAt(path: string): string[] {
  const found = path === '' ? undefined : statSync(path, {throwIfNoEntry: false})
  if (found?.isFile()) return [path]
  return found?.isDirectory() ? readdirSync(path).map((name) => join(path, name)) : []
}

/** The same for all ways to name a file, whether it is there or not. */
function placeOf(path: string): string {
  const whole = resolve(path)
  try {
    return realpathSync(whole)
  } catch {
    const folder = dirname(whole)
    return folder === whole ? whole : join(placeOf(folder), basename(whole))
  }
}
