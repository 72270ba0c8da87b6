/** The traces of the project: made by its own generator, and what docs/traces.md says of them. */
import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {runCommand} from '@oclif/test'
import {expect} from 'chai'
import {columnsOf, readOptionsOf} from '#llmsim/command-flags/trace-flags.js'
import {traceInfo} from '#llmsim/trace/info.js'
import {readTrace} from '#llmsim/trace/read.js'
import {fixture, root, scratch} from './files.js'

const shipped = (name: string): string => join(root, 'traces', `${name}.csv`)

describe('shipped traces', () => {
  const file = scratch()

  for (const name of ['chat', 'code', 'long-context']) {
    it(`${name}.csv is what its command in docs/traces.md makes`, async () => {
      const docs = readFileSync(join(root, 'docs', 'traces.md'), 'utf8')
      const command = new RegExp(`^llmsim (trace generate --out traces/${name}\\.csv .*)$`, 'm')
      const argv = command.exec(docs)![1]!.split(' ')
      const path = file(`${name}.csv`)
      argv[3] = path
      const {error} = await runCommand(argv, {root})
      expect(error).equal(undefined)
      expect(readFileSync(path, 'utf8')).equal(readFileSync(shipped(name), 'utf8'))
    })
  }

  it('chat has sessions below shared prompts, code comes in bursts, long-context is long', async () => {
    const chat = traceInfo(await readTrace([shipped('chat')]))
    expect(chat.requests).equal(300)
    expect(chat.rate.mean).within(3.8, 4.2)
    expect(chat.input_tokens.mean).within(550, 650)
    expect(chat.output_tokens.mean).within(190, 210)
    expect(chat.reuse!.prompt_share).within(0.5, 0.9)
    const code = traceInfo(await readTrace([shipped('code')]))
    expect(code.rate.burstiness_cv).above(2)
    expect(code.input_tokens.mean).above(code.output_tokens.mean * 20)
    const long = traceInfo(await readTrace([shipped('long-context')]))
    expect(long.input_tokens.min).at.least(8000)
    expect(long.input_tokens.max).at.most(60_000)
  })
})

describe('trace commands', () => {
  const file = scratch()

  it('info prints JSON that is the info', async () => {
    const {stdout} = await runCommand(['trace', 'info', fixture('mooncake.jsonl'), '--json'], {
      root,
    })
    const info = JSON.parse(stdout)
    expect(info).deep.equal(
      JSON.parse(JSON.stringify(traceInfo(await readTrace([fixture('mooncake.jsonl')])))),
    )
  })

  it('info reads several files under the flags', async () => {
    const both = [fixture('vidur.csv'), fixture('llmsim.csv')]
    const argv = ['trace', 'info', ...both, '--limit', '4', '--rate', '2', '--json']
    const {stdout} = await runCommand(argv, {root})
    expect(JSON.parse(stdout)).deep.include({requests: 4, format: 'vidur+llmsim'})
    expect(JSON.parse(stdout).rate.mean).closeTo(2, 1e-9)
  })

  it('convert writes another format and says what was lost', async () => {
    const out = file('out.csv')
    const argv = ['trace', 'convert', fixture('burstgpt.csv'), '--out', out]
    const {stdout, stderr} = await runCommand([...argv, '--out-format', 'vidur'], {root})
    expect(stdout).equal(`${out}: 5 requests (burstgpt → vidur)\n`)
    expect(stderr).match(/vidur has no place for models, sessions: left out\./)
    expect(readFileSync(out, 'utf8').split('\n')[2]).equal('0.500000000,200,20')
  })

  it('turn flags into options of the reader', () => {
    const flags = {format: 'vidur', from: 1, 'time-scale': 2, 'drop-failed': true, columns: 'a=b'}
    expect(readOptionsOf(flags)).deep.equal({
      format: 'vidur',
      from: 1,
      timeScale: 2,
      failed: 'drop',
      columns: new Map([['a', 'b']]),
    })
    expect(readOptionsOf({})).deep.equal({})
    expect(() => readOptionsOf({rate: 4, 'time-scale': 0.5})).throw(
      '--time-scale and --rate: both set the pace, and the rate would win',
    )
    expect(() => columnsOf('input')).throw('--columns input: "input" is not OURS=THEIRS')
    expect(() => columnsOf('a=b,a=c')).throw('"a" is mapped twice')
  })

  it('refuse a flag that is no number', async () => {
    const {error} = await runCommand(['trace', 'info', fixture('vidur.csv'), '--from', 'noon'], {
      root,
    })
    expect(error?.message).match(/--from noon: it must be a number/)
  })
})
