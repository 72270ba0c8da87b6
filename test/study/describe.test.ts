/** The head of a run. */
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {deploy} from '#llmsim/study/deployment.js'
import {describeDevices, describeEngines, describeRun} from '#llmsim/study/describe.js'
import {errorBand} from '#llmsim/study/error-bands.js'
import {factsOf} from '#llmsim/trace/parts.js'
import {readTrace} from '#llmsim/trace/read.js'
import {runRequest} from '../support/run-request.js'

describe('engines of a cluster file, in the head of a run', () => {
  const folder = mkdtempSync(join(tmpdir(), 'llmsim-'))
  after(() => rmSync(folder, {recursive: true}))

  const headOf = async (text: string): Promise<string[]> => {
    const cluster = join(folder, 'cluster.yaml')
    writeFileSync(cluster, text)
    return describeEngines(await deploy(runRequest({frontEnd: 'none', cluster})))
  }
  const gptOss = 'model: gpt-oss-20b\nhardware: RTX3090\n'

  const unlike: readonly (readonly [
    name: string,
    text: string,
    engines: string[],
    kv: string[],
  ])[] = [
    [
      'formats of KV',
      'hardware: RTX3090\ninstances: [{}, {engine: {kv_cache_dtype: fp8}}]\n',
      ['kv_cache_dtype auto', 'kv_cache_dtype fp8'],
      ['blocks', 'blocks'],
    ],
    [
      'longest requests',
      'hardware: RTX3090\ninstances: [{}, {engine: {max_model_len: 1000}}]\n',
      ['max_model_len ', 'max_model_len 1000'],
      ['blocks', 'blocks'],
    ],
    [
      'chunks of prompts',
      'hardware: RTX3090\ninstances: [{}, {engine: {long_prefill_token_threshold: 512}}]\n',
      ['long_prefill_token_threshold 0', 'long_prefill_token_threshold 512'],
      ['blocks', 'blocks'],
    ],
    [
      'ways to keep windows',
      `${gptOss}instances: [{}, {engine: {disable_hybrid_kv_cache_manager: true}}]\n`,
      ['', ''],
      ['pages', 'blocks'],
    ],
  ]
  for (const [name, text, says, kinds] of unlike)
    it(`have lines of their own where they have different ${name}`, async () => {
      const lines = await headOf(text)
      const engines = lines.filter((line) => /seats/.test(line))
      expect(engines).length(2)
      expect(engines.filter((line) => line.includes('×'))).deep.equal([])
      for (const [at, say] of says.entries()) expect(engines[at]).contain(say)
      const memory = lines.filter((line) => / above\): memory: /.test(line))
      expect(memory).length(2)
      for (const [at, kind] of kinds.entries()) expect(memory[at]).contain(`KV ${kind} of`)
      if (name === 'formats of KV') {
        const [auto, fp8] = memory.map((line) =>
          Number(/([\d,]+) KV blocks/.exec(line)![1]!.replaceAll(',', '')),
        )
        expect(fp8).within(2 * auto!, 2 * auto! + 1)
      }
    })

  it('stand above the figures, and what is known of them below, by name where there are several', async () => {
    const cluster = join(folder, 'cluster.yaml')
    writeFileSync(cluster, 'instances: [{hardware: H100}, {hardware: A100}]\n')
    const deployment = await deploy(runRequest({frontEnd: 'none', cluster}))
    const trace = factsOf(await readTrace(['traces/chat.csv']))
    const lines = describeRun(trace, deployment, 'chat.csv')
    const foot = lines.indexOf('')
    const above = lines.slice(0, foot)
    expect(above.length).most(4)
    expect(above.join('\n'))
      .match(/on H100:/)
      .match(/on A100:/)
      .not.match(/memory|gemm|expect/)
    const below = lines.slice(foot + 1).join('\n')
    expect(below)
      .match(/^expect: /m)
      .match(/^H100: memory: /m)
      .match(/^A100: gemm: /m)
  })

  it('of several devices have the errors of each, where any are known', async () => {
    const of = (hardware: string, engine: {enforceEager?: boolean} = {}) =>
      deploy(runRequest({frontEnd: 'none', hardware, engine}))
    const trace = factsOf(await readTrace(['traces/chat.csv']))
    const deployments = [
      await of('H100'),
      await of('RTX3090'),
      await of('L40S', {enforceEager: true}),
    ]
    const lines = describeDevices(trace, deployments, 'chat.csv')
    for (const [at, {engines}] of deployments.entries()) {
      const {hardwareName} = engines[0]!.instance
      const line = lines.find((own) => own.startsWith(`${hardwareName}: `) && /seats/.test(own))!
      const {ttft, tpot, e2e} = errorBand(deployments[at]!) ?? {}
      if (ttft === undefined) expect(line).not.match(/expect/)
      else
        expect(line).include(
          `; expect TTFT ±${ttft} %, TPOT ±${tpot} %, E2E ±${e2e} % in the mean; calibrated: gemm`,
        )
    }
    expect(deployments.map((own) => errorBand(own) !== undefined)).deep.equal([true, true, false])
  })

  it('share them where all is alike, however it was written', async () => {
    const lines = await headOf(
      'hardware: RTX3090\ninstances: [{}, {engine: {max_num_seqs: 8}}, {engine: {block_size: 16}}]\n',
    )
    const engines = lines.filter((line) => /seats/.test(line))
    expect(engines).length(2)
    expect(engines[0]).match(/^2 × .*256 seats.*synchronous$/)
    expect(engines[1]).match(/8 seats/)
    expect(engines.join()).not.contain('kv_cache_dtype')
  })
})
