/** Folders of outputs. */
import {mkdirSync, statSync} from 'node:fs'
import {dirname} from 'node:path'

const isFolder = (path: string): boolean =>
  statSync(path, {throwIfNoEntry: false})?.isDirectory() === true

/**
 * Makes a folder and those around it. Node's own way to make them all tries for ever where a folder exists and yet
 * nothing can be made in it (ENOENT below /proc), so they are made one by one. @throws NodeJS.ErrnoException
 */
export function makeFolders(path: string): void {
  if (isFolder(path)) return
  const around = dirname(path)
  if (around !== path) makeFolders(around)
  try {
    mkdirSync(path)
  } catch (error) {
    // Somebody else may have made it meanwhile.
    if (!isFolder(path)) throw error
  }
}
