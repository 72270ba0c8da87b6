import {expect} from 'chai'
import {deploy, type GivenRequest} from '#llmsim/study/deployment.js'
import {describeEngines} from '#llmsim/study/describe.js'
import {problemOf} from '../catalogue/problem.js'

const gptOss = {hardware: 'A100', model: 'gpt-oss-120b'} satisfies GivenRequest
const gemma = {hardware: 'H200', model: 'gemma-3-27b-it'} satisfies GivenRequest

const settled = async (request: GivenRequest) => {
  const {engines, notes} = await deploy(request)
  return {...engines[0]!.settled, notes}
}

describe('KV of layers with windows', () => {
  const whole: readonly [string, GivenRequest, RegExp?][] = [
    ['the flag says so', {...gptOss, engine: {disableHybridKvCacheManager: true}}],
    ['LLMServingSim keeps it', {...gemma, compat: 'llmservingsim', latency: 'roofline'}],
    [
      'instances hand KV on',
      {...gptOss, layout: {prefill: 1, decode: 1}},
      /whole context, as KV is handed on/,
    ],
    [
      'a tier keeps KV',
      {
        ...gptOss,
        kvOffload: {tiers: [{kind: 'cpu', bytes: 1e11, write: 'through', isShared: false}]},
      },
      /whole context, as memory below the device keeps KV/,
    ],
    [
      'a draft model keeps KV',
      {...gemma, speculation: {tokens: 3, rates: [0.7], draftModel: 'gemma-3-1b-it'}},
      /whole context, as a draft model keeps KV/,
    ],
    [
      'the release does not do it',
      {
        hardware: 'H200',
        layout: {tp: 8},
        model: 'Llama-4-Maverick-17B-128E-Instruct',
        engineProfile: 'vllm-0.11',
      },
      /layers that see a chunk keep KV of the whole context, as vllm-0\.11 has it/,
    ],
    ['no layer has one', {hardware: 'H100', model: 'Llama-3.1-8B'}],
  ]
  for (const [why, request, note] of whole)
    it(`is that of the whole context where ${why}`, async () => {
      const {config, notes} = await settled(request)
      expect(config.kvGroups).equal(undefined)
      const told = notes.filter((text) => text.includes('whole context'))
      expect(told).length(note === undefined ? 0 : 1)
      if (note) expect(told[0]).match(note)
    })

  it('is counted in pages otherwise, of which a token takes one in each group', async () => {
    const [hybrid, plain] = await Promise.all([
      settled(gemma),
      settled({...gemma, engine: {disableHybridKvCacheManager: true}}),
    ])
    expect(hybrid.config.kvGroups!.map(({pages}) => pages)).deep.equal([6, 1])
    // 62 layers in 7 groups of 10: a page holds 10 of them.
    expect(hybrid.config.numGpuBlocks / plain.config.numGpuBlocks).closeTo(6.2, 0.001)
    expect(hybrid.memory!.tokens).closeTo((plain.memory!.tokens * 62) / 70, 16)
  })

  it('is said in the description', async () => {
    const lines = describeEngines(await deploy(gptOss)).join('\n')
    expect(lines).match(
      /KV pages of 16 tokens, 2 a block \(1 for windows of 128 tokens, 1 for the whole context\): [\d,]+ tokens kept whole/,
    )
  })

  it('lets a longer request in than blocks of the whole context would', async () => {
    const tight = {...gptOss, engine: {numGpuBlocksOverride: 2000}}
    const {config, notes} = await settled(tight)
    // 137 blocks for the window and a step of 2,048 tokens; all others for the whole context.
    expect(config.maxModelLen).equal((2000 - 137) * 16)
    expect(notes.join()).match(/max_model_len is 29808, what the KV blocks hold/)
  })

  const wrong: readonly [string, GivenRequest, string, RegExp, RegExp][] = [
    [
      'the manager with instances that hand KV on',
      {...gptOss, layout: {prefill: 1, decode: 1}, engine: {disableHybridKvCacheManager: false}},
      'FLAG_CONFLICT',
      /--no-disable-hybrid-kv-cache-manager: that KV is handed on/,
      /Leave --no-disable-hybrid-kv-cache-manager out/,
    ],
    [
      'the manager under the semantics of LLMServingSim',
      {...gptOss, compat: 'llmservingsim', engine: {disableHybridKvCacheManager: false}},
      'FLAG_CONFLICT',
      /--no-disable-hybrid-kv-cache-manager: what LLMServingSim does is modelled/,
      /Leave --no-disable-hybrid-kv-cache-manager out/,
    ],
    [
      'fewer pages than groups',
      {...gptOss, engine: {numGpuBlocksOverride: 1}},
      'FLAG_BAD_VALUE',
      /--num-gpu-blocks-override 1 is less than a block for each group/,
      /a larger --num-gpu-blocks-override/,
    ],
  ]
  for (const [what, request, code, message, hint] of wrong)
    it(`refuses ${what}`, async () => {
      const problem = await problemOf(() => deploy(request))
      expect(problem.code).equal(code)
      expect(problem.message).match(message)
      expect(problem.suggestions.join()).match(hint)
    })

  it('say that the manager has nothing to do where no layer keeps less than the whole context', async () => {
    const {engines} = await deploy({
      hardware: 'H100',
      engine: {disableHybridKvCacheManager: false},
    })
    expect(JSON.stringify(engines)).match(
      /--no-disable-hybrid-kv-cache-manager changes nothing: meta-llama/,
    )
  })
})
