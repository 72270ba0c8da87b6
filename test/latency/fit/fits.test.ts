/** The fits find the law again that made the rows, and keep to what is physical. */
import {expect} from 'chai'
import type {
  AttentionSample,
  CollectiveSample,
  GemmSample,
  MoeSample,
} from '#llmsim/catalogue/kernel-samples.js'
import {fitDecode} from '#llmsim/latency/fit/attention-fit.js'
import {fitCollective} from '#llmsim/latency/fit/collective-fit.js'
import {fitGemm} from '#llmsim/latency/fit/gemm-fit.js'
import {errorOf, fitLaw, isLeftOut} from '#llmsim/latency/fit/law-fit.js'
import {fitMoe} from '#llmsim/latency/fit/moe-fit.js'
import {fitSkew} from '#llmsim/latency/fit/skew-fit.js'
import {gemmNs} from '#llmsim/latency/gemm.js'
import {touchedExpertsNs} from '#llmsim/latency/moe.js'

const precision = {
  gemmClass: 'bf16',
  peakFlopsPerNs: 1e6,
  weightBytes: 2,
  activationBytes: 2,
} as const
const device = {precision, bandwidthGbS: 3000, l2Mb: 50, multiprocessors: 132}

const shapes = [1, 8, 64, 256, 1024, 4096].flatMap((m) =>
  [2048, 4096, 8192, 16_384].flatMap((n) => [4096, 8192, 14_336].map((k) => ({m, n, k}))),
)

const gemmRows = (speed: number): GemmSample[] => {
  const coefficients = {computeEfficiency: 0.7, memoryEfficiency: 0.8, launchUs: 3, exponent: 2}
  return shapes.map(({m, n, k}) => ({
    ...{gemmClass: 'bf16' as const, m, n, k},
    timeUs: gemmNs(m, {k, n}, {...device, coefficients}) / 1000 / speed,
  }))
}

const experts = {computeEfficiency: 0.4, memoryEfficiency: 0.85, launchUs: 30, exponent: 1.2}

/** Balanced rows; `read`: the share of the touched experts that the kernel found to read. */
const moeRows = (hiddenSize: number, read = 1): MoeSample[] =>
  [1, 4, 16, 64, 256, 1024, 4096].flatMap((tokens) =>
    [768, 1536, 3072].map((intermediate) => {
      const activated = Math.min(64, 4 * tokens)
      const kernel = {precision, coefficients: experts, bandwidthGbS: device.bandwidthGbS}
      const work = {rows: 4 * tokens, touched: read * activated}
      return {
        ...{gemmClass: 'bf16' as const, tokens, hiddenSize, intermediate, activated},
        ...{perToken: 4, experts: 64, tp: 1, ep: 1, routing: 'balanced' as const},
        timeUs: touchedExpertsNs(work, {hiddenSize, intermediate}, kernel) / 1000,
      }
    }),
  )

describe('fits', () => {
  it('find a law again, also past an outlier', () => {
    const rows = Array.from({length: 60}, (_, x) => ({x, timeUs: 3 + 2 * x}))
    rows[30]!.timeUs *= 4
    const law =
      ([a, b]: readonly number[]) =>
      (row: {x: number}) =>
        a! + b! * row.x
    const [a, b] = fitLaw(rows, law, [
      {name: 'a', start: 1, least: 0.1, most: 10},
      {name: 'b', start: 1, least: 0.1, most: 10},
    ])
    expect(a).to.be.closeTo(3, 0.05)
    expect(b).to.be.closeTo(2, 0.02)
    expect(errorOf(rows.slice(0, 30), law([a!, b!])).meanPercent).to.be.below(1)
  })

  it('find the coefficients of matrix products', () => {
    const {fit} = fitGemm(gemmRows(1), 'bf16', device, false)!
    expect(fit.computeEfficiency).to.be.closeTo(0.7, 0.02)
    expect(fit.memoryEfficiency).to.be.closeTo(0.8, 0.02)
    expect(fit.meanErrorPercent).to.be.below(1)
    expect(fit.errorBySize!.length).to.be.above(3)
  })

  it('never go above the datasheet, and say how far off that leaves them', () => {
    const {fit} = fitGemm(gemmRows(1.45), 'bf16', {...device, l2Mb: null}, false)!
    expect(fit.computeEfficiency).to.be.at.most(1)
    expect(fit.memoryEfficiency).to.be.at.most(1)
  })

  it('count whole tiles where the rows show them, and nowhere else', () => {
    expect(fitGemm(gemmRows(1), 'bf16', device, false)!.fit.tileTraffic).to.equal(undefined)
    const coefficients = {
      ...{computeEfficiency: 0.7, memoryEfficiency: 0.8, launchUs: 3, exponent: 2},
      tileTraffic: 20,
    }
    const rows = [64, 130, 200, 260, 330, 390, 460, 520, 650, 780, 900, 1030].flatMap((m) =>
      [4096, 6144, 10_240, 14_336].flatMap((n) =>
        [4096, 8192, 14_336, 16_384].map((k) => ({
          ...{gemmClass: 'bf16' as const, m, n, k},
          timeUs: gemmNs(m, {k, n}, {...device, coefficients}) / 1000,
        })),
      ),
    )
    const {fit} = fitGemm(rows, 'bf16', {...device, l2Mb: null}, false)!
    expect(fit.tileTraffic).to.be.within(10, 40)
    expect(fit.meanErrorPercent).to.be.below(2)
  })

  it('find the coefficients of experts, and take no row for faster than the memory', () => {
    const known = {...device, l2Mb: null, mostCompute: 0.8}
    const rows = [2048, 3072, 4096].flatMap((hiddenSize) => moeRows(hiddenSize))
    const found = fitMoe(rows, 'bf16', known)!
    expect(found.computeEfficiency).closeTo(0.4, 0.02)
    expect(found.memoryEfficiency).closeTo(0.85, 0.02)
    expect(found.launchUs).closeTo(30, 2)
    expect(found.meanErrorPercent).below(1)
    // A router that leaves out half of them: these rows would put the efficiency at its bound.
    const some = fitMoe([...rows, ...moeRows(5120, 0.5)], 'bf16', known)!
    expect(some).deep.equal(found)
    expect(fitMoe(rows, 'bf16', {...known, mostCompute: 0.3})!.computeEfficiency).at.most(0.3)
    expect(fitMoe(rows.slice(0, 30), 'bf16', known)).equal(null)
  })

  it('find how much of the longest walk shows, where contexts are not split', () => {
    const machine = {
      ...{peakFlopsPerNs: 4e5, bandwidthGbS: 1000, multiprocessors: 100, l2Mb: 50},
      decode: {
        ...{launchUs: 10, memoryEfficiency: 1, perSequenceUs: 0.01, headExponent: 1, sqrtUs: 0},
        serialWalkUs: 20,
      },
      prefill: {launchUs: 10, computeEfficiency: 0.6, rampTokens: 100},
      mixed: {computeEfficiency: 0.5, perRowUs: 0.01},
    }
    // 8 KV heads: 4.096 ns per token, and 20 decodes or more are not split.
    const sample = (decodes: number, share: number) => ({
      ...{queryHeads: 32, kvHeads: 8, headDim: 128, chunk: 0, decodes},
      alpha: (share * 20) / (decodes * 4.096),
    })
    const split = Array.from({length: 12}, () => sample(16, 0.1))
    const unsplit = Array.from({length: 12}, (_, i) => sample(32 << (i % 3), 0.6))
    const besideChunk = unsplit.map((row) => ({...row, chunk: 64, alpha: 1}))
    expect(fitSkew([...split, ...unsplit, ...besideChunk], machine)).to.be.closeTo(0.6, 0.01)
    expect(fitSkew([...split, ...besideChunk], machine)).to.equal(null)
  })

  it('want enough rows', () => {
    expect(fitGemm(gemmRows(1).slice(0, 20), 'bf16', device, false)).to.equal(null)
    expect(fitGemm(gemmRows(1), 'fp8', device, false)).to.equal(null)
  })

  it('do not take what a benchmark found in the cache for the speed of decode attention', () => {
    const machine = {
      ...{peakFlopsPerNs: 1e6, bandwidthGbS: 1000, l2Mb: 50, multiprocessors: 100},
      ...{isUnsplit: false, neverSplits: false, mostCompute: 1, mostMemory: 1, memoryGib: 80},
    }
    const rows: AttentionSample[] = [1, 4, 16, 64, 256].flatMap((decodes) =>
      [512, 1024, 2048, 4096, 8192, 16_384].flatMap((context) =>
        [1, 2, 4, 8].map((kvHeads) => {
          const bytes = decodes * context * kvHeads * 512
          const isCached = bytes > 4e6 && bytes < 50e6
          return {
            ...{queryHeads: 32, kvHeads, headDim: 128, window: null, kvElementBytes: 2},
            ...{prefills: 0, chunk: 0, cached: 0, decodes, context},
            timeUs: 10 + bytes / 1e6 / 0.9 / (isCached ? 4 : 1),
          }
        }),
      ),
    )
    const {fit} = fitDecode(rows, machine)!
    expect(fit.memoryEfficiency).to.be.closeTo(0.9, 0.03)
    expect(fit.launchUs).to.be.closeTo(10, 1)
  })

  /** Rows of a device whose thread blocks take 0.03 µs and whose second kernel takes 4. */
  const rowsOfBlocks = (regroupUs: number): AttentionSample[] =>
    [1, 2, 4, 16, 64, 256, 512].flatMap((decodes) =>
      [1, 7, 31, 127, 255, 1023, 4095, 16_383, 65_535].flatMap((context) =>
        [1, 2, 4, 8].map((kvHeads) => {
          const read = (decodes * (context + 1) * kvHeads * 512) / 1e6 / 0.9
          const split = context > 200 ? 4 : 0
          const copies = decodes > 1 && kvHeads > 1 ? regroupUs : 0
          return {
            ...{queryHeads: 32, kvHeads, headDim: 128, window: null, kvElementBytes: 2},
            ...{prefills: 0, chunk: 0, cached: 0, decodes, context},
            timeUs: 10 + split + copies + Math.hypot(read, 0.03 * decodes * kvHeads),
          }
        }),
      ),
    )
  const withoutCache = {
    ...{peakFlopsPerNs: 1e6, bandwidthGbS: 1000, l2Mb: null, multiprocessors: null},
    ...{neverSplits: false, mostCompute: 1, mostMemory: 1, memoryGib: 80},
  }

  it('find what short contexts cost', () => {
    const {fit} = fitDecode(rowsOfBlocks(0), {...withoutCache, isUnsplit: false})!
    expect(fit.blockUs).to.be.closeTo(0.03, 0.004)
    expect(fit.combineUs).to.be.closeTo(4, 0.6)
    expect(fit.regroupUs).to.equal(undefined)
    expect(fit.launchUs).to.be.closeTo(10, 0.6)
    expect(fit.heldErrorPercent).to.be.below(4)
  })

  it('tell copies around grouped heads from the rest', () => {
    const {fit} = fitDecode(rowsOfBlocks(6), {...withoutCache, isUnsplit: true})!
    expect(fit.regroupUs).to.be.closeTo(6, 0.6)
    expect(fit.combineUs).to.be.closeTo(4, 1)
  })

  it('want no more terms where all decodes cost the same to start', () => {
    const rows = rowsOfBlocks(0).map((row) => ({
      ...row,
      timeUs: 10 + (row.decodes * (row.context + 1) * row.kvHeads * 512) / 1e6 / 0.9,
    }))
    const {fit} = fitDecode(rows, {...withoutCache, isUnsplit: false})!
    expect(fit.combineUs).to.equal(undefined)
    expect(fit.launchUs).to.be.closeTo(10, 0.5)
  })

  it('search from every start, and take the best', () => {
    // Valleys a factor of 8.1 apart, the deepest at e^π.
    const rows = Array.from({length: 20}, () => ({timeUs: 1}))
    const law = ([value]: readonly number[]) => {
      const x = Math.log(value!)
      return () => 2 + Math.cos(3 * x) + 0.05 * (x - Math.PI) ** 2
    }
    const parameter = {name: 'value', start: 0.05, least: 1e-3, most: 1e3}
    expect(fitLaw(rows, law, [parameter])[0]).to.be.below(1)
    const otherStarts = [3, 20]
    expect(fitLaw(rows, law, [{...parameter, otherStarts}])[0]).to.be.closeTo(Math.exp(Math.PI), 1)
  })

  it('keep collectives from getting faster with size, whatever the noise', () => {
    const rows: CollectiveSample[] = [256, 4096, 16_384, 65_536, 262_144, 1_048_576].map(
      (bytes, index) => ({
        ...({kind: 'all-reduce', kernel: 'custom', devices: 4, bytes} as const),
        timeUs: [5, 5.2, 6, 5.5, 9, 20][index]!,
      }),
    )
    const fitted = fitCollective(rows, 'all-reduce', 'custom')!
    const {busGbS} = fitted.degrees[0]!.curve
    const times = fitted.messageBytes.map((bytes, index) => (1.5 * bytes) / busGbS[index]!)
    expect([...times].sort((a, b) => a - b)).to.deep.equal(times)
    expect(fitted.medianErrorPercent).to.be.below(15)
  })

  it('leave out the same quarter of shapes everywhere', () => {
    const left = Array.from({length: 4000}, (_, index) => isLeftOut(index, 7)).filter(Boolean)
    expect(left.length).to.be.within(900, 1100)
    expect(isLeftOut(4096, 4096)).to.equal(isLeftOut(4096, 4096))
  })
})
