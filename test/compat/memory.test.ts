/** LLMServingSim's memory arithmetic, against its published numbers of blocks. */
import {expect} from 'chai'
import {loadModel} from '#llmsim/catalogue/models.js'
import {compatMemory} from '#llmsim/compat/memory.js'
import {problemOf} from '../catalogue/problem.js'
import {llama8b} from '../latency/models.js'

const rtxPro = {
  model: llama8b,
  sizeGib: 96,
  utilization: 0.9,
  tp: 1,
  ep: 1,
  blockSize: 16,
  bytesPerElement: 2,
  kvBytesPerElement: 2,
}

/** Llama-3.1-8B by hand: two norms, qkv, o and MLP a layer; embedding, head and the last norm once. */
const llamaWeights =
  2 * (2 * 128_256 * 4096 + 4096) +
  32 * 2 * (2 * 4096 + 4096 * 6144 + 4096 * 4096 + 3 * 4096 * 14_336)

describe("LLMServingSim's memory", () => {
  it('holds 36,578 blocks on its RTX PRO 6000', () => {
    const plan = compatMemory(rtxPro)
    expect(plan.weightBytes).equal(llamaWeights)
    expect(plan.blockBytes).equal(2 * 1024 * 32 * 2 * 16)
    expect(plan.budgetBytes).equal(Math.trunc(96 * 2 ** 30 * 0.9))
    expect(plan.blocks).equal(36_578)
  })

  it('holds 2,588 blocks on its RTX 4090', () => {
    expect(compatMemory({...rtxPro, sizeGib: 24, utilization: 0.833919}).blocks).equal(2588)
  })

  it('halves matrices and KV over two ranks, but not norms', () => {
    const plan = compatMemory({...rtxPro, tp: 2})
    const norms = 2 * (4096 + 32 * 2 * 4096)
    expect(plan.weightBytes).equal((llamaWeights - norms) / 2 + norms)
    expect(plan.blockBytes).equal(2 * 1024 * 32 * 16)
  })

  it('keeps dividing the KV when there are more ranks than KV heads', () => {
    expect(compatMemory({...rtxPro, tp: 16}).blockBytes).equal((2 * 1024 * 32 * 2 * 16) / 16)
  })

  it('counts bytes by element: fp8 weights, fp8 KV', () => {
    expect(compatMemory({...rtxPro, bytesPerElement: 1}).weightBytes).equal(llamaWeights / 2)
    const small = compatMemory({...rtxPro, kvBytesPerElement: 1})
    expect(small.blockBytes).equal(1024 * 32 * 2 * 16)
    expect(small.blocks).equal(
      Math.floor((small.budgetBytes - llamaWeights) / (1024 * 32 * 2 * 16)),
    )
  })

  it('spreads experts over ep, keeps the gate whole and the experts undivided by tp', async () => {
    const {model} = await loadModel('Qwen/Qwen3-30B-A3B-Instruct-2507')
    const of = (tp: number, ep: number) => compatMemory({...rtxPro, model, tp, ep}).weightBytes
    const expert = 3 * 2048 * 768 * 2
    expect(of(1, 1) - of(1, 2)).equal(48 * 64 * expert)
    const gate = 2048 * 128 * 2
    const norms = 2 * (2048 + 48 * 2 * 2048)
    const attention = 48 * 2 * (2048 * (4096 + 2 * 512) + 4096 * 2048)
    const vocabulary = 2 * 2 * 151_936 * 2048
    expect(of(1, 1)).equal(norms + attention + vocabulary + 48 * (gate + 128 * expert))
    expect(of(1, 1) - of(2, 1)).equal((attention + vocabulary) / 2)
  })

  it('counts tied embeddings twice', () => {
    const tied = {...llama8b, tiedEmbeddings: true}
    expect(compatMemory({...rtxPro, model: tied}).weightBytes).equal(llamaWeights)
  })

  it('refuses a model that leaves no block', async () => {
    const problem = await problemOf(() => compatMemory({...rtxPro, sizeGib: 16}))
    expect(problem.code).equal('MODEL_TOO_LARGE')
    expect(problem.message).include('15.0 GiB of weights')
  })

  it('refuses latent attention', async () => {
    const {model} = await loadModel('deepseek-ai/DeepSeek-V2-Lite')
    const problem = await problemOf(() => compatMemory({...rtxPro, model}))
    expect(problem.code).equal('MODEL_UNSUPPORTED')
  })
})
