// The command line as one file (bin/bundle.js makes it), and how it is loaded: from the bytecode that V8 kept of an
// earlier run, because compiling it takes longer than simulating a short trace.
import {readFileSync, renameSync, statSync, writeFileSync} from 'node:fs'
import Module, {createRequire} from 'node:module'
import {fileURLToPath} from 'node:url'
import vm from 'node:vm'

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url))
const file = path('dist/bundle/llmsim.cjs')
const bytecode = `${file}.cache`
const writtenAt = (name) => statSync(name, {throwIfNoEntry: false})?.mtimeMs

/** Whether the bundle is there and made from what is compiled now. A package of the registry has no .tsbuildinfo. */
export const isBundled = () => {
  const bundled = writtenAt(file)
  if (bundled === undefined) return false
  return ['dist/.tsbuildinfo', 'package.json'].every((name) => !(writtenAt(path(name)) > bundled))
}

const keptBytecode = () => {
  try {
    return readFileSync(bytecode)
  } catch {
    return undefined
  }
}

/** In a folder that is not ours to write there is no bytecode, and every start compiles. */
const keep = (script) => {
  const draft = `${bytecode}.${process.pid}`
  try {
    writeFileSync(draft, script.createCachedData())
    renameSync(draft, bytecode)
  } catch {}
}

/**
 * What the bundle exports. Other versions of Node or V8 do not take the bytecode; then, or without any, the run that
 * `isTypical` leaves its own behind: it holds the functions that were used.
 */
export const loadBundle = ({isTypical}) => {
  const cachedData = keptBytecode()
  const parameters = 'exports, require, module, __filename, importOutside'
  const source = `(function (${parameters}) {${readFileSync(file, 'utf8')}\n})`
  const script = new vm.Script(source, {filename: file, cachedData})
  if (isTypical && (!cachedData || script.cachedDataRejected))
    process.on('exit', () => keep(script))
  const module = new Module(file)
  const require = createRequire(file)
  // oclif asks for commands and hooks by the name of their file.
  require.cache[file] = module
  // A script of node:vm cannot import by itself.
  const importOutside = (specifier) => import(specifier)
  script.runInThisContext()(module.exports, require, module, file, importOutside)
  module.loaded = true
  return module.exports
}
