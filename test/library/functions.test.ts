/** The library as docs/library.md shows it, and what code may ask for wrongly. */
import {mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {pathToFileURL} from 'node:url'
import {expect} from 'chai'
import * as library from '#llmsim/index.js'
import {calls} from '#llmsim/library/calls.js'
import type {AnyKind} from '#llmsim/library/kinds.js'
import {problemOf} from '../catalogue/problem.js'
import {root} from '../support/cli.js'

const {deploy, runMany, simulate} = library

describe('docs/library.md', () => {
  const page = readFileSync(join(root, 'docs/library.md'), 'utf8')
  const example = join(root, 'docs/examples/schedulers.mjs')

  it('begins with the example that stands beside it', () => {
    expect(/^```js\n([\s\S]*?)^```$/m.exec(page)?.[1]).equal(readFileSync(example, 'utf8'))
  })

  /** Programs, each with what it prints. */
  const programs = [...page.matchAll(/^```js\n([\s\S]*?)^```$[^`]*^```text\n([\s\S]*?)^```$/gm)]
  const folder = join(root, '.test/library/programs')
  before(() => mkdirSync(folder, {recursive: true}))
  after(() => rmSync(folder, {recursive: true}))

  it('says of each of its programs what it prints', () => {
    expect(programs.length).greaterThan(4)
    expect([...page.matchAll(/^```js$/gm)].length).equal(programs.length)
  })

  for (const [at, [, program = '', shown = '']] of programs.entries())
    it(`program ${at + 1} prints what it shows`, async () => {
      const printed: string[] = []
      const {log} = console
      const before = process.cwd()
      // Where it may write, and where the package and its traces are found.
      const elsewhere = mkdtempSync(join(tmpdir(), 'llmsim-library-'))
      symlinkSync(join(root, 'traces'), join(elsewhere, 'traces'))
      const file = at === 0 ? example : join(folder, `${at}.mjs`)
      if (at > 0) writeFileSync(file, program)
      console.log = (line: string) => printed.push(line)
      process.chdir(elsewhere)
      try {
        await import(pathToFileURL(file).href)
      } finally {
        process.chdir(before)
        console.log = log
        rmSync(elsewhere, {recursive: true})
      }
      const number = /\d+(?:\.\d+)?/g
      const shape = (text: string) => text.replaceAll(number, 'N')
      expect(shape(printed.join('\n'))).equal(shape(shown.trimEnd()))
      const numbers = (text: string) => [...text.matchAll(number)].map(Number)
      const now = numbers(printed.join('\n'))
      const stale = numbers(shown).filter(
        (value, i) => Math.abs(value - now[i]!) > Math.max(0.5, 0.1 * now[i]!),
      )
      expect(stale, `numbers that are no longer so: ${printed.join('; ')}`).deep.equal([])
    })

  it('has a unit for every number that may be given', () => {
    const numeric = new Set<string>()
    const walk = (name: string, kind: AnyKind): void => {
      if (kind.isMeant(0.5) || kind.isMeant(16) || kind.isMeant(500e6)) numeric.add(name)
      const {parts} = kind
      if (parts?.kind === 'fields')
        for (const [inner, of] of Object.entries(parts.fields)) walk(inner, of)
      else if (parts?.kind === 'entries') walk(name, parts.of)
      else for (const of of parts?.of ?? []) walk(name, of)
    }
    for (const given of Object.values(calls))
      for (const [name, kind] of Object.entries<AnyKind>(given)) walk(name, kind)
    expect(numeric.size).greaterThan(90)
    const units = /^## Units\n([\s\S]*?)^## /m.exec(page)![1]!
    const named = new Set([...units.matchAll(/`(?:\w+\.)?(\w+)`/g)].map(([, name]) => name!))
    const missing = [...numeric].filter((name) => !named.has(name) && !name.endsWith('Ns'))
    expect(missing).deep.equal([])
    const before = named.size
    for (const name of ['Ns', 'runtimeBytes', 'autoscale', 'outcomes']) named.delete(name)
    expect(before - named.size, 'names of other things').equal(4)
    expect([...named].filter((name) => !numeric.has(name))).deep.equal([])
  })

  it('names every function of the package, and no other', () => {
    const [table] = page.split('## The request')
    const rows = table!.split('\n').filter((line) => line.startsWith('| `'))
    const named = rows.flatMap((row) =>
      [...row.split(' | ')[0]!.matchAll(/\b([a-z]\w+)(?=[(`])/g)].map(([, name]) => name!),
    )
    const functions = Object.entries(library).filter(([name]) => !/^(P|p)roblem/.test(name))
    expect([...new Set(named)].sort()).deep.equal(functions.map(([name]) => name).sort())
  })
})

describe('a trace from code', () => {
  const rows = (given: object) => ({
    length: 2,
    arrivedAt: Float64Array.of(0, 1e9),
    inputTokens: Int32Array.of(64, 64),
    outputTokens: Int32Array.of(5, 5),
    notes: [],
    format: 'own',
    ...given,
  })
  const prefix = (given: object) => ({
    spanTokens: 16,
    offsets: Float64Array.of(0, 2, 4),
    ids: Float64Array.of(1, 2, 1, 2),
    knownTokens: Int32Array.of(32, 32),
    ...given,
  })
  const wrong: readonly (readonly [what: string, given: object, says: RegExp])[] = [
    [
      'more known tokens than ids',
      {prefix: prefix({knownTokens: Int32Array.of(32, 33)})},
      /knownTokens\[1\] must be from 0 to 32/,
    ],
    [
      'fewer than no known tokens',
      {prefix: prefix({knownTokens: Int32Array.of(-1, 32)})},
      /knownTokens\[0\] must be from 0 to 32/,
    ],
    [
      'rows of ids that go back',
      {prefix: prefix({offsets: Float64Array.of(0, 4, 2)})},
      /offsets\[2\] must be a whole number from 4/,
    ],
    [
      'rows of ids that are not there',
      {prefix: prefix({offsets: Float64Array.of(0, 2, 5)})},
      /offsets\[2\] must be a whole number from 2 to the 4 ids/,
    ],
    [
      'ids before the first row',
      {prefix: prefix({offsets: Float64Array.of(1, 2, 4)})},
      /offsets\[0\] must be 0/,
    ],
    [
      'a think time before the answer',
      {thinkTime: Float64Array.of(Number.NaN, -1)},
      /thinkTime\[1\] must be a whole number of ns/,
    ],
    [
      'a part of a ns',
      {cancelledAt: Float64Array.of(0.5, Number.NaN)},
      /cancelledAt\[0\] must be a whole number of ns/,
    ],
    [
      'a client that leaves before it comes',
      {cancelledAt: Float64Array.of(Number.NaN, 5)},
      /cancelledAt\[1\] is before arrivedAt/,
    ],
    [
      'a length past 2^30',
      {outputTokens: Int32Array.of(5, 2 ** 31 - 1)},
      /outputTokens\[1\] must be a whole number from 1 to 1073741823/,
    ],
  ]
  for (const [what, given, says] of wrong)
    it(`refuses ${what}`, async () => {
      const deployment = await deploy({hardware: 'H100'})
      const problem = await problemOf(async () => simulate({trace: rows(given), deployment}))
      expect(problem.message).match(says)
    })

  it('runs on engines whose KV by groups can be', async () => {
    const {replicas} = await deploy({hardware: 'H100', model: 'openai/gpt-oss-20b'})
    const [gptOss] = replicas
    const refused = (group: object) =>
      problemOf(async () => {
        const engine = {...gptOss!.engine, kvGroups: [group as never]}
        const router = {name: 'first', pick: () => 0}
        const simulation = {replicas: [{...gptOss!, engine}], router}
        library.replay({trace: rows({}), simulation})
      })
    for (const [group, says] of [
      [{sees: 'window', window: 0, pages: 1}, /window must be at least 1/],
      [{sees: 'everything', window: 128, pages: 1}, /window must be 0 where/],
    ] as const)
      expect((await refused(group)).message).match(says)
  })

  it('refuses KV by groups where KV would have to move', async () => {
    const {replicas} = await deploy({hardware: 'H100', model: 'openai/gpt-oss-20b'})
    const kvGroups = [{sees: 'everything', window: 0, pages: 1}] as const
    const engine = {...replicas[0]!.engine, kvGroups}
    const router = {name: 'first', pick: () => 0}
    const tiers = {
      group: 'all',
      tiers: [{name: 'cpu', pool: '0', blocks: 9, write: 'through', maxPending: 9}],
      blockBytes: 1,
      links: () => undefined as never,
    } as const
    for (const [own, field] of [
      [{role: 'prefill'}, 'role'],
      [{tiers}, 'tiers'],
    ] as const) {
      const simulation = {replicas: [{...replicas[0]!, engine, ...own}], router}
      const rule = new RegExp(
        `replicas\\[0\\]\\.${field} goes with no engine\\.kvGroups: KV in groups`,
      )
      const sink = {finished() {}, rejected() {}, cancelled() {}}
      const built = await problemOf(async () =>
        library.buildSimulation({...simulation, coupling: 'independent'}, sink),
      )
      expect(built.message).match(rule)
      expect(built.oclif.exit).equal(2)
      expect(
        (await problemOf(async () => library.replay({trace: rows({}), simulation}))).message,
      ).match(rule)
    }
  })

  it('refuses numbers that nothing has', async () => {
    const wrong: readonly [object, RegExp][] = [
      [
        {lora: {maxLoras: 2, rank: 8, loadMs: 1e300}},
        /lora\.loadMs must be a number of ms of at least 0 and of at most 9007199254, not 1e\+?300/,
      ],
      [{lora: {maxLoras: 2, rank: 8, overhead: 3500}}, /lora\.overhead must be .* of at most 100/],
      [{lora: {maxLoras: 2, rank: 8, loadMs: Number.NaN}}, /lora\.loadMs must be/],
      [{traffic: {viewAgeMs: 1e12}}, /traffic\.viewAgeMs must be/],
      [
        {network: {bandwidthGbS: 1e300}},
        /network\.bandwidthGbS must be .*at most 9007199254740991|network/,
      ],
    ]
    for (const [own, says] of wrong)
      expect((await problemOf(() => deploy({hardware: 'H100', ...own} as never))).message).match(
        says,
      )
  })

  it('may have prefixes, think times and clients that leave', async () => {
    const deployment = await deploy({hardware: 'H100'})
    const cancelledAt = Float64Array.of(Number.NaN, 2e9)
    const {summary} = simulate({trace: rows({prefix: prefix({}), cancelledAt}), deployment})
    expect(summary.requests.submitted).equal(2)
  })
})

describe('a request from code', () => {
  it('has the defaults of the flags for what it leaves out, or says is undefined', async () => {
    const short = await deploy({
      hardware: 'H100',
      model: undefined,
      engine: {maxNumSeqs: undefined},
    })
    expect(short.request).include({policy: 'fcfs', latency: 'auto', frontEnd: 'http', seed: 0})
    expect(short.engines[0]!.instance.model.id).equal('meta-llama/Llama-3.1-8B-Instruct')
    expect(short.engines[0]!.settled.config.maxNumSeqs).equal(1024)
  })

  const wrong: readonly (readonly [given: object, code: string, says: RegExp, tries: RegExp])[] = [
    [
      {hardwre: 'H100'},
      'FLAG_UNKNOWN',
      /^deploy: the request has no field hardwre\.$/,
      /^hardware$/,
    ],
    [
      {hardware: 'H100', layout: {tensor: 2}},
      'FLAG_UNKNOWN',
      /^deploy: layout has no field tensor\.$/,
      /known: npu, tp/,
    ],
    [
      {hardware: 'H100', engine: {max_num_seqs: 2}},
      'FLAG_UNKNOWN',
      /^deploy: engine has no field max_num_seqs\.$/,
      /^maxNumSeqs$/,
    ],
    [
      {hardware: 'H100', policy: {victim: 'last-admitted'}},
      'POLICY_BAD_MODULE',
      /^policy own: it has no function key\.$/,
      /key: \(request\)/,
    ],
    [
      {hardware: 'H100', policy: {name: 'mine', key: () => 0, victim: 'first'}},
      'FLAG_BAD_VALUE',
      /^deploy: policy\.victim must be one of last-admitted, largest-key, not "first"\.$/,
      /victim: 'last-admitted'/,
    ],
    [{}, 'FLAG_MISSING', /Missing --hardware/, /--hardware/],
  ]
  for (const [given, code, says, tries] of wrong)
    it(`refuses ${JSON.stringify(given)}`, async () => {
      const problem = await problemOf(() => deploy(given))
      expect(problem.code).equal(code)
      expect(problem.message).match(says)
      expect(problem.suggestions.join('\n')).match(tries)
    })

  it('is told of what was not awaited, and may name one file without a list', async () => {
    const trace = await library.readTrace(join(root, 'traces/code.csv'), {limit: 9})
    expect(trace.length).equal(9)
    const deployment = deploy({hardware: 'H100'})
    const problem = await problemOf(async () => simulate({trace, deployment} as never))
    expect(problem.message).equal('simulate: deployment is a promise; await it first.')
    await deployment
  })

  it('may bring a policy that is an object, alone and among many runs', async () => {
    const trace = await library.readTrace([join(root, 'traces/code.csv')], {limit: 60})
    const request = {
      hardware: 'RTX3090',
      engine: {maxNumSeqs: 4},
      policy: {name: 'longest', key: (request: {inputTokens: number}) => -request.inputTokens},
    }
    const deployment = await deploy(request)
    const {summary} = simulate({trace, deployment})
    const fcfs = simulate({trace, deployment: await deploy({...request, policy: 'fcfs'})})
    expect(summary.ttft_ms.mean).not.equal(fcfs.summary.ttft_ms.mean)
    const options = {
      traceName: 'code',
      check: true,
      store: undefined,
      place: 'alone',
      version: '0',
    } as const
    const input = {kind: 'whole', trace} as const
    const runs = await runMany(
      [
        {input, request, options},
        {input, request, options},
      ],
      2,
    )
    expect(runs.map((run) => run.summary)).deep.equal([summary, summary])
    expect(runs[0]!.config.policy).equal('longest')
    const notANumber = await deploy({...request, policy: {key: () => Number.NaN}})
    const problem = await problemOf(async () => simulate({trace, deployment: notANumber}))
    expect(problem.message).equal('policy own: key() must return a number, it returned NaN.')
    const key = (): number => {
      throw new Error('no such field.')
    }
    const throwing = await deploy({...request, policy: {name: 'mine', key}})
    const thrown = await problemOf(async () => simulate({trace, deployment: throwing}))
    expect(thrown.code).equal('POLICY_BAD_MODULE')
    expect(thrown.message).equal('policy mine: key() threw: no such field.')
    expect(thrown.cause).instanceOf(Error)
  })
})
