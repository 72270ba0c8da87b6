import {strict as assert} from 'node:assert'
import {mkdtempSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {Config} from '@oclif/core'
import ReportCommand from '#llmsim/commands/report.js'
import {Problem} from '#llmsim/errors.js'
import {compareRuns} from '#llmsim/report/compare.js'
import {makeReport} from '#llmsim/report/report.js'
import {renderReport} from '#llmsim/report/report-formats.js'
import {createRunFolder, writeRun} from '#llmsim/report/run-store.js'
import {parseSlo} from '#llmsim/report/slo.js'
import {plainStyle} from '#llmsim/report/style.js'
import {type SummaryOptions, summarise} from '#llmsim/report/summary.js'
import {parseWarmup} from '#llmsim/report/warmup.js'
import {buildRun, engine, gapsOf, type Row, sixRequests} from './build-run.js'

/** The same requests where everything after arrival takes half as long. */
const twiceAsFast: Row[] = sixRequests.map((row) => {
  const half = (at: number | undefined) =>
    at === undefined ? {} : {at: row.arrived + (at - row.arrived) / 2}
  return {
    ...row,
    ...(row.scheduled !== undefined && {scheduled: half(row.scheduled).at!}),
    ...(row.first !== undefined && {first: half(row.first).at!}),
    ...(row.finished !== undefined && {finished: half(row.finished).at!}),
  }
})

describe('report', () => {
  let root: string
  before(() => {
    root = mkdtempSync(join(tmpdir(), 'llmsim-report-'))
    store('slow', sixRequests, 1, {price: {usdPerHour: 2, devices: 1}})
    store('fast', twiceAsFast, 2, {price: {usdPerHour: 3, devices: 1}})
  })
  after(() => {
    rmSync(root, {recursive: true})
  })

  const store = (name: string, rows: readonly Row[], minute: number, options: SummaryOptions) => {
    const run = buildRun(rows, [
      engine({steps: 50, preemptions: 2, busyNs: 1e9, gaps: gapsOf([[20e6, 70]])}),
    ])
    const startedAt = new Date(Date.UTC(2025, 0, 1, 0, minute))
    const folder = createRunFolder({root, startedAt, about: [name]})
    const summary = summarise(run, options)
    writeRun(folder, {llmsim: '1.0.0', command: 'llmsim simulate t.csv', config: {}, summary}, run)
  }

  it('takes the newest run by default', async () => {
    const report = makeReport({runs: [], root})
    assert.deepEqual(
      report.runs.map((run) => run.name),
      ['20250101T000200Z-fast'],
    )
    assert.equal(report.metrics, undefined)
  })

  it('prints the differences that a pocket calculator gives', async () => {
    const {metrics} = makeReport({runs: ['slow', 'fast'], root})
    const row = (name: string) => metrics!.find(({metric}) => metric === name)!
    const same = (name: string, ...expected: number[]) => {
      const {values, differences, percent} = row(name)
      const actual = [...values, differences[1]!, percent[1]!]
      actual.forEach((value, i) => {
        assert.ok(Math.abs(value! - expected[i]!) < 1e-9, `${name}: ${actual} is not ${expected}`)
      })
      assert.equal(differences[0], null)
      assert.equal(percent[0], null)
    }
    same('ttft_ms.mean', 280, 140, -140, -50)
    same('ttft_ms.p99', 592, 296, -296, -50)
    same('tpot_ms.mean', 32.5, 16.25, -16.25, -50)
    // 1.0 s → 5.0 s against 1.0 s → 4.0 s
    same('duration_s', 4, 3, -1, -25)
    same('throughput.output_tokens_per_s', 18.75, 25, 6.25, 100 / 3)
    // 2 $/h ÷ 18.75 tok/s against 3 $/h ÷ 25 tok/s
    same('cost.usd_per_1m_output_tokens', 2e6 / 67_500, 3e6 / 90_000, 3.7037037037, 12.5)
    same('requests.completed', 5, 5, 0, 0)
  })

  it('has no percentage of nothing', () => {
    const base = summarise(buildRun(sixRequests))
    const more = {...base, requests: {...base.requests, cancelled: 3}}
    const row = compareRuns([base, more]).find(({metric}) => metric === 'requests.cancelled')!
    assert.deepEqual(row, {
      metric: 'requests.cancelled',
      values: [0, 3],
      differences: [null, 3],
      percent: [null, null],
    })
  })

  it('counts goodput anew from requests.csv, by hand', async () => {
    const slo = parseSlo('ttft=400ms,tpot=50ms,e2e=1s')
    const {runs} = makeReport({runs: ['slow', 'fast'], root, slo})
    // slow: a and d (see the summary's test). fast: a 50/5/100, b 100/30/400, c 300/10/400, d 50/–/50,
    // e 200/20/1000 ms all meet it.
    assert.equal(runs[0]!.summary.goodput?.requests, 2)
    assert.equal(runs[0]!.summary.goodput?.requests_per_s, 0.5)
    assert.equal(runs[1]!.summary.goodput?.requests, 5)
    assert.equal(runs[1]!.summary.goodput?.attainment, 5 / 6)
  })

  it('summarises anew to what simulate would have said with the same flags', async () => {
    const options = {slo: parseSlo('ttft=400ms'), warmup: parseWarmup('2')}
    const {runs} = makeReport({runs: ['slow'], root, ...options})
    const run = buildRun(sixRequests, [
      engine({steps: 50, preemptions: 2, busyNs: 1e9, gaps: gapsOf([[20e6, 70]])}),
    ])
    assert.deepEqual(
      runs[0]!.summary,
      summarise(run, {...options, price: {usdPerHour: 2, devices: 1}}),
    )
  })

  it('keeps the bounds of the run where only the warm-up is new', async () => {
    store('with-slo', sixRequests, 0, {slo: parseSlo('ttft=100ms')})
    const {runs} = makeReport({runs: ['with-slo'], root, warmup: parseWarmup('1')})
    assert.deepEqual(runs[0]!.summary.goodput?.slo, {ttft_ms: 100})
    assert.equal(runs[0]!.summary.goodput?.requests, 1)
    rmSync(join(root, '20250101T000000Z-with-slo'), {recursive: true})
  })

  it('splits a run whose SLO bounds ITL, and does not score it again', () => {
    const gaps = new Float64Array(sixRequests.length).fill(20e6)
    const summary = summarise(
      {...buildRun(sixRequests), largestGap: gaps},
      {slo: parseSlo('ttft=400ms,itl=30ms')},
    )
    const startedAt = new Date(Date.UTC(2024, 0, 1))
    const folder = createRunFolder({root, startedAt, about: ['gaps']})
    writeRun(folder, {llmsim: '1', command: 'c', config: {}, summary}, buildRun(sixRequests))
    const [split] = makeReport({runs: [folder], by: 'model'}).runs
    assert.equal(split!.groups!.length, 2)
    assert.equal(split!.groups![0]!.goodput, undefined)
    assert.deepEqual(split!.summary.goodput, summary.goodput)
    assert.match(split!.header.at(-1)!, /goodput is not scored again/)
    const [later] = makeReport({runs: [folder], warmup: parseWarmup('2')}).runs
    assert.equal(later!.summary.goodput, undefined)
    assert.match(later!.header.at(-1)!, /goodput is not scored again/)
    const [scored] = makeReport({runs: [folder], by: 'model', slo: parseSlo('ttft=400ms')}).runs
    assert.equal(scored!.groups![0]!.goodput!.requests, 2)
    assert.deepEqual(scored!.header, [])
  })

  it('refuses bounds of ITL, whose gaps are not stored', async () => {
    assert.throws(
      () => makeReport({runs: ['slow'], root, slo: parseSlo('itl=1s')}),
      (error) => error instanceof Problem && error.code === 'FLAG_CONFLICT',
    )
  })

  const render = async (
    runs: string[],
    format: 'table' | 'json' | 'csv' | 'markdown',
    by?: 'model',
  ) => renderReport(makeReport({runs, root, by}), format, plainStyle)

  it('writes two or more runs as tables of 80 columns', async () => {
    const two = await render(['slow', 'fast'], 'table')
    assert.match(two, /^A {2}20250101T000100Z-slow\nB {2}20250101T000200Z-fast\n/)
    assert.match(two, /^ttft_ms\.mean +280 +140 +-140 +-50\.0 %$/m)
    assert.match(two, /^A: not saturated/m)
    const four = await render(['slow', 'fast', 'slow', 'fast'], 'table', 'model')
    assert.equal(four.match(/^ttft_ms\.mean/gm)!.length, 2)
    assert.match(four, /^ +A +B +% +C +%$/m)
    assert.match(four, /^ +A +D +%$/m)
    for (const line of `${two}\n${four}`.split('\n')) assert.ok(line.length <= 80, line)
  })

  it('writes counts without decimals', async () => {
    for (const format of ['table', 'markdown'] as const) {
      const text = await render(['slow', 'fast'], format)
      assert.match(text, /requests\.submitted[ |]+6[ |]+6[ |]+0[ |]/)
      assert.match(text, /steps[ |]+50[ |]+50[ |]+0[ |]/)
    }
  })

  it('writes one run with its groups', async () => {
    const text = await render(['slow'], 'table', 'model')
    assert.match(
      text,
      /^20250101T000100Z-slow \(llmsim 1\.0\.0\)\nllmsim simulate t\.csv\n\nms +mean/,
    )
    assert.match(text, /^x +3 +15\.8 +400/m)
  })

  it('writes CSV with full precision', async () => {
    const lines = (await render(['slow', 'fast'], 'csv')).split('\n')
    assert.equal(
      lines[0],
      'metric,20250101T000100Z-slow,20250101T000200Z-fast,20250101T000200Z-fast difference,20250101T000200Z-fast %',
    )
    assert.ok(lines.includes('ttft_ms.mean,280,140,-140,-50'))
    const groups = (await render(['slow', 'fast'], 'csv', 'model')).split('\n')
    assert.equal(groups.length, 5)
    const width = groups[0]!.split(',').length
    for (const line of groups) assert.equal(line.split(',').length, width)
    assert.match(groups[4]!, /^20250101T000200Z-fast,y,3,2,1,0,0,/)
  })

  it('writes Markdown tables of even rows', async () => {
    const text = await render(['slow', 'fast'], 'markdown', 'model')
    assert.match(text, /^\| ttft_ms\.mean \| 280 \| 140 \| -140 \| -50\.0 \|$/m)
    const first = text.split('\n\n')[0]!.split('\n')
    assert.deepEqual(new Set(first.map((line) => line.split('|').length)), new Set([7]))
  })

  it('writes JSON that is the report', async () => {
    const report = makeReport({runs: ['slow', 'fast'], root, by: 'model'})
    assert.deepEqual(JSON.parse(await renderReport(report, 'json', plainStyle)), report)
  })

  it('is a command', async () => {
    const config = await Config.load(import.meta.dirname)
    const report = await ReportCommand.run(['slow', 'fast', '--runs-dir', root, '--json'], config)
    assert.equal(report.runs.length, 2)
    await assert.rejects(
      ReportCommand.run(['--runs-dir', root, '--slo', 'ttft=1', '--format', 'csv'], config),
      (error) => error instanceof Problem && error.code === 'FLAG_BAD_VALUE',
    )
  })
})
