/** A fault of one instance of a cluster file, told where the file makes it and in the words of the file. */
import {Problem} from '../errors.js'
import {type ClusterYaml, engineKeys, instanceKeys, placeInFile} from './cluster-file.js'

/** The same problem with `file:line:column`, at the key that it names first, else at the instance. */
export async function instanceProblem(
  path: string,
  {file, at}: {readonly file: ClusterYaml; readonly at: number},
  problem: Problem,
): Promise<Problem> {
  const {code, message, suggestions} = problem
  const named = flagsIn(message)
    .map((key) => pathOf(file, at, key))
    .find((found) => found !== undefined)
  const place = await placeInFile(path, named ?? ['instances', at])
  const told = asKeys(message, (key) => pathOf(file, at, key) !== undefined)
  return new Problem(code, `${place}: instances[${at}]: ${told}`, {
    cause: problem,
    suggestions: suggestions.map((text) =>
      asKeys(text.replace(lonely, '$& '), isKey)
        .replace(/^(\w+) (\S+) $/, '$1: $2')
        .trimEnd(),
    ),
  })
}

/** `--max-num-seqs 128` alone: what to write. */
const lonely = /^--[a-z][\w-]* \S+$/
const flag = /--(no-)?([a-z][a-z0-9-]*)/g

const flagsIn = (text: string): string[] =>
  [...text.matchAll(flag)].map(([, , name]) => keyOf(name!))
const keyOf = (name: string): string => name.replaceAll('-', '_')
const isKey = (key: string): boolean => instanceKeys.includes(key) || engineKeys.includes(key)

/** Flags whose keys the file has, as it spells them. */
const asKeys = (text: string, isMeant: (key: string) => boolean): string =>
  text.replace(flag, (whole, no: string | undefined, name: string) => {
    const key = keyOf(name)
    if (!isMeant(key)) return whole
    return no === undefined ? key : `${key}: false`
  })

/** Where a setting of an instance stands; undefined: a flag or a default made it. */
function pathOf(
  file: ClusterYaml,
  at: number,
  key: string,
): readonly (string | number)[] | undefined {
  const instance = file.instances[at]!
  const has = (map: object | undefined): boolean => map !== undefined && key in map
  if (has(instance.engine)) return ['instances', at, 'engine', key]
  if (instanceKeys.includes(key) && has(instance)) return ['instances', at, key]
  if (has(file.engine)) return ['engine', key]
  return instanceKeys.includes(key) && has(file) ? [key] : undefined
}
