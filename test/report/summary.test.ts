import {strict as assert} from 'node:assert'
import {Problem} from '#llmsim/errors.js'
import {groupingsOf, summariseGroups} from '#llmsim/report/groups.js'
import {parseSlo} from '#llmsim/report/slo.js'
import {summarise} from '#llmsim/report/summary.js'
import {parseWarmup} from '#llmsim/report/warmup.js'
import {status} from '#llmsim/stats/outcomes.js'
import {buildRun, engine, gapsOf, sixRequests} from './build-run.js'

const close = (actual: number | null, expected: number): void => {
  assert.ok(
    actual !== null && Math.abs(actual - expected) <= 1e-9 * Math.abs(expected),
    `${actual} is not ${expected}`,
  )
}

const flagProblem = (part: string) => (error: unknown) =>
  error instanceof Problem && error.code === 'FLAG_BAD_VALUE' && error.message.includes(part)

describe('--slo and --warmup', () => {
  for (const [text, part] of [
    ['', '""'],
    ['ttft', '"ttft"'],
    ['ttft=500', '"ttft=500" needs a time such as 500ms'],
    ['ttft_p99=1s', '"ttft_p99=1s" names a percentile; a bound is one for every request'],
    ['p99=1s', '"p99=1s" names a percentile'],
    ['ttft=500ms,ttp=3ms', '"ttp=3ms" does not name a metric'],
    ['ttft=500ms,tpot=fast', '"tpot=fast"'],
    ['ttft=0ms', '"ttft=0ms" must be more than zero'],
    ['ttft=-1ms', '"ttft=-1ms"'],
    ['ttft=1ms,ttft=2ms', '"ttft=2ms" bounds ttft a second time'],
    ['ttft=1ms=2ms', '"ttft=1ms=2ms"'],
    ['ttft=1ms,', '""'],
  ] as const) {
    it(`refuses --slo "${text}"`, () => {
      assert.throws(() => parseSlo(text), flagProblem(part))
    })
  }

  for (const text of ['', '1.5', '60d', '-5', '5s5', 'ten']) {
    it(`refuses --warmup "${text}"`, () => {
      assert.throws(() => parseWarmup(text), flagProblem(`"${text}"`))
    })
  }

  it('reads bounds in every unit as whole ns', () => {
    assert.deepEqual(parseSlo('ttft=500ms, TPOT=50us,e2e=1.5s,itl=.25ms'), {
      ttft: 500e6,
      tpot: 50e3,
      e2e: 1.5e9,
      itl: 250e3,
    })
  })

  it('reads a warm-up of time or of requests', () => {
    assert.deepEqual(parseWarmup('60s'), {kind: 'time', ns: 60e9})
    assert.deepEqual(parseWarmup('500'), {kind: 'requests', count: 500})
  })
})

describe('summary of six requests, by hand', () => {
  const run = buildRun(sixRequests, [
    engine({
      steps: 70,
      preemptions: 2,
      blocks: 300,
      peakBlocks: 150,
      lookedUpTokens: 50,
      hitTokens: 10,
      busyNs: 2e9,
      gaps: gapsOf([
        [10e6, 10],
        [60e6, 10],
      ]),
    }),
    engine({
      instance: 1,
      steps: 30,
      blocks: 100,
      peakBlocks: 90,
      busyNs: 1e9,
      gaps: gapsOf([
        [20e6, 10],
        [40e6, 40],
      ]),
    }),
  ])
  const summary = summarise(run, {
    slo: parseSlo('ttft=400ms,tpot=50ms,e2e=1s'),
    price: {usdPerHour: 3.6, devices: 2},
  })

  it('counts requests and events of preemption', () => {
    assert.deepEqual(summary.requests, {
      submitted: 6,
      completed: 5,
      rejected: 1,
      cancelled: 0,
      preemptions: 2,
    })
  })

  it('lasts from the first arrival to the last finish', () => {
    // 1.0 s → 5.0 s; the rejected arrival at 3.5 s does not matter.
    assert.equal(summary.duration_s, 4)
  })

  it('divides what completed by the duration', () => {
    close(summary.throughput.requests_per_s, 5 / 4)
    close(summary.throughput.input_tokens_per_s, 50 / 4)
    close(summary.throughput.output_tokens_per_s, (11 + 11 + 11 + 1 + 41) / 4)
  })

  it('gives numpy percentiles of TTFT', () => {
    // numpy.percentile([100, 200, 600, 100, 400], [50, 90, 95, 99])
    close(summary.ttft_ms.mean, 280)
    close(summary.ttft_ms.p50, 200)
    close(summary.ttft_ms.p90, 520)
    close(summary.ttft_ms.p95, 560)
    close(summary.ttft_ms.p99, 592)
    close(summary.ttft_ms.max, 600)
  })

  it('leaves one-token outputs out of TPOT', () => {
    // 100/10, 600/10, 200/10, 1600/40
    close(summary.tpot_ms.mean, (10 + 60 + 20 + 40) / 4)
    close(summary.tpot_ms.p50, 30)
    close(summary.tpot_ms.max, 60)
  })

  it('pools the gaps of all engines', () => {
    // 10 × 10, 10 × 20, 40 × 40, 10 × 60 ms
    close(summary.itl_ms.mean, (100 + 200 + 1600 + 600) / 70)
    close(summary.itl_ms.p50, 40)
    close(summary.itl_ms.p90, 60)
  })

  it('measures E2E and queueing from arrival', () => {
    close(summary.e2e_ms.mean, (200 + 800 + 800 + 100 + 2000) / 5)
    close(summary.queue_ms.mean, (10 + 0 + 500 + 20 + 100) / 5)
    close(summary.queue_ms.max, 500)
  })

  it('adds blocks, takes the fullest engine, divides hits by look-ups', () => {
    assert.deepEqual(summary.kv, {blocks: 400, peak_usage: 0.9})
    assert.deepEqual(summary.prefix_cache, {hit_rate: 0.2, identity: false})
    assert.equal(summary.steps, 100)
    // (2/4 + 1/4) / 2
    assert.equal(summary.utilisation, 0.375)
  })

  it('counts as good what met every bound', () => {
    // a: yes. b: TPOT 60. c: TTFT 600. d: one token, no TPOT, so yes. e: E2E 2000. f: rejected.
    assert.deepEqual(summary.goodput, {
      slo: {ttft_ms: 400, tpot_ms: 50, e2e_ms: 1000},
      requests: 2,
      attainment: 2 / 6,
      requests_per_s: 0.5,
      output_tokens_per_s: 3,
    })
  })

  it('meets a bound that is reached exactly', () => {
    const atBound = summarise(run, {slo: parseSlo('ttft=400ms')})
    assert.equal(atBound.goodput?.requests, 4)
    const below = summarise(run, {slo: parseSlo('ttft=399999us')})
    assert.equal(below.goodput?.requests, 3)
  })

  it('prices a million output tokens', () => {
    // 3.6 $/h × 2 × 4 s = 0.008 $ for 75 tokens
    close(summary.cost?.usd_per_1m_output_tokens ?? null, (0.008 / 75) * 1e6)
  })

  it('bounds ITL by the largest gap, and refuses to guess it', () => {
    const largestGap = Float64Array.from([15, 70, 30, Number.NaN, 45, Number.NaN], (x) => x * 1e6)
    const slo = parseSlo('itl=40ms')
    assert.equal(summarise({...run, largestGap}, {slo}).goodput?.requests, 3)
    assert.throws(
      () => summarise(run, {slo}),
      (error) => error instanceof Problem && error.code === 'FLAG_CONFLICT',
    )
  })

  it('has exactly the fields that other tools read', () => {
    const {engines: _, ...rest} = summarise(run)
    assert.deepEqual(Object.keys(rest).slice(0, 11), [
      'requests',
      'duration_s',
      'throughput',
      'ttft_ms',
      'tpot_ms',
      'itl_ms',
      'e2e_ms',
      'queue_ms',
      'kv',
      'prefix_cache',
      'steps',
    ])
    assert.deepEqual(Object.keys(rest.itl_ms), ['mean', 'p50', 'p90', 'p95', 'p99', 'max'])
    assert.deepEqual(rest, JSON.parse(JSON.stringify(rest)), 'nothing is lost in JSON')
  })
})

describe('summary, special cases', () => {
  it('has null for what has no value', () => {
    const summary = summarise(
      buildRun([{arrived: 5, status: status.rejected, reason: 'too long'}]),
      {slo: parseSlo('ttft=1s'), price: {usdPerHour: 1, devices: 1}},
    )
    assert.equal(summary.duration_s, null)
    assert.equal(summary.throughput.requests_per_s, null)
    assert.equal(summary.ttft_ms.p99, null)
    assert.equal(summary.itl_ms.mean, null)
    assert.equal(summary.prefix_cache.hit_rate, null)
    assert.equal(summary.cost?.usd_per_1m_output_tokens, null)
    assert.equal(summary.goodput?.attainment, 0)
  })

  it('rounds TPOT down to whole ns, as in requests.csv', () => {
    const run = buildRun([{arrived: 0, scheduled: 0, first: 0, finished: 0.000002, output: 4}])
    assert.equal(run.outcomes.finishedAt[0], 2)
    assert.equal(summarise(run).tpot_ms.mean, 0)
  })

  it('keeps cancelled requests out of latencies and rates', () => {
    const rows = [
      ...sixRequests,
      {arrived: 1000, scheduled: 1001, first: 9000, finished: 9500, output: 90, produced: 5},
    ].map((row, i) => (i === 6 ? {...row, status: status.cancelled} : row))
    const summary = summarise(buildRun(rows))
    assert.equal(summary.requests.cancelled, 1)
    assert.equal(summary.ttft_ms.max, 600)
    assert.equal(summary.duration_s, 8.5)
    close(summary.throughput.output_tokens_per_s, 75 / 8.5)
  })

  it('leaves the warm-up out of latencies and of the window of rates', () => {
    const run = buildRun(sixRequests)
    for (const warmup of [parseWarmup('1s'), parseWarmup('2')]) {
      // c, d, e, f stay: from 2.0 s to 5.0 s.
      const summary = summarise(run, {warmup})
      assert.equal(summary.warmup?.left_out, 2)
      assert.equal(summary.warmup?.window_s, 3)
      assert.equal(summary.warmup?.itl_leaves_out, null)
      assert.equal(summary.requests.completed, 5)
      assert.equal(summary.duration_s, 4)
      close(summary.throughput.requests_per_s, 1)
      close(summary.ttft_ms.mean, (600 + 100 + 400) / 3)
    }
  })

  it('takes the first requests to arrive, not the first rows', () => {
    const rows = [{arrived: 30}, {arrived: 10}, {arrived: 20}].map((row) => ({
      ...row,
      scheduled: row.arrived,
      first: row.arrived + row.arrived / 10,
      finished: 100,
    }))
    assert.equal(summarise(buildRun(rows), {warmup: parseWarmup('2')}).ttft_ms.max, 3)
  })

  it('uses the gaps that count, when the caller knows them', () => {
    const run = {...buildRun(sixRequests), gaps: gapsOf([[5e6, 1]])}
    const summary = summarise(run, {warmup: parseWarmup('2')})
    assert.equal(summary.itl_ms.max, 5)
    assert.equal(summary.warmup?.itl_leaves_out, '2')
  })
})

describe('break-downs', () => {
  it('splits by model over the window of the whole run', () => {
    const groups = summariseGroups(buildRun(sixRequests), 'model', {slo: parseSlo('ttft=400ms')})
    assert.deepEqual(
      groups.map((group) => [group.name, group.requests.submitted, group.goodput?.requests]),
      [
        ['x', 3, 2],
        ['y', 3, 2],
      ],
    )
    close(groups[0]!.throughput.output_tokens_per_s, (11 + 11 + 41) / 4)
    close(groups[1]!.ttft_ms.mean, 150)
  })

  it('orders priorities as numbers', () => {
    const rows = [10, -1, 9].map((priority, i) => ({...sixRequests[i]!, priority}))
    const groups = summariseGroups(buildRun(rows), 'priority')
    assert.deepEqual(
      groups.map((group) => group.name),
      ['-1', '9', '10'],
    )
  })

  it('orders names in one way, whatever their number and order', () => {
    const names = ['10', '9', '1a', 'b', '']
    for (const order of [names, names.toReversed(), ['1a', '10', '', '9', 'b']]) {
      const rows = order.map((model, i) => ({...sixRequests[i]!, model}))
      const groups = summariseGroups(buildRun(rows), 'model')
      assert.deepEqual(
        groups.map((group) => group.name),
        ['', '9', '10', '1a', 'b'],
      )
    }
  })

  it('says what a run can be split by', () => {
    const run = buildRun(sixRequests)
    assert.deepEqual(groupingsOf(run), ['model', 'instance'])
    assert.throws(() => summariseGroups(run, 'session'), flagProblem('model, instance'))
  })
})
