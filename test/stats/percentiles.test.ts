import {strict as assert} from 'node:assert'
import fc from 'fast-check'
import {describeWeighted, quantilesOfSorted, describe as spread} from '#llmsim/stats/percentiles.js'

const close = (actual: number, expected: number): void => {
  assert.ok(Math.abs(actual - expected) <= 1e-12 * Math.abs(expected), `${actual} ≠ ${expected}`)
}

describe('percentiles', () => {
  // Expected values from numpy.percentile(samples, [50, 90, 95, 99]) with its default method.
  for (const [samples, expected] of [
    [[7], [7, 7, 7, 7]],
    [
      [1, 2],
      [1.5, 1.9, 1.95, 1.99],
    ],
    [
      [3, 1, 2, 5, 4],
      [3, 4.6, 4.8, 4.96],
    ],
    [
      [15, 20, 35, 40, 50, 1000],
      [37.5, 525, 762.5, 952.5],
    ],
    [
      [-3, 0, 0, 8, 2.5, 2.5, 11],
      [2.5, 9.2, 10.1, 10.82],
    ],
  ] as const) {
    it(`equal numpy's of ${samples.join(', ')}`, () => {
      const result = spread(Float64Array.from(samples))!
      const {p50, p90, p95, p99} = result
      ;[p50, p90, p95, p99].forEach((value, i) => {
        close(value, expected[i]!)
      })
      assert.equal(result.max, Math.max(...samples))
      close(result.mean, samples.reduce((a: number, b) => a + b, 0) / samples.length)
    })
  }

  it('do not touch the samples', () => {
    const samples = Float64Array.of(3, 1, 2)
    spread(samples)
    assert.deepEqual([...samples], [3, 1, 2])
  })

  it('of nothing are undefined, or NaN one by one', () => {
    assert.equal(spread(new Float64Array(0)), undefined)
    assert.equal(
      describeWeighted({length: 0, values: new Float64Array(0), counts: new Float64Array(0)}),
      undefined,
    )
    assert.deepEqual(quantilesOfSorted(new Float64Array(0), [0.5]), [Number.NaN])
  })

  it('of equal ends are that end, to the last bit', () => {
    const samples = new Float64Array(3).fill(0.1 + 0.2)
    assert.equal(spread(samples)!.p90, 0.1 + 0.2)
  })

  it('with weights equal those of the repeated samples', () => {
    const pairs = fc.array(fc.tuple(fc.integer({min: 0, max: 1e6}), fc.integer({min: 0, max: 9})), {
      minLength: 1,
      maxLength: 40,
    })
    fc.assert(
      fc.property(pairs, (drawn) => {
        const repeated = drawn.flatMap(([value, count]) => Array<number>(count).fill(value))
        const weighted = describeWeighted({
          length: drawn.length,
          values: Float64Array.from(drawn, ([value]) => value),
          counts: Float64Array.from(drawn, ([, count]) => count),
        })
        assert.deepEqual(weighted, spread(Float64Array.from(repeated)))
      }),
    )
  })

  it('equal those of all samples in order, however many entries and samples there are', () => {
    for (const [entries, most] of [
      [300, 40],
      [300, 900],
      [20_000, 1],
      [20_000, 9],
      [50_000, 2],
    ] as const) {
      const values = Float64Array.from({length: entries}, (_, i) => (i * 7919) % 99_991)
      const counts = Float64Array.from(values, (value) => value % (most + 1))
      const all: number[] = []
      for (const [i, value] of values.entries())
        for (let n = 0; n < counts[i]!; n++) all.push(value)
      const sorted = Float64Array.from(all).sort()
      const found = describeWeighted({length: entries, values, counts})!
      const {p50, p90, p95, p99, max} = found
      assert.equal(found.count, sorted.length)
      assert.deepEqual(
        [p50, p90, p95, p99, max],
        quantilesOfSorted(sorted, [0.5, 0.9, 0.95, 0.99, 1]),
      )
    }
  })
})
