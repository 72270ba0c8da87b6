import {expect} from 'chai'
import fc from 'fast-check'
import {TimedRows} from '#llmsim/cluster/timed-rows.js'

describe('TimedRows', () => {
  it('without rows says so', () => {
    const rows = new TimedRows()
    expect([rows.nextAt(), rows.nextRow()]).deep.equal([Number.POSITIVE_INFINITY, -1])
  })

  it('gives rows in order of time, equal times in order of rows', () => {
    const timed = fc.record({row: fc.nat(50), at: fc.nat(5)})
    fc.assert(
      fc.property(fc.array(timed), fc.nat(20), (list, early) => {
        const rows = new TimedRows()
        const waiting: {row: number; at: number}[] = []
        const takeOne = () => {
          waiting.sort((a, b) => a.at - b.at || a.row - b.row)
          const first = waiting.shift()!
          expect([rows.nextAt(), rows.nextRow()]).deep.equal([first.at, first.row])
          expect(rows.take()).equal(first.row)
        }
        for (const [i, {row, at}] of list.entries()) {
          rows.add(row, at)
          waiting.push({row, at})
          if (i % (early + 1) === early) takeOne()
        }
        while (waiting.length > 0) takeOne()
        expect(rows.nextAt()).equal(Number.POSITIVE_INFINITY)
      }),
      {seed: 1},
    )
  })
})
