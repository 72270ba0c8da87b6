/** Autoscaling of whole deployments: what it costs, and the words for it. */
import {mkdtempSync, readFileSync, rmSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {expect} from 'chai'
import {deploy} from '#llmsim/study/deployment.js'
import type {RunRequest} from '#llmsim/study/run-request.js'
import {simulate} from '#llmsim/study/simulate.js'
import {readTrace} from '#llmsim/trace/read.js'
import {llmsim, root} from '../support/cli.js'
import {runRequest} from '../support/run-request.js'

const chat = `${root}traces/chat.csv`

const request = runRequest({
  hardware: 'RTX3090',
  layout: {instances: 6},
  autoscale: {
    signal: 'utilisation',
    target: 0.5,
    windowNs: 5e9,
    provisionNs: 10e9,
    coldStartNs: 5e9,
    stabilisationNs: 20e9,
    minInstances: 1,
  },
})

const windowOf = ({run: {outcomes}}: ReturnType<typeof simulate>) => ({
  from: outcomes.arrivedAt.reduce((least, at) => Math.min(least, at)),
  to: outcomes.finishedAt.reduce((most, at) => Math.max(most, at)),
})

describe('a deployment that scales', () => {
  it('pays for the time its instances were there, in money and in energy', async () => {
    const deployment = await deploy(request)
    const {summary, fleet} = simulate({trace: await readTrace([chat]), deployment, check: true})
    const {autoscaling, cost, energy, duration_s} = summary
    let ns = 0
    for (const {length, starts, ends} of fleet!.on)
      for (let i = 0; i < length; i++) ns += ends[i]! - starts[i]!
    expect(autoscaling!.most_ready).greaterThan(1)
    expect(autoscaling!.instance_hours).closeTo(ns / 3600e9, 1e-12)
    expect(cost!.usd).closeTo(0.25 * autoscaling!.instance_hours, 1e-9)
    expect(cost!.devices).closeTo(autoscaling!.mean_instances!, 1e-9)
    // What is there draws 350 W at work, half of it in standby and 35/600 of it idle.
    const seconds =
      energy!.active_j / 350 + energy!.standby_j / 175 + energy!.idle_j / (350 * (35 / 600))
    expect(seconds).closeTo(ns / 1e9, 1e-6)
    expect(seconds).lessThan(6 * duration_s!)
  })

  it('is as busy as its instances were while they were ready, and has no KV of those that never were', async () => {
    const trace = await readTrace([chat], {rate: 8})
    const {autoscale} = request
    // Cold starts end after the trace: one instance is ever ready.
    const alone = {...autoscale!, coldStartNs: 1e15}
    const one = simulate({trace, deployment: await deploy({...request, autoscale: alone})})
    const plain = simulate({
      trace,
      deployment: await deploy({...request, autoscale: undefined, layout: {instances: 1}}),
    })
    expect(one.fleet!.scaleOuts).greaterThan(0)
    expect(one.summary.kv.blocks).equal(plain.summary.kv.blocks)
    expect(one.summary.utilisation).closeTo(plain.summary.utilisation!, 1e-12)
    expect(one.summary.engines.map(({utilisation}) => utilisation).slice(1)).deep.equal(
      Array.from({length: 5}, () => null),
    )
    const many = simulate({trace, deployment: await deploy(request)})
    const busy = many.engines.reduce((sum, {busyNs}) => sum + busyNs, 0)
    // instances.csv: ready and draining from each change on.
    const {changes} = many.fleet!
    const {from, to} = windowOf(many)
    const ready = changes.reduce((sum, {at, ready, draining}, i) => {
      const end = Math.min(to, changes[i + 1]?.at ?? to)
      return sum + (ready + draining) * Math.max(0, end - Math.max(from, at))
    }, 0)
    expect(many.summary.utilisation).closeTo(busy / ready, 0.02)
    expect(many.summary.utilisation).greaterThan(0.5)
  })

  it('is faster than its smallest self and cheaper than its largest', async () => {
    const trace = await readTrace([chat], {rate: 8})
    const of = async (change: Partial<RunRequest>) =>
      simulate({trace, deployment: await deploy({...request, ...change})}).summary
    const scaled = await of({})
    const small = await of({autoscale: undefined, layout: {instances: 1}})
    const large = await of({autoscale: undefined})
    expect(scaled.tpot_ms.mean!).lessThan(small.tpot_ms.mean!)
    expect(scaled.cost!.usd!).within(small.cost!.usd! * 0.9, large.cost!.usd!)
  })
})

describe('llmsim simulate --autoscale', () => {
  let folder: string
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'llmsim-scale-'))
  })
  after(() => rmSync(folder, {recursive: true}))

  const call = ['simulate', chat, '--hardware', 'RTX3090', '--instances', '4']
  const delays = ['--provision-delay', '10s', '--cold-start', '5s']

  it('says how it scales and what came of it, and keeps instances over time', async () => {
    const out = join(folder, 'run')
    const flags = ['--autoscale', 'utilisation=0.5', '--scale-window', '5s', ...delays]
    const {stdout} = await llmsim(...call, '--out', out, ...flags)
    expect(stdout).match(/^autoscaling: 1 to 4 instances, utilisation 0\.5 each; window 5s \+/m)
    expect(stdout).match(
      /^instances +\d\.\d\d on average, at most [234] ready; scaled out \d+ times?/m,
    )
    const [header, first, second] = readFileSync(join(out, 'instances.csv'), 'utf8').split('\n')
    expect(header).equal('at_s,ready,starting,draining')
    expect(first).match(/,1,0,0$/)
    const [start, asked] = [first!, second!].map((line) => Number(line.split(',')[0]))
    expect((asked! - start!) % 5).closeTo(0, 1e-9)
  })

  const wrong: readonly (readonly [code: string, says: string, ...flags: string[]])[] = [
    ['FLAG_MISSING', 'Missing --provision-delay', '--autoscale', 'queue=4'],
    ['FLAG_MISSING', 'Missing --cold-start', '--autoscale', 'queue=4', ...delays.slice(0, 2)],
    ['FLAG_CONFLICT', '--cold-start without --autoscale', '--cold-start', '5s'],
    ['FLAG_BAD_VALUE', 'the signal is one of queue, utilisation, kv', '--autoscale', 'gpu=4'],
    ['FLAG_BAD_VALUE', 'target of kv is a number above 0 and at most 1', '--autoscale', 'kv=70'],
    [
      'FLAG_BAD_VALUE',
      '--cold-start 5: it must be a time',
      '--autoscale',
      'queue=4',
      ...delays.slice(0, 2),
      '--cold-start',
      '5',
    ],
    [
      'FLAG_BAD_VALUE',
      '--scale-window 0s: it must be a time above 0',
      '--autoscale',
      'queue=4',
      ...delays,
      '--scale-window',
      '0s',
    ],
    [
      'FLAG_CONFLICT',
      'between 4 and 4 instances',
      '--autoscale',
      'queue=4',
      ...delays,
      '--min-instances',
      '4',
    ],
  ]
  for (const [code, says, ...flags] of wrong)
    it(`refuses ${flags.join(' ')}`, async () => {
      const {error} = await llmsim(...call, '--no-save', ...flags)
      expect([error?.code, error?.message.includes(says)], error?.message).deep.equal([code, true])
    })
})
