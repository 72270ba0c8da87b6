import {expect} from 'chai'
import {loadEngine} from '#llmsim/catalogue/engines.js'
import {expertPaddingBytes, mxfp4Tiles} from '#llmsim/catalogue/expert-padding.js'
import type {ArchitectureClass} from '#llmsim/catalogue/hardware-shape.js'
import {planMemory} from '#llmsim/catalogue/memory.js'
import {loadModel} from '#llmsim/catalogue/models.js'

const GIB = 2 ** 30

describe('padding of MXFP4 experts', () => {
  /** "Model loading took … GiB" in logs of vLLM; docs/models.md names the sources. */
  const loaded: readonly [string, ArchitectureClass, string, number][] = [
    ['gpt-oss-20b', 'ampere', 'vllm-0.19', 13.72],
    ['gpt-oss-120b', 'hopper', 'vllm-0.11', 65.97],
    ['gpt-oss-20b', 'hopper', 'vllm-0.15', 13.47],
    ['gpt-oss-120b', 'hopper', 'vllm-0.15', 64.38],
  ]
  for (const [name, architecture, engine, gib] of loaded)
    it(`of ${name} on ${architecture} under ${engine} makes it ${gib} GiB, to 1 %`, async () => {
      const {profile} = await loadEngine(engine)
      const {weights} = planMemory({
        model: (await loadModel(name)).model,
        memoryBytes: 96 * GIB,
        mxfp4Tiles: mxfp4Tiles(architecture, profile.marlinMxfp4),
        parallelism: {tp: 1},
        maxNumSeqs: 256,
        maxNumBatchedTokens: 2048,
        reserve: profile.memory,
      })
      expect(weights.total / GIB / gib).closeTo(1, 0.01)
    })

  it('is that of the part of each rank', async () => {
    const {model} = await loadModel('gpt-oss-120b')
    const of = (tp: number, ep = 1) => expertPaddingBytes(model, {tp, ep}, mxfp4Tiles('ampere', []))
    // 1,440 becomes 1,536 where 2,880 becomes 2,944, and 2,880 becomes 3,072 in both.
    const share = (inner: number, padded: number) => (padded * 3072 - inner * 2880) / inner
    expect(of(2) / of(1)).closeTo(share(1440, 1536) / share(2880, 2944) / 2, 1e-12)
    expect(of(2, 2)).equal(of(1) / 2)
  })

  it('is none of other formats and of devices whose kernels are not known', async () => {
    const {model} = await loadModel('gpt-oss-20b')
    expect(expertPaddingBytes(model, {tp: 1}, mxfp4Tiles('xe2', []))).equal(0)
    expect(expertPaddingBytes(model, {tp: 1}, undefined)).equal(0)
    const mixtral = (await loadModel('Mixtral-8x7B-v0.1')).model
    expect(expertPaddingBytes(mixtral, {tp: 1}, mxfp4Tiles('ampere', []))).equal(0)
  })
})
