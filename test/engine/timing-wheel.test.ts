import {expect} from 'chai'
import fc from 'fast-check'
import {TimingWheel} from '#llmsim/engine/timing-wheel.js'

/** Takes out whoever is due now. */
const takeDue = (wheel: TimingWheel): number[] => {
  const seats: number[] = []
  for (let seat = wheel.take(); seat >= 0; seat = wheel.take()) seats.push(seat)
  return seats.sort((a, b) => a - b)
}

/** Steps from now: near, and around the edges of the second and third wheel. */
const ahead = fc.oneof(
  fc.nat(12),
  fc.integer({min: 250, max: 262}),
  fc.integer({min: 500, max: 530}),
  fc.integer({min: 65_530, max: 65_545}),
)

const action = fc.record({
  seat: fc.nat(140),
  ahead,
  does: fc.constantFrom('add', 'add', 'add', 'remove', 'advance', 'advance', 'advance far'),
})

describe('TimingWheel', () => {
  it('has nobody due at first', () => {
    expect(new TimingWheel().due()).equal(-1)
  })

  it('has everybody due in the step that was named, however far that is', () => {
    const wheel = new TimingWheel()
    const steps = [0, 1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_793, 131_072, 131_072]
    for (const [seat, step] of steps.entries()) wheel.add(seat, step)
    const found: number[] = []
    for (; wheel.now <= 131_072; wheel.advance())
      for (const seat of takeDue(wheel)) found[seat] = wheel.now
    expect(found).deep.equal(steps)
  })

  it('holds steps beyond its third wheel', () => {
    const wheel = new TimingWheel()
    wheel.add(0, 2 ** 30)
    wheel.add(1, 2 ** 24 + 3)
    while (wheel.now < 300) wheel.advance()
    expect(wheel.due()).equal(-1)
    wheel.remove(0)
    while (wheel.now < 2 ** 24 + 3) wheel.advance()
    expect(takeDue(wheel)).deep.equal([1])
  })

  it('knows who is due as a list does, after any history', () => {
    fc.assert(
      fc.property(fc.array(action, {maxLength: 60, size: 'max'}), (actions) => {
        const wheel = new TimingWheel()
        const due = new Map<number, number>()
        const advance = () => {
          const now = [...due].filter(([, step]) => step === wheel.now).map(([seat]) => seat)
          const taken = takeDue(wheel)
          if (taken.length + now.length > 0) expect(taken).deep.equal(now.sort((a, b) => a - b))
          for (const seat of now) due.delete(seat)
          wheel.advance()
        }
        for (const {seat, ahead, does} of actions) {
          if (does === 'add' && !due.has(seat)) {
            wheel.add(seat, wheel.now + ahead)
            due.set(seat, wheel.now + ahead)
          } else if (does === 'remove' && due.delete(seat)) wheel.remove(seat)
          else if (does === 'advance') advance()
          else if (does === 'advance far') for (let i = 0; i < 300; i++) advance()
        }
      }),
      {numRuns: 50, seed: 1},
    )
  })

  it('moves a seat three times at most, whoever else is there', () => {
    const wheel = new TimingWheel()
    const count = 1000
    for (let seat = 0; seat < count; seat++) wheel.add(seat, 70_000 + 3 * seat)
    expect(wheel.work).equal(count)
    for (; wheel.now < 74_000; wheel.advance()) takeDue(wheel)
    expect(wheel.work).at.most(3 * count)
  })
})
