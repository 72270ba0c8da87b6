/** What weights outside of devices cost their links: by hand. */
import {expect} from 'chai'
import {weightTraffic} from '#llmsim/report/weight-traffic.js'
import type {Spans} from '#llmsim/stats/busy-spans.js'
import {engine} from './build-run.js'

const spans = (...pairs: readonly (readonly [number, number])[]): Spans => ({
  length: pairs.length,
  starts: Float64Array.from(pairs, ([start]) => start),
  ends: Float64Array.from(pairs, ([, end]) => end),
})

describe('traffic of weights', () => {
  const totals = [engine({steps: 10}), engine({steps: 5}), engine({steps: 99})]
  const busy = [spans([0, 100], [200, 300]), spans([0, 100]), spans([0, 1000])]

  it('is that of the steps of all engines which have some', () => {
    const steps = [{bytes: 30, linkNs: 10}, {bytes: 60, linkNs: 20}, undefined]
    expect(weightTraffic(steps, {totals, busy})).deep.equal({
      bytes: 10 * 30 + 5 * 60,
      bytes_per_step: 600 / 15,
      link_busy: (10 * 10 + 5 * 20) / 300,
    })
  })

  it('is none where nothing lies outside, or nothing ran', () => {
    expect(weightTraffic([undefined, undefined, undefined], {totals, busy})).equal(undefined)
    const idle = {totals: [engine({steps: 0})], busy: [spans()]}
    expect(weightTraffic([{bytes: 30, linkNs: 10}], idle)).equal(undefined)
  })
})
