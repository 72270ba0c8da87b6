/** The largest rate that still meets the SLOs: bracketed by whole simulations, and told when there is none. */
import {expect} from 'chai'
import {probeText} from '#llmsim/command-flags/rate-search.js'
import {parseSlo} from '#llmsim/report/slo.js'
import {deploy} from '#llmsim/study/deployment.js'
import {findRate, type RateProbe} from '#llmsim/study/find-rate.js'
import {simulate} from '#llmsim/study/simulate.js'
import {parseArrivals} from '#llmsim/trace/arrivals.js'
import {generateTrace} from '#llmsim/trace/generate.js'
import {readTrace} from '#llmsim/trace/read.js'
import {repeat} from '#llmsim/trace/repeat.js'
import {parseDistribution} from '#llmsim/trace/samplers.js'
import type {Trace} from '#llmsim/trace/trace.js'
import {toRate} from '#llmsim/trace/transform.js'
import {problemOf} from '../catalogue/problem.js'
import {llmsim} from '../support/cli.js'
import {runRequest} from '../support/run-request.js'

const on = (hardware: string) => deploy(runRequest({hardware}))

describe('find-rate', () => {
  let trace: Trace
  before(async () => {
    trace = await generateTrace({
      requests: 400,
      rate: 4,
      seed: 7,
      arrivals: parseArrivals('poisson', 'arrivals'),
      input: parseDistribution('lognormal:mean=500,cv=1', 'input'),
      output: parseDistribution('lognormal:mean=120,cv=1', 'output'),
    })
  })

  const slo = parseSlo('ttft=300ms,tpot=25ms')
  const share = 0.99

  it('holds at the rate that it finds, and not one per cent above', async () => {
    const deployment = await on('H100')
    const {rate, summary, probes, limit} = findRate({trace, deployment, slo, share})
    const attainment = (at: number) =>
      simulate({trace: toRate(trace, at), deployment, slo}).summary.goodput!.attainment!
    expect(rate).a('number').above(4)
    expect(attainment(rate!)).equal(summary.goodput!.attainment).at.least(share)
    const above = probes.filter((probe) => probe.rate > rate!).sort((a, b) => a.rate - b.rate)[0]!
    expect(above.holds).equal(false)
    expect(above.rate / rate!).within(1, 1.0101)
    expect(limit).a('string').not.equal('')
  })

  it('is larger on faster hardware and under looser bounds', async () => {
    const rateOf = async (hardware: string, bounds = slo) =>
      findRate({trace, deployment: await on(hardware), slo: bounds, share}).rate!
    expect(await rateOf('H100')).above(await rateOf('L40S'))
    expect(await rateOf('H100', parseSlo('ttft=300ms,tpot=40ms'))).above(await rateOf('H100'))
  })

  it('says when even a lonely request misses', async () => {
    const found = findRate({trace, deployment: await on('L40S'), slo: parseSlo('tpot=1ms'), share})
    expect(found.rate).equal(null)
    expect(found.caveat).match(/even at .* nearly alone, only 0\.\d % meet/)
  })

  it('says which rates are only bounds, and of a trace that is too short for its limit', async () => {
    const deployment = await on('H100')
    const found = findRate({trace, deployment, slo, share})
    expect(found).include({bound: 'found'})
    expect(found.caveat).equal(undefined)
    const never = findRate({trace, deployment, slo: parseSlo('tpot=1ms'), share})
    expect(never.bound).equal('none')
    // Twenty requests: what they do together is over before it settles.
    const few = await generateTrace({
      requests: 20,
      rate: 4,
      seed: 7,
      arrivals: parseArrivals('poisson', 'arrivals'),
      input: parseDistribution('fixed:2000', 'input'),
      output: parseDistribution('fixed:200', 'output'),
    })
    const loose = parseSlo('ttft=9000s')
    const endless = findRate({trace: few, deployment, slo: loose, share})
    expect(endless.bound).equal('at least')
    expect(endless.caveat).match(
      /^at least [\d.]+ requests\/s: so many are served when all requests come nearly at once, .*the trace is too short to show the limit/,
    )
    expect(endless.rate).within(endless.summary.throughput.requests_per_s!, 60)
    const burst = findRate({trace: few, deployment, slo: parseSlo('ttft=300ms'), share})
    expect(burst.bound).equal('at least')
    expect(burst.caveat).match(
      /^at least [\d.]+ requests\/s: the SLOs hold up to [\d.]+ requests\/s, but no more than these are served; the trace is too short/,
    )
  })

  describe('of a trace that the device serves at 1.8 requests/s', () => {
    const loose = parseSlo('tpot=2s')
    let code: Trace
    before(async () => {
      code = await readTrace(['traces/code.csv'], {})
    })

    // Forever again, 1.83/s are served: the queue stays where it was from round to round; at 1.9/s it grows.
    for (const policy of ['fcfs', 'sjf', 'priority'])
      it(`is that, under ${policy}, where no SLO binds`, async () => {
        const deployment = await deploy(runRequest({hardware: 'RTX3090', policy}))
        const found = findRate({trace: code, deployment, slo: loose, share})
        expect(found.bound).equal('found')
        expect(found.rate).within(1.75, 1.86)
        expect(found.caveat).match(/^1\.8\d req\/s are served however many come; so short a trace/)
        expect(found.limit).match(/^overloaded/)
      })

    it('is less where the SLOs hold in one pass, but not when the trace follows itself', async () => {
      const deployment = await deploy(runRequest({hardware: 'RTX3090'}))
      const slo = parseSlo('ttft=20s')
      const {rate, bound, caveat, probes, summary} = findRate({
        trace: code,
        deployment,
        slo,
        share,
      })
      const met = (trace: Trace) => simulate({trace, deployment, slo}).summary.goodput!.attainment!
      const twice = (at: number) => {
        const once = toRate(code, at)
        return repeat(once, {count: 2, ns: Math.round((1e9 * code.length) / at)})
      }
      const once = Math.max(
        ...probes.filter((one) => one.holds && one.rounds === 1).map((one) => one.rate),
      )
      expect(met(toRate(code, once))).at.least(share)
      expect(met(twice(once))).below(0.95)
      expect(bound).equal('found')
      expect(met(twice(rate!))).at.least(share)
      expect(summary.goodput!.attainment).equal(met(toRate(code, rate!)))
      expect(met(twice(rate! * 1.02))).below(share)
      expect(caveat).match(
        /^one pass of the trace holds 0\.99\d req\/s, but when it follows itself only 0\.8\d+ last$/,
      )
    })

    it('is no more of a few of its requests, and only a bound', async () => {
      const deployment = await deploy(runRequest({hardware: 'RTX3090', policy: 'sjf'}))
      for (const limit of [2, 10, 29]) {
        const trace = await readTrace(['traces/code.csv'], {limit})
        const {rate, bound, caveat} = findRate({trace, deployment, slo: loose, share})
        expect(bound).equal('at least')
        expect(rate).below(2.5)
        expect(caveat).match(/^at least .*the trace is too short to show the limit$/)
      }
    })
  })

  it('of sessions that go on for long is what was served, and a bound', async () => {
    const chat = await readTrace(['traces/chat.csv'], {limit: 120})
    const found = findRate({
      trace: chat,
      deployment: await on('H100'),
      slo: parseSlo('tpot=9s'),
      share,
    })
    expect(found.bound).equal('at least')
    expect(found.rate).below(10)
  })

  it('tells every probe, and makes the same ones each time', async () => {
    const run = async () => {
      const told: number[] = []
      const onProbe = ({rate}: {rate: number}) => told.push(rate)
      const {probes} = findRate({trace, deployment: await on('H100'), slo, share, onProbe})
      expect(told).deep.equal(probes.map(({rate}) => rate))
      return probes
    }
    expect(await run()).deep.equal(await run())
  })

  it('refuses a trace without a rate', async () => {
    const deployment = await on('H100')
    const burst = {...trace, arrivedAt: new Float64Array(trace.length)}
    const problem = await problemOf(() => findRate({trace: burst, deployment, slo, share}))
    expect([problem.code, problem.message.includes('no rate to change')]).deep.equal([
      'FLAG_CONFLICT',
      true,
    ])
  })
})

describe('simulate --find-rate', () => {
  const command = ['simulate', 'traces/code.csv', '--limit', '100', '--find-rate']

  it('prints a row for each device and what limits it', async () => {
    const flags = ['--hardware', 'A100,H100,T4', '--slo', 'ttft=2s,tpot=80ms']
    const {stdout, stderr} = await llmsim(...command, ...flags)
    for (const line of stdout.split('\n')) expect(line.length, line).at.most(80)
    expect(stdout)
      .match(/^A100 +\d/m)
      .match(/^H100 +\d/m)
      .match(/T4: .*does not fit/)
    expect(stdout.replaceAll(/\s+/g, ' ')).include(
      '99 % of the requests meet TTFT ≤ 2000 ms, TPOT ≤ 80 ms',
    )
    // Nobody looks: no line of progress.
    expect(stderr).equal('')
  })

  it('says of which rates the queue grows', async () => {
    const argv = ['simulate', 'traces/code.csv', '--find-rate', '--hardware', 'RTX3090']
    const {stdout} = await llmsim(...argv, '--slo', 'tpot=2s', '--json')
    const probes: RateProbe[] = JSON.parse(stdout).find_rate.probes
    expect(probes.map((probe) => probeText('RTX3090', probe)).join('\n'))
      .match(/^RTX3090: 3\.21 req\/s, 100\.0 % within the SLOs, but overloaded$/m)
      .match(/^RTX3090: 1\.60 req\/s, 100\.0 % within the SLOs$/m)
      .match(/^RTX3090: 1\.\d+ req\/s, 2 times in a row, 100\.0 % within the SLOs$/m)
  })

  it('prints one JSON value', async () => {
    const flags = ['--hardware', 'H100', '--slo', 'ttft=2s', '--json']
    const {stdout} = await llmsim(...command, ...flags)
    const {find_rate: found, config, summary} = JSON.parse(stdout)
    expect(found.requests_per_s).above(0)
    expect(found).include({share: 0.99, bound: 'found'})
    expect(config.engines).length(1)
    expect(summary.goodput.attainment).at.least(0.99)
  })

  it('prints a bound as one, in tables and JSON', async () => {
    const flags = ['--hardware', 'H100', '--slo', 'ttft=9000s', '--limit', '9']
    const few = command.filter((word) => word !== '--limit' && word !== '100')
    const text = (await llmsim(...few, ...flags)).stdout.replaceAll(/\s+/g, ' ')
    expect(text)
      .match(/H100 ≥ [\d,.]+ 100 %/)
      .match(/H100: at least [\d,.]+ requests\/s: so many are served when all requests come/)
    const {stdout, stderr} = await llmsim(...few, ...flags, '--json')
    expect(JSON.parse(stdout).find_rate).include({bound: 'at least'})
    expect(stderr).not.include('e+')
  })

  const wrong: [string[], RegExp][] = [
    [[], /--find-rate needs --slo/],
    [['--slo', 'ttft=1s', '--rate', '3'], /--find-rate and --rate/],
    [['--slo', 'ttft=1s', '--concurrency', '3'], /--find-rate and --concurrency/],
    [['--slo', 'ttft=1s', '--steps', 'x.csv'], /--find-rate and --steps/],
  ]
  for (const [flags, message] of wrong)
    it(`refuses ${flags.join(' ') || 'no SLO'}`, async () => {
      const {error} = await llmsim(...command, '--hardware', 'H100', ...flags)
      expect(error?.message).match(message)
      expect(error?.oclif?.exit).equal(2)
    })
})
