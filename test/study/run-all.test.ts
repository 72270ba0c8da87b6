/** Several devices on several cores: the same bytes as one after another. */
import {mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {Problem} from '#llmsim/errors.js'
import {runJob} from '#llmsim/study/job.js'
import {defaultModel, type RunRequest} from '#llmsim/study/run-request.js'
import {root} from '../support/cli.js'

const request = (hardware: string): RunRequest => ({
  model: defaultModel,
  hardware,
  layout: {},
  engine: {maxNumSeqs: 64},
  latency: 'auto',
  policy: 'fcfs',
  router: 'least-requests',
  frontEnd: 'http',
  seed: 0,
})

const job = (threads: number, folder: string, devices = ['A100', 'H100', 'L40S']) =>
  runJob({
    traces: [join(root, 'traces/chat.csv')],
    readOptions: {},
    requests: devices.map(request),
    check: true,
    store: {out: folder, startedAt: new Date(0)},
    version: '0',
    threads,
  })

describe('several devices', function () {
  this.timeout(60_000)
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'llmsim-threads-'))
  })
  after(() => rmSync(folder, {recursive: true}))

  it('give the same results on one core and on two, in the order they were named', async () => {
    const [one, two] = [join(folder, 'one'), join(folder, 'two')]
    const serial = await job(1, one)
    const parallel = await job(2, two)
    expect(parallel.runs.map((run) => run.device)).to.deep.equal(['A100', 'H100', 'L40S'])
    for (const [i, {device, config, summary, header}] of serial.runs.entries()) {
      const other = parallel.runs[i]!
      expect({config: other.config, summary: other.summary, header: other.header}).to.deep.equal({
        config,
        summary,
        header,
      })
      const requests = (place: string) => readFileSync(join(place, device, 'requests.csv'))
      expect(requests(two).equals(requests(one)), device).to.equal(true)
    }
  })

  it('hand a fault in a thread on as what it is', async () => {
    const file = join(root, 'package.json')
    const error = await job(2, file, ['A100', 'H100']).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    expect(error).to.be.instanceOf(Problem)
    expect((error as Problem).code).to.equal('OUTPUT_NOT_WRITABLE')
  })
})
