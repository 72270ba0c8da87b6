/** Which kernel runs gpt-oss's experts: Marlin on Hopper up to vLLM 0.11, their own from 0.12 on. Times by hand. */
import {expect} from 'chai'
import {loadHardware} from '#llmsim/catalogue/hardware.js'
import type {GemmCoefficients} from '#llmsim/catalogue/hardware-shape.js'
import {emptyShape} from '#llmsim/latency/step-time.js'
import {deploy} from '#llmsim/study/deployment.js'
import {runRequest} from '../support/run-request.js'

const prompt = (tokens: number) => ({
  ...emptyShape(),
  ...{tokens, sequences: 1, prefills: 1, prefillTokens: tokens, prefillTokensMax: tokens},
  ...{prefillWork: (tokens * (tokens + 1)) / 2, paddedTokens: tokens},
})

const latencyOf = async (hardware: string, model: string, engineProfile: string) => {
  const request = runRequest({hardware, model, engineProfile, frontEnd: 'none'})
  // Beyond the largest CUDA graph 0.11 to 0.13 wait for their launches; without seats to spare no step is.
  const {engines} = await deploy({...request, engine: {maxNumSeqs: 256}})
  return engines[0]!.latency
}

/** µs of the experts of a layer of gpt-oss-20b on an H100, all 32 touched: 4.25 bits a weight, rows in 16 bit. */
const layerUs = (tokens: number, fit: GemmCoefficients): number => {
  const [hidden, intermediate, experts, picks] = [2880, 2880, 32, 4]
  const weights = 3 * hidden * intermediate
  const arithmetic = (2 * tokens * picks * weights) / (989e6 * fit.computeEfficiency)
  const rows = tokens * picks * (hidden * (2 + 4) + intermediate * (2 * 2 + 8))
  const bytes = experts * weights * 0.53125 + rows
  const reading = bytes / (3.35e6 * fit.memoryEfficiency)
  const p = fit.exponent
  return fit.launchUs + (arithmetic ** p + reading ** p) ** (1 / p)
}

describe('experts in MXFP4', () => {
  it('run with Marlin on Hopper up to vLLM 0.11, with a kernel of their own after', async () => {
    const {w4a16, mxfp4} = (await loadHardware('H100')).kernels.moe
    const older = await latencyOf('H100', 'openai/gpt-oss-20b', '0.11.0')
    const newer = await latencyOf('H100', 'openai/gpt-oss-20b', '0.12.0')
    // As many as a CUDA graph holds: steps differ by their experts alone.
    for (const tokens of [256, 512]) {
      const difference = older.stepTime(prompt(tokens)) - newer.stepTime(prompt(tokens))
      const expected = 24 * (layerUs(tokens, w4a16!) - layerUs(tokens, mxfp4!))
      expect(difference / 1000, `${tokens} tokens`).closeTo(expected, Math.abs(expected) * 0.02)
    }
    const most = [older, newer].map((latency) => latency.stepTime(prompt(8192)))
    expect(most[0]! / most[1]!).within(1.6, 2.2)
    const terms = [older, newer].map(
      ({provenance}) => provenance.find(({term}) => term === 'moe')!.from,
    )
    expect(terms).deep.equal(['calibrated', 'calibrated'])
  })

  const alike: [string, string][] = [
    ['A100', 'openai/gpt-oss-20b'],
    ['RTXPRO6000', 'openai/gpt-oss-20b'],
    ['B200', 'openai/gpt-oss-20b'],
    ['H100', 'Qwen/Qwen3-30B-A3B-FP8'],
    ['H100', 'meta-llama/Llama-3.1-8B'],
  ]
  for (const [hardware, model] of alike)
    it(`are no matter to ${model} on ${hardware}`, async () => {
      const [older, newer] = [
        await latencyOf(hardware, model, 'vllm-0.11'),
        await latencyOf(hardware, model, 'vllm-0.12'),
      ]
      for (const tokens of [2, 300, 4096])
        expect(older.stepTime(prompt(tokens))).equal(newer.stepTime(prompt(tokens)))
    })
})
