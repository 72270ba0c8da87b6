/** Traces, seeds and settings side by side: what they give one after another. */
import {mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {Problem} from '#llmsim/errors.js'
import {type RunTask, runMany} from '#llmsim/study/run-many.js'
import {defaultModel} from '#llmsim/study/run-request.js'
import {root} from '../support/cli.js'

describe('runMany', function () {
  this.timeout(60_000)
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'llmsim-many-'))
  })
  after(() => rmSync(folder, {recursive: true}))

  const task = (
    name: string,
    place: string,
    {input, seats = 64}: {input: RunTask['input']; seats?: number},
  ): RunTask => ({
    input,
    request: {
      model: defaultModel,
      hardware: 'H100',
      layout: {},
      engine: {maxNumSeqs: seats},
      latency: 'auto',
      policy: 'fcfs',
      router: 'least-requests',
      frontEnd: 'http',
      seed: 0,
    },
    options: {
      traceName: name,
      check: true,
      store: {out: join(folder, place, name), startedAt: new Date(0)},
      place: 'alone',
      version: '0',
    },
  })

  const generated = (seed: number): RunTask['input'] => ({
    kind: 'generated',
    spec: {
      requests: 400,
      rate: 30,
      arrivals: 'poisson',
      input: 'lognormal:mean=300,cv=1',
      output: 'lognormal:mean=60,cv=1',
      seed,
    },
  })

  const tasks = (place: string): RunTask[] => [
    ...['chat.csv', 'code.csv'].map((name) =>
      task(name, place, {input: {kind: 'files', paths: [join(root, 'traces', name)], options: {}}}),
    ),
    ...[1, 2].map((seed) => task(`seed-${seed}`, place, {input: generated(seed)})),
    ...[4, 256].map((seats) => task(`seats-${seats}`, place, {input: generated(1), seats})),
  ]

  it('gives the same bytes on one thread and on two, in the order of the tasks', async () => {
    const serial = await runMany(tasks('one'), 1)
    const parallel = await runMany(tasks('two'), 2)
    const content = ({engineSeconds: _, folder: __, ...run}: (typeof serial)[number]) => run
    expect(parallel.map(content)).deep.equal(serial.map(content))
    const names = ['chat.csv', 'code.csv', 'seed-1', 'seed-2', 'seats-4', 'seats-256']
    expect(parallel.map((run) => run.folder?.split('/').at(-1))).deep.equal(names)
    for (const name of names) {
      const rows = (place: string) => readFileSync(join(folder, place, name, 'requests.csv'))
      expect(rows('two').equals(rows('one')), name).equal(true)
    }
    const [, , one, two, few, many] = serial.map((run) => run.summary.ttft_ms.mean)
    expect(new Set([one, two, few]).size).equal(3)
    expect(few!).greaterThan(many!)
  })

  it('throws the first problem in the order of the tasks', async () => {
    const lost = (name: string) =>
      task(name, 'lost', {input: {kind: 'files', paths: [join(folder, name)], options: {}}})
    for (const threads of [1, 2]) {
      const error = await runMany([lost('a.csv'), lost('b.csv')], threads).then(
        () => undefined,
        (reason: unknown) => reason,
      )
      expect(error).instanceOf(Problem)
      expect((error as Problem).message).match(/a\.csv/)
    }
  })
})
