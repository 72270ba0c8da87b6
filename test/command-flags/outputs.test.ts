/** Nothing is written over what is read. */
import {existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync} from 'node:fs'
import {dirname, join} from 'node:path'
import {expect} from 'chai'
import {llmsim} from '../support/cli.js'
import {temporaryFiles} from '../support/temporary-files.js'

const {fileOf} = temporaryFiles('outputs')
const rows = 'arrived_at,input_tokens,output_tokens\n0,10,5\n1,20,5\n'

describe('outputs', () => {
  const trace = fileOf(rows)
  const folder = dirname(trace)
  const simulate = ['simulate', trace, '--hardware', 'H100']
  const refused = async (argv: readonly string[], says: RegExp) => {
    const {error} = await llmsim(...argv)
    expect((error as {code?: string} | undefined)?.code).equal('FLAG_CONFLICT')
    expect(error!.message).match(says)
    expect(readFileSync(trace, 'utf8')).equal(rows)
  }

  for (const flag of ['steps', 'itl', 'timeline'])
    it(`--${flag} is not the trace`, () =>
      refused([...simulate, '--no-save', `--${flag}`, trace], /reads that file/))

  it('is told by any name of the file', async () => {
    const link = join(folder, 'link.csv')
    symlinkSync(trace, link)
    await refused([...simulate, '--no-save', '--steps', link], /^--steps .*reads that file/)
    const detour = join(folder, 'there', '..', trace.slice(folder.length + 1))
    mkdirSync(join(folder, 'there'))
    await refused([...simulate, '--no-save', '--steps', detour], /reads that file/)
  })

  it('are not a file that another flag reads', async () => {
    const cluster = fileOf('hardware: H100\ninstances: [{}]\n')
    const argv = ['simulate', trace, '--cluster', cluster, '--no-save', '--itl', cluster]
    await refused(argv, /^--itl .*reads that file/)
    expect(readFileSync(cluster, 'utf8')).match(/^hardware/)
  })

  it('of a run are not its trace, also of a folder of traces', async () => {
    const run = join(folder, 'run')
    mkdirSync(run)
    const own = join(run, 'requests.csv')
    writeFileSync(own, rows)
    await refused(['simulate', own, '--hardware', 'H100', '--out', run], /^--out .*reads that file/)
    await refused(['simulate', run, '--hardware', 'H100', '--out', run], /^--out .*reads that file/)
    expect(readFileSync(own, 'utf8')).equal(rows)
  })

  it('are different files', () =>
    refused(
      [...simulate, '--no-save', '--steps', 'both.csv', '--itl', './both.csv'],
      /^--steps and --itl .*both would write the same file/,
    ))

  it('of a conversion is not what is converted', () =>
    refused(
      ['trace', 'convert', trace, '--out', trace, '--out-format', 'vidur'],
      /reads that file/,
    ))

  it('may be written again', async () => {
    const out = join(folder, 'again')
    for (let time = 0; time < 2; time++)
      expect((await llmsim(...simulate, '--out', out)).error).equal(undefined)
    expect(existsSync(join(out, 'requests.csv'))).equal(true)
  })

  it('of a generated trace are not the one whose lengths it takes', () =>
    refused(
      [
        'trace',
        'generate',
        '--rate',
        '1',
        '--requests',
        '2',
        '--input',
        `empirical:${trace}`,
        '--output',
        'fixed:5',
        '--out',
        trace,
      ],
      /^--out .*reads that file/,
    ))

  it('have names, and folders that are made for them', async () => {
    const faultOf = async (...argv: string[]) => {
      const {error} = await llmsim(...argv)
      return [(error as {code?: string} | undefined)?.code, error?.message]
    }
    const nameless = 'it must name a file or folder to write.'
    for (const flag of ['steps', 'itl', 'timeline', 'out']) {
      const given = flag === 'out' ? [] : ['--no-save']
      expect(await faultOf(...simulate, ...given, `--${flag}`, '')).deep.equal([
        'FLAG_BAD_VALUE',
        `--${flag} "": ${nameless}`,
      ])
    }
    const convert = ['trace', 'convert', trace, '--out']
    const generate = ['trace', 'generate', '--rate', '1', '--requests', '2', '--out']
    for (const argv of [convert, generate]) {
      expect((await faultOf(...argv, ''))[1]).equal(`--out "": ${nameless}`)
      expect((await faultOf(...argv, folder))[1]).equal(
        `${folder} cannot be written: it is a folder.`,
      )
      const made = join(folder, argv[1]!, 'new', 'made.csv')
      expect(await faultOf(...argv, made)).deep.equal([undefined, undefined])
      expect(existsSync(made)).equal(true)
    }
    expect((await faultOf(...convert, '/proc/x/y.csv'))[1]).equal(
      '/proc/x/y.csv cannot be written: nothing can be made there.',
    )
  })

  it('make no folder at the root of the disk, of no command', async () => {
    const rootless = '/llmsim-nonexist'
    const trials = [
      [...simulate, '--no-save', '--steps', `${rootless}/x.csv`],
      [...simulate, '--no-save', '--itl', `${rootless}/deep/x.csv`],
      [...simulate, '--out', rootless],
      ['trace', 'convert', trace, '--out', `${rootless}/x.csv`],
    ]
    for (const argv of trials) {
      const {error} = await llmsim(...argv)
      expect(error?.message).match(
        /cannot be written: its folder does not exist, and none is made at the root of the disk\.$/,
      )
      expect((error as {suggestions?: string[]}).suggestions).deep.equal([`mkdir ${rootless}`])
      expect(existsSync(rootless)).equal(false)
    }
  })

  it('say when they replaced an older file', async () => {
    const argv = ['trace', 'convert', trace, '--out', join(folder, 'twice.csv')]
    expect((await llmsim(...argv)).stderr).not.match(/replaced/)
    expect((await llmsim(...argv)).stderr).match(/twice\.csv: replaced the older file/)
    const generate = ['trace', 'generate', '--requests', '3', '--out', join(folder, 'twice.csv')]
    expect((await llmsim(...generate)).stderr).match(/twice\.csv: replaced the older file/)
  })
})
