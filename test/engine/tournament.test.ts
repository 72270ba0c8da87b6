import {expect} from 'chai'
import fc from 'fast-check'
import {Tournament} from '#llmsim/engine/tournament.js'

const nobody = 2 ** 31 - 1

describe('Tournament', () => {
  it('is empty at first, and when all have left', () => {
    const tree = new Tournament()
    expect(tree.top).equal(nobody)
    tree.take(3, 7)
    expect(tree.top).equal(7)
    tree.leave(3)
    expect(tree.top).equal(nobody)
  })

  it('lets any seat become empty, not only that of the smallest', () => {
    const tree = new Tournament()
    for (const [seat, rank] of [5, 3, 8, 3].entries()) tree.take(seat, rank)
    const tops = [1, 2, 0, 3].map((seat) => {
      tree.leave(seat)
      return tree.top
    })
    expect(tops).deep.equal([3, 3, 3, nobody])
  })

  it('finds the smallest rank after any history, however large it grew', () => {
    const action = fc.record({
      seat: fc.nat(300),
      rank: fc.integer({min: -20, max: 20}),
      does: fc.constantFrom('take', 'take', 'leave'),
    })
    fc.assert(
      fc.property(fc.array(action, {maxLength: 600, size: 'max'}), (actions) => {
        const tree = new Tournament()
        const inside = new Map<number, number>()
        for (const {seat, rank, does} of actions) {
          if (does === 'take' && !inside.has(seat)) {
            tree.take(seat, rank)
            inside.set(seat, rank)
          } else if (inside.delete(seat)) tree.leave(seat)
          expect(tree.top).equal(Math.min(nobody, ...inside.values()))
        }
      }),
      {numRuns: 100, seed: 1},
    )
  })

  it('costs a logarithm for who comes and who leaves, and next to nothing for who is not the smallest', () => {
    const tree = new Tournament()
    const count = 4096
    for (let seat = 0; seat < count; seat++) tree.take(seat, -seat)
    for (let seat = count - 1; seat > 0; seat -= 2) tree.leave(seat)
    expect(tree.top).equal(2 - count)
    expect(tree.work).lessThan(1.5 * count * (1 + Math.log2(count)))
    const before = tree.work
    tree.take(1, 1)
    tree.leave(1)
    expect(tree.work - before).lessThan(5)
  })
})
