/** Engines with one fault each: a copy of the compiled modules in which one exact string is replaced. */
import {cpSync, mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {join} from 'node:path'
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

/** What the engine and its clock are made of, and what these import. */
const parts = [
  'catalogue',
  'cluster',
  'compat',
  'engine',
  'latency',
  'stats',
  'tiers',
  'trace',
  'errors.js',
  'edit-distance.js',
]
// Inside of the project, so that packages and "type": "module" are found. Processes that run at once have their own.
const home = join(root, '.test/mutants', String(process.pid))

/** Removes all copies of this process. */
export const clearMutants = (): void => rmSync(home, {recursive: true, force: true})

/** Compiled modules with that fault, or an untouched copy. `name` is the folder. */
export const mutate = async (name: string, fault?: Fault): Promise<Modules> => {
  const folder = join(home, name.replaceAll(/\W+/g, '-'))
  mkdirSync(folder, {recursive: true})
  for (const part of parts)
    cpSync(join(root, 'dist', part), join(folder, part), {
      recursive: true,
      filter: (path) => !path.endsWith('.map') && !path.endsWith('.d.ts'),
    })
  if (fault) replaceOnce(join(folder, fault.file), fault)
  const load = (file: string) => import(pathToFileURL(join(folder, file)).href)
  return {
    ...(await load('cluster/replay.js')),
    ...(await load('cluster/kv-links.js')),
    ...(await load('cluster/token-timeline.js')),
    ...(await load('engine/prefix-identity.js')),
  }
}

const replaceOnce = (path: string, {file, from, to}: Fault): void => {
  const parts = readFileSync(path, 'utf8').split(from)
  if (parts.length !== 2)
    throw new Error(`dist/${file} holds ${parts.length - 1} times, not once: ${from}`)
  writeFileSync(path, parts.join(to))
}
