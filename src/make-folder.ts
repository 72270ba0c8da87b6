/** Files and folders of outputs. */
import {mkdirSync, statSync, writeFileSync} from 'node:fs'
import {dirname, isAbsolute} from 'node:path'
import {Problem} from './errors.js'

const atRoot = 'EROOTFOLDER'

type FolderFault = NodeJS.ErrnoException & {readonly path: string}

/** OUTPUT_NOT_WRITABLE for a path, saying what the system said. */
export function notWritable(path: string, cause: unknown): Problem {
  const code = (cause as NodeJS.ErrnoException).code
  const reasons: ReadonlyMap<string | undefined, string> = new Map([
    ['EACCES', 'permission denied'],
    ['EPERM', 'permission denied'],
    ['EROFS', 'the file system is read-only'],
    ['ENOSPC', 'the disk is full'],
    ['ENOENT', 'nothing can be made there'],
    ['ENAMETOOLONG', 'the name is too long'],
    ['EISDIR', 'it is a folder'],
    ['ENOTDIR', 'a part of the path is a file'],
    ['EEXIST', 'a file is in its way'],
    [atRoot, 'its folder does not exist, and none is made at the root of the disk'],
  ])
  const reason = reasons.get(code) ?? code ?? String(cause)
  return new Problem('OUTPUT_NOT_WRITABLE', `${path} cannot be written: ${reason}.`, {
    cause,
    suggestions:
      code === atRoot ? [`mkdir ${(cause as FolderFault).path}`] : ['name another file or folder'],
  })
}

/** Writes a file, with the folders around it. @throws Problem OUTPUT_NOT_WRITABLE */
export function writeOutput(path: string, text: string): void {
  try {
    makeFolders(dirname(path))
    writeFileSync(path, text)
  } catch (cause) {
    throw notWritable(path, cause)
  }
}

const isFolder = (path: string): boolean =>
  statSync(path, {throwIfNoEntry: false})?.isDirectory() === true

/**
 * Makes a folder and those around it. Node's own way to make them all tries for ever where a folder exists and yet
 * nothing can be made in it (ENOENT below /proc), so they are made one by one. None is made at the root of the disk: a
 * path that begins there with an unknown name is a slip. @throws NodeJS.ErrnoException
 */
export function makeFolders(path: string): void {
  if (isFolder(path)) return
  const around = dirname(path)
  if (around === dirname(around) && isAbsolute(path))
    throw Object.assign(new Error(`${path} does not exist`), {code: atRoot, path})
  if (around !== path) makeFolders(around)
  try {
    mkdirSync(path)
  } catch (error) {
    // Somebody else may have made it meanwhile.
    if (!isFolder(path)) throw error
  }
}
