import {expect} from 'chai'
import {layerLinears, lmHeadLinear} from '#llmsim/catalogue/linear-layers.js'
import {
  activeParameterCount,
  kvBytesPerToken,
  linearFlopsPerToken,
  parameterCount,
  stageKvBytesPerToken,
  stageWeightBytes,
  weightBytesPerRank,
} from '#llmsim/catalogue/model-arithmetic.js'
import type {ModelShape} from '#llmsim/catalogue/model-shape.js'
import {loadModel} from '#llmsim/catalogue/models.js'
import {type WeightFormat, withWeightFormat} from '#llmsim/catalogue/weight-format.js'

const shape = async (name: string): Promise<ModelShape> => (await loadModel(name)).model

describe('model arithmetic', () => {
  // Billions of parameters as the publishers state them (language model only).
  const published: [string, number][] = [
    ['meta-llama/Llama-3.1-8B', 8.03],
    ['meta-llama/Llama-3.1-70B', 70.55],
    ['meta-llama/Llama-3.1-405B', 405.9],
    ['meta-llama/Llama-2-7b-hf', 6.74],
    ['meta-llama/Llama-3.2-1B', 1.24],
    ['meta-llama/Llama-3.2-3B', 3.21],
    ['meta-llama/Llama-4-Maverick-17B-128E-Instruct', 400.7],
    ['deepseek-ai/DeepSeek-V3', 671],
    ['deepseek-ai/DeepSeek-V2', 236],
    ['deepseek-ai/DeepSeek-V2-Lite', 15.7],
    ['moonshotai/Kimi-K2-Instruct', 1026],
    ['zai-org/GLM-5', 744],
    ['MiniMaxAI/MiniMax-M2.5', 229],
    ['Qwen/Qwen3-30B-A3B', 30.5],
    ['Qwen/Qwen3-235B-A22B', 235],
    ['Qwen/Qwen3-Coder-480B-A35B-Instruct', 480],
    ['Qwen/Qwen3-0.6B', 0.596],
    ['Qwen/Qwen3-32B', 32.8],
    ['Qwen/Qwen2.5-7B-Instruct', 7.62],
    ['Qwen/Qwen2.5-72B-Instruct', 72.7],
    ['openai/gpt-oss-20b', 20.9],
    ['openai/gpt-oss-120b', 116.8],
    ['mistralai/Mixtral-8x7B-v0.1', 46.7],
    ['mistralai/Mixtral-8x22B-v0.1', 140.6],
    ['mistralai/Mistral-7B-v0.1', 7.24],
    ['mistralai/Mistral-Nemo-Instruct-2407', 12.25],
    ['microsoft/Phi-mini-MoE-instruct', 7.65],
    ['microsoft/Phi-3.5-MoE-instruct', 41.9],
    ['microsoft/phi-4', 14.7],
    ['google/gemma-2-9b', 9.24],
    ['google/gemma-3-27b-it', 27.0],
    ['google/gemma-4-26B-A4B', 25.2],
    ['01-ai/Yi-34B', 34.4],
  ]
  for (const [name, billions] of published) {
    it(`${name} has ${billions} B parameters`, async () => {
      expect(parameterCount(await shape(name)) / 1e9).closeTo(billions, billions * 0.01)
    })
  }

  it('counts what one token meets', async () => {
    // gpt-oss: OpenAI states 3.6 B and 5.1 B without the embedding table.
    expect(activeParameterCount(await shape('gpt-oss-20b')) / 1e9).closeTo(3.61, 0.04)
    expect(activeParameterCount(await shape('gpt-oss-120b')) / 1e9).closeTo(5.13, 0.05)
    expect(activeParameterCount(await shape('Mixtral-8x7B-v0.1')) / 1e9).closeTo(12.75, 0.1)
  })

  it('counts KV bytes per token', async () => {
    const llama = await shape('meta-llama/Llama-3.1-8B')
    expect(kvBytesPerToken(llama)).equal(131_072)
    expect(kvBytesPerToken(llama, {kvDtype: 'fp8'})).equal(65_536)
    expect([2, 4, 8, 16, 32].map((tp) => kvBytesPerToken(llama, {tp}))).deep.equal([
      65_536, 32_768, 16_384, 16_384, 16_384,
    ])
    const deepseek = await shape('deepseek-ai/DeepSeek-V3')
    expect(kvBytesPerToken(deepseek)).equal(61 * 576 * 2)
    expect(kvBytesPerToken(deepseek, {tp: 8})).equal(70_272)
    expect(kvBytesPerToken(await shape('zai-org/GLM-5'))).equal(78 * (576 * 2 + 128 + 4))
    const gemma = await shape('google/gemma-4-26B-A4B')
    expect(kvBytesPerToken(gemma)).equal(2 * 2 * (25 * 8 * 256 + 5 * 2 * 512))
  })

  it('deals layers out to pipeline stages as vLLM does', async () => {
    const deepseek = await shape('deepseek-ai/DeepSeek-V3')
    // 61 layers on 4 stages: 15, 15, 16, 15.
    const stages = stageKvBytesPerToken(deepseek, {pp: 4})
    expect(stages.map((bytes) => Math.round(bytes / 1152))).deep.equal([15, 15, 16, 15])
    expect(kvBytesPerToken(deepseek, {pp: 4})).closeTo(16 * 1152, 1e-6)
  })

  it('weighs the parts of a rank', async () => {
    const llama = await shape('meta-llama/Llama-3.1-8B')
    expect(weightBytesPerRank(llama).total).equal(16_060_522_496)
    const half = weightBytesPerRank(llama, {tp: 2})
    // Only the norms are whole on both ranks.
    expect(half.total).equal((16_060_522_496 + 65 * 4096 * 2) / 2)
    const stages = stageWeightBytes(llama, {tp: 1, pp: 2})
    expect(stages.map(({embedding, lmHead}) => [embedding, lmHead])).deep.equal([
      [128256 * 4096 * 2, 0],
      [0, 128256 * 4096 * 2],
    ])
    expect(stages[0]!.total + stages[1]!.total).equal(16_060_522_496)
  })

  it('stores a tied head once, but twice when a pipeline parts it', async () => {
    const qwen = await shape('Qwen/Qwen3-0.6B')
    const table = qwen.vocabSize * qwen.hiddenSize * 2
    expect(weightBytesPerRank(qwen)).include({embedding: table, lmHead: 0})
    expect(stageWeightBytes(qwen, {tp: 1, pp: 2})[1]).include({embedding: 0, lmHead: table})
  })

  it('keeps a copy of a KV head when ranks outnumber them', async () => {
    const qwen = await shape('Qwen/Qwen2.5-7B-Instruct')
    const qkv = (tp: number) => layerLinears(qwen, qwen.groups[0]!, {tp})[0]!
    expect(qkv(1)).include({name: 'qkv_proj', k: 3584, n: (28 + 2 * 4) * 128})
    expect(qkv(4).n).equal((7 + 2) * 128)
    expect(qkv(28).n).equal((1 + 2) * 128)
  })

  it('spreads experts by ep, and cuts them by tp otherwise', async () => {
    const qwen = await shape('Qwen/Qwen3-30B-A3B')
    const experts = (parallelism: {tp: number; ep?: number}) =>
      layerLinears(qwen, qwen.groups[0]!, parallelism).find(
        ({name}) => name === 'experts.gate_up_proj',
      )!
    expect(experts({tp: 1})).include({
      k: 2048,
      n: 1536,
      copies: 128,
      usesPerToken: 8,
      sharding: 'expert',
    })
    expect(experts({tp: 4})).include({n: 384, copies: 128, usesPerToken: 8})
    expect(experts({tp: 4, ep: 4})).include({n: 1536, copies: 32, usesPerToken: 2})
    expect(experts({tp: 1, ep: 8})).include({n: 1536, copies: 16, usesPerToken: 1})
    expect(experts({tp: 4, ep: 2})).include({n: 768, copies: 64, usesPerToken: 4})
    const one = weightBytesPerRank(qwen).experts
    for (const cut of [{tp: 4}, {tp: 4, ep: 4}, {tp: 4, ep: 2}]) {
      expect(weightBytesPerRank(qwen, cut).experts).equal(one / 4)
    }
  })

  it('splits MLA as vLLM does: down-projections whole, heads cut', async () => {
    const model = await shape('deepseek-ai/DeepSeek-V3')
    const linears = layerLinears(model, model.groups[0]!, {tp: 8})
    expect(linears.map(({name, k, n, sharding}) => [name, k, n, sharding])).deep.equal([
      ['qkv_a_proj', 7168, 1536 + 576, 'replicated'],
      ['q_b_proj', 1536, 16 * 192, 'column'],
      ['kv_b_proj', 512, 16 * 256, 'column'],
      ['o_proj', 16 * 128, 7168, 'row'],
      ['gate_up_proj', 7168, (2 * 18432) / 8, 'column'],
      ['down_proj', 18432 / 8, 7168, 'row'],
    ])
  })

  it('pads the vocabulary when it is shared', async () => {
    const model = await shape('openai/gpt-oss-20b')
    expect(lmHeadLinear(model).n).equal(201_088)
    expect(lmHeadLinear({...model, vocabSize: 100}, 2).n).equal(64)
  })

  it('counts FLOPs: two per parameter met, and attention by what is seen', async () => {
    const llama = await shape('meta-llama/Llama-3.1-8B')
    const matrices = parameterCount(llama) - 2 * 128256 * 4096 - 65 * 4096
    expect(linearFlopsPerToken(llama)).equal(2 * matrices)
  })

  it('runs a model in another weight format', async () => {
    const llama = await shape('meta-llama/Llama-3.1-8B')
    const table = 128256 * 4096 * 2
    const rest = (format: WeightFormat) =>
      weightBytesPerRank(withWeightFormat(llama, format)).total - 2 * table - 65 * 4096 * 2
    const full = rest('bf16')
    expect(rest('fp16')).equal(full)
    expect(rest('fp8')).equal(full / 2)
    expect(rest('int8')).equal(full / 2)
    expect(rest('w4a16') / full).closeTo(0.26, 0.001)
    expect(rest('fp4') / full).closeTo(0.281, 0.001)
    const deepseek = await shape('deepseek-ai/DeepSeek-V3')
    expect(withWeightFormat(deepseek, 'fp8')).equal(deepseek)
    expect(weightBytesPerRank(withWeightFormat(deepseek, 'bf16')).total / 1e9).closeTo(1342, 2)
  })

  it('keeps routers and what the checkpoint leaves alone in 16 bits', async () => {
    const model = await shape('openai/gpt-oss-20b')
    const formats = layerLinears(model, model.groups[0]!).map(({name, dtype, bytesPerWeight}) => [
      name,
      dtype,
      bytesPerWeight,
    ])
    expect(formats).deep.equal([
      ['qkv_proj', 'bf16', 2],
      ['o_proj', 'bf16', 2],
      ['router', 'bf16', 2],
      ['experts.gate_up_proj', 'w4a16', 0.53125],
      ['experts.down_proj', 'w4a16', 0.53125],
    ])
    // The checkpoint's own size: 13.8 GB.
    expect(weightBytesPerRank(model).total / 1e9).closeTo(13.75, 0.1)
  })
})
