import {mkdtemp, readFile, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {Config} from '@oclif/core'
import {expect} from 'chai'
import {llmsim, root, spawnCli, spawnCliIn, spawnProgram} from './support/cli.js'

const config = await Config.load({root, ignoreManifest: true})
const ours = config.commands.filter(({pluginName}) => pluginName === 'llmsim')

describe('help', () => {
  it('is shown by llmsim alone, --help, -h and help', async () => {
    const {stdout} = await llmsim('--help')
    for (const section of [/^Predict how .*\.$/m, /^VERSION$/m, /^USAGE$/m, /^COMMANDS$/m])
      expect(stdout).match(section)
    for (const argv of [[], ['-h'], ['help']]) {
      const other = await spawnCli(...argv)
      expect(other).deep.equal({code: 0, signal: null, stdout, stderr: ''})
    }
  })

  it('fits into 80 columns', async () => {
    for (const {id} of [{id: ''}, ...ours]) {
      const {stdout} = await spawnCliIn(
        {env: {COLUMNS: '80'}},
        ...id.split(':').filter(Boolean),
        '--help',
      )
      const wide = stdout.split('\n').filter((line) => line.length > 80 && !/^\s*\$ /.test(line))
      expect(wide, id).deep.equal([])
    }
  })

  it('tells the version with --version and -V', async () => {
    const {version} = JSON.parse(await readFile(`${root}package.json`, 'utf8'))
    for (const flag of ['--version', '-V']) {
      const {stdout, code} = await spawnCli(flag)
      expect(code).equal(0)
      expect(stdout).match(new RegExp(`^llmsim/${version} \\S+ node-v\\S+\\n$`))
    }
  })
})

describe('every command', () => {
  it('has a summary, and an example that uses flags which exist', () => {
    for (const command of ours) {
      expect(command.summary, command.id).match(/^[A-Z].*\.$/)
      const examples = command.examples ?? []
      expect(examples, command.id).not.deep.equal([])
      for (const example of examples) {
        const text = typeof example === 'string' ? example : example.command
        for (const [, flag = ''] of text.matchAll(/ --(?:no-)?([a-z][a-z-]*)/g))
          expect(Object.keys(command.flags), `${command.id}: ${text}`).include(flag)
      }
    }
  })

  it('explains each of its flags and arguments', () => {
    for (const {id, flags, args} of ours)
      for (const [name, {summary, description}] of [
        ...Object.entries(flags),
        ...Object.entries(args),
      ] as [string, {summary?: string; description?: string}][])
        expect(summary ?? description, `${id} ${name}`)
          .a('string')
          .and.not.equal('')
  })

  it('groups its flags when there are many', () => {
    for (const {id, flags} of ours) {
      const own = Object.entries(flags).filter(([name, {hidden}]) => name !== 'json' && !hidden)
      const ungrouped = own.filter(([, {helpGroup}]) => helpGroup === undefined)
      if (own.length > 12)
        expect(
          ungrouped.map(([name]) => name),
          id,
        ).deep.equal([])
    }
  })

  it('stands in a topic that is described', () => {
    const topics = new Set(ours.filter(({id}) => id.includes(':')).map(({id}) => id.split(':')[0]!))
    for (const topic of topics)
      expect(config.findTopic(topic)?.description, topic).match(/^[A-Z].*\.$/)
  })

  it('prints JSON under --json', () => {
    for (const {id, enableJsonFlag} of ours) expect(enableJsonFlag, id).equal(true)
  })
})

describe('shell completion', () => {
  let home: string
  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'llmsim-home-'))
  })
  after(() => rm(home, {recursive: true, force: true}))

  it('is set up by one line, and completes commands and flags in bash', async function () {
    this.timeout(60_000)
    const env = {HOME: home, XDG_CACHE_HOME: join(home, 'cache'), SHELL: '/bin/bash'}
    expect((await spawnCliIn({env}, 'autocomplete', 'bash')).stdout).include(
      'llmsim autocomplete script bash',
    )
    const script = await spawnCliIn({env}, 'autocomplete', 'script', 'bash')
    expect(script.code).equal(0)

    const complete = async (...words: string[]): Promise<string[]> => {
      const list = words.map((word) => `'${word}'`).join(' ')
      const line = `${script.stdout}
        COMP_WORDS=(${list}); COMP_CWORD=${words.length - 1}; COMPREPLY=()
        _llmsim_autocomplete llmsim '${words.at(-1)}' '${words.at(-2)}'
        printf '%s\\n' "\${COMPREPLY[@]}"`
      const {stdout, code, stderr} = await spawnProgram('bash', ['-c', line], {env})
      expect(code, stderr).equal(0)
      return stdout
        .split('\n')
        .map((word) => word.trim())
        .filter(Boolean)
    }
    expect(await complete('llmsim', 'autoc')).deep.equal(['autocomplete'])
    const names = new Set(ours.map(({id}) => id.split(':')[0]!))
    expect(await complete('llmsim', '')).include.members([...names])
    for (const {id} of ours.filter(({hidden}) => !hidden))
      expect(await complete('llmsim', ...id.split(':'), '--js'), id).deep.equal(['--json'])
  })

  it('knows zsh and powershell', async () => {
    const env = {HOME: home, XDG_CACHE_HOME: join(home, 'cache')}
    for (const shell of ['zsh', 'powershell']) {
      const {stdout, code} = await spawnCliIn({env}, 'autocomplete', 'script', shell)
      expect(code, shell).equal(0)
      expect(stdout, shell).match(/llmsim/i)
    }
  })
})
