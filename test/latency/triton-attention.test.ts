/** Attention with sinks on cards whose FlashAttention has none: by hand, and against the step times of a server. */
import {expect} from 'chai'
import {emptyShape} from '#llmsim/latency/step-time.js'
import {deploy} from '#llmsim/study/deployment.js'
import {runRequest} from '../support/run-request.js'

const latencyOf = async (hardware: string, model: string) => {
  const {engines} = await deploy(
    runRequest({hardware, model, frontEnd: 'none', engineProfile: 'vllm-0.11'}),
  )
  return engines[0]!.latency
}

const chunk = (tokens: number, cached: number) => ({
  ...emptyShape(),
  ...{tokens, sequences: 1, prefills: 1, prefillTokens: tokens, prefillTokensMax: tokens},
  ...{prefillContext: cached, prefillContextMax: cached, paddedTokens: tokens},
  prefillWork: tokens * (cached + (tokens + 1) / 2),
})

describe('attention in Triton', () => {
  it('reads all keys and values again for every two tokens of gpt-oss', async () => {
    const {stepTime} = await latencyOf('A100', 'openai/gpt-oss-20b')
    const [near, far] = [stepTime(chunk(2048, 4000)), stepTime(chunk(2048, 20_000))]
    // 12 layers see all; 8 KV heads of 64 keys and values in 16 bit; 16 rows are 2 tokens × 8 heads; 1.09 × 2,039 GB/s.
    const bytes = 8 * (64 + 64) * 2
    const pairs = 2048 * 16_000
    const expected = (12 * pairs * bytes) / 2 / (1.09 * 2039)
    expect((far - near) / expected).within(0.97, 1.15)
  })

  it('takes what a server with it took', async () => {
    // GPUStack, A100, vLLM 0.11.0: medians between tokens, in steps of 2,048, with prompts of 2,000, 4,000 and 32,000.
    const {stepTime} = await latencyOf('A100', 'openai/gpt-oss-20b')
    const measured = [
      [1000, 119],
      [2000, 129.5],
      [16_000, 274],
    ] as const
    for (const [cached, ms] of measured)
      expect(stepTime(chunk(2048, cached)) / 1e6 / ms, `${cached} tokens`).within(0.8, 1.1)
  })

  it('says where its figures come from', async () => {
    const termOf = async (hardware: string) =>
      (await latencyOf(hardware, 'openai/gpt-oss-20b')).provenance.filter(({term}) =>
        term.startsWith('attention'),
      )
    const terms = await termOf('RTX4090')
    expect(terms.map(({term, from}) => [term, from])).deep.equal([['attention', 'class default']])
    expect(terms[0]!.detail).match(/Triton/)
    expect((await termOf('H100'))[0]!.detail).not.match(/Triton/)
  })

  for (const hardware of ['H100', 'B200', 'MI300X'])
    it(`is no matter to ${hardware}`, async () => {
      const {provenance} = await latencyOf(hardware, 'openai/gpt-oss-20b')
      expect(JSON.stringify(provenance)).not.match(/Triton/)
    })
})
