/** The four-dimensional look-up of attention, and the correction for decodes of unequal context. */
import {expect} from 'chai'
import type {SkewFit} from '#llmsim/catalogue/profile-bundle.js'
import {AttentionTable, SkewCorrection} from '#llmsim/latency/profile/attention-table.js'
import {shapeOf} from '../shapes.js'

type Row = readonly [
  chunk: number,
  kvPrefill: number,
  decodes: number,
  kvDecode: number,
  ns: number,
]

const tableOf = (...rows: Row[]) =>
  new AttentionTable(
    rows.map(([prefillChunk, kvPrefill, decodes, kvDecode, ns]) => ({
      prefillChunk,
      kvPrefill,
      decodes,
      kvDecode,
      timeUs: ns / 1000,
    })),
  )

describe('the attention table', () => {
  const table = tableOf(
    [0, 0, 1, 16, 1000],
    [0, 0, 1, 32, 2000],
    [0, 0, 2, 16, 1600],
    [16, 0, 0, 0, 4000],
    [16, 64, 0, 0, 8000],
    [16, 0, 1, 16, 6000],
    [32, 0, 0, 0, 9000],
  )

  it('is exact where something was measured', () => {
    expect(table.at(0, 0, 1, 16)).equal(1000)
    expect(table.at(0, 0, 1, 32)).equal(2000)
    expect(table.at(16, 64, 0, 0)).equal(8000)
    expect(table.at(16, 0, 1, 16)).equal(6000)
  })

  it('is linear along each axis', () => {
    expect(table.at(0, 0, 1, 24)).equal(1500)
    expect(table.at(16, 32, 0, 0)).equal(6000)
    expect(table.at(24, 0, 0, 0)).equal(6500)
  })

  it('is clamped below the smallest key of an axis', () => {
    expect(table.at(0, 0, 1, 3)).equal(1000)
  })

  it('is extended from the two largest keys above the top of an axis', () => {
    expect(table.at(0, 0, 1, 64)).equal(4000)
    expect(table.at(16, 128, 0, 0)).equal(12_000)
    expect(table.at(48, 0, 0, 0)).equal(14_000)
  })

  it('takes a slice of one key as a constant', () => {
    expect(table.at(16, 999, 1, 999)).equal(6000)
  })

  it('borrows the nearest slice where none was measured: there is never one without tokens', () => {
    // Half-way between the borrowed (0, 1) and the measured (16, 0).
    expect(table.at(8, 0, 0, 0)).equal(2500)
    // (16, 2) is missing; (16, 1) lies nearest. Between 1600 and 6000.
    expect(table.at(8, 0, 2, 16)).equal(3800)
  })

  it('takes the first in order of (chunk, decodes) among equally near slices', () => {
    const rows: Row[] = [
      [128, 0, 128, 16, 7000],
      [0, 0, 256, 16, 3000],
      [0, 0, 128, 16, 2000],
    ]
    // (128, 256) is missing, and as near to (0, 256) as to (128, 128).
    expect(tableOf(...rows).at(128, 0, 256, 16)).equal(3000)
    expect(tableOf(...rows.reverse()).at(128, 0, 256, 16)).equal(3000)
  })

  it('measures nearness in raw numbers', () => {
    const rows: Row[] = [
      [64, 0, 128, 16, 7000],
      [0, 0, 256, 16, 3000],
    ]
    // 64² is less than 128²: pure decodes stand in for a mixed batch.
    expect(tableOf(...rows).at(64, 0, 256, 16)).equal(3000)
  })

  it('has rows with keys of their own', () => {
    const ragged = tableOf([0, 0, 1, 16, 1000], [0, 0, 1, 48, 3000], [0, 64, 1, 32, 8000])
    // 2000 in the first row, 8000 in the second.
    expect(ragged.at(0, 32, 1, 32)).equal(5000)
  })

  it('is cut to whole ns once, at the end', () => {
    const odd = tableOf(
      [0, 0, 1, 16, 1000],
      [0, 0, 1, 18, 1001],
      [16, 0, 1, 16, 1002],
      [16, 0, 1, 18, 1005],
    )
    // (1000.5 + 1003.5) / 2; cut on the way it would be 1001.
    expect(odd.at(8, 0, 1, 17)).equal(1002)
    expect(odd.at(0, 0, 1, 17)).equal(1000)
  })

  it('is never below 1 ns', () => {
    expect(tableOf([0, 0, 1, 16, 100], [0, 0, 1, 32, 50]).at(0, 0, 1, 4096)).equal(1)
  })

  it('takes the later of two rows of one point', () => {
    const twice = tableOf([0, 0, 1, 16, 10], [0, 0, 1, 32, 20], [0, 0, 1, 32, 40])
    expect([16, 32, 48].map((kv) => twice.at(0, 0, 1, kv))).deep.equal([10, 40, 70])
  })
})

const axes = {
  decodes: {edges: [0, 2, 4, 1e6], labels: ['n<=2', 'n<=4', 'n>4']},
  skewRate: {edges: [-0.01, 0.4, 1.01], labels: ['low', 'high']},
  largestContext: {edges: [0, 100, 1e9], labels: ['short', 'long']},
  prefillContext: {edges: [-1, 0, 512, 1e9], labels: ['none', 'some', 'much']},
}

const fitOf = (
  alphaDefault: number,
  ...rows: (readonly [
    chunk: number,
    n: string,
    rate: string,
    large: string,
    kp: string,
    alpha: number,
  ])[]
): SkewFit => ({
  ...axes,
  alphaDefault,
  rows: rows.map(([prefillChunk, n, rate, large, kp, alpha]) => ({
    prefillChunk,
    labels: [n, rate, large, kp],
    alpha,
  })),
})

describe('the correction for unequal contexts', () => {
  const apply = (fit: SkewFit, batch: Parameters<typeof shapeOf>[0], times = [1000, 2000]) => {
    let lookedUp = false
    const result = new SkewCorrection(fit).apply(shapeOf(batch), times[0]!, () => {
      lookedUp = true
      return times[1]!
    })
    return {result, lookedUp}
  }
  // Mean 30, largest 50, smallest 10: rate 0.5.
  const pair = {contexts: [10, 50]}

  it('moves from the time at the mean to that at the largest context, by α', () => {
    expect(apply(fitOf(0, [0, 'n<=2', 'high', 'short', 'none', 0.25]), pair).result).equal(1250)
  })

  it('leaves a single decode alone, and decodes of one context', () => {
    const fit = fitOf(0.5)
    for (const contexts of [[], [10], [7, 7, 7]])
      expect(apply(fit, {contexts})).deep.equal({result: 1000, lookedUp: false})
    // A chunk beside it does not make it two.
    expect(apply(fit, {contexts: [10], chunks: [[16, 0]]}).result).equal(1000)
  })

  it('compares with the floored mean', () => {
    expect(apply(fitOf(0.5), {contexts: [5, 6]}).result).equal(1500)
    // The mean 12.5 counts as 12: a rate of 0.4, the edge of the lower bin.
    const fit = fitOf(0, [0, 'n<=2', 'low', 'short', 'none', 0.3])
    expect(apply(fit, {contexts: [10, 15]}).result).equal(1300)
  })

  it('takes the default α where no bucket fits', () => {
    const fit = fitOf(0.1, [0, 'n<=4', 'high', 'short', 'none', 0.9])
    expect(apply(fit, pair).result).equal(1100)
    expect(apply(fitOf(0), pair)).deep.equal({result: 1000, lookedUp: false})
  })

  it('closes its bins above: (lo, hi]', () => {
    const fit = fitOf(
      0,
      [0, 'n<=2', 'high', 'short', 'none', 0.1],
      [0, 'n<=4', 'high', 'short', 'none', 0.2],
      [0, 'n>4', 'high', 'short', 'none', 0.3],
      [0, 'n<=2', 'low', 'short', 'none', 0.4],
      [0, 'n<=2', 'high', 'long', 'none', 0.5],
    )
    const batch = (count: number) => ({contexts: [10, 50, ...new Array(count - 2).fill(30)]})
    expect([2, 3, 4, 5].map((count) => apply(fit, batch(count)).result)).deep.equal([
      1100, 1200, 1200, 1300,
    ])
    // Rate (40 − 0)/(100 − 0): on the edge, and in the bin below it; the largest context as well.
    expect(apply(fit, {contexts: [0, 20, 100]}).result).equal(1000)
    expect(
      apply(fitOf(0, [0, 'n<=4', 'low', 'short', 'none', 0.4]), {contexts: [0, 20, 100]}).result,
    ).equal(1400)
    expect(apply(fit, {contexts: [1, 100]}).result).equal(1100)
    expect(apply(fit, {contexts: [1, 101]}).result).equal(1500)
  })

  it('knows the context of the chunks beside the decodes', () => {
    const fit = fitOf(
      0,
      [16, 'n<=2', 'high', 'short', 'none', 0.1],
      [16, 'n<=2', 'high', 'short', 'some', 0.2],
      [16, 'n<=2', 'high', 'short', 'much', 0.3],
    )
    const at = (context: number) => apply(fit, {...pair, chunks: [[16, context]]}).result
    expect([0, 1, 512, 513].map(at)).deep.equal([1100, 1200, 1200, 1300])
  })

  it('finds a bucket only by the raw chunk of the batch', () => {
    const fit = fitOf(0.5, [16, 'n<=2', 'high', 'short', 'none', 0.1])
    expect(apply(fit, {...pair, chunks: [[16, 0]]}).result).equal(1100)
    expect(apply(fit, {...pair, chunks: [[17, 0]]}).result).equal(1500)
    // Two chunks count as their sum.
    expect(
      apply(fit, {
        ...pair,
        chunks: [
          [8, 0],
          [8, 0],
        ],
      }).result,
    ).equal(1100)
  })

  it('lets α be negative or above 1, and never falls below 1 ns', () => {
    expect(apply(fitOf(-0.5), pair).result).equal(500)
    expect(apply(fitOf(2), pair).result).equal(3000)
    expect(apply(fitOf(-3), pair).result).equal(1)
  })

  it('does nothing where the largest context is not slower', () => {
    expect(apply(fitOf(0.5), pair, [1000, 1000]).result).equal(1000)
    expect(apply(fitOf(0.5), pair, [1000, 900]).result).equal(1000)
  })

  it('rounds halves to even', () => {
    expect(apply(fitOf(0.5), pair, [1000, 1001]).result).equal(1000)
    expect(apply(fitOf(0.5), pair, [1001, 1002]).result).equal(1002)
  })

  it('never takes a row whose labels its axes do not have', () => {
    const fit = fitOf(0.5, [0, 'n<=2', 'high', 'short', 'unheard of', 0.1])
    expect(apply(fit, pair).result).equal(1500)
  })

  it('keeps its buckets apart, however many bins an axis has', () => {
    const edges = Array.from({length: 41}, (_, i) => i)
    const many = {edges, labels: edges.slice(1).map((edge) => `kp<=${edge}`)}
    const rows = many.labels.map((label, i) => ({
      prefillChunk: 16,
      labels: ['n<=2', 'high', 'short', label],
      alpha: (i + 1) / 100,
    }))
    const other = {prefillChunk: 16, labels: ['n<=2', 'high', 'long', 'kp<=1'], alpha: 0.9}
    const fit: SkewFit = {...axes, prefillContext: many, alphaDefault: 0, rows: [...rows, other]}
    for (const context of [1, 16, 17, 40])
      expect(apply(fit, {...pair, chunks: [[16, context]]}).result).equal(1000 + 10 * context)
    expect(apply(fit, pair).result).equal(1000)
  })
})
