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
    for (const wider of [experts, unmeasured])
      for (const metric of ['ttft', 'tpot', 'e2e'] as const)
        expect(wider[metric]).above(calibrated[metric])
    expect(bandText(calibrated)).match(/^expect: TTFT ±\d+ %, TPOT ±\d+ %/)
  })
})
