/** A small program with one command that fails in every way, to test what the base of all commands does. */
import {mkdtemp, rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {Args, Command, Flags} from '@oclif/core'
import {BaseCommand} from '#llmsim/base-command.js'
import {Problem} from '#llmsim/errors.js'
import {type Exit, root, spawnProgram} from './cli.js'

class Probe extends BaseCommand {
  static override summary = 'Fails as asked.'
  static override args = {
    kind: Args.string({description: 'The way to fail', required: true}),
    count: Args.integer({description: 'Any number'}),
  }
  static override flags = {
    hardware: Flags.string({description: 'A device'}),
    npu: Flags.integer({min: 1, description: 'Devices'}),
    caching: Flags.boolean({allowNo: true}),
    format: Flags.option({options: ['table', 'json', 'csv'] as const})(),
    left: Flags.boolean({exclusive: ['right']}),
    right: Flags.boolean(),
    link: Flags.string({dependsOn: ['hardware']}),
    slo: Flags.custom<string>({
      parse: async () => {
        throw new Problem('FLAG_BAD_VALUE', '--slo: say it as ttft=500ms.', {
          suggestions: ['--slo ttft=500ms'],
        })
      },
    })(),
    broken: Flags.custom<string>({
      parse: async () => {
        throw new TypeError('reading x of undefined')
      },
    })(),
  }

  async run(): Promise<{kind: string}> {
    const {args} = await this.parse(Probe)
    if (args.kind === 'problem')
      throw new Problem('TRACE_EMPTY', 'traces/none.csv:1:1: no requests.', {
        suggestions: ['one', 'two'],
        cause: new Error('an inner reason'),
      })
    if (args.kind === 'check')
      throw new Problem('CHECK_FAILED', 'blocks were lost.', {exit: 3, suggestions: ['report it']})
    if (args.kind === 'bug') throw new TypeError('reading y of undefined')
    if (args.kind === 'late') setImmediate(() => this.#explode())
    if (args.kind === 'exit') this.exit(3)
    if (args.kind === 'long') for (let i = 0; i < 200_000; i++) this.log(`line ${i}`)
    if (args.kind === 'busy') for (;;) Math.hypot(1)
    this.log('fine')
    return {kind: args.kind}
  }

  #explode(): never {
    throw new RangeError('too late to catch')
  }
}

class Needs extends BaseCommand {
  static override flags = {hardware: Flags.string({required: true})}
  async run(): Promise<void> {
    await this.parse(Needs)
  }
}

class Hidden extends Command {
  static override hidden = true
  async run(): Promise<void> {}
}

export const commands = {probe: Probe, needs: Needs, 'trace:info': Needs, probes: Hidden}

/** Where the program stands while a test file runs. */
export interface ProbeProgram {
  readonly root: string
  run(...argv: string[]): Promise<Exit>
  runWith(env: NodeJS.ProcessEnv, ...argv: string[]): Promise<Exit>
  remove(): Promise<void>
}

export const makeProbe = async (): Promise<ProbeProgram> => {
  const folder = await mkdtemp(join(tmpdir(), 'llmsim-probe-'))
  const oclif = {
    bin: 'llmsim',
    dirname: 'llmsim-probe',
    topicSeparator: ' ',
    commands: {strategy: 'explicit', target: './commands.mjs', identifier: 'commands'},
    topics: {trace: {description: 'Traces.'}},
    hooks: {command_not_found: './hook.mjs'},
  }
  const pjson = {name: 'probe', version: '0.0.0', type: 'module', oclif}
  const from = (path: string): string => JSON.stringify(new URL(path, `file://${root}`).href)
  const files = {
    'package.json': JSON.stringify(pjson),
    'commands.mjs': `export {commands} from ${from('.test/support/probe.js')}`,
    'hook.mjs': `export {default} from ${from('dist/hooks/command-not-found.js')}`,
    'run.mjs': `import {start} from ${from('dist/start.js')}
      await start(process.argv.slice(2), {root: ${JSON.stringify(folder)}})`,
  }
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  const runWith = (env: NodeJS.ProcessEnv, ...argv: string[]): Promise<Exit> =>
    spawnProgram(process.execPath, [join(folder, 'run.mjs'), ...argv], {env})
  return {
    root: folder,
    runWith,
    run: (...argv) => runWith({}, ...argv),
    remove: () => rm(folder, {recursive: true, force: true}),
  }
}
