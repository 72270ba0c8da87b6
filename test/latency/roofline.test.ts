import {expect} from 'chai'
import fc from 'fast-check'
import {loadEngine} from '#llmsim/catalogue/engines.js'
import {linkOf, listHardware, loadHardware} from '#llmsim/catalogue/hardware.js'
import type {Hardware} from '#llmsim/catalogue/hardware-shape.js'
import type {GroupedAttention, ModelShape} from '#llmsim/catalogue/model-shape.js'
import {Problem} from '#llmsim/errors.js'
import {hostTermsOf} from '#llmsim/latency/host.js'
import {type RooflineModel, type RooflineRequest, rooflineModel} from '#llmsim/latency/roofline.js'
import {type BatchShape, emptyShape} from '#llmsim/latency/step-time.js'
import {allModels, latent, llama8b, llama70b, qwenMoe, windowed} from './models.js'
import {decodes, shapeOf} from './shapes.js'

const olderHostTerms = hostTermsOf((await loadEngine('vllm-0.11')).profile, 'plain', {
  ...{isChat: false, isSynchronous: true, isEager: false, maxNumSeqs: 128},
})
const defaultHostTerms = hostTermsOf((await loadEngine('vllm-0.19')).profile, 'filtered')

const build = (
  hardware: Hardware,
  model: ModelShape,
  more: Partial<RooflineRequest> = {},
): RooflineModel =>
  rooflineModel({
    model,
    hardware,
    link: linkOf(hardware),
    parallelism: {tp: 1, ep: 1},
    kvDtype: 'auto',
    host: defaultHostTerms,
    ...more,
  })

const on = async (name: string, model: ModelShape, more: Partial<RooflineRequest> = {}) =>
  build(await loadHardware(name), model, more)

const fields = Object.keys(emptyShape()) as (keyof BatchShape)[]

/** Any sums at all, also ones that no engine would make. */
const anyShape: fc.Arbitrary<BatchShape> = fc
  .record({
    tokens: fc.nat(9000),
    sequences: fc.nat(1024),
    prefills: fc.nat(64),
    prefillTokens: fc.nat(8192),
    prefillTokensMax: fc.nat(8192),
    prefillContext: fc.nat(2_000_000),
    prefillContextMax: fc.nat(131_072),
    prefillWork: fc.nat(2_000_000_000),
    decodes: fc.nat(1024),
    decodeContext: fc.nat(20_000_000),
    decodeContextMin: fc.nat(131_072),
    decodeContextMax: fc.nat(131_072),
    paddedTokens: fc.nat(9000),
  })
  .map((shape) => ({...shape}))

/** Batches as an engine makes them, and one that has at least as much of everything. */
const anyGrowth = fc.record({
  chunks: fc.array(fc.tuple(fc.integer({min: 2, max: 1500}), fc.nat(9000)), {maxLength: 4}),
  contexts: fc.array(fc.nat(30_000), {maxLength: 60}),
  grow: fc.nat(500),
})

describe('roofline', () => {
  describe('laws', () => {
    let everyModel: RooflineModel[]
    before(async () => {
      const hardware = await listHardware()
      everyModel = hardware.flatMap((card) =>
        allModels.flatMap((model) => {
          const single = build(card, model)
          if (!card.links[0]) return [single]
          const tp = {parallelism: {tp: 2, ep: 2}}
          return [single, build(card, model, {...tp, dtype: 'fp8', kvDtype: 'fp8'})]
        }),
      )
    })

    it('is a whole number of ns of at least 1, the same every time, and the sum of its parts', () => {
      fc.assert(
        fc.property(fc.nat(), anyShape, (pick, shape) => {
          const model = everyModel[pick % everyModel.length]!
          const ns = model.stepTime(shape)
          expect(Number.isSafeInteger(ns) && ns >= 1).to.equal(true)
          expect(model.stepTime({...shape})).to.equal(ns)
          const sum = Object.values(model.partsOf(shape)).reduce((a: number, b: number) => a + b, 0)
          expect(Math.abs(sum - ns)).to.be.at.most(1)
        }),
        {numRuns: 500},
      )
      expect(everyModel[0]!.stepTime(emptyShape())).to.be.at.least(1)
    })

    it('never falls when a field of the shape grows, on any device and model', () => {
      fc.assert(
        fc.property(
          fc.nat(),
          anyShape,
          fc.constantFrom(...fields),
          fc.integer({min: 1, max: 5000}),
          (pick, shape, field, more) => {
            const model = everyModel[pick % everyModel.length]!
            const before = model.stepTime(shape)
            const after = model.stepTime({...shape, [field]: shape[field] + more})
            expect(after, `${field} + ${more}`).to.be.at.least(before)
          },
        ),
        {numRuns: 5000},
      )
    })

    it('never falls when a request joins, a chunk grows or contexts grow', () => {
      fc.assert(
        fc.property(fc.nat(), anyGrowth, (pick, {chunks, contexts, grow}) => {
          const model = everyModel[pick % everyModel.length]!
          const before = model.stepTime(shapeOf({chunks, contexts}))
          const larger = [
            shapeOf({chunks, contexts: [...contexts, grow]}),
            shapeOf({chunks: [...chunks, [2 + grow, 0]], contexts}),
            shapeOf({chunks: chunks.map(([n, c]) => [n + grow, c] as const), contexts}),
            shapeOf({chunks: chunks.map(([n, c]) => [n, c + grow] as const), contexts}),
            shapeOf({chunks, contexts: contexts.map((context) => context + grow)}),
          ]
          for (const [index, shape] of larger.entries())
            expect(model.stepTime(shape), `growth ${index}`).to.be.at.least(before)
        }),
        {numRuns: 2000},
      )
    })

    it('never falls on slower hardware', async () => {
      const cards = await listHardware()
      fc.assert(
        fc.property(
          fc.constantFrom(...cards),
          fc.constantFrom(...allModels),
          fc.double({min: 0.1, max: 1, noNaN: true}),
          fc.double({min: 0.1, max: 1, noNaN: true}),
          anyShape,
          (card, model, compute, memory, shape) => {
            const peakTflops = Object.fromEntries(
              Object.entries(card.peakTflops).map(([dtype, peak]) => [dtype, peak * compute]),
            )
            const slower = {...card, peakTflops, bandwidthGbS: card.bandwidthGbS * memory}
            const time = (hardware: Hardware) => build(hardware, model).stepTime(shape)
            expect(time(slower)).to.be.at.least(time(card))
          },
        ),
        {numRuns: 300},
      )
    })
  })

  it('takes about 7 ms for one decode of Llama-3.1-8B on an H100', async () => {
    const h100 = await on('H100', llama8b)
    const alone = decodes(1, 500)
    expect(h100.stepTime(alone) / 1e6).to.be.within(6.4, 8)
    // Weights once over the bus are the floor: 8.03 G parameters less the embedding, 2 B each.
    const floor = ((8.03e9 - 128_256 * 4096) * 2) / 3.35e12
    expect(h100.stepTime(alone) / 1e9).to.be.above(floor)
    const {gemm, host} = h100.partsOf(alone)
    expect(gemm / 1e6).to.be.within(4.8, 5.6)
    expect(host).to.equal(32 * 9000)
  })

  it('prefills 2048 tokens near the compute bound', async () => {
    const h100 = await on('H100', llama8b)
    const shape = shapeOf({chunks: [[2048, 0]]})
    // 6.98 G weights in layers, 2 FLOPs each, at 0.822 of 989 TFLOP/s.
    const bound = (2048 * 2 * 6.98e9) / (989e12 * 0.822)
    expect(h100.partsOf(shape).gemm / 1e9).to.be.within(bound, 1.1 * bound)
  })

  it('pays an all-reduce twice per layer and once for the embedding', async () => {
    const l40s = await on('L40S', llama8b, {parallelism: {tp: 4, ep: 1}})
    const {allReduce} = l40s.partsOf(decodes(1, 10))
    // 13.6 µs is the floor; 8 KiB on PCIe without peer-to-peer cost a little more.
    expect(allReduce / 65 / 1000).to.be.within(13.6, 18)
    const h100 = await on('H100', llama70b, {parallelism: {tp: 8, ep: 1}})
    expect(h100.partsOf(decodes(1, 10)).allReduce / 161 / 1000).to.be.within(4.6, 5.5)
    expect((await on('H100', llama8b)).partsOf(decodes(64, 10)).allReduce).to.equal(0)
  })

  it('splits weights and KV over ranks', async () => {
    const [one, four] = [
      await on('H100', llama70b),
      await on('H100', llama70b, {parallelism: {tp: 4, ep: 1}}),
    ]
    const shape = decodes(64, 4000)
    const [p1, p4] = [one.partsOf(shape), four.partsOf(shape)]
    expect(p1.gemm / p4.gemm).to.be.within(3, 4)
    expect(p1.attention / p4.attention).to.be.within(2.5, 4)
    expect(p4.host).to.equal(p1.host)
  })

  it('takes the small kernels of a layer for as many as there are', async () => {
    const group = llama8b.groups[0]!
    const attention = {...group.attention, qkNorm: true} as GroupedAttention
    const experts = {count: 64, perToken: 6, intermediate: 1408}
    const latentAttention = latent.groups[0]!.attention
    // Of a Llama layer two norms, rotary embedding and activation take 9 µs.
    for (const [extra, layer] of [
      [0, group],
      [1, {...group, attention}],
      [0, {...group, mlp: {denseIntermediate: 0, experts}}],
      [1, {...group, mlp: {denseIntermediate: 2816, experts}}],
      [5, {...group, attention: latentAttention}],
      [6, {...group, attention: latentAttention, mlp: {denseIntermediate: 2816, experts}}],
    ] as const) {
      const {host} = (await on('H100', {...llama8b, groups: [layer]})).partsOf(decodes(8, 500))
      expect(host).to.be.closeTo(32 * 2250 * (4 + extra), 1e-6)
    }
  })

  it('waits for the host in steps of more tokens than the largest CUDA graph', async () => {
    const host = {...olderHostTerms, eagerLayerNs: 500_000}
    const slow = await on('H100', llama8b, {host})
    const fast = await on('H100', llama8b, {host: {...host, eagerLayerNs: 0}})
    const at = (chunk: number) => shapeOf({chunks: [[chunk, 0]], contexts: new Array(50).fill(200)})
    // 128 seats: graphs of up to 256 tokens, here 206 and 50.
    expect(slow.stepTime(at(206))).to.equal(fast.stepTime(at(206)))
    const head = fast.partsOf(at(207)).head
    const kernels = fast.stepTime(at(207)) - fast.outsideLayers(at(207))
    const both = ((32 * 500_000) ** 4 + kernels ** 4) ** 0.25
    expect(slow.stepTime(at(207))).to.be.closeTo(both + head + 600_000, 2)
    expect(slow.stepTime(at(207))).to.be.above(fast.stepTime(at(207)) + 3e6)
    // A long step hides the host: 72 ms of kernels beside 16 of launches.
    expect(slow.stepTime(at(4000)) / fast.stepTime(at(4000))).to.be.within(1, 1.001)
    for (const chunk of [206, 207, 4000]) {
      const sum = Object.values(slow.partsOf(at(chunk))).reduce((all, part) => all + part, 0)
      expect(sum).to.be.closeTo(slow.stepTime(at(chunk)), 1)
    }
  })

  it('idles between kernels that no CUDA graph holds, unless it waits for the host anyway', async () => {
    const host = {...olderHostTerms, eagerLayerNs: 0}
    const graphs = await on('H100', llama8b, {host})
    const gaps = await on('H100', llama8b, {host: {...host, gapLayerNs: 18_000}})
    const both = {...host, gapLayerNs: 18_000, eagerLayerNs: 500_000}
    const waits = await on('H100', llama8b, {host: both})
    const at = (chunk: number) => shapeOf({chunks: [[chunk, 0]], contexts: new Array(50).fill(200)})
    expect(gaps.stepTime(at(206))).to.equal(graphs.stepTime(at(206)))
    expect(gaps.stepTime(at(207))).to.be.closeTo(graphs.stepTime(at(207)) + 32 * 18_000, 1)
    expect(gaps.partsOf(at(207)).host).to.be.closeTo(graphs.partsOf(at(207)).host + 32 * 18_000, 1)
    // 32 launches of 500 µs hide the gaps of small kernels, and long kernels the launches.
    const layersOf = (model: typeof gaps, chunk: number) =>
      model.stepTime(at(chunk)) - model.outsideLayers(at(chunk))
    for (const chunk of [207, 4000]) {
      const both = (16e6 ** 4 + layersOf(gaps, chunk) ** 4) ** 0.25
      expect(layersOf(waits, chunk)).to.be.closeTo(both, 2)
    }
    expect(layersOf(waits, 207)).to.be.within(16e6, 16.5e6)
  })

  it('sees no further than a window', async () => {
    const model = await on('H100', windowed)
    const full = {
      ...windowed,
      groups: windowed.groups.map((group) => ({
        ...group,
        attention: windowed.groups[1]!.attention,
      })),
    }
    const unlimited = await on('H100', full)
    const short = decodes(32, 500)
    expect(model.stepTime(short)).to.equal(unlimited.stepTime(short))
    const long = decodes(32, 50_000)
    const ratio = model.partsOf(long).attention / unlimited.partsOf(long).attention
    expect(ratio).to.be.within(0.5, 0.56)
    const prompt = shapeOf({chunks: [[8000, 0]]})
    expect(model.partsOf(prompt).attention).to.be.below(unlimited.partsOf(prompt).attention)
  })

  it('charges FlashAttention-2 cards for mixed steps, and Hopper only for the work', async () => {
    const contexts = new Array<number>(64).fill(1000)
    const extra = async (name: string) => {
      const model = await on(name, llama8b)
      const attention = (shape: BatchShape) => model.partsOf(shape).attention
      const mixed = attention(shapeOf({chunks: [[16, 0]], contexts}))
      return mixed / attention(shapeOf({contexts}))
    }
    expect(await extra('H100')).to.be.within(1, 1.1)
    // Measured by LLMServingSim on Llama-3.1-8B: 333 µs alone against 700 µs in a mixed step.
    expect(await extra('RTX4090')).to.be.within(1.8, 2.4)
    expect(await extra('A100')).to.be.above(1.3)
  })

  it('runs formats as the device can', async () => {
    const time = async (name: string, dtype?: RooflineRequest['dtype']) =>
      (await on(name, llama8b, {dtype})).partsOf(decodes(1, 100)).gemm
    const prefill = async (name: string, dtype?: RooflineRequest['dtype']) =>
      (await on(name, llama8b, {dtype})).partsOf(shapeOf({chunks: [[4096, 0]]})).gemm
    for (const name of ['H100', 'A100', 'RTXPRO6000']) {
      expect(await time(name, 'fp8'), `${name} fp8`).to.be.below(await time(name))
      expect(await time(name, 'w4a16'), `${name} w4a16`).to.be.below(await time(name, 'fp8'))
    }
    // With fp8 units the arithmetic gets faster too, if by less than their peak; without, only the weights shrink.
    expect(await prefill('H100', 'fp8')).to.be.below(0.9 * (await prefill('H100')))
    expect(await prefill('A100', 'fp8')).to.be.above(await prefill('A100'))
    const weightOnly = await on('A100', llama8b, {dtype: 'fp8'})
    expect(weightOnly.notes.join(' ')).to.include('A100 has no fp8 units')
    expect((await on('H100', llama8b, {dtype: 'fp8'})).notes.join(' ')).not.to.include('units')
    const fp8Kv = await on('H100', llama8b, {kvDtype: 'fp8'})
    const long = decodes(64, 8000)
    const ratio =
      fp8Kv.partsOf(long).attention / (await on('H100', llama8b)).partsOf(long).attention
    expect(ratio).to.be.within(0.5, 0.6)
  })

  it('takes the format of a quantised checkpoint, part by part', async () => {
    const quantization = {
      method: 'mxfp4',
      dtype: 'w4a16',
      bytesPerWeight: 0.53125,
      unquantized: {attention: true, denseMlp: true, experts: false, lmHead: true},
    } as const
    const [plain, packed] = [
      await on('H100', qwenMoe),
      await on('H100', {...qwenMoe, quantization}),
    ]
    const shape = decodes(8, 100)
    expect(packed.partsOf(shape).gemm).to.equal(plain.partsOf(shape).gemm)
    expect(packed.partsOf(shape).moe).to.be.below(0.6 * plain.partsOf(shape).moe)
  })

  it('spreads experts over ranks', async () => {
    const tp = await on('H100', qwenMoe, {parallelism: {tp: 4, ep: 1}})
    const ep = await on('H100', qwenMoe, {parallelism: {tp: 4, ep: 4}})
    const shape = decodes(64, 100)
    // The same share of the weights, by columns or by experts.
    expect(ep.partsOf(shape).moe).to.be.closeTo(tp.partsOf(shape).moe, 0.02 * tp.partsOf(shape).moe)
    const member = await on('H100', qwenMoe, {parallelism: {tp: 1, ep: 2}})
    expect(member.partsOf(shape).allReduce).to.be.above(0)
    expect(member.notes.join(' ')).to.include('evenly loaded')
  })

  describe('account', () => {
    it('says in one line what an RTX 3090 lacks', async () => {
      const {notes, source} = await on('RTX3090', llama8b, {parallelism: {tp: 4, ep: 1}})
      expect(source).to.equal('roofline')
      expect(notes).to.deep.equal([
        'RTX3090 has no attention or all-reduce measurements yet: those terms use the defaults of its class.',
      ])
    })

    it('names each term and its source', async () => {
      const {provenance} = await on('H100', qwenMoe, {parallelism: {tp: 2, ep: 1}})
      const from = Object.fromEntries(provenance.map((line) => [line.term, line.from]))
      expect(from).to.deep.equal({
        gemm: 'calibrated',
        attention: 'calibrated',
        moe: 'calibrated',
        'all-reduce': 'calibrated',
        host: 'calibrated',
      })
      for (const line of provenance) expect(line.detail).to.have.length.above(5)
    })

    it('names each format of a checkpoint that mixes them', async () => {
      const quantization = {
        method: 'fp8',
        dtype: 'fp8',
        bytesPerWeight: 1,
        unquantized: {attention: true, denseMlp: false, experts: false, lmHead: true},
      } as const
      const dense = await on('H100', {...llama8b, quantization})
      const terms = dense.provenance.map((line) => line.term)
      expect(terms).to.deep.equal(['gemm', 'gemm fp8', 'attention', 'host'])
      const {provenance} = await on('H100', {...qwenMoe, quantization})
      const moe = provenance.find((line) => line.term === 'moe')!
      expect(moe.from).to.equal('calibrated')
      // No table has experts of that format on this card.
      const scaled = (await on('A100', {...qwenMoe, quantization})).provenance
      const level = scaled.find((line) => line.term === 'moe')!
      expect(level.from).to.equal('class default')
      expect(level.detail).to.include('level of w8a16')
    })

    it('says datasheet when nothing was measured, or when asked', async () => {
      const mi300x = await on('MI300X', llama8b)
      expect(mi300x.source).to.equal('datasheet')
      expect(mi300x.notes[0]).to.include(
        'MI300X is not calibrated, as it has no kernel measurements',
      )
      expect(mi300x.provenance.every((line) => line.from === 'class default')).to.equal(true)
      const asked = await on('H100', llama8b, {coefficients: 'class', parallelism: {tp: 2, ep: 1}})
      expect(asked.source).to.equal('datasheet')
      expect(asked.notes[0]).to.include('Datasheet figures of H100')
      const fromClass = asked.provenance.filter((line) => line.term !== 'host')
      expect(fromClass.every((line) => line.from === 'class default')).to.equal(true)
    })

    it('warns of latent attention', async () => {
      const {notes} = await on('H100', latent)
      expect(notes.join(' ')).to.include('MLA').and.to.include('indexer')
    })

    it('refuses more devices than a link joins', async () => {
      const refused = async (name: string, link: string | undefined, tp: number) => {
        const hardware = await loadHardware(name)
        try {
          build(hardware, llama8b, {link: linkOf(hardware, link), parallelism: {tp, ep: 1}})
        } catch (error) {
          expect(error).to.be.instanceOf(Problem)
          expect((error as Problem).code).to.equal('PARALLELISM_INVALID')
          return (error as Problem).message
        }
        throw new Error('not refused')
      }
      expect(await refused('RTX3090', 'nvlink-bridge', 4)).to.include('joins at most 2')
      expect(await refused('M4-Max', undefined, 2)).to.include('no link')
      expect(await refused('H100', undefined, 16)).to.include('joins at most 8')
    })
  })
})
