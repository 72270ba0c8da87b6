/** Engines with one fault each: a copy of the compiled modules in which one exact string is replaced. */
import {mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {pathToFileURL} from 'node:url'
import {root} from '../support/cli.js'
import type {Modules} from './fast-engine.js'

export interface Fault {
  /** Compiled module below dist/. */
  readonly file: string
  /** Stands there exactly once. */
  readonly from: string
  readonly to: string
}

/** What the comparison uses, and what these import: the engine and its clock. */
const entries = [
  'cluster/replay.js',
  'cluster/kv-links.js',
  'cluster/token-timeline.js',
  'engine/prefix-identity.js',
] as const

const dist = join(root, 'dist')
const relativeImport = /(?<=\b(?:from|import)\s*\(?\s*)(['"])(\.[^'"]+)\1/g

interface Module {
  readonly code: string
  /** Modules below dist/. */
  readonly imports: readonly string[]
}

const modules = new Map<string, Module>()

/** Reads a module and all that it imports. */
const read = (file: string): void => {
  if (modules.has(file)) return
  const code = readFileSync(join(dist, file), 'utf8')
  const imports = [...code.matchAll(relativeImport)].map((match) => join(dirname(file), match[2]!))
  modules.set(file, {code, imports})
  imports.forEach(read)
}

/** The module and all that import it, themselves or by way of others. */
const importing = (file: string): ReadonlySet<string> => {
  const found = new Set([file])
  for (const each of found)
    for (const [name, {imports}] of modules) if (imports.includes(each)) found.add(name)
  return found
}

// Inside of the project, so that packages and "type": "module" are found. Processes that run at once have their own.
const home = join(root, '.test/mutants', String(process.pid))

/** Removes all copies of this process. */
export const clearMutants = (): void => rmSync(home, {recursive: true, force: true})

/**
 * Compiled modules with that fault, or an untouched copy. `name` is the folder. Only the module with the fault and those
 * that import it are copied: to load all of them anew for each fault, and to warm them up, took longer than to find it.
 */
export const mutate = async (name: string, fault?: Fault): Promise<Modules> => {
  const folder = join(home, name.replaceAll(/\W+/g, '-'))
  entries.forEach(read)
  const faulty = fault && withFault(fault)
  const copied = fault ? importing(fault.file) : new Set(modules.keys())
  const placeOf = (file: string) => join(copied.has(file) ? folder : dist, file)
  for (const file of copied) {
    const code = file === fault?.file ? faulty! : modules.get(file)!.code
    mkdirSync(dirname(placeOf(file)), {recursive: true})
    const placed = code.replaceAll(relativeImport, (_, quote, specifier) => {
      const {href} = pathToFileURL(placeOf(join(dirname(file), specifier)))
      return quote + href + quote
    })
    writeFileSync(placeOf(file), placed)
  }
  const loaded = entries.map((file) => import(pathToFileURL(placeOf(file)).href))
  return Object.assign({}, ...(await Promise.all(loaded)))
}

const withFault = ({file, from, to}: Fault): string => {
  const parts = readFileSync(join(dist, file), 'utf8').split(from)
  if (parts.length !== 2)
    throw new Error(`dist/${file} holds ${parts.length - 1} times, not once: ${from}`)
  return parts.join(to)
}
