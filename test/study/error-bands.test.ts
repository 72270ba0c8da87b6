import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {deploy} from '#llmsim/study/deployment.js'
import {bandLine, errorBand} from '#llmsim/study/error-bands.js'
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
  })

  it('are told with what they go by, and with the terms that are class defaults all the same', async () => {
    const basis = async (more: Partial<RunRequest>) => {
      const deployment = await deploy({...request, ...more})
      const line = bandLine(deployment)!
      expect(line).match(/^expect: TTFT ±\d+ %, TPOT ±\d+ %, E2E ±\d+ % in the mean \(/)
      expect(line).match(/; nine in ten of \d+ measured stages\)$/)
      const told = /in the mean \((.*);/.exec(line)![1]!
      // Beside the lines of the very same run.
      const terms = deployment.engines[0]!.latency.provenance.filter(
        ({from}) => from === 'class default',
      ).map(({term}) => term)
      for (const term of more.latency === 'datasheet' ? [] : terms) expect(told).include(term)
      return told
    }
    expect(await basis({})).equal('calibrated device')
    expect(await basis({hardware: 'A100'})).equal(
      'calibrated device, class defaults for attention of mixed steps and host',
    )
    expect(await basis({hardware: 'A6000', layout: {tp: 2}})).equal(
      'calibrated device, class defaults for attention of mixed steps, all-reduce and host',
    )
    expect(await basis({hardware: 'RTX3090'})).equal(
      'device not calibrated, class defaults for attention, attention of mixed steps and host',
    )
    expect(await basis({latency: 'datasheet'})).equal('datasheet')
    expect(await basis({engineProfile: '0.12'})).match(/^calibrated device, vLLM 0.11 to 0.13/)
    const experts = {model: 'mistralai/Mixtral-8x7B-v0.1', layout: {tp: 2}}
    expect(await basis(experts)).match(/^calibrated device, experts or quantised weights/)
    expect(await basis({hardware: 'RTX3090', model: 'gpt-oss-20b'})).match(
      /^device not calibrated, experts or quantised weights, class defaults for /,
    )
  })

  it('of a card that extends another say that nobody measured it, though its terms were', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'llmsim-card-'))
    const card = join(folder, 'my-card.yaml')
    writeFileSync(card, 'extends: H100\nbandwidth_gb_s: 3900\n')
    try {
      const deployment = await deploy({...request, hardware: card})
      expect(bandLine(deployment)).match(/\(device not calibrated; /)
      const [gemm, attention] = deployment.engines[0]!.latency.provenance
      expect(gemm!.detail).match(/^measured on H100: aiconfigurator/)
      expect(attention!.detail).match(/^measured on H100: aiconfigurator/)
    } finally {
      rmSync(folder, {recursive: true})
    }
  })
})
