/** Runs of traces that are read in parts: the files and figures of a trace that is read as a whole. */
import {mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {runJob} from '#llmsim/study/job.js'
import {partRows} from '#llmsim/trace/parts.js'
import {runRequest} from '../support/run-request.js'

const rows = 3 * partRows

describe('a trace that is read in parts', function () {
  this.timeout(120_000)
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'llmsim-parts-'))
  })
  after(() => rmSync(folder, {recursive: true}))

  const job = (trace: string, out: string, more: object = {}) =>
    runJob({
      traces: [join(folder, trace)],
      readOptions: {},
      requests: [runRequest({hardware: 'H100'})],
      slo: {ttft: 60e6, itl: 40e6},
      warmup: {kind: 'requests', count: partRows + 7},
      check: true,
      store: {out: join(folder, out), startedAt: new Date(0)},
      version: '0',
      ...more,
    })

  /** Every file of a run; the summary is in run.json, whose timing differs. */
  const contentOf = (out: string) =>
    Object.fromEntries(
      readdirSync(join(folder, out)).map((name) => {
        const text = readFileSync(join(folder, out, name), 'utf8')
        if (name !== 'run.json') return [name, text]
        const {timing: _, config, header, ...rest} = JSON.parse(text)
        // The notes say how it was read.
        return [name, {...rest, config: {...config, notes: []}, header: header.slice(1)}]
      }),
    )

  const text = (cells: (row: number) => string) =>
    [
      'arrived_at,input_tokens,output_tokens,model',
      ...Array.from({length: rows}, (_, i) => cells(i)),
      '',
    ].join('\n')
  const line = (row: number) => `${row / 40},${20 + (row % 90)},${1 + (row % 13)},model-${row % 3}`

  it('gives the same files as one that is read as a whole', async () => {
    writeFileSync(join(folder, 't.csv'), text(line))
    const itl = (name: string) => ({itl: join(folder, `${name}.csv`)})
    const parts = await job('t.csv', 'parts', itl('itl-parts'))
    // A limit that changes nothing asks for the whole.
    const whole = await job('t.csv', 'whole', {...itl('itl-whole'), readOptions: {limit: rows}})
    expect(parts.trace).deep.equal(whole.trace)
    expect(contentOf('parts')).deep.equal(contentOf('whole'))
    expect(Object.keys(contentOf('parts')).sort()).deep.equal([
      'labels.csv',
      'power.csv',
      'requests.csv',
      'run.json',
      'timeseries.csv',
    ])
    const gaps = (name: string) => readFileSync(join(folder, `itl-${name}.csv`))
    expect(gaps('parts').equals(gaps('whole'))).equal(true)
  })

  it('is read again as a whole when it proves out of order, with a note', async () => {
    const late = rows - 5
    writeFileSync(
      join(folder, 'late.csv'),
      text((row) => line(row === late ? 100 : row)),
    )
    const sorted = Array.from({length: rows}, (_, i) => i).filter((row) => row !== late)
    sorted.splice(101, 0, 100)
    const order = text((i) => line(sorted[i]!))
    writeFileSync(join(folder, 'order.csv'), order)
    const found = await job('late.csv', 'late')
    await job('order.csv', 'order')
    expect(found.trace.notes).deep.equal([
      'rows were not in order of arrival and have been sorted.',
    ])
    const [late_, inOrder] = [contentOf('late'), contentOf('order')]
    expect(late_['requests.csv'] === inOrder['requests.csv']).equal(true)
    expect(late_['run.json'].summary).deep.equal(inOrder['run.json'].summary)
  })

  it('gives the same bytes for several devices, on one core and on two', async () => {
    const requests = ['A100', 'H100'].map((hardware) => runRequest({hardware}))
    const one = await job('t.csv', 'one', {requests, threads: 1})
    const two = await job('t.csv', 'two', {requests, threads: 2})
    expect(one.runs.map(({summary}) => summary)).deep.equal(two.runs.map(({summary}) => summary))
    for (const device of ['A100', 'H100'])
      expect(contentOf(join('two', device))['requests.csv']).equal(
        contentOf(join('one', device))['requests.csv'],
      )
  })
})
