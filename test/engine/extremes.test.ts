import {expect} from 'chai'
import fc from 'fast-check'
import {Extremes} from '#llmsim/engine/extremes.js'

const most = 2 ** 31 - 1

const both = ({smallest, largest}: Extremes) => [smallest, largest]

describe('Extremes', () => {
  it('are of nobody at first, and when all have left', () => {
    const seats = new Extremes()
    expect(both(seats)).deep.equal([most, -most])
    seats.take(3, 7)
    expect(both(seats)).deep.equal([7, 7])
    seats.leave(3)
    expect(both(seats)).deep.equal([most, -most])
  })

  it('let any seat become empty, not only that of the smallest or the largest', () => {
    const seats = new Extremes()
    for (const [seat, value] of [5, 3, 8, 3].entries()) seats.take(seat, value)
    const left = [1, 2, 0, 3].map((seat) => {
      seats.leave(seat)
      return both(seats)
    })
    expect(left).deep.equal([
      [3, 8],
      [3, 5],
      [3, 3],
      [most, -most],
    ])
  })

  it('are right after any history, however large it grew', () => {
    const action = fc.record({
      seat: fc.nat(600),
      value: fc.integer({min: -20, max: 20}),
      does: fc.constantFrom('take', 'take', 'leave'),
    })
    fc.assert(
      fc.property(fc.array(action, {maxLength: 900, size: 'max'}), (actions) => {
        const seats = new Extremes()
        const inside = new Map<number, number>()
        for (const {seat, value, does} of actions) {
          if (does === 'take' && !inside.has(seat)) {
            seats.take(seat, value)
            inside.set(seat, value)
          } else if (inside.delete(seat)) seats.leave(seat)
          const values = [...inside.values()]
          expect(both(seats)).deep.equal([Math.min(most, ...values), Math.max(-most, ...values)])
        }
      }),
      {numRuns: 60, seed: 1},
    )
  })

  it('cost a logarithm for who comes and who leaves, and next to nothing for who is neither', () => {
    const seats = new Extremes()
    const count = 4096
    for (let seat = 0; seat < count; seat++) seats.take(seat, -seat)
    for (let seat = count - 1; seat > 0; seat -= 2) seats.leave(seat)
    expect(both(seats)).deep.equal([2 - count, 0])
    expect(seats.work).lessThan(1.5 * count * (1 + Math.log2(count) / 3))
    const before = seats.work
    seats.take(1, -100)
    seats.leave(1)
    expect(seats.work - before).lessThan(9)
  })
})
