/** What policies are for, on whole deployments that get more than they can take. The figures are printed. */
import {expect} from 'chai'
import {describe as distribution} from '#llmsim/stats/percentiles.js'
import {deploy} from '#llmsim/study/deployment.js'
import {defaultModel} from '#llmsim/study/run-request.js'
import {type Simulation, simulate} from '#llmsim/study/simulate.js'
import {generateTrace, parseGenerateSpec} from '#llmsim/trace/generate.js'
import {readTrace} from '#llmsim/trace/read.js'
import type {Trace} from '#llmsim/trace/trace.js'
import {root} from '../support/cli.js'

const run = async (trace: Trace, policy: string, hardware = 'H100'): Promise<Simulation> => {
  const deployment = await deploy({
    model: defaultModel,
    hardware,
    layout: {},
    engine: {},
    latency: 'auto',
    policy,
    router: 'least-requests',
    frontEnd: 'http',
    seed: 0,
  })
  return simulate({trace, deployment, check: true})
}

const ms = (ns: number): string => `${(ns / 1e6).toFixed(0)} ms`
const tell = (line: string): void => console.log(`      ${line}`)

/** Times to first token of the rows that `includes`, in ns. */
const ttftOf = (
  {run: {outcomes}}: Simulation,
  includes: (row: number) => boolean,
): Float64Array => {
  const rows = Array.from({length: outcomes.length}, (_, row) => row).filter(includes)
  return Float64Array.from(rows, (row) => outcomes.firstTokenAt[row]! - outcomes.arrivedAt[row]!)
}

const p99 = (times: Float64Array): number => distribution(times)!.p99

describe('sjf under load', function () {
  this.timeout(60_000)

  const cases = [
    {file: 'code.csv', hardware: 'H100', rate: 12},
    {file: 'code.csv', hardware: 'RTX3090', rate: 3},
  ] as const
  for (const {file, hardware, rate} of cases)
    it(`lowers the mean time to first token of ${file} at ${rate}/s on ${hardware}, and somebody pays`, async () => {
      const trace = await readTrace([`${root}traces/${file}`], {rate})
      const [fcfs, sjf] = [await run(trace, 'fcfs', hardware), await run(trace, 'sjf', hardware)]
      const figures = [fcfs, sjf].map(({summary}) => summary.ttft_ms!)
      const [first, short] = figures as [(typeof figures)[0], (typeof figures)[0]]
      for (const [name, {mean, p50, max}] of [
        ['fcfs', first],
        ['sjf', short],
      ] as const)
        tell(
          `${name}: mean ${mean!.toFixed(0)} ms, p50 ${p50!.toFixed(0)} ms, max ${max!.toFixed(0)} ms`,
        )
      expect(short.mean!).lessThan(0.85 * first.mean!)
      expect(short.max!).greaterThan(first.max!)
    })
})

describe('priority under load', function () {
  this.timeout(60_000)

  it('keeps the p99 of class 0 near what it is without the others', async () => {
    const generated = generateTrace(
      await parseGenerateSpec({
        requests: 1500,
        seed: 1,
        rate: 40,
        arrivals: 'poisson',
        input: 'lognormal:mean=1500,p99=6000',
        output: 'lognormal:mean=150,p99=600',
      }),
    )
    const isUrgent = (row: number) => row % 5 === 0
    const priority = Int32Array.from({length: generated.length}, (_, row) =>
      isUrgent(row) ? 0 : 1 + (row % 2),
    )
    const trace: Trace = {...generated, priority}
    const urgentOnly: Trace = {
      length: generated.length / 5,
      arrivedAt: generated.arrivedAt.filter((_, row) => isUrgent(row)),
      inputTokens: generated.inputTokens.filter((_, row) => isUrgent(row)),
      outputTokens: generated.outputTokens.filter((_, row) => isUrgent(row)),
      notes: [],
      format: 'test',
    }
    const alone = p99(ttftOf(await run(urgentOnly, 'fcfs'), () => true))
    const figures: Record<string, number[]> = {}
    for (const policy of ['fcfs', 'priority']) {
      const simulation = await run(trace, policy)
      const classes = [0, 1, 2].map((of) => p99(ttftOf(simulation, (row) => priority[row] === of)))
      figures[policy] = classes
      tell(`${policy}: p99 of class 0, 1, 2: ${classes.map(ms).join(', ')}`)
    }
    tell(`class 0 alone: ${ms(alone)}`)
    const [urgent, next, last] = figures.priority!
    expect(figures.fcfs![0]!).greaterThan(50 * alone)
    // It waits for full batches: the one that runs, the one planned behind it, and its own.
    expect(urgent!).lessThan(4 * alone)
    expect(next!).greaterThan(urgent!)
    expect(last!).greaterThan(next!)
  })
})
