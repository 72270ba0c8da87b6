import {expect} from 'chai'
import {calledAs} from '#llmsim/base-command.js'
import {Problem} from '#llmsim/errors.js'
import {llmsim, root, spawnProgram} from './support/cli.js'
import {makeProbe, type ProbeProgram} from './support/probe.js'

describe('a command that fails', () => {
  let probe: ProbeProgram
  before(async () => {
    probe = await makeProbe()
  })
  after(() => probe.remove())

  const wrong: {argv: string[]; code: string; says: RegExp; tries: RegExp}[] = [
    {
      argv: ['probe', 'ok', '--hardwre', 'H100'],
      code: 'FLAG_UNKNOWN',
      says: /has no flag --hardwre\./,
      tries: /--hardware/,
    },
    {
      argv: ['probe', 'ok', '--no-cachin'],
      code: 'FLAG_UNKNOWN',
      says: /--no-cachin/,
      tries: /--no-caching/,
    },
    {
      argv: ['probe', 'ok', '-x', '--jsn'],
      code: 'FLAG_UNKNOWN',
      says: /no flags -x, --jsn/,
      tries: /--json/,
    },
    {
      argv: ['probe'],
      code: 'ARGUMENT_MISSING',
      says: /llmsim probe needs KIND \(the way to fail\)\./,
      tries: /llmsim probe --help/,
    },
    {
      argv: ['probe', 'ok', '1', 'more'],
      code: 'ARGUMENT_UNEXPECTED',
      says: /takes no argument more\./,
      tries: /--help/,
    },
    {argv: ['probe', 'ok', 'two'], code: 'FLAG_BAD_VALUE', says: /integer.*two/i, tries: /--help/},
    {
      argv: ['probe', 'ok', '--npu', 'two'],
      code: 'FLAG_BAD_VALUE',
      says: /--npu: expected an integer but received: two\./,
      tries: /--help/,
    },
    {
      argv: ['probe', 'ok', '--npu', '0'],
      code: 'FLAG_BAD_VALUE',
      says: /--npu: expected an integer greater than or equal to 1/,
      tries: /--help/,
    },
    {
      argv: ['probe', 'ok', '--npu'],
      code: 'FLAG_BAD_VALUE',
      says: /--npu expects a value\./,
      tries: /--help/,
    },
    {
      argv: ['probe', 'ok', '--npu', '1', '--npu', '2'],
      code: 'FLAG_BAD_VALUE',
      says: /--npu can only be specified once/,
      tries: /--help/,
    },
    {
      argv: ['probe', 'ok', '--format', 'jsn'],
      code: 'FLAG_BAD_VALUE',
      says: /--format: "jsn" is not one of table, json, csv\./,
      tries: /--format json/,
    },
    {
      argv: ['probe', 'ok', '--left', '--right'],
      code: 'FLAG_CONFLICT',
      says: /--right=true cannot also be provided when using --left\./,
      tries: /--help/,
    },
    {
      argv: ['probe', 'ok', '--link', 'pcie'],
      code: 'FLAG_CONFLICT',
      says: /--link.*--hardware/,
      tries: /--help/,
    },
    {
      argv: ['needs'],
      code: 'FLAG_MISSING',
      says: /llmsim needs needs --hardware\./,
      tries: /llmsim needs --help/,
    },
    {
      argv: ['probe', 'ok', '--slo', 'fast'],
      code: 'FLAG_BAD_VALUE',
      says: /^Error: --slo: say it as ttft=500ms\.$/m,
      tries: /--slo ttft=500ms/,
    },
    {
      argv: ['prob', 'ok', '--npu', '1'],
      code: 'COMMAND_UNKNOWN',
      says: /no command "prob"/,
      tries: /llmsim probe ok --npu 1/,
    },
    {
      argv: ['trace', 'inof', 'my file.csv'],
      code: 'COMMAND_UNKNOWN',
      says: /no command "trace inof"/,
      tries: /llmsim trace info 'my file\.csv'/,
    },
    {
      argv: ['trace', 'xyzzy'],
      code: 'COMMAND_UNKNOWN',
      says: /no command "trace xyzzy"/,
      tries: /llmsim trace --help/,
    },
    {argv: ['xyzzy'], code: 'COMMAND_UNKNOWN', says: /no command "xyzzy"/, tries: /llmsim --help/},
    {
      argv: ['prob', '--help'],
      code: 'COMMAND_UNKNOWN',
      says: /no command "prob"/,
      tries: /llmsim probe --help/,
    },
    {
      argv: ['--hardware', 'H100', 'probe'],
      code: 'FLAG_UNKNOWN',
      says: /takes no flag --hardware before a command\./,
      tries: /llmsim COMMAND --hardware/,
    },
    {
      argv: ['--verson'],
      code: 'FLAG_UNKNOWN',
      says: /takes no flag --verson/,
      tries: /llmsim --version/,
    },
  ]

  for (const {argv, code, says, tries} of wrong) {
    it(`llmsim ${argv.join(' ')}: one clear line and exit 2`, async () => {
      const {stdout, stderr, code: exit} = await probe.run(...argv)
      expect(exit).equal(2)
      expect(stdout).equal('')
      const [message, codeLine, ...rest] = stderr.trimEnd().split('\n')
      expect(message)
        .match(says)
        .and.match(/^Error: /)
      expect(codeLine).equal(`Code: ${code}`)
      expect(rest[0]).match(/^Try this:/)
      expect(rest.join('\n')).match(tries)
      expect(stderr).not.match(/^ +at |USAGE|See more help/m)
    })
  }

  it('prints a Problem with its code and suggestions, without its cause', async () => {
    const {stderr, code} = await probe.run('probe', 'problem')
    expect(code).equal(2)
    expect(stderr).equal(
      'Error: traces/none.csv:1:1: no requests.\nCode: TRACE_EMPTY\nTry this:\n  * one\n  * two\n',
    )
  })

  it('keeps an exit code of its own, with --json and without', async () => {
    expect((await probe.run('probe', 'check')).code).equal(3)
    expect((await probe.run('probe', 'check', '--json')).code).equal(3)
    expect((await probe.run('probe', 'exit')).code).equal(3)
  })

  it('says nothing more on this.exit()', async () => {
    const {stdout, stderr} = await probe.run('probe', 'exit')
    expect([stdout, stderr]).deep.equal(['', ''])
  })

  for (const [kind, argv] of [
    ['thrown by the command', ['probe', 'bug']],
    ['thrown by a flag parser', ['probe', 'ok', '--broken', '1']],
    ['thrown after the command', ['probe', 'late']],
  ] as const) {
    it(`calls anything else a bug of ours, without a stack: ${kind}`, async () => {
      const {stderr, code} = await probe.run(...argv)
      expect(code).equal(1)
      expect(stderr).match(/^(Type|Range)Error: .*\nThis is a bug in llmsim\.\n.*DEBUG=llmsim/)
      expect(stderr).not.match(/^ +at /m)
    })
  }

  it('prints the stack when DEBUG asks for it', async () => {
    for (const DEBUG of ['llmsim', '*']) {
      const {stderr, code} = await probe.runWith({DEBUG}, 'probe', 'bug')
      expect(code).equal(1)
      expect(stderr).match(/^ +at /m)
    }
  })

  const json: [string[], number, string][] = [
    [['probe', 'problem', '--json'], 2, 'TRACE_EMPTY'],
    [['probe', 'ok', '--hardwre', 'x', '--json'], 2, 'FLAG_UNKNOWN'],
    [['probe', '--json'], 2, 'ARGUMENT_MISSING'],
    [['prob', '--json'], 2, 'COMMAND_UNKNOWN'],
    [['probe', 'bug', '--json'], 1, 'UNEXPECTED'],
  ]
  for (const [argv, exit, code] of json) {
    it(`llmsim ${argv.join(' ')}: the error is JSON on stdout`, async () => {
      const failed = await probe.run(...argv)
      expect(failed.code).equal(exit)
      expect(failed.stderr).equal('')
      const parsed = JSON.parse(failed.stdout)
      expect(Object.keys(parsed)).deep.equal(['error'])
      expect(Object.keys(parsed.error)).deep.equal(['code', 'message', 'suggestions'])
      expect(parsed.error.code).equal(code)
      expect(parsed.error.suggestions).an('array')
      expect(parsed.error.message).a('string').and.not.include('\n')
    })
  }

  it('prints the result and exits with 0 when nothing fails', async () => {
    expect((await probe.run('probe', 'ok')).stdout).equal('fine\n')
    const {stdout, code} = await probe.run('probe', 'ok', '--json')
    expect([JSON.parse(stdout), code]).deep.equal([{kind: 'ok'}, 0])
  })

  it('does not suggest hidden commands', async () => {
    expect((await probe.run('probess')).stderr).match(/Try this: llmsim probe$/m)
  })
})

describe('the process', () => {
  let probe: ProbeProgram
  before(async () => {
    probe = await makeProbe()
  })
  after(() => probe.remove())

  const shell = (script: string) => spawnProgram('bash', ['-c', script], {cwd: root})

  it('is silent when the reader of its pipe leaves', async () => {
    const {stdout, stderr, code} = await shell(
      `set -o pipefail; node ${probe.root}/run.mjs probe long | head -2`,
    )
    expect([stdout, stderr, code]).deep.equal(['line 0\nline 1\n', '', 0])
  })

  it('writes long output whole into a pipe', async () => {
    const {stdout} = await shell(`node ${probe.root}/run.mjs probe long | tail -1`)
    expect(stdout).equal('fine\n')
  })

  it('says so when stdout cannot be written', async function () {
    if (process.platform !== 'linux') this.skip()
    const {stderr, code} = await shell('node bin/run.js --help > /dev/full')
    expect(code).equal(2)
    expect(stderr).match(
      /^Error: Standard output could not be written: ENOSPC\.\nCode: OUTPUT_NOT_WRITABLE\n/,
    )
  })

  it('ends at once on SIGINT, even in the middle of a computation: 130 to a shell', async () => {
    const {stdout, stderr} = await shell(
      `set -m; node ${probe.root}/run.mjs probe busy & sleep 1.5; kill -INT $!; wait $!; echo $?`,
    )
    expect(stdout.trim()).match(/^130$/m)
    expect(stderr).not.match(/ at /)
  })

  it('asks for a newer Node in one line', async () => {
    const old = `data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'18.20.4'}})`
    for (const file of ['bin/run.js', 'bin/setup.js']) {
      const {stdout, stderr, code} = await spawnProgram('node', [
        '--import',
        old,
        file,
        '--version',
      ])
      expect([stdout, code]).deep.equal(['', 2])
      expect(stderr).match(
        /^Error: llmsim needs Node 20\.19 or newer, and this is Node 18\.20\.4\.\nTry this: .*\n$/,
      )
    }
  })
})

describe('what the user calls', () => {
  const called = (env: NodeJS.ProcessEnv, script: string, cwd = '/home/me') =>
    calledAs('llmsim', {env, argv: ['node', script], cwd: () => cwd})

  it('is npx llmsim where npx started it, and llmsim where that is installed', () => {
    const script = '/usr/local/bin/llmsim'
    const byNpx = {npm_lifecycle_event: 'npx', npm_lifecycle_script: "'llmsim' listen"}
    expect(called(byNpx, script)).equal('npx llmsim')
    expect(called({...byNpx, npm_lifecycle_script: 'mocha'}, script)).equal('llmsim')
    expect(called({...byNpx, npm_lifecycle_event: 'test'}, script)).equal('llmsim')
    expect(called({}, script)).equal('llmsim')
    expect(called({}, '/lib/node_modules/llmsim/bin/run.js')).equal('llmsim')
  })

  it('is the script where a clone was started by it', () => {
    expect(called({}, '/home/me/clone/bin/run.js', '/home/me/clone')).equal('node bin/run.js')
    expect(called({}, '/home/me/clone/bin/run.js', '/tmp')).equal('node /home/me/clone/bin/run.js')
  })
})

describe('a command run inside of a test', () => {
  it('gives back what it threw and the exit code, and leaves the exit code of the tests alone', async () => {
    const before = process.exitCode
    const {error, exitCode, stdout, stderr} = await llmsim('xyzzy')
    expect(error).instanceOf(Problem)
    expect(error?.code).equal('COMMAND_UNKNOWN')
    expect([exitCode, stdout, stderr]).deep.equal([2, '', ''])
    expect((await llmsim('--version')).exitCode).equal(0)
    expect(process.exitCode).equal(before)
  })
})
