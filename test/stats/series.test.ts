import {expect} from 'chai'
import {type EngineMoment, firstIntervalNs, mostIntervals, Series} from '#llmsim/stats/series.js'

const moment = (prefillTokens: number): EngineMoment => ({
  running: 1,
  waiting: 0,
  usedBlocks: 3,
  totals: {prefillTokens, decodeTokens: 0, lookedUpTokens: 0, hitTokens: 0, preemptions: 0},
})

describe('Series', () => {
  it('keeps a bounded number of equal intervals, however long the run is', () => {
    const series = new Series()
    for (let i = 0; i < 10_000; i++) series.add([moment(series.nextAt())])
    const ends = series.moments.map(({at}) => at)
    expect(ends.length).to.be.within(mostIntervals / 2, mostIntervals - 1)
    expect(ends).to.deep.equal(ends.map((_, i) => (i + 1) * series.intervalNs))
    expect(Math.log2(series.intervalNs / firstIntervalNs) % 1).to.equal(0)
    // What was seen at the end of an interval is still what was seen then.
    for (const {at, engines} of series.moments)
      expect(engines[0]!.totals.prefillTokens).to.equal(at)
  })

  it('ends with a shorter interval, unless the run ended with the last', () => {
    const series = new Series()
    series.add([moment(1)])
    series.close(firstIntervalNs, [moment(1)])
    expect(series.moments).to.have.length(1)
    series.close(firstIntervalNs + 5, [moment(2)])
    expect(series.moments.at(-1)).to.deep.include({at: firstIntervalNs + 5})
  })
})
