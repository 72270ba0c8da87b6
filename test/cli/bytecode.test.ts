/** The command line as one file, and the bytecode of it that runs leave behind. */
import {existsSync} from 'node:fs'
import {
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {type Exit, root, spawnProgram} from '../support/cli.js'

describe('a run', () => {
  it('is long by the file that it reads, not by what an earlier one left at its outputs', async () => {
    const large = join(tmpdir(), `llmsim-large-${process.pid}.csv`)
    await writeFile(large, '')
    await truncate(large, 2e7)
    try {
      const isLong: (argv: readonly string[]) => boolean = (
        await import(new URL('bin/bundled.js', `file://${root}`).href)
      ).isLong
      expect(isLong(['simulate', large, '--hardware', 'H100'])).equal(true)
      expect(isLong(['simulate', '--find-rate', large])).equal(true)
      expect(isLong(['simulate', '--steps', 'small.csv', large])).equal(true)
      for (const flag of ['--steps', '--itl', '--timeline', '--out'])
        expect(isLong(['simulate', 'small.csv', flag, large])).equal(false)
    } finally {
      await rm(large)
    }
  })
})

describe('the bundle', () => {
  let home = ''
  const bundle = (): string => join(home, 'dist/bundle/llmsim.cjs')
  const bytecode = (): string => `${bundle()}.cache`

  before(async () => {
    // Does nothing where it is up to date.
    await spawnProgram(process.execPath, ['bin/bundle.js'])
    home = await mkdtemp(join(tmpdir(), 'llmsim-bundle-'))
    for (const name of ['node_modules', 'hardware', 'models', 'engines', 'oclif.manifest.json'])
      await symlink(root + name, join(home, name))
    await cp(`${root}bin`, join(home, 'bin'), {recursive: true})
    await copyFile(`${root}package.json`, join(home, 'package.json'))
    await mkdir(join(home, 'dist/bundle'), {recursive: true})
    // Whoever runs the modules instead of the bundle fails.
    await writeFile(join(home, 'dist/start.js'), 'throw new Error("not the bundle")')
    await copyFile(`${root}dist/bundle/llmsim.cjs`, bundle())
    // npm unpacks the files of a package in any order.
    await utimes(bundle(), 0, 0)
  })

  after(() => rm(home, {recursive: true}))

  const run = (...argv: string[]): Promise<Exit> =>
    spawnProgram(process.execPath, [join(home, 'bin/run.js'), ...argv], {
      env: {NODE_V8_COVERAGE: undefined},
    })
  const simulate = (): Promise<Exit> =>
    run('simulate', `${root}traces/code.csv`, '--hardware', 'H100', '--no-save', '--limit', '20')

  it('leaves no bytecode behind when it did not simulate', async () => {
    expect(await run('--version')).include({code: 0})
    expect(await run('simulate', '--help')).include({code: 0})
    expect(await run('simulate', 'no-such-trace.csv')).include({code: 2})
    expect(existsSync(bytecode())).equal(false)
  })

  it('says the same from bytecode as without', async () => {
    const first = await simulate()
    expect(first).include({code: 0})
    expect(existsSync(bytecode())).equal(true)
    const kept = await readFile(bytecode())
    expect((await simulate()).stdout).equal(first.stdout)
    // Taken as it was, and so not written again.
    expect(kept.equals(await readFile(bytecode()))).equal(true)
    expect(await readdir(join(home, 'dist/bundle'))).lengthOf(2)
  })

  it('takes no bytecode that is damaged', async () => {
    const {stdout} = await simulate()
    const kept = await readFile(bytecode())
    await writeFile(bytecode(), kept.fill(7, 64))
    expect(await simulate()).include({code: 0, stdout})
    await writeFile(bytecode(), '')
    expect(await simulate()).include({code: 0, stdout})
  })

  it('takes no bytecode of another bundle, even of one as long', async () => {
    const code = await readFile(bundle(), 'utf8')
    const other = code.replaceAll('completed in', 'COMPLETED IN').replace(/.\n?$/, '_\n')
    expect(other.length - code.length).within(0, 1)
    await writeFile(bundle(), other.slice(0, code.length))
    expect((await simulate()).stdout).include('COMPLETED IN')
  })

  it('is left alone once something was compiled after it', async () => {
    const compiled = join(home, 'dist/.tsbuildinfo')
    await writeFile(compiled, '')
    expect((await simulate()).stderr).include('not the bundle')
    const [now, later] = [Date.now() / 1000, Date.now() / 1000 + 60]
    await utimes(compiled, now, now)
    await utimes(bundle(), later, later)
    expect(await simulate()).include({code: 0})
  })
})
