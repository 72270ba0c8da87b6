/** A run "measured" on a simulated server whose terms are known: validate finds no error, calibrate finds the terms. */
import {mkdtemp, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {loadEngine} from '#llmsim/catalogue/engines.js'
import type {MeasuredRun} from '#llmsim/measured/measured-run.js'
import {readMeasured} from '#llmsim/measured/read.js'
import {wholeStage} from '#llmsim/measured/request-rows.js'
import {e2eOf, ttftOf} from '#llmsim/report/request-metrics.js'
import {type ErrorSummary, sparkline, summariseErrors} from '#llmsim/report/validation.js'
import {pearson} from '#llmsim/stats/correlation.js'
import {calibrate, calibrationFiles} from '#llmsim/study/calibrate.js'
import {deploy} from '#llmsim/study/deployment.js'
import {requestFor} from '#llmsim/study/measured-request.js'
import type {RunRequest} from '#llmsim/study/run-request.js'
import {simulate} from '#llmsim/study/simulate.js'
import {validateRun} from '#llmsim/study/validate.js'
import {generateTrace, parseGenerateSpec} from '#llmsim/trace/generate.js'
import {problemOf} from '../catalogue/problem.js'

const base: RunRequest = {
  model: 'meta-llama/Llama-3.1-8B',
  hardware: 'H100',
  layout: {},
  engine: {},
  engineProfile: 'vllm-0.19',
  latency: 'roofline',
  policy: 'fcfs',
  router: 'least-requests',
  frontEnd: 'http',
  seed: 0,
}

/** What a server with that request would have measured. */
async function measuredOn(request: RunRequest): Promise<MeasuredRun> {
  const spec = {
    requests: 120,
    seed: 1,
    rate: 8,
    arrivals: 'poisson',
    input: 'uniform:200,800',
    output: 'uniform:50,200',
  }
  const trace = generateTrace(await parseGenerateSpec(spec))
  const {outcomes} = simulate({trace, deployment: await deploy(request)}).run
  const rows = Array.from({length: trace.length}, (_, row) =>
    [
      trace.arrivedAt[row]! / 1e9,
      trace.inputTokens[row],
      trace.outputTokens[row],
      ttftOf(outcomes, row) / 1e6,
      e2eOf(outcomes, row) / 1e6,
    ].join(','),
  )
  const path = join(await mkdtemp(join(tmpdir(), 'llmsim-calibrate-')), 'run.csv')
  const header = 'arrived_at,input_tokens,output_tokens,ttft_ms,e2e_ms'
  await writeFile(path, `${[header, ...rows].join('\n')}\n`)
  return (await readMeasured(path))[0]!
}

describe('validate', () => {
  it('finds no error in what was simulated with the same terms', async () => {
    const result = await validateRun(await measuredOn(base), base)
    const {comparisons} = result.stages[0]!
    expect(comparisons.map(({metric}) => metric)).include.members(['ttft_ms', 'tpot_ms', 'e2e_ms'])
    for (const {metric, statistic, error_percent: error} of comparisons)
      expect(Math.abs(error!), `${metric} ${statistic}`).below(0.01)
    expect(result.pearson_r!.e2e).closeTo(1, 1e-6)
  })

  it('tells the noise of a mean: one standard error of simulated − measured', async () => {
    const run = await measuredOn(base)
    const exact = run.requests!
    // Off by +1 and −1 ms in turn: no error in the mean, and a standard deviation of √(n ÷ (n − 1)) ms.
    const ttft = exact.ttft.map((value, row) => value + (row % 2 === 0 ? 1 : -1))
    const [found] = (await validateRun({...run, requests: {...exact, ttft}}, base)).stages
    const noiseOf = (statistic: string, metric: string) =>
      found!.comparisons.find((each) => each.metric === metric && each.statistic === statistic)!
        .noise_percent
    const mean = ttft.reduce((sum, value) => sum + value, 0) / ttft.length
    expect(noiseOf('mean', 'ttft_ms')).closeTo(100 / Math.sqrt(ttft.length - 1) / mean, 1e-3)
    expect(noiseOf('mean', 'e2e_ms')).below(1e-4)
    expect(noiseOf('p50', 'ttft_ms')).equal(undefined)
  })

  it('says that the unit may be another where every latency is a thousand times off', async () => {
    const run = await measuredOn(base)
    const notesAt = async (factor: number, e2eFactor = factor) => {
      const times = (values: Float64Array, by: number) => values.map((value) => value * by)
      const {ttft, tpot, e2e} = run.requests!
      const requests = {
        ttft: times(ttft, factor),
        tpot: times(tpot, e2eFactor),
        e2e: times(e2e, e2eFactor),
      }
      const stages = [wholeStage(run.trace, requests)]
      return (await validateRun({...run, requests, stages, notes: []}, base)).notes
    }
    const note = (share: string, unit: string) => [
      `Every measured latency is about ${share} the simulated one: the file may have ${unit} where ms belong.`,
    ]
    expect(await notesAt(1e-3)).deep.equal(note('a thousandth of', 'seconds'))
    expect(await notesAt(1 / 600)).deep.equal(note('a thousandth of', 'seconds'))
    expect(await notesAt(1e3)).deep.equal(note('a thousand times', 'microseconds'))
    for (const factor of [1, 0.1, 100, 1e-5]) expect(await notesAt(factor)).deep.equal([])
    expect(await notesAt(1e-3, 1)).deep.equal([])
  })

  it('takes from the files what no flag says, and names what is missing', async () => {
    const run = await measuredOn(base)
    const flags = {request: {...base, hardware: undefined}, given: new Set<string>()}
    const settings = {
      model: 'Qwen/Qwen3-8B',
      hardware: 'NVIDIA H100 80GB HBM3',
      engine: '0.15.1',
      tp: 2,
    }
    const made = await requestFor({...run, settings}, flags)
    expect(made).include({model: 'Qwen/Qwen3-8B', hardware: 'H100', engineProfile: '0.15.1'})
    expect(made.layout.tp).equal(2)
    const given = {...flags, given: new Set(['model', 'engine'])}
    const overruled = await requestFor({...run, settings}, given)
    expect(overruled).include({model: base.model, engineProfile: 'vllm-0.19'})
    const missing = await problemOf(() => requestFor({...run, settings: {}}, given))
    expect(missing.code).equal('FLAG_MISSING')
    const odd = await problemOf(() =>
      requestFor({...run, settings: {...settings, hardware: 'Abacus 9'}}, flags),
    )
    expect(odd.code).equal('HARDWARE_UNKNOWN')
  })

  it('draws bars and correlates', () => {
    expect(sparkline([0, 1, 2, 4], 4)).equal('▁▃▅█')
    expect(sparkline([null, 0], 0)).equal('▁▁')
    expect(pearson(Float64Array.of(1, 2, 3), Float64Array.of(2, 4, 6))).closeTo(1, 1e-12)
    expect(pearson(Float64Array.of(1, 2, Number.NaN), Float64Array.of(4, 2, 9))).closeTo(-1, 1e-12)
    expect(pearson(Float64Array.of(1, 1), Float64Array.of(2, 3))).equal(undefined)
  })
})

describe('calibrate', () => {
  it('finds terms that it was not told, and they carry over between the halves', async () => {
    const {profile} = await loadEngine('vllm-0.19')
    const slow = {
      ...profile,
      host: {...profile.host, layerNs: 40_000},
      frontEnd: {...profile.frontEnd, httpNs: 12e6},
    }
    const run = await measuredOn({...base, engineProfile: slow})
    const result = await calibrate(run, base)
    const worst = (errors: readonly ErrorSummary[]) =>
      Math.max(...errors.filter(({metric}) => metric.endsWith('_ms')).map((row) => row.mean_abs))
    expect(worst(result.before)).above(8)
    expect(worst(result.after)).below(1.5)
    for (const half of result.halves) {
      expect(worst(half.after)).below(worst(half.before) * 0.75)
      expect(half.noise).have.keys('ttft_ms', 'tpot_ms', 'e2e_ms')
    }
    const files = await calibrationFiles(result, base)
    expect(files.engine).match(/^extends: vllm-0\.19$/m)
    expect(files.hardware).match(/^extends: H100$/m)
    const folder = await mkdtemp(join(tmpdir(), 'llmsim-calibrated-'))
    const paths = {engine: join(folder, 'e.yaml'), hardware: join(folder, 'h.yaml')}
    await writeFile(paths.engine, files.engine)
    await writeFile(paths.hardware, files.hardware)
    const again = await validateRun(run, {
      ...base,
      engineProfile: paths.engine,
      hardware: paths.hardware,
    })
    expect(worst(summariseErrors([again]))).closeTo(worst(result.after), 0.05)
  }).timeout(120_000)

  it('writes files under which the server has the limits of the card that was fitted', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'llmsim-calibrated-'))
    const seatsOn = async (card: string): Promise<number> => {
      const path = join(folder, `my-${card}.yaml`)
      await writeFile(path, `extends: ${card}\n`)
      const {replicas} = await deploy({...base, hardware: path})
      return replicas[0]!.engine.maxNumSeqs
    }
    expect(await seatsOn('H100')).equal(1024)
    expect(await seatsOn('A100')).equal(256)
  })

  it('refuses a run that is too short', async () => {
    const run = await measuredOn(base)
    const problem = await problemOf(() => calibrate({...run, requests: undefined}, base))
    expect(problem.code).equal('MEASURED_BAD_FILE')
  })
})
