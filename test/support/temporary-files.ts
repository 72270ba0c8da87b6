/** Files that live as long as the tests of a module. */
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'

/** A folder of its own, and a writer of files in it: of text, under a given name or the next of a row. */
export const temporaryFiles = (name: string) => {
  const folder = mkdtempSync(join(tmpdir(), `llmsim-${name}-`))
  after(() => rmSync(folder, {recursive: true}))
  let files = 0
  const fileOf = (text: string, file = `file-${++files}.yaml`): string => {
    const path = join(folder, file)
    writeFileSync(path, text)
    return path
  }
  return {folder, fileOf}
}
