/** Fixtures, and files that a test writes for itself. */
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import {fileURLToPath} from 'node:url'

/** The root of the project, from .test/trace/. */
export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

export const fixture = (name: string): string => join(root, 'test', 'fixtures', 'traces', name)

/** Makes a folder before all tests of the suite that calls it, and removes it after them. */
export function scratch(): (name: string, content?: string | Uint8Array) => string {
  let folder = ''
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'llmsim-trace-'))
  })
  after(() => {
    rmSync(folder, {recursive: true, force: true})
  })
  return (name, content) => {
    const path = join(folder, name)
    if (content !== undefined) writeFileSync(path, content)
    return path
  }
}

export const sum = (column: ArrayLike<number>): number =>
  Array.from(column).reduce((total, value) => total + value, 0)
