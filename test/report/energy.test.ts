/** Energy by hand: Σ power × time. */
import {expect} from 'chai'
import fc from 'fast-check'
import {
  accountEnergy,
  type EnergyAccount,
  type EnergyRequest,
  powerIntervals,
} from '#llmsim/report/energy.js'
import type {Spans} from '#llmsim/stats/busy-spans.js'
import {engine} from './build-run.js'

const s = 1e9

const spans = (...pairs: readonly (readonly [number, number])[]): Spans => ({
  length: pairs.length,
  starts: Float64Array.from(pairs, ([start]) => start * s),
  ends: Float64Array.from(pairs, ([, end]) => end * s),
})

const device = {idleW: 10, standbyW: 50, activeW: 100, standbySeconds: 2}

const plan = {
  engines: [
    {
      devices: 2,
      device,
      linkBytesPerToken: 1000,
      linkBytesPerStep: 0,
      linkJoulesPerByte: 0.001,
      hostBusyW: 7,
    },
  ],
  hostsW: 30,
  linksW: 4,
  sources: [],
}

const account = (given: Partial<EnergyRequest>): EnergyAccount =>
  accountEnergy({
    plan,
    busy: [spans([1, 3], [4, 5])],
    totals: [engine({prefillTokens: 10, decodeTokens: 5})],
    window: {from: 0, to: 10 * s},
    served: {requests: 4, inputTokens: 60, outputTokens: 20},
    ...given,
  })!

describe('energy of a run', () => {
  it('is power × time of each state, by hand', () => {
    // Busy 1–3 and 4–5: 3 s. Standby 3–4 and 5–7: 3 s. Idle 0–1 and 7–10: 4 s. Two devices.
    const {energy} = account({})
    expect(energy).deep.equal({
      active_j: 600,
      standby_j: 300,
      idle_j: 80,
      hosts_j: 30 * 10 + 7 * 3,
      links_j: 4 * 10 + 15 * 1000 * 0.001,
      total_j: 1356,
      mean_w: 135.6,
      peak_w: 200 + 37 + 4 + 5,
      j_per_request: 339,
      j_per_output_token: 67.8,
      j_per_token: 16.95,
    })
  })

  it('counts what memory tiers move over the links of the host', () => {
    const tiers = {loads: {count: 1, ns: 1}, linkBytes: 2000, tiers: []}
    const {energy} = account({totals: [engine({prefillTokens: 10, decodeTokens: 5, tiers})]})
    expect(energy.links_j).equal(4 * 10 + (15 * 1000 + 2000) * 0.001)
  })

  it('counts KV of other engines', () => {
    const {energy} = account({
      totals: [engine({prefillTokens: 0, received: {count: 1, bytes: 3000, ns: 1}})],
    })
    expect(energy.links_j).equal(4 * 10 + 3000 * 0.001)
  })

  it('knows when the power was drawn', () => {
    const {series} = account({})
    expect(series.intervalS).equal(0.1)
    const at = (seconds: number) => Math.round(series.devicesW[seconds * 10]!)
    expect([0.5, 1, 2.9, 3.5, 4.5, 6.9, 7, 9.9].map(at)).deep.equal([
      20, 200, 200, 100, 200, 100, 20, 20,
    ])
    expect(Math.round(series.hostsW[45]!)).equal(37)
  })

  it('counts what lies inside of the window only', () => {
    const {energy} = account({window: {from: 2 * s, to: 4.5 * s}})
    expect([energy.active_j, energy.standby_j, energy.idle_j]).deep.equal([300, 100, 0])
  })

  it('does not exist without a duration, and per request without requests', () => {
    const window = {from: 5, to: 5}
    expect(accountEnergy({...base(), window})).equal(undefined)
    const served = {requests: 0, inputTokens: 0, outputTokens: 0}
    expect(account({served}).energy.j_per_request).equal(null)
  })

  it('adds up: the series has all of the total, whatever the spans', () => {
    const moments = fc.uniqueArray(fc.integer({min: 0, max: 1_000_000}), {maxLength: 40})
    fc.assert(
      fc.property(moments, fc.integer({min: 1, max: 1_200_000}), (times, end) => {
        const sorted = [...times].sort((a, b) => a - b)
        const pairs = sorted.flatMap((start, i) =>
          i % 2 === 0 && i + 1 < sorted.length ? [[start, sorted[i + 1]!] as const] : [],
        )
        const {energy, series} = account({busy: [spans(...pairs)], window: {from: 0, to: end * s}})
        let joules = 0
        for (let i = 0; i < powerIntervals; i++)
          joules += series.devicesW[i]! + series.hostsW[i]! + series.linksW[i]!
        expect(joules * series.intervalS).closeTo(energy.total_j, 1e-6 * energy.total_j)
        expect(energy.peak_w).gte(energy.mean_w * (1 - 1e-9))
      }),
      {numRuns: 100},
    )
  })
})

const base = (): EnergyRequest => ({
  plan,
  busy: [spans()],
  totals: [engine()],
  window: {from: 0, to: s},
  served: {requests: 0, inputTokens: 0, outputTokens: 0},
})
