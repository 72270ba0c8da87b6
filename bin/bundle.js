#!/usr/bin/env node
// Joins the compiled command line and the libraries that it needs into dist/bundle/llmsim.cjs: loading 250 small
// modules takes longer than simulating a short trace. Only bin/run.js uses it (bin/bundled.js says how); the library,
// worker threads, tests and `listen` use the modules in dist.
import {createHash} from 'node:crypto'
import {mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {fileURLToPath} from 'node:url'
import {rolldown} from 'rolldown'
import {isBundled} from './bundled.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = `${root}dist/`
const target = './dist/bundle/llmsim.cjs'

// tinypool looks for its workers beside itself.
const isOutside = (id) => id === 'tinypool'

/** `trace/info.js` → `trace:info`; `listen` is long enough in use to load as modules. */
const commandIds = readdirSync(`${dist}commands`, {recursive: true})
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.js') && file !== 'listen.js')
  .map((file) => file.slice(0, -'.js'.length).replaceAll('/', ':'))
  .sort()

// What oclif would read from package.json, with the places of the bundle.
const {name, version, type, dependencies, oclif} = JSON.parse(
  readFileSync(`${root}package.json`, 'utf8'),
)
const pjson = {
  ...{name, version, type, dependencies},
  oclif: {
    ...oclif,
    commands: {strategy: 'explicit', target, identifier: 'commands'},
    hooks: {command_not_found: {target, identifier: 'commandNotFound'}},
  },
}

const commandEntry = (id) =>
  `'${id}': lazily(() => import('${dist}commands/${id.replaceAll(':', '/')}.js'))`

// Code of a command runs when the command does; oclif takes whatever has a `run` for a command. A command of our own
// needs none of the plugins, which would be looked for and read.
const entry = `
import {start as startAt} from '${dist}start.js'
export {default as commandNotFound} from '${dist}hooks/command-not-found.js'

const lazily = (load) => ({
  async run(argv, config) {
    const {default: command} = await load()
    command.id = this.id
    command.plugin = this.plugin
    return command.run(argv, config)
  },
})
export const commands = {${commandIds.map(commandEntry).join(', ')}}

const pjson = ${JSON.stringify(pjson)}
export const start = (argv, {root}) => {
  const isOwn = [1, 2].some((words) => Object.hasOwn(commands, argv.slice(0, words).join(':')))
  const plugins = isOwn ? [] : pjson.oclif.plugins
  return startAt(argv, {root, pjson: {...pjson, oclif: {...pjson.oclif, plugins}}})
}`

/**
 * The modules as one expression, a function of what CommonJS gives a module. What is still imported when all is joined
 * lies outside; bin/bundled.js has the function. In ASCII, V8 keeps the text in half the memory and takes it as it is
 * in the file: what it kept of the text filled the heap so far that a short run had to collect it.
 */
const asFunction = (code) => {
  const escaped = code
    .replaceAll('await import(', 'await importOutside(')
    .replaceAll(
      /[\u0080-\uffff]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
    )
  return `(function (exports, require, module, __filename, importOutside) {\n${escaped}\n})`
}

/** Bytecode is only taken for a bundle that ends as the one did that it was made of. */
const marked = (code) => `${code}\n// ${createHash('sha256').update(code).digest('hex')}`

if (!isBundled()) {
  rmSync(`${dist}bundle`, {recursive: true, force: true})
  const bundle = await rolldown({
    input: {llmsim: 'virtual:entry'},
    platform: 'node',
    external: isOutside,
    plugins: [
      {
        name: 'entry',
        resolveId: (id) => (id === 'virtual:entry' ? id : null),
        load: (id) => (id === 'virtual:entry' ? entry : null),
      },
    ],
  })
  // As deep as the folders of dist: code finds the catalogue by the place of its own file. Modules run when they are
  // first asked for, in the order in which Node would run them.
  const {output} = await bundle.generate({
    dir: `${dist}bundle`,
    format: 'cjs',
    codeSplitting: false,
    strictExecutionOrder: true,
    comments: {legal: true, annotation: false, jsdoc: false},
  })
  await bundle.close()
  mkdirSync(`${dist}bundle`)
  writeFileSync(`${dist}bundle/llmsim.cjs`, marked(asFunction(output[0].code)))
}
