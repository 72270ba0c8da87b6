import {expect} from 'chai'
import {loadHardware} from '#llmsim/catalogue/hardware.js'
import type {Hardware} from '#llmsim/catalogue/hardware-shape.js'
import type {GroupedAttention} from '#llmsim/catalogue/model-shape.js'
import {attentionOf} from '#llmsim/latency/attention.js'
import {type AttentionLaw, attentionLaw} from '#llmsim/latency/attention-law.js'
import {classDefaults} from '#llmsim/latency/class-defaults.js'
import {coefficientsFor} from '#llmsim/latency/coefficients.js'
import {allReduceOn} from '#llmsim/latency/collective.js'
import {gemmNs, layerMatrices, smoothRoofline} from '#llmsim/latency/gemm.js'
import {distinctExperts, expertsNs} from '#llmsim/latency/moe.js'
import {peak16FlopsPerNs, precisionOf} from '#llmsim/latency/precision.js'
import type {BatchShape} from '#llmsim/latency/step-time.js'
import {latent, llama8b, llama70b, qwenMoe} from './models.js'
import {decodes, shapeOf} from './shapes.js'

const gemmOn = async (name: string, dtype?: 'fp8') => {
  const hardware = await loadHardware(name)
  const precision = precisionOf('denseMlp', {model: llama8b, hardware, dtype})
  const coefficients = coefficientsFor(hardware, 'measured').gemm(precision.gemmClass)
  const {bandwidthGbS, multiprocessors} = hardware
  const kernel = {precision, coefficients, bandwidthGbS, multiprocessors}
  return (m: number, k: number, n: number) => {
    const ideal = Math.max(
      (2 * m * k * n) / precision.peakFlopsPerNs,
      (k * n * precision.weightBytes + m * (k + n) * 2) / hardware.bandwidthGbS,
    )
    return ideal / gemmNs(m, {k, n}, kernel)
  }
}

const attentionNs = (law: AttentionLaw, shape: BatchShape): number => attentionOf(law)(shape)

describe('GEMM', () => {
  // Median share of the ideal time over weight matrices above 100 MB (m <= 32) and over all shapes of
  // m = 4096, published by aiconfigurator for vLLM's bf16 kernels.
  const known: readonly (readonly [string, number, number])[] = [
    ['A100', 0.74, 0.84],
    ['H100', 0.87, 0.8],
    ['H200', 0.82, 0.78],
    ['L40S', 0.82, 0.62],
    ['B200', 0.81, 0.69],
    ['B60', 0.94, 0.93],
  ]
  for (const [name, memory, compute] of known) {
    it(`reaches the published efficiencies on ${name}`, async () => {
      const efficiency = await gemmOn(name)
      expect(efficiency(8, 8192, 28_672)).to.be.within(0.85 * memory, 1.1 * memory)
      expect(efficiency(4096, 8192, 8192)).to.be.within(0.85 * compute, 1.12 * compute)
    })
  }

  it('is the smooth roofline, term by term', () => {
    const coefficients = {computeEfficiency: 1, memoryEfficiency: 1, launchUs: 4, exponent: 2}
    expect(smoothRoofline(3000, 4000, coefficients)).to.equal(4000 + 5000)
    expect(smoothRoofline(0, 0, coefficients)).to.equal(4000)
    expect(smoothRoofline(1e9, 1, {...coefficients, exponent: 300})).to.equal(1e9 + 4000)
  })

  it('counts whole tiles in whole waves where a device shows them', () => {
    const precision = precisionOf('denseMlp', {
      model: llama8b,
      hardware: {peakTflops: {bf16: 100}} as Hardware,
    })
    const base = {computeEfficiency: 1, memoryEfficiency: 1, launchUs: 0, exponent: 30}
    const kernel = (multiprocessors: number | null) => ({
      ...{precision, bandwidthGbS: 1e6, multiprocessors},
      coefficients: {...base, tileTraffic: 30},
    })
    const us = (m: number, kind = kernel(100)) => gemmNs(m, {k: 4096, n: 25_600}, kind) / 1000
    // 128 rows are 100 tiles of 128 × 256: one wave. One row more is a second one.
    expect(us(128)).to.be.closeTo((2 * 128 * 4096 * 25_600) / 1e5 / 1000, 1)
    expect(us(129)).to.be.above(1.3 * us(128))
    expect(us(256)).to.be.closeTo(2 * us(128), 1)
    expect(us(129, kernel(null))).to.be.closeTo((129 / 128) * us(128), 1)
  })

  it('falls to what the power sustains over a factor of four in work', () => {
    const precision = precisionOf('denseMlp', {
      model: llama8b,
      hardware: {peakTflops: {bf16: 100}} as Hardware,
    })
    const base = {computeEfficiency: 1, memoryEfficiency: 1, launchUs: 0, exponent: 30}
    const coefficients = {...base, sustainedShare: 0.5, sustainedFrom: 2}
    const kernel = {precision, coefficients, bandwidthGbS: 1e9, multiprocessors: 100}
    /** Share of the peak in a product of so many 10¹² FLOPs. */
    const share = (tflop: number, kind = kernel) => {
      const matrix = {k: 8192, n: (tflop * 1e12) / (2 * 8192 * 8192)}
      return (tflop * 1e12) / 1e5 / gemmNs(8192, matrix, kind)
    }
    expect(share(1)).to.be.closeTo(1, 0.01)
    expect(share(2)).to.be.closeTo(1, 0.01)
    expect(share(4)).to.be.closeTo(0.75, 0.01)
    expect(share(8)).to.be.closeTo(0.5, 0.01)
    expect(share(80)).to.be.closeTo(0.5, 0.01)
    // Not measured: from 0.5 to 2.
    const usual = {...kernel, coefficients: {...base, sustainedShare: 0.5}}
    expect(share(1, usual as typeof kernel)).to.be.closeTo(0.75, 0.01)
  })

  it('lists the products of a layer, whose weights are those of the model', () => {
    const weights = (tp: number) =>
      layerMatrices(llama8b.groups[0]!, 4096, tp).reduce((sum, {k, n}) => sum + k * n, 0)
    expect(weights(1)).to.equal(4096 * (4096 + 2048) + 4096 * 4096 + 3 * 4096 * 14_336)
    expect(weights(4)).to.equal(weights(1) / 4)
    // Eight KV heads on sixteen ranks: each keeps one whole.
    const [qkv] = layerMatrices(llama70b.groups[0]!, 8192, 16)
    expect(qkv).to.deep.equal({part: 'attention', k: 8192, n: 4 * 128 + 2 * 128})
    expect(layerMatrices(qwenMoe.groups[0]!, 2048, 1).at(-1)).to.deep.equal({
      part: 'router',
      k: 2048,
      n: 128,
    })
    const mla = layerMatrices(latent.groups[1]!, 2048, 2).filter(({part}) => part === 'attention')
    expect(mla.map(({k, n}) => [k, n])).to.deep.equal([
      [2048, 1536 + 576],
      [1536, 8 * 192],
      [512, 8 * 256],
      [8 * 128, 2048],
    ])
  })
})

describe('attention', () => {
  const attention: GroupedAttention = llama8b.groups[0]!.attention as GroupedAttention
  const lawOn = async (name: string, shape = attention) => {
    const hardware = await loadHardware(name)
    const chosen = coefficientsFor(hardware, 'measured')
    return attentionLaw(
      shape,
      {layers: 1, tp: 1, kvElementBytes: 2},
      {
        peakFlopsPerNs: peak16FlopsPerNs(hardware),
        bandwidthGbS: hardware.bandwidthGbS,
        multiprocessors: hardware.multiprocessors,
        l2Mb: hardware.l2Mb,
        decode: chosen.decodeAttention.coefficients,
        prefill: chosen.prefillAttention.coefficients,
        mixed: chosen.mixedAttention.coefficients,
      },
    )
  }

  // µs per layer of 32 query heads, 8 KV heads, head size 128, bf16 (aiconfigurator).
  const measured: readonly (readonly [string, number, number, number])[] = [
    ['A100', 32, 4096, 419],
    ['A100', 64, 1024, 193],
    ['A100', 64, 4096, 682],
    ['H100', 32, 4096, 186],
    ['H100', 128, 1024, 190],
    ['H100', 64, 4096, 354],
    ['H200', 64, 4096, 271],
    ['L40S', 32, 4096, 754],
    ['L40S', 64, 4096, 1497],
    ['RTXPRO6000', 64, 4096, 721],
    ['B200', 64, 4096, 159],
    ['B60', 64, 4096, 2429],
  ]
  for (const [name, batch, context, us] of measured) {
    it(`decodes ${batch} × ${context} on ${name} in about ${us} µs`, async () => {
      const ns = attentionNs(await lawOn(name), decodes(batch, context))
      expect(ns / 1000).to.be.within(0.83 * us, 1.13 * us)
    })
  }

  /** What one long context among `count` decodes adds to equal ones with as many tokens together, µs. */
  const tailOf = (law: AttentionLaw, count: number, chunks: [number, number][] = []) => {
    const contexts = [...new Array<number>(count - 1).fill(1000), 1000 + 8000]
    const mean = contexts.reduce((sum, context) => sum + context) / count
    const equal = new Array<number>(count).fill(mean)
    return (
      (attentionNs(law, shapeOf({chunks, contexts})) -
        attentionNs(law, shapeOf({chunks, contexts: equal}))) /
      1000
    )
  }

  it('waits for the longest context where thread blocks are too many to split it', async () => {
    // 0.8 of two blocks for each of 188 multiprocessors, at 8 KV heads: 38 decodes.
    const law = await lawOn('RTXPRO6000')
    expect(tailOf(law, 36)).to.be.below(15)
    expect(tailOf(law, 40)).to.be.within(50, 150)
    // Beside a chunk nothing is split; Hopper splits whatever comes.
    expect(tailOf(law, 16, [[64, 0]])).to.be.above(50)
    expect(tailOf(await lawOn('H100'), 40)).to.be.below(15)
  })

  // µs per layer as above, with 8 and 1 KV heads; contexts that one tile of a thread block holds.
  const short: readonly (readonly [string, number, number, number, number])[] = [
    ['A100', 512, 8, 3, 160],
    ['A100', 1, 8, 64, 12.9],
    ['A100', 8, 8, 16, 19.5],
    ['A100', 8, 1, 16, 12.9],
    ['L40S', 256, 8, 4, 68],
    ['H100', 512, 8, 4, 126.5],
    ['H100', 256, 8, 4, 66],
    ['B200', 1, 1, 64, 9],
  ]
  for (const [name, batch, kvHeads, context, us] of short) {
    it(`decodes ${batch} × ${context} with ${kvHeads} KV heads on ${name} in about ${us} µs`, async () => {
      const law = await lawOn(name, {...attention, keyValueHeads: kvHeads})
      const ns = attentionNs(law, decodes(batch, context))
      expect(ns / 1000).to.be.within(0.83 * us, 1.17 * us)
    })
  }

  it('pays for the second kernel of split contexts, and for copies around grouped heads', () => {
    const device = {
      ...{peakFlopsPerNs: 4e5, bandwidthGbS: 1e9, multiprocessors: 100, l2Mb: 50, mixed: null},
      decode: {
        ...{launchUs: 10, memoryEfficiency: 1, perSequenceUs: 0, headExponent: 1, sqrtUs: 0},
        ...{combineUs: 4, regroupUs: 3, blockUs: 0.1},
      },
      prefill: {launchUs: 10, computeEfficiency: 0.6, rampTokens: 100},
    }
    const us = (batch: number, context: number, shape = attention) => {
      const law = attentionLaw(shape, {layers: 1, tp: 1, kvElementBytes: 2}, device)
      return attentionNs(law, decodes(batch, context)) / 1000
    }
    // Eight thread blocks of 0.1 µs for each decode; contexts hold the new token too.
    expect(us(1, 127)).to.be.closeTo(10 + 0.8, 0.06)
    expect(us(1, 255)).to.be.closeTo(10 + 0.8 + 4, 0.06)
    expect(us(1, 4095)).to.be.closeTo(10 + 0.8 + 4, 0.06)
    expect(us(2, 127)).to.be.closeTo(10 + 1.6 + 3, 0.06)
    expect(us(2, 127, {...attention, keyValueHeads: 1})).to.be.closeTo(10 + 0.2, 0.06)
    expect(us(2, 127, {...attention, queryHeads: 8})).to.be.closeTo(10 + 1.6, 0.06)
  })

  it('pays for tiles that hold nothing when a long chunk runs beside many decodes', async () => {
    const law = await lawOn('RTX4090')
    const beside = (count: number, chunk: number) =>
      attentionNs(law, shapeOf({chunks: [[chunk, 0]], contexts: new Array(count).fill(512)})) / 1000
    // LLMServingSim's layer profile: 775, 1354 and 336 µs.
    const more = beside(128, 2048) - beside(128, 16)
    expect(more).to.be.within(0.85 * 579, 1.15 * 579)
    expect(more).to.be.above(attentionNs(law, shapeOf({chunks: [[2048, 0]]})) / 1000 + 150)
  })

  it('reads KV heads again once they no longer fit the cache beside a chunk', async () => {
    const law = await lawOn('RTX4090')
    const at = (context: number) =>
      attentionNs(law, shapeOf({chunks: [[16, 0]], contexts: new Array(128).fill(context)})) / 1000
    // 1428 and 4514 µs in the layer profile: 67 and 134 MB for each KV head, and a cache of 72 MiB.
    expect(at(1024)).to.be.within(0.85 * 1428, 1.15 * 1428)
    expect(at(2048)).to.be.within(0.85 * 4514, 1.15 * 4514)
  })

  describe('beside a chunk, by pencil', () => {
    // 16 µs of all multiprocessors for 1000 tokens of all 32 heads, 100 thread blocks at a time; nothing else costs.
    const device = {
      ...{peakFlopsPerNs: 65_536, bandwidthGbS: 1e6, multiprocessors: 100, l2Mb: 50},
      decode: {
        ...{launchUs: 0, memoryEfficiency: 1, perSequenceUs: 0, headExponent: 1, sqrtUs: 0},
        serialWalkUs: 50,
      },
      prefill: {launchUs: 0, computeEfficiency: 1, rampTokens: 0},
      mixed: {computeEfficiency: 1, perRowUs: 0},
    }
    const us = (contexts: number[], cached = 0, more = {}) => {
      const law = attentionLaw(
        attention,
        {layers: 1, tp: 1, kvElementBytes: 2},
        {...device, ...more},
      )
      return attentionNs(law, shapeOf({chunks: [[2, cached]], contexts})) / 1000
    }
    const equal = (count: number, context: number) => new Array<number>(count).fill(context)

    it('decodes walk whole tiles: half a tile more than their context', () => {
      expect(us(equal(100, 999))).closeTo(16 * (100 + 6.4), 0.5)
      expect(us(equal(200, 499))).closeTo(16 * (100 + 12.8), 0.5)
      expect(us(equal(100, 999), 0, {overhang: 0})).closeTo(16 * 100, 0.5)
    })

    it('the longest context of the last head, or of the chunk, starts when all but the last wave is done', () => {
      const work = 16 * (100 + 6.4)
      const started = work * (1 - (0.5 + 100 / 100) / 32)
      const unequal = [...equal(99, 899), 100 * 1000 - 99 * 900 - 1]
      expect(us(unequal)).closeTo(started + 50 * 10.9, 1)
      expect(us(equal(100, 999), 8000)).closeTo(started + 50 * 8, 1)
      // Fewer thread blocks than multiprocessors all start at once.
      expect(us([999, 8999])).closeTo(50 * 9, 1)
      expect(us([...unequal].reverse())).equal(us(unequal))
    })

    it('query heads of a group read KV again for every wave between the first and the last of them', () => {
      // 4096 bytes a token, and 1000 tokens of one KV head are 0.5 MB: far more than the cache in both.
      const memory = {bandwidthGbS: 1, l2Mb: 0.05}
      const read = (count: number) => (count * 1000 * 4096) / 1000
      expect(us(equal(100, 999), 0, memory)).closeTo(4 * read(100), 0.01 * read(100))
      expect(us(equal(50, 999), 0, memory)).closeTo(2.5 * read(50), 0.01 * read(50))
      expect(us(equal(50, 999), 0, {bandwidthGbS: 1, l2Mb: 1000})).closeTo(
        read(50),
        0.01 * read(50),
      )
    })
  })

  // Share of the peak that a causal prompt of that length reaches (aiconfigurator).
  const prompts: readonly (readonly [string, number, readonly number[]])[] = [
    ['A100', 312, [0.28, 0.4, 0.49, 0.56]],
    ['H100', 989, [0.24, 0.39, 0.53, 0.61]],
    ['RTXPRO6000', 468, [0.31, 0.43, 0.54, 0.6]],
    ['B200', 2250, [0.13, 0.24, 0.37, 0.48]],
    ['B60', 98, [0.41, 0.47, 0.59, 0.64]],
  ]
  for (const [name, peak, shares] of prompts) {
    it(`prefills on ${name} as fast as measured`, async () => {
      const law = await lawOn(name)
      for (const [index, share] of shares.entries()) {
        const tokens = 1024 * 2 ** index
        const ns = attentionNs(law, shapeOf({chunks: [[tokens, 0]]}))
        const reached = (2 * tokens * tokens * 4096) / (peak * 1000) / ns
        expect(reached, `${tokens} tokens`).to.be.within(0.75 * share, 1.25 * share)
      }
    })
  }
})

describe('experts', () => {
  const mixtral = {hiddenSize: 4096, count: 8, perToken: 2, expertRanks: 1, intermediate: 14_336}

  it('touches E(1 − (1 − k/E)^T) of them', () => {
    expect(distinctExperts(1, mixtral)).to.be.closeTo(2, 1e-12)
    expect(distinctExperts(2, mixtral)).to.be.closeTo(3.5, 1e-12)
    expect(distinctExperts(4000, mixtral)).to.be.closeTo(8, 1e-9)
    expect(distinctExperts(4000, {...mixtral, expertRanks: 4})).to.be.closeTo(2, 1e-9)
  })

  // ms per layer on an H100 in bf16 (aiconfigurator), tokens from 1 to 4096 by fours.
  const rows: readonly (readonly [string, typeof mixtral, readonly number[]])[] = [
    ['Mixtral-8x7B', mixtral, [0.26, 0.58, 0.96, 1.05, 1.4, 2.46, 5.9]],
    [
      'Qwen3-30B-A3B',
      {hiddenSize: 2048, count: 128, perToken: 8, expertRanks: 1, intermediate: 768},
      [0.05, 0.12, 0.23, 0.44, 0.45, 0.55, 0.98],
    ],
  ]
  for (const [name, share, times] of rows) {
    it(`takes as long as ${name} on an H100`, async () => {
      const hardware = await loadHardware('H100')
      const precision = precisionOf('experts', {model: qwenMoe, hardware})
      const coefficients = coefficientsFor(hardware, 'measured').moe(precision.gemmClass)
      const {bandwidthGbS, multiprocessors} = hardware
      const kernel = {precision, coefficients, bandwidthGbS, multiprocessors}
      for (const [index, ms] of times.entries())
        expect(expertsNs(4 ** index, share, kernel) / 1e6, `${4 ** index} tokens`).to.be.within(
          0.7 * ms,
          1.4 * ms,
        )
    })
  }

  const relatives = {
    L40S: 'ada',
    H100: 'hopper',
    B200: 'blackwell',
    RTXPRO6000: 'blackwell-consumer',
  }
  for (const [name, architecture] of Object.entries(relatives)) {
    it(`of ${architecture} that nobody measured run like those of the ${name}`, async () => {
      const measured = (await loadHardware(name)).kernels.moe
      const {quantizedExperts = {}} = classDefaults[architecture as keyof typeof classDefaults]
      const formats = Object.keys(quantizedExperts) as (keyof typeof quantizedExperts)[]
      expect(formats).contain('fp8')
      for (const format of formats) {
        const {computeEfficiency, memoryEfficiency} = quantizedExperts[format]!
        const own = measured[format]!
        expect(computeEfficiency, format).closeTo(own.computeEfficiency, 0.01)
        expect(memoryEfficiency, format).closeTo(own.memoryEfficiency, 0.01)
      }
    })
  }

  it('of an RTX 5090 take them', async () => {
    const {moeChoice} = coefficientsFor(await loadHardware('RTX5090'), 'measured')
    const {coefficients, from} = moeChoice('fp8')
    expect(from).equal('class default')
    expect(coefficients).equal(classDefaults['blackwell-consumer'].quantizedExperts?.fp8)
  })
})

describe('all-reduce', () => {
  it('passes through the measured points and its floor', async () => {
    const {links} = await loadHardware('H100')
    const {coefficients: reduce} = allReduceOn(links[0]!, 8, 'measured')
    const {messageBytes, degrees} = links[0]!.allReduce!
    const {floorUs, busGbS} = degrees.find(({degree}) => degree === 8)!.curve
    expect(reduce(0)).to.equal(floorUs * 1000)
    for (const [index, bytes] of messageBytes.entries())
      expect(reduce(bytes)).to.be.closeTo((1.75 * bytes) / busGbS[index]!, 1e-6)
  })

  it('never falls with bytes, on any kind of link and degree', async () => {
    for (const name of [
      'H100',
      'A100',
      'L40S',
      'RTX3090',
      'RTXPRO6000',
      'Gaudi3',
      'TPU-v6e',
      'MI300X',
    ])
      for (const link of (await loadHardware(name)).links)
        for (const degree of [2, 3, 4, 8].filter((size) => size <= link.maxDevices)) {
          const {coefficients: reduce} = allReduceOn(link, degree, 'measured')
          let last = 0
          for (let bytes = 0; bytes < 3e8; bytes = bytes * 1.3 + 1000) {
            expect(reduce(bytes), `${name} ${link.name} ${degree}`).to.be.at.least(last)
            last = reduce(bytes)
          }
        }
  })

  it('takes three ranks for four, and grows past eight', async () => {
    const gb200 = (await loadHardware('GB200')).links[0]!
    const floor = (degree: number) => allReduceOn(gb200, degree, 'measured').coefficients(0)
    expect(floor(3)).to.equal(floor(4))
    expect(floor(64)).to.equal(2 * floor(8))
  })

  it('makes an NVLink bridge about twice PCIe on the RTX 3090', async () => {
    const {links} = await loadHardware('RTX3090')
    const [pcie, bridge] = links.map((link) => allReduceOn(link, 2, 'measured').coefficients)
    expect(pcie!(16e6) / bridge!(16e6)).to.be.within(1.8, 2.2)
  })
})

describe('class defaults', () => {
  it('are shares, and exist for every class', () => {
    for (const [name, row] of Object.entries(classDefaults)) {
      const shares = [
        row.gemm.computeEfficiency,
        row.gemm.memoryEfficiency,
        row.decodeAttention.memoryEfficiency,
        row.prefillAttention.computeEfficiency,
        row.mixedAttention?.computeEfficiency ?? 1,
        row.moe.computeEfficiency,
        row.moe.memoryEfficiency,
      ]
      for (const share of shares) expect(share, name).to.be.within(0.2, 1)
    }
  })
})
