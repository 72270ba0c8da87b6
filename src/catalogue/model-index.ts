/**
 * `models/index.json`: what the YAML files beside it say, in one small file that loads in a millisecond.
 * The YAML files are the source; `node models/build-index.js` writes the index and a test holds the two together.
 */

import {readFileSync} from 'node:fs'
import {readdir, readFile} from 'node:fs/promises'
import type {ModelFile} from './model-file.js'

/** The folder of the shipped catalogue. */
export const modelFolder = new URL('../../models/', import.meta.url)

/** Reads every model file of a folder, in the order of their names. @throws Problem MODEL_BAD_CONFIG */
export const readModelFolder = async (folder: URL): Promise<ModelFile[]> => {
  const {parseModelFile} = await import('./model-file.js')
  const names = (await readdir(folder)).filter((name) => name.endsWith('.yaml')).sort()
  return Promise.all(
    names.map(async (name) => parseModelFile(await readFile(new URL(name, folder), 'utf8'), name)),
  )
}

/** The text of the index: one model per line, so that a change shows as one line. */
export const indexText = (files: readonly ModelFile[]): string =>
  `[\n${files.map((file) => JSON.stringify(file)).join(',\n')}\n]\n`

/** The shipped catalogue, as the index has it. */
export const readModelIndex = async (): Promise<readonly ModelFile[]> =>
  JSON.parse(readFileSync(new URL('index.json', modelFolder), 'utf8')) as ModelFile[]
