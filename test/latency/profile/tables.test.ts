/** Look-ups in measured tables: clamped below, extended above, a measured point taken as it is. */
import {expect} from 'chai'
import {
  bracket,
  Curve,
  ExpertTable,
  roundHalfEven,
  wholeNs,
} from '#llmsim/latency/profile/tables.js'

/** µs that come out as whole ns. */
const us = (...ns: number[]) => ns.map((value) => value / 1000)

describe('rounding of measured times', () => {
  it('takes halves to the even neighbour, everything else to the nearest', () => {
    const cases = [
      [0.5, 0],
      [1.5, 2],
      [2.5, 2],
      [2.4999, 2],
      [2.5001, 3],
      [7, 7],
      [-0.5, 0],
      [-1.5, -2],
      [-2.5, -2],
      [-0.6, -1],
    ] as const
    for (const [value, rounded] of cases) expect(roundHalfEven(value), `${value}`).equal(rounded)
  })

  it('makes whole ns of µs, at least one', () => {
    expect(wholeNs(8.35233)).equal(8352)
    expect(wholeNs(0.0025)).equal(2)
    expect(wholeNs(0.0035)).equal(4)
    expect(wholeNs(0.0001)).equal(1)
    expect(wholeNs(0)).equal(1)
  })
})

describe('the place of a coordinate on an axis', () => {
  const axis = [1, 2, 4, 8]
  it('clamps below the first point', () => {
    expect(bracket(axis, 0)).deep.equal({low: 0, high: 0, t: 0})
    expect(bracket(axis, 1)).deep.equal({low: 0, high: 0, t: 0})
  })
  it('takes an equal point alone', () => {
    for (const [i, at] of axis.entries())
      expect(bracket(axis, at)).deep.equal({low: i, high: i, t: 0})
  })
  it('lies between neighbours in proportion', () => {
    expect(bracket(axis, 3)).deep.equal({low: 1, high: 2, t: 0.5})
    expect(bracket(axis, 7)).deep.equal({low: 2, high: 3, t: 0.75})
  })
  it('goes on from the last two points above the top', () => {
    expect(bracket(axis, 12)).deep.equal({low: 2, high: 3, t: 2})
  })
  it('has one answer on an axis of one point', () => {
    for (const at of [0, 5, 9]) expect(bracket([5], at)).deep.equal({low: 0, high: 0, t: 0})
  })
})

describe('a curve', () => {
  // Out of order on purpose.
  const curve = new Curve({at: [16, 1, 4], timeUs: us(2001, 1000, 1003)})

  it('is clamped below and exact at its points', () => {
    expect([0, 1, 4, 16].map((at) => curve.at(at))).deep.equal([1000, 1000, 1003, 2001])
  })
  it('cuts what lies between to whole ns', () => {
    // 1003 + 998 · 3/12 = 1252.5
    expect(curve.value(7)).equal(1252.5)
    expect(curve.at(7)).equal(1252)
  })
  it('is extended from its last two points', () => {
    // 1003 + 998 · 28/12 = 3331.66…
    expect(curve.at(32)).equal(3331)
  })
  it('is never below 1 ns, however steeply it falls', () => {
    expect(new Curve({at: [1, 2], timeUs: us(100, 50)}).at(100)).equal(1)
  })
  it('takes the later of two rows of one point', () => {
    const twice = new Curve({at: [1, 2, 2], timeUs: us(10, 20, 40)})
    expect([1, 2, 3].map((at) => twice.at(at))).deep.equal([10, 40, 70])
  })
})

describe('a table of expert kernels', () => {
  const table = new ExpertTable([
    {tokens: 1, activatedExperts: 8, timeUs: 1},
    {tokens: 3, activatedExperts: 8, timeUs: 2},
    {tokens: 2, activatedExperts: 16, timeUs: 5},
    {tokens: 4, activatedExperts: 16, timeUs: 6},
  ])
  it('is linear in activated experts between two rows, each a curve of its own over tokens', () => {
    expect(table.at(2, 8)).equal(1500)
    expect(table.at(2, 16)).equal(5000)
    expect(table.at(2, 12)).equal(3250)
    // The upper row is clamped at its first point, 2 tokens.
    expect(table.at(1, 12)).equal(3000)
  })
  it('is clamped below the first row and extended above the last', () => {
    expect(table.at(3, 1)).equal(2000)
    // Rows at 3 tokens: 2000 and 5500.
    expect(table.at(3, 24)).equal(9000)
  })
  it('is cut to whole ns once, at the end', () => {
    const half = new ExpertTable([
      {tokens: 1, activatedExperts: 1, timeUs: 1},
      {tokens: 3, activatedExperts: 1, timeUs: 1.001},
      {tokens: 1, activatedExperts: 3, timeUs: 1.002},
      {tokens: 3, activatedExperts: 3, timeUs: 1.005},
    ])
    // (1000.5 + 1003.5) / 2; with both rows cut first it would be 1001.
    expect(half.at(2, 2)).equal(1002)
  })
})
