import {expect} from 'chai'
import fc from 'fast-check'
import {SpanTable} from '#llmsim/engine/span-table.js'

describe('SpanTable', () => {
  it('has no piece of a span that nobody entered, and of one that went', () => {
    const table = new SpanTable()
    expect(table.get(7)).equal(-1)
    table.set(7, 3)
    table.set(2 ** 52 + 7, 4)
    expect([table.get(7), table.get(2 ** 52 + 7), table.size]).deep.equal([3, 4, 2])
    table.delete(7)
    expect([table.get(7), table.get(2 ** 52 + 7), table.size]).deep.equal([-1, 4, 1])
  })

  it('is a map, whatever comes and goes', () => {
    // Few spans, so that they meet again; some are alike in their lower or upper half, and share a place.
    const span = fc.oneof(
      fc.nat(90),
      fc.nat(40).map((k) => k * 2 ** 32 + 5),
      fc.nat(40).map((k) => k * 1024),
    )
    const action = fc.record({
      span,
      piece: fc.nat(1000),
      does: fc.constantFrom('set', 'set', 'delete'),
    })
    fc.assert(
      fc.property(fc.array(action, {maxLength: 400, size: 'max'}), (actions) => {
        const table = new SpanTable()
        const map = new Map<number, number>()
        for (const {span, piece, does} of actions) {
          if (does === 'set') {
            table.set(span, piece)
            map.set(span, piece)
          } else if (map.delete(span)) table.delete(span)
        }
        expect(table.size).equal(map.size)
        for (const {span} of actions) expect(table.get(span)).equal(map.get(span) ?? -1)
      }),
      {numRuns: 300, seed: 1},
    )
  })
})
