import {expect} from 'chai'
import fc from 'fast-check'
import {IdTable} from '#llmsim/trace/id-table.js'

describe('a table of block ids', () => {
  it('holds what a Map holds', () => {
    const id = fc.oneof(
      fc.nat(50),
      fc.maxSafeNat(),
      fc.nat(50).map((n) => n * 2 ** 32),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(id, fc.nat(600)), {maxLength: 3000}), (entries) => {
        const table = new IdTable()
        const map = new Map<number, number>()
        for (const [key, value] of entries) {
          expect(table.get(key)).equal(map.get(key) ?? 0)
          table.set(key, value)
          map.set(key, value)
        }
        expect(table.size).equal(map.size)
        for (const [key, value] of map) expect(table.get(key)).equal(value)
        const sorted = (values: Iterable<number>): number[] => [...values].sort((a, b) => a - b)
        expect(sorted(table.values())).deep.equal(sorted(map.values()))
      }),
      {numRuns: 50},
    )
  })
})
