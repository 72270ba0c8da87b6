/** Whether fitted terms help requests that they were not fitted to. */
import {expect} from 'chai'
import {type HalfRow, verdict} from '#llmsim/report/calibration.js'

const metrics = ['ttft_ms', 'tpot_ms', 'e2e_ms', 'requests_per_s']
const errors = (biases: readonly number[]) =>
  biases.map((bias, at) => ({
    metric: metrics[at]!,
    stages: 1,
    median_abs: Math.abs(bias),
    mean_abs: Math.abs(bias),
    bias,
    worst: Math.abs(bias),
  }))

function half(
  [fitted, scored]: readonly [string, string],
  [before, after]: readonly (readonly number[])[],
  noise: readonly number[] = [0, 0, 0],
): HalfRow {
  return {
    fitted_on: `the ${fitted} half`,
    scored_on: `the ${scored} half`,
    before: errors(before!),
    after: errors(after!),
    noise: Object.fromEntries(noise.map((value, at) => [metrics[at]!, value])),
  }
}

const onFirst = ['first', 'second'] as const
const onSecond = ['second', 'first'] as const
const helped = half(onSecond, [
  [-40, 0.1, -20],
  [-1, 0.1, -1],
])

describe('the verdict on a calibration', () => {
  it('is no when one half gets worse, however much the other gains', () => {
    const harmed = half(onFirst, [
      [-11.1, 0.1, -0.8],
      [15.8, 0.1, 2],
    ])
    expect(verdict([harmed, helped])).equal(
      'The terms do not carry over: fitted on the first half, errors on the second half grow by more than their noise: TTFT (−11.1 % → +15.8 %), E2E (−0.8 % → +2.0 %). So keep the catalogue, or measure longer.',
    )
    const both = verdict([harmed, half(onSecond, [[0], [9]])])
    expect(both).match(/: TTFT .*, E2E .*; fitted on the second half, .*the first half .*TTFT \(/)
  })

  it('is no when one metric gets worse, though their sum falls', () => {
    const traded = half(onFirst, [
      [-40, 0.1, -20],
      [-1, 6, -1],
    ])
    expect(verdict([traded, helped])).match(/not carry over.*: TPOT \(\+0\.1 % → \+6\.0 %\)\. So/)
  })

  it('is yes when what grows stays within its noise, or within a percent', () => {
    const noisy = half(
      onFirst,
      [
        [-11.1, 0.1, -8],
        [15.8, 0.9, 2],
      ],
      [4.8, 0.1, 0.5],
    )
    expect(verdict([noisy, helped])).match(/they carry over\.$/)
    expect(verdict([{...noisy, noise: {ttft_ms: 4.6}}, helped])).match(/not carry over/)
  })

  it('is no when nothing changes by more than its noise', () => {
    const same = half(
      onFirst,
      [
        [5, 0.1, 2],
        [1, 0.1, 1.5],
      ],
      [6, 1, 1],
    )
    expect(verdict([same, same])).match(/lower no error on the other one .*: keep the catalogue/)
  })
})
