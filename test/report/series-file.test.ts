import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {Problem} from '#llmsim/errors.js'
import {readSeries, seriesFields, sumSeries, writeSeries} from '#llmsim/report/series-file.js'
import {type EngineMoment, Series} from '#llmsim/stats/series.js'

const engine = (tokens: number, usedBlocks: number): EngineMoment => ({
  running: usedBlocks,
  waiting: 2,
  usedBlocks,
  totals: {
    prefillTokens: tokens,
    decodeTokens: 2 * tokens,
    lookedUpTokens: tokens,
    hitTokens: tokens / 4,
    preemptions: 0,
  },
})

describe('timeseries.csv', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'llmsim-series-'))
  })
  afterEach(() => rmSync(folder, {recursive: true}))

  it('holds states at the end and rates over the interval, per engine', () => {
    const series = new Series()
    series.add([engine(8, 5), engine(0, 0)])
    series.add([engine(12, 10), engine(0, 0)])
    const path = join(folder, 'timeseries.csv')
    writeSeries(path, series, [10, 20])
    const rows = readSeries(path)!
    expect(rows).to.have.length(4)
    // 4 tokens in a millisecond.
    expect(rows[2]).to.deep.equal({
      start_s: 0.001,
      end_s: 0.002,
      instance: 0,
      running: 10,
      waiting: 2,
      kv_used_blocks: 10,
      kv_usage: 1,
      prefill_tokens_per_s: 4000,
      decode_tokens_per_s: 8000,
      prefix_hit_rate: 0.25,
      preemptions: 0,
    })
    expect(rows[3]!.prefix_hit_rate).to.equal(null)
  })

  it('is summed over engines, in at most twenty intervals, with no token lost', () => {
    const series = new Series()
    for (let i = 1; i <= 90; i++) series.add([engine(4 * i, 1), engine(8 * i, 3)])
    const path = join(folder, 'timeseries.csv')
    writeSeries(path, series, [10, 10])
    const sums = sumSeries(readSeries(path)!)
    expect(sums).to.have.length(18)
    const tokens = sums.reduce(
      (sum, row) => sum + row.prefill_tokens_per_s * (row.end_s - row.start_s),
      0,
    )
    expect(tokens).to.be.closeTo(12 * 90, 1e-6)
    expect(sums[0]).to.deep.include({running: 4, waiting: 4})
    expect(sums[0]!.kv_usage).to.be.closeTo(0.2, 1e-12)
  })

  it('weighs the engines by their blocks', () => {
    const series = new Series()
    series.add([engine(1, 50), engine(1, 30), engine(1, 0)])
    series.add([engine(2, 80), engine(2, 0), engine(2, 0)])
    const path = join(folder, 'timeseries.csv')
    writeSeries(path, series, [100, 300, 200])
    const usage = sumSeries(readSeries(path)!).map((row) => row.kv_usage)
    // The third never used any: it counts as the mean of the others, which is what it has here.
    expect(usage[0]).to.be.closeTo(80 / 600, 1e-6)
    expect(usage[1]).to.be.closeTo(80 / 600, 1e-6)
  })

  it('says where a file is broken, and nothing where there is none', () => {
    const path = join(folder, 'timeseries.csv')
    expect(readSeries(path)).to.equal(undefined)
    writeFileSync(path, 'a,b\n')
    expect(() => readSeries(path)).to.throw(Problem, /timeseries\.csv:1: the header must be/)
    writeFileSync(path, `${seriesFields.join(',')}\n1,2\n`)
    expect(() => readSeries(path)).to.throw(Problem, /timeseries\.csv:2: 2 cells/)
    writeFileSync(path, `${seriesFields.join(',')}\n0,x,0,0,0,0,0,0,0,,0\n`)
    expect(() => readSeries(path)).to.throw(Problem, /:2: end_s is not a number: x/)
    expect(readFileSync(path, 'utf8')).to.contain('x')
  })
})
