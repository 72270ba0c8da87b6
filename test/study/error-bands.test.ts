import {expect} from 'chai'
import {deploy} from '#llmsim/study/deployment.js'
import {bandText, errorBand} from '#llmsim/study/error-bands.js'
import type {RunRequest} from '#llmsim/study/run-request.js'

const request: RunRequest = {
  model: 'meta-llama/Llama-3.1-8B',
  hardware: 'H100',
  layout: {},
  engine: {},
  latency: 'roofline',
  policy: 'fcfs',
  router: 'least-requests',
  frontEnd: 'http',
  seed: 0,
}

const band = async (more: Partial<RunRequest> = {}) =>
  errorBand(await deploy({...request, ...more}))

describe('error bands', () => {
  it('widen with what is not known of device and model', async () => {
    const calibrated = (await band())!
    const experts = (await band({model: 'mistralai/Mixtral-8x7B-v0.1', layout: {tp: 2}}))!
    const unmeasured = (await band({hardware: 'L4', model: 'Qwen/Qwen3-4B'}))!
    const datasheet = (await band({latency: 'datasheet'}))!
    expect(calibrated.kind).equal('calibrated')
    expect(experts.kind).equal('calibrated, experts or quantised')
    expect([unmeasured.kind, datasheet.kind]).deep.equal(['class defaults', 'class defaults'])
    const both = (await band({hardware: 'A10', model: 'Qwen/Qwen3-30B-A3B', layout: {tp: 4}}))!
    expect(both.kind).equal('class defaults, experts or quantised')
    for (const metric of ['ttft', 'tpot', 'e2e'] as const)
      expect(both[metric]).least(Math.max(experts[metric], unmeasured[metric]))
    for (const wider of [experts, unmeasured])
      for (const metric of ['ttft', 'tpot', 'e2e'] as const)
        expect(wider[metric]).above(calibrated[metric])
    const older = (await band({engineProfile: '0.12'}))!
    const latent = (await band({
      model: 'deepseek-ai/DeepSeek-V3',
      layout: {tp: 8},
      hardware: 'H200',
    }))!
    expect([older.kind, latent.kind]).deep.equal([
      'calibrated, vLLM 0.11 to 0.13',
      'latent attention',
    ])
    for (const metric of ['ttft', 'tpot'] as const)
      expect(older[metric], metric).above(calibrated[metric])
    expect(older.e2e).least(calibrated.e2e)
    expect(latent.tpot).above(older.tpot)
    expect(bandText(calibrated)).match(/^expect: TTFT ±\d+ %, TPOT ±\d+ %/)
  })
})
