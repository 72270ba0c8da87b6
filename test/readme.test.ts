/** The README is run, not believed. */

import {existsSync} from 'node:fs'
import {chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile} from 'node:fs/promises'
import {type AddressInfo, createServer} from 'node:net'
import {tmpdir} from 'node:os'
import {dirname, join} from 'node:path'
import {Config} from '@oclif/core'
import {expect} from 'chai'
import {commandExists, root, spawnProgram} from './support/cli.js'

interface Block {
  readonly line: number
  readonly script: string
}

/** Fenced blocks marked `sh`; one marked `sh skip` needs the network. */
const blocksOf = (markdown: string): Block[] =>
  [...markdown.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map((match) => ({
    line: markdown.slice(0, match.index).split('\n').length + 1,
    script: match[1]!,
  }))

/** This very test is part of it. */
const tooLong = new Set(['npm test'])

const readme = await readFile(`${root}README.md`, 'utf8')
const blocks = blocksOf(readme)

/** `npx llmsim trace info …` calls `trace info`: words up to the first flag or path. */
const callsOf = (script: string): string[] =>
  [...script.matchAll(/^npx llmsim ((?:[a-z][a-z-]*(?: |$))+)/gm)].map((match) => match[1]!.trim())

const missingCommand = async (script: string): Promise<string | undefined> => {
  // A report needs a run to report.
  const calls = callsOf(script).flatMap((call) => (call === 'report' ? ['simulate', call] : [call]))
  if (script.startsWith('npm start')) calls.push('simulate')
  for (const call of calls) {
    const [first = '', second = ''] = call.split(' ')
    if (!(await commandExists(first)) && !(await commandExists(`${first} ${second}`))) return call
  }
  return undefined
}

/** A port that nobody listens on now. */
const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const {port} = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

describe('README.md', () => {
  let folder: string

  // A folder that looks like the clone, so that nothing is written into it. `npx llmsim` and `npm start`
  // are the real program and the real script, without npm's start-up. Like the real npx, this one does not pass a
  // signal on to the program.
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'llmsim-readme-'))
    for (const name of ['bin', 'dist', 'hardware', 'models', 'traces', 'docs', 'package.json'])
      if (existsSync(root + name)) await symlink(root + name, join(folder, name))
    const {scripts} = JSON.parse(await readFile(`${root}package.json`, 'utf8'))
    const tools = {
      npx: `[ "$1" = llmsim ] || exit 64\nshift\nnode '${root}bin/run.js' "$@"`,
      npm: `[ "$*" = start ] || exit 64\n${scripts.start}`,
    }
    await mkdir(join(folder, 'tools'))
    for (const [name, script] of Object.entries(tools)) {
      await writeFile(join(folder, 'tools', name), `#!/bin/bash\n${script}\n`)
      await chmod(join(folder, 'tools', name), 0o755)
    }
  })
  after(() => rm(folder, {recursive: true, force: true}))

  it('has its two commands first', () => {
    expect(blocks.slice(0, 2).map(({script}) => script)).deep.equal(['npm start\n', 'npm test\n'])
  })

  it('marks every block as run or not run', () => {
    const marks = [...readme.matchAll(/^```(.+)$/gm)].map((match) => match[1]!)
    expect(
      marks.filter((mark) => !/^(sh|sh skip|text|csv|yaml|json|js|ts|python)$/.test(mark)),
    ).deep.equal([])
  })

  it('shows what its commands print, every number within a tenth', async () => {
    const shape = (text: string): string => text.replaceAll(/[\d.,–]+/g, '0').replaceAll(/ +/g, ' ')
    const numbers = (text: string): number[] =>
      [...text.matchAll(/\d[\d,]*(?:\.\d+)?/g)].map(([word]) => Number(word.replaceAll(',', '')))
    const near = (printed: string, written: string): void => {
      const found = numbers(printed)
      const stale = numbers(written).filter(
        (value, i) => !(Math.abs(value - found[i]!) <= 0.1 * Math.max(value, found[i]!)),
      )
      expect(stale, 'numbers of the README that are no longer so').deep.equal([])
    }
    const shown = [...readme.matchAll(/^```text\n([\s\S]*?)^```$/gm)].map((match) => match[1]!)
    const env = {NO_COLOR: '1'}
    const run = async (...argv: string[]): Promise<string> =>
      (
        await spawnProgram(
          process.execPath,
          [`${root}bin/run.js`, 'simulate', ...argv, '--no-save'],
          {cwd: folder, env},
        )
      ).stdout
    const main = await run('traces/chat.csv', '--hardware', 'RTX3090', '--npu', '4')
    const slo = ['--slo', 'ttft=500ms,tpot=50ms']
    const devices = await run('traces/chat.csv', '--hardware', 'RTX4090,A100,H100', ...slo)
    expect(shown.length).equal(2)
    expect(shape(shown[0]!)).equal(shape(main))
    expect(shape(devices)).include(shape(shown[1]!))
    near(main, shown[0]!)
    near(devices.slice(devices.indexOf('device ')), shown[1]!)
  })

  for (const {line, script} of blocks) {
    if (tooLong.has(script.trim())) continue
    it(`line ${line}: ${script.trim().split('\n').join('; ')}`, async function () {
      this.timeout(120_000)
      expect(await missingCommand(script), 'a command that does not exist').equal(undefined)
      const env = {PATH: `${join(folder, 'tools')}:${process.env.PATH}`, NO_COLOR: '1'}
      // Whatever else runs on this machine may have the port that people use.
      const own = script.replaceAll('8000', String(await freePort()))
      const {code, stdout, stderr} = await spawnProgram('bash', ['-eo', 'pipefail', '-c', own], {
        cwd: folder,
        env,
      })
      expect(code, stderr).equal(0)
      expect(stdout).not.equal('')
    })
  }
})

describe('docs/simulate.md', () => {
  it('has every flag of the command, and no other', async () => {
    const page = await readFile(`${root}docs/simulate.md`, 'utf8')
    const cells = [...page.matchAll(/^\| (`--[^|]+) \|/gm)].map((match) => match[1]!)
    const listed = cells.flatMap((cell) =>
      [...cell.matchAll(/--([a-z0-9-]+)/g)].map(([, name]) => name),
    )
    const {commands} = await Config.load({root, ignoreManifest: true})
    const flags = Object.keys(commands.find(({id}) => id === 'simulate')!.flags)
    expect(listed.sort()).deep.equal(flags.sort())
  })
})

describe('docs/listen.md', () => {
  it('has every flag of the command that simulate does not have, and no other', async () => {
    const page = await readFile(`${root}docs/listen.md`, 'utf8')
    const cells = [...page.matchAll(/^\| (`--[^|]+) \|/gm)].map((match) => match[1]!)
    const listed = cells.map((cell) => /--([a-z0-9-]+)/.exec(cell)![1]!)
    const {commands} = await Config.load({root, ignoreManifest: true})
    const flagsOf = (command: string) => commands.find(({id}) => id === command)!.flags
    const shared = new Set(Object.keys(flagsOf('simulate')))
    // The same word, another meaning.
    shared.delete('warmup')
    const own = Object.keys(flagsOf('listen')).filter((name) => !shared.has(name))
    expect(listed.sort()).deep.equal(own.sort())
  })
})

describe('the documentation', () => {
  it('links only to what exists', async () => {
    const docs = (await readdir(`${root}docs`)).filter((file) => file.endsWith('.md'))
    const pages = [
      'README.md',
      'CONTRIBUTING.md',
      'CHANGELOG.md',
      ...docs.map((file) => `docs/${file}`),
    ]
    const broken: string[] = []
    for (const page of pages) {
      const text = await readFile(root + page, 'utf8')
      for (const [, target = ''] of text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g))
        if (!existsSync(join(root, dirname(page), target))) broken.push(`${page}: ${target}`)
    }
    expect(broken).deep.equal([])
  })
})
