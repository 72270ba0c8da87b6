import {expect} from 'chai'
import fc from 'fast-check'
import {describeWeighted} from '#llmsim/stats/percentiles.js'
import {bucketError, mostExactSamples, pooled, Samples} from '#llmsim/stats/samples.js'

const filled = (values: Iterable<number>, count = 1): Samples => {
  const samples = new Samples()
  for (const value of values) samples.add(value, count)
  return samples
}

/** The numbers from `from` on, every `step`-th, as many as `count`. */
function* numbers(from: number, count: number, step = 1): Generator<number> {
  for (let i = 0; i < count; i++) yield from + i * step
}

describe('Samples', () => {
  it('counts neighbours that are equal together', () => {
    const samples = new Samples()
    for (const [value, count] of [
      [5, 2],
      [5, 3],
      [6, 1],
      [5, 1],
    ] as const)
      samples.add(value, count)
    const {length, values, counts} = samples.settled()
    expect([...values.subarray(0, length)]).deep.equal([5, 6, 5])
    expect([...counts.subarray(0, length)]).deep.equal([5, 1, 1])
  })

  it('leaves out what did not happen', () => {
    expect(filled([Number.NaN, 4, Number.NaN]).settled()).include({length: 1})
  })

  it('is exact up to its size, and says so', () => {
    const exact = describeWeighted(filled(numbers(0, mostExactSamples, 7)).settled())!
    const last = 7 * (mostExactSamples - 1)
    expect(exact).include({count: mostExactSamples, p50: last / 2, max: last, relativeError: 0})
  })

  it('counts in buckets beyond: percentiles within the stated error, mean and maximum exact', () => {
    const count = mostExactSamples + 1
    const found = describeWeighted(filled(numbers(1e6, count, 1009)).settled())!
    const at = (q: number) => 1e6 + 1009 * q * (count - 1)
    expect(found).include({count, relativeError: bucketError, mean: at(0.5), max: at(1)})
    for (const [q, value] of [
      [0.5, found.p50],
      [0.9, found.p90],
      [0.95, found.p95],
      [0.99, found.p99],
    ] as const)
      expect(Math.abs(value / at(q) - 1), `p${100 * q}`).at.most(bucketError)
  })

  it('keeps every value within the stated error, from 0 to the end of whole numbers', () => {
    const fill = [...numbers(0, mostExactSamples + 1)]
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        const samples = filled(fill)
        samples.add(value, 1e9)
        const {p50, max} = describeWeighted(samples.settled())!
        expect(Math.abs(p50 - value)).at.most(value * bucketError)
        expect(max).equal(Math.max(value, mostExactSamples))
      }),
      {numRuns: 20, examples: [[0], [1], [1023], [2 ** 53 - 1]]},
    )
  })

  it('takes small whole numbers for what they are', () => {
    const samples = filled(numbers(0, mostExactSamples + 1))
    const {values} = samples.settled()
    expect([...values.subarray(0, 1025)]).deep.equal([...numbers(0, 1025)])
  })
})

describe('pooled', () => {
  it('adds sets of samples up; one in buckets makes all of it approximate', () => {
    const one = filled([1, 2]).settled()
    const many = filled(numbers(0, mostExactSamples + 1)).settled()
    const {length, sum, max, relativeError} = pooled([one, many])
    expect(length).equal(many.length + 2)
    expect({sum, max, relativeError}).deep.equal({
      sum: many.sum! + 3,
      max: mostExactSamples,
      relativeError: bucketError,
    })
    expect(pooled([one])).equal(one)
  })
})
