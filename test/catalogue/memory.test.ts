import {expect} from 'chai'
import {loadEngine} from '#llmsim/catalogue/engines.js'
import {type MemoryRequest, planMemory} from '#llmsim/catalogue/memory.js'
import type {ModelShape} from '#llmsim/catalogue/model-shape.js'
import {loadModel} from '#llmsim/catalogue/models.js'
import {checkParallelism, stageLayers} from '#llmsim/catalogue/parallelism.js'
import {withWeightFormat} from '#llmsim/catalogue/weight-format.js'
import {problemOf} from './problem.js'

const shape = async (name: string): Promise<ModelShape> => (await loadModel(name)).model

const RTX4090 = 25_250_627_584
/** An H100 SXM as PyTorch sees it: 79.18 GiB. */
const H100 = 85_017_755_648
/** An RTX A6000 as PyTorch sees it: 47.54 GiB. */
const A6000 = 51_045_836_128

const request = async (
  name: string,
  rest: Partial<MemoryRequest> = {},
): Promise<MemoryRequest> => ({
  model: await shape(name),
  memoryBytes: RTX4090,
  parallelism: {tp: 1},
  maxNumSeqs: 256,
  maxNumBatchedTokens: 2048,
  reserve: (await loadEngine('vllm-0.19')).profile.memory,
  ...rest,
})

describe('parallelism', () => {
  const wrong: [string, {tp: number; pp?: number; ep?: number}, RegExp, RegExp][] = [
    ['Llama-3.1-8B', {tp: 3}, /--tp 3 does not divide .*32 query heads/, /1, 2, 4, 8, 16, 32/],
    ['Llama-3.1-8B', {tp: 64}, /--tp 64 does not divide/, /1, 2, 4, 8, 16, 32/],
    ['Qwen2.5-7B-Instruct', {tp: 8}, /28 query heads/, /1, 2, 4 for/],
    ['Llama-3.1-8B', {tp: 0}, /--tp must be a positive whole number, got 0/, /^$/],
    ['Llama-3.1-8B', {tp: 1.5}, /got 1\.5/, /^$/],
    ['Llama-3.1-8B', {tp: 1, pp: 33}, /--pp 33 is more than the 32 layers/, /1 to 32/],
    ['Llama-3.1-8B', {tp: 2, ep: 2}, /--ep 2 needs a model with experts/, /1/],
    ['Mixtral-8x7B-v0.1', {tp: 1, ep: 3}, /--ep 3 does not divide the 8 experts/, /1, 2, 4, 8/],
    ['Qwen3-30B-A3B', {tp: 1, ep: 256}, /--ep 256 does not divide the 128 experts/, /64, 128/],
  ]
  for (const [name, parallelism, message, hint] of wrong) {
    it(`${name} with ${JSON.stringify(parallelism)}`, async () => {
      const model = await shape(name)
      const problem = await problemOf(() => checkParallelism(model, parallelism))
      expect(problem.code).equal('PARALLELISM_INVALID')
      expect(problem.message).match(message)
      expect(problem.suggestions.join()).match(hint)
    })
  }

  it('takes what vLLM takes', async () => {
    checkParallelism(await shape('Llama-3.1-8B'), {tp: 16, pp: 2})
    checkParallelism(await shape('DeepSeek-V3'), {tp: 8, pp: 2, ep: 16})
    checkParallelism(await shape('Qwen3-30B-A3B'), {tp: 4, ep: 128})
  })

  it('gives what is left over to the stages before the last', () => {
    expect(stageLayers(32, 4)).deep.equal([8, 8, 8, 8])
    expect(stageLayers(61, 4)).deep.equal([15, 15, 16, 15])
    expect(stageLayers(61, 2)).deep.equal([31, 30])
    expect(stageLayers(62, 4)).deep.equal([15, 16, 16, 15])
    expect(stageLayers(63, 4)).deep.equal([16, 16, 16, 15])
  })
})

describe('memory plan', () => {
  it('finds the published block counts', async () => {
    // Published: LLMServingSim (RTX 4090, A6000; the latter as tokens), BLIS (H100).
    const known: [string, string, number, number, number, number, '0.15' | '0.19', number][] = [
      ['RTX4090', 'meta-llama/Llama-3.1-8B', RTX4090, 1, 256, 2048, '0.19', 2588],
      ['A6000', 'meta-llama/Llama-3.1-8B-Instruct', A6000, 1, 256, 2048, '0.15', 13545],
      ['A6000', 'meta-llama/Llama-3.1-8B', A6000, 1, 128, 2048, '0.15', 13844],
      ['A6000', 'meta-llama/Llama-3.1-8B-Instruct', A6000, 2, 256, 2048, '0.15', 34669],
      ['H100', 'meta-llama/Llama-2-7b-hf', H100, 1, 128, 2048, '0.15', 7463],
      ['H100', 'meta-llama/Llama-3.1-70B-Instruct', H100, 4, 128, 8192, '0.15', 30251],
      ['H100', 'meta-llama/Llama-3.1-70B-Instruct', H100, 4, 128, 2048, '0.15', 30425],
      ['H100', 'mistralai/Mistral-Nemo-Instruct-2407', H100, 2, 128, 1024, '0.15', 48009],
      ['H100', 'mistralai/Mistral-Nemo-Instruct-2407', H100, 1, 128, 2048, '0.15', 19251],
      ['H100', 'Qwen/Qwen2.5-7B-Instruct', H100, 1, 128, 2048, '0.15', 65352],
      ['H100', 'Qwen/Qwen2.5-7B-Instruct', H100, 1, 128, 1024, '0.15', 65368],
      ['H100', '01-ai/Yi-34B', H100, 2, 128, 2048, '0.15', 20793],
    ]
    for (const [
      device,
      name,
      memoryBytes,
      tp,
      maxNumSeqs,
      maxNumBatchedTokens,
      version,
      truth,
    ] of known) {
      const rest = {memoryBytes, parallelism: {tp}, maxNumSeqs, maxNumBatchedTokens}
      const reserve = (await loadEngine(`vllm-${version}`)).profile.memory
      const plan = planMemory(await request(name, {...rest, reserve}))
      const error = (100 * (plan.blocks - truth)) / truth
      const row = [device.padEnd(8), name.padEnd(38), `tp${tp}`, String(plan.blocks).padStart(6)]
      console.log(`      ${row.join(' ')} of ${truth}: ${error.toFixed(2)} %`)
      expect(error, name).within(-1.5, 1.5)
    }
  })

  it('adds up', async () => {
    const plan = planMemory(await request('Llama-3.1-8B'))
    const used = plan.weights.total + plan.activationBytes + plan.runtimeBytes + plan.kvBytes
    expect(plan.budgetBytes - used).within(0, plan.blockBytes)
    expect(plan).include({blockBytes: 16 * 131_072, tokens: plan.blocks * 16, stage: 0})
    expect(plan.budgetBytes).equal(Math.floor(RTX4090 * 0.9))
  })

  it('gives more room to narrower formats, fewer seats and more ranks', async () => {
    const base = await request('Llama-3.1-8B')
    const {blocks} = planMemory(base)
    expect(planMemory({...base, kvDtype: 'fp8'}).blocks).within(2 * blocks, 2 * blocks + 1)
    expect(planMemory({...base, maxNumSeqs: 16}).blocks).above(blocks)
    expect(planMemory({...base, parallelism: {tp: 2}}).blocks).above(4 * blocks)
    expect(planMemory({...base, model: withWeightFormat(base.model, 'fp8')}).blocks).above(
      2 * blocks,
    )
    expect(planMemory({...base, gpuMemoryUtilization: 0.95}).blocks).above(blocks)
    expect(planMemory({...base, blockSize: 32}).tokens).within(16 * blocks - 32, 16 * blocks)
  })

  it('minds the forward pass when seats are few and batches wide', async () => {
    const base = await request('Llama-3.1-8B', {maxNumSeqs: 1, memoryBytes: H100})
    const narrow = planMemory(base).activationBytes
    const wide = planMemory({...base, maxNumBatchedTokens: 16_384}).activationBytes
    expect(wide).closeTo(8 * narrow, narrow)
    // Gate, up and input, all in 16 bits, beside hidden states and residual.
    expect(wide).equal(16_384 * 2 * (2 * 4096 + 4096 + 2 * 14_336))
  })

  it('plans for the tightest pipeline stage', async () => {
    // 61 layers: 15, 15, 16 and 15; the third stage holds most, though the first has the embedding.
    const base = await request('DeepSeek-V3', {memoryBytes: H100})
    const plan = planMemory({...base, parallelism: {tp: 8, pp: 4}})
    expect(plan).include({stage: 2, blockBytes: 16 * 16 * 576 * 2})
    expect(plan.weights).include({embedding: 0, lmHead: 0})
  })

  it('says how much is missing and which tp fits', async () => {
    const problem = await problemOf(async () => planMemory(await request('Llama-3.1-70B')))
    expect(problem.code).equal('MODEL_TOO_LARGE')
    expect(problem.message)
      .match(/weights 141\.11 GB/)
      .and.match(/119\.\d\d GB are missing/)
    expect(problem.suggestions[0]).equal('--tp 8 would fit.')
    const eight = planMemory(await request('Llama-3.1-70B', {parallelism: {tp: 8}}))
    expect(eight.blocks).above(0)
    const small = await request('Kimi-K2-Instruct', {memoryBytes: 4e9})
    const never = await problemOf(() => planMemory(small))
    expect(never.suggestions[0]).equal('No --tp fits on this hardware.')
  })

  const wrong: [string, Partial<MemoryRequest>, string, RegExp][] = [
    [
      'a percentage',
      {gpuMemoryUtilization: 90},
      'FLAG_BAD_VALUE',
      /got 90 \(did you mean 0\.9\?\)/,
    ],
    ['no share', {gpuMemoryUtilization: 0}, 'FLAG_BAD_VALUE', /gpu-memory-utilization/],
    ['NaN', {gpuMemoryUtilization: Number.NaN}, 'FLAG_BAD_VALUE', /got NaN/],
    [
      'no seats',
      {maxNumSeqs: 0},
      'FLAG_BAD_VALUE',
      /--max-num-seqs must be a positive whole number/,
    ],
    ['no budget', {maxNumBatchedTokens: 0}, 'FLAG_BAD_VALUE', /--max-num-batched-tokens/],
    ['half a block', {blockSize: 0.5}, 'FLAG_BAD_VALUE', /--block-size/],
    ['no memory', {memoryBytes: 0}, 'HARDWARE_BAD_FILE', /memory must be positive/],
    ['a tp that does not divide', {parallelism: {tp: 5}}, 'PARALLELISM_INVALID', /--tp 5/],
  ]
  for (const [name, rest, code, message] of wrong) {
    it(`refuses ${name}`, async () => {
      const problem = await problemOf(async () => planMemory(await request('Llama-3.1-8B', rest)))
      expect(problem.code).equal(code)
      expect(problem.message).match(message)
    })
  }
})
