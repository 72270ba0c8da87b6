// The command line as one file (bin/bundle.js makes it), and how it is loaded: from the bytecode that V8 kept of an
// earlier run, because compiling it takes longer than simulating a short trace.
import {readFileSync, renameSync, rmSync, statSync, writeFileSync} from 'node:fs'
import Module, {createRequire} from 'node:module'
import {fileURLToPath} from 'node:url'
import v8 from 'node:v8'
import vm from 'node:vm'

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url))
const file = path('dist/bundle/llmsim.cjs')
const bytecode = `${file}.cache`
const writtenAt = (name) => statSync(name, {throwIfNoEntry: false})?.mtimeMs

/** Bytes at the end of the bundle that no other bundle has (bin/bundle.js writes a hash), and at the start of its bytecode. */
const markBytes = 64

/**
 * Whether the bundle is there and made from what is compiled now. An installed package (without .tsbuildinfo) has no
 * other, whenever its files were unpacked. Coverage is measured of the modules.
 */
export const isBundled = () => {
  const bundled = writtenAt(file)
  if (bundled === undefined || process.env.NODE_V8_COVERAGE) return false
  const compiled = writtenAt(path('dist/.tsbuildinfo'))
  return compiled === undefined || bundled >= Math.max(compiled, writtenAt(path('package.json')))
}

/** V8 itself only asks whether the code is as long as that which was compiled. */
const keptBytecode = (mark) => {
  try {
    const kept = readFileSync(bytecode)
    return kept.subarray(0, markBytes).equals(mark) ? kept.subarray(markBytes) : undefined
  } catch {
    return undefined
  }
}

/**
 * Bytes of bytecode of callees that V8 compiles into one function. In a short run half as much as it would by itself: the
 * compiler works through it on the cores that the run needs, too, and most of what it does is compile small functions
 * once more in each of their callers. A long run gets that time back many times over. docs/performance.md has the figures.
 */
const inlined = {short: 460, usual: 920, long: 4500}
const inline = (bytes) => v8.setFlagsFromString(`--max-inlined-bytecode-size-cumulative=${bytes}`)

/** A run is long that reads a file of so many bytes: some 400,000 requests as numbers in columns. */
const longBytes = 1e7

/** Flags whose value is a file that a run writes: what an earlier one left there says nothing of this one. */
const writing = ['--out', '--steps', '--itl', '--timeline']

/** Whether one of the arguments is the path of a large file that is read: a trace. */
export const isLong = (argv) =>
  argv.some((arg, i) => !writing.includes(argv[i - 1]) && sizeOf(arg) >= longBytes)

const sizeOf = (path) => {
  try {
    return statSync(path).size
  } catch {
    return 0
  }
}

/** In a folder that is not ours to write there is no bytecode, and every start compiles. */
const keep = (script, mark) => {
  const draft = `${bytecode}.${process.pid}`
  // V8 takes bytecode only under the flags that it was made under, and a run begins without ours.
  inline(inlined.usual)
  try {
    writeFileSync(draft, Buffer.concat([mark, script.createCachedData()]))
    renameSync(draft, bytecode)
  } catch {
    rmSync(draft, {force: true})
  }
}

/**
 * What the bundle exports to a run with these arguments. Other versions of Node or V8 do not take the bytecode; then, or
 * without any, the run that `isTypical` and short leaves its own behind if it succeeds: it holds the functions that were
 * used, those of the start too, which V8 has thrown away by the end of a long one.
 */
export const loadBundle = (argv, {isTypical}) => {
  const code = readFileSync(file)
  const mark = code.subarray(-markBytes)
  const cachedData = keptBytecode(mark)
  const script = new vm.Script(code.toString('latin1'), {filename: file, cachedData})
  const isShort = !isLong(argv)
  if (isTypical && isShort && (!cachedData || script.cachedDataRejected))
    process.on('exit', (status) => status === 0 && keep(script, mark))
  const module = new Module(file)
  const require = createRequire(file)
  // oclif asks for commands and hooks by the name of their file.
  require.cache[file] = module
  // A script of node:vm cannot import by itself.
  const importOutside = (specifier) => import(specifier)
  script.runInThisContext()(module.exports, require, module, file, importOutside)
  module.loaded = true
  if (isTypical) inline(isShort ? inlined.short : inlined.long)
  return module.exports
}
