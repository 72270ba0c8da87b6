// @alone: no bytecode may come and go in `dist` while npm lists it.

/** What is shipped, and what it stands on. */
import {existsSync} from 'node:fs'
import {readdir, readFile} from 'node:fs/promises'
import {builtinModules} from 'node:module'
import {expect} from 'chai'
import {root, spawnProgram} from './support/cli.js'
import {importsOf} from './support/source.js'

const pjson = JSON.parse(await readFile(`${root}package.json`, 'utf8'))

/** Makes the bundle before the package is packed, and stays at home. */
const bundler = 'bundle.js'

/** Packages that the code of a folder imports, dynamic imports and types included. */
const packagesIn = async (folder: string): Promise<Set<string>> => {
  const found = new Set<string>()
  if (!existsSync(root + folder)) return found
  for (const file of await readdir(root + folder, {recursive: true})) {
    if (!/\.[mc]?[jt]s$/.test(file) || file.split('/')[0] === 'fixtures') continue
    if (file === bundler) continue
    const imports = importsOf(await readFile(`${root}${folder}/${file}`, 'utf8'))
    for (const {specifier} of imports) {
      if (/^[.#]|^node:|^data:|^file:/.test(specifier) || builtinModules.includes(specifier))
        continue
      const [scope = '', name] = specifier.split('/')
      found.add(scope.startsWith('@') ? `${scope}/${name}` : scope)
    }
  }
  return found
}

describe('the package', () => {
  it('ships what runs, the catalogue and its papers, and nothing else', async function () {
    this.timeout(60_000)
    const {stdout, stderr, code} = await spawnProgram(
      'npm',
      ['pack', '--dry-run', '--json', '--ignore-scripts', '--offline'],
      {env: {npm_config_update_notifier: 'false'}},
    )
    expect(code, stderr).equal(0)
    const [{files}] = JSON.parse(stdout) as [{files: {path: string}[]}]
    const paths = files.map(({path}) => path)
    const may =
      /^(bin|dist|hardware|models|pages|traces|engines)\/|^(package\.json|README\.md|LICENSE|oclif\.manifest\.json)$/
    const atHome = new RegExp(`[.]tsbuildinfo$|[.]cache|/${bundler}$`)
    expect(paths.filter((path) => !may.test(path) || atHome.test(path))).deep.equal([])
    const must = [
      'package.json',
      'pages/live.html',
      'README.md',
      'LICENSE',
      'oclif.manifest.json',
      'bin/run.js',
      'dist/index.js',
      'dist/bundle/llmsim.cjs',
    ]
    expect(must.filter((path) => !paths.includes(path))).deep.equal([])
    for (const folder of ['hardware', 'models', 'traces', 'engines'])
      if (existsSync(root + folder))
        expect(
          paths.filter((path) => path.startsWith(`${folder}/`)),
          folder,
        ).not.deep.equal([])
  })

  it('declares every package that it imports', async () => {
    const run = [...(await packagesIn('src')), ...(await packagesIn('bin'))]
    expect(run.filter((name) => !(name in pjson.dependencies))).deep.equal([])
    const all = {...pjson.dependencies, ...pjson.devDependencies}
    const develop = [...(await packagesIn('test')), ...(await packagesIn('bench'))]
    expect(develop.filter((name) => !(name in all))).deep.equal([])
  })

  it('imports every package that it declares', async function () {
    const used = new Set<string>([...(await packagesIn('src')), ...pjson.oclif.plugins])
    const idle = Object.keys(pjson.dependencies).filter((name) => !used.has(name))
    // While commands are missing, so are the modules that need these.
    if (!existsSync(`${root}dist/commands/simulate.js`) && idle.length > 0) {
      this.test!.title += ` (not yet: ${idle.join(', ')})`
      this.skip()
    }
    expect(idle).deep.equal([])
  })

  it('runs nothing on the machine of whoever installs it', () => {
    const hooks = ['preinstall', 'install', 'postinstall', 'prepare', 'preprepare', 'postprepare']
    expect(Object.keys(pjson.scripts).filter((name) => hooks.includes(name))).deep.equal([])
  })

  it('has a lock file that names the same packages', async () => {
    const lock = JSON.parse(await readFile(`${root}package-lock.json`, 'utf8'))
    const {dependencies, devDependencies, version} = lock.packages['']
    expect({dependencies, devDependencies, version}).deep.equal({
      dependencies: pjson.dependencies,
      devDependencies: pjson.devDependencies,
      version: pjson.version,
    })
  })

  it('tells the truth about Node: engines and the check at the start agree', async () => {
    const [, major, minor] = /^>=(\d+)\.(\d+)$/.exec(pjson.engines.node)!
    const check = await readFile(`${root}bin/node-version.js`, 'utf8')
    expect(check).include(`major < ${major} || (major === ${major} && minor < ${minor})`)
  })
})
