import {strict as assert} from 'node:assert'
import {compareRuns} from '#llmsim/report/compare.js'
import {renderDevices} from '#llmsim/report/device-table.js'
import {compact, counted, dollars, figure, seconds, share} from '#llmsim/report/figures.js'
import {summariseGroups} from '#llmsim/report/groups.js'
import {renderReport} from '#llmsim/report/report-formats.js'
import {parseSlo} from '#llmsim/report/slo.js'
import {plainStyle, shorten, styleFor, wrap} from '#llmsim/report/style.js'
import {type Summary, summarise} from '#llmsim/report/summary.js'
import {renderGroups, renderRun} from '#llmsim/report/tables.js'
import {parseWarmup} from '#llmsim/report/warmup.js'
import {status} from '#llmsim/stats/outcomes.js'
import {buildRun, engine, gapsOf, sixRequests} from './build-run.js'

const assertFits = (text: string): void => {
  for (const line of text.split('\n')) assert.ok(line.length <= 80, `${line.length}: ${line}`)
}

/** Every number as large as a run could make it. */
const extreme = (): Summary => {
  const summary = summarise(
    buildRun(sixRequests, [engine({steps: 9_999_999_999, blocks: 99_999_999})]),
    {
      slo: parseSlo('ttft=123456.789ms,tpot=123456.789ms,e2e=123456.789ms'),
      warmup: parseWarmup('123456789ms'),
      price: {usdPerHour: 12345.67, devices: 1024},
    },
  )
  const large = {mean: 7654321.123, p50: 1.1e6, p90: 9_999_999.4, p95: 1.2e7, p99: 3e9, max: 4e12}
  return {
    ...summary,
    duration_s: 1e8,
    throughput: {requests_per_s: 123456.7, input_tokens_per_s: 1e9, output_tokens_per_s: 98765432},
    ttft_ms: large,
    tpot_ms: large,
    itl_ms: large,
    e2e_ms: large,
    queue_ms: large,
    utilisation: 1,
    goodput: {...summary.goodput!, requests_per_s: 123456.7, output_tokens_per_s: 98765432},
    cost: {
      usd_per_hour: 12345.67,
      devices: 1024,
      usd: 1234567.89,
      usd_per_1m_input_tokens: 12345.67,
      usd_per_1m_output_tokens: 12345.67,
      usd_per_1m_tokens: 12345.67,
    },
    energy: {
      active_j: 1e12,
      standby_j: 1e12,
      idle_j: 1e12,
      hosts_j: 1e12,
      links_j: 1e12,
      total_j: 5e12,
      mean_w: 1234567.8,
      peak_w: 1234567.8,
      j_per_request: 1234567.8,
      j_per_output_token: 1234567.8,
      j_per_token: 1234567.8,
    },
    bound: 'none',
    cause: 'KV-bound: 1,234 of 2,048 seats, 96 % of blocks; 1,234,567 preemptions; '.repeat(3),
    steady_state: {
      growing: true,
      verdict: 'overloaded',
      tells_from: 0.05,
      needs_requests: null,
      asked_tokens_per_s: 12e3,
      served_tokens_per_s: 7.7e3,
      warning: `overloaded: ${'x'.repeat(200)}`,
    },
  }
}

describe('tables', () => {
  it('have no cost where no price is known', async () => {
    const summary = summarise(buildRun(sixRequests))
    assert.equal(summary.cost, undefined)
    assert.match(await renderRun(summary, [], plainStyle), /^cost +– \(no price is known; --price/m)
  })

  const busy = [engine({blocks: 10, busyNs: 3e9}), engine({blocks: 20, busyNs: 1e9})]
  const scaled = {
    instance_hours: 1,
    mean_instances: 1,
    most_ready: 1,
    scale_outs: 0,
    scale_ins: 0,
  }
  // Six requests take 4 s.
  const times: readonly (readonly [string, number[] | undefined, number, RegExp])[] = [
    [
      'all of a run',
      undefined,
      30,
      /^engine +2 engines, 0 steps, each running 50 % of the time on average$/m,
    ],
    [
      'the time that each was ready',
      [3e9, 2e9],
      30,
      /^engine +2 engines, 0 steps, each running 80 % of the time that it was ready\s+on average$/m,
    ],
    [
      'those that ever were',
      [4e9, 0],
      10,
      /^engine +0 steps, one running 75 % of the time that it was ready$/m,
    ],
  ]
  for (const [what, readyNs, blocks, says] of times)
    it(`say how busy engines were, over ${what}`, async () => {
      const summary = summarise({...buildRun(sixRequests, busy), readyNs})
      assert.equal(summary.kv.blocks, blocks)
      const autoscaling = readyNs && {autoscaling: scaled}
      assert.match(await renderRun({...summary, ...autoscaling}, [], plainStyle), says)
    })

  const kvLines: readonly [string, boolean[] | undefined, RegExp][] = [
    ['blocks', undefined, /^KV cache +300 blocks, /m],
    ['pages', [true, true], /^KV cache +300 pages, /m],
    ['both, which do not add up', [false, true], /^KV cache +100 blocks and 200 pages, /m],
  ]
  for (const [what, inPages, says] of kvLines)
    it(`count KV in ${what}`, async () => {
      const run = buildRun(sixRequests, [engine({blocks: 100}), engine({blocks: 200})])
      assert.match(await renderRun(summarise({...run, inPages}), [], plainStyle), says)
    })

  it('of a run, as a whole', async () => {
    const run = buildRun(sixRequests, [
      engine({
        steps: 1234,
        preemptions: 2,
        peakBlocks: 96,
        lookedUpTokens: 100,
        hitTokens: 25,
        busyNs: 3e9,
        heldBack: {seats: 0, blocks: 2e9, budget: 0},
        heldBackRunningNs: 37 * 2e9,
        heldBackBlocksNs: 96 * 2e9,
        gaps: gapsOf([[12_345_678, 4]]),
      }),
    ])
    const summary = summarise(
      {...run, prefixIdentity: true},
      {slo: parseSlo('ttft=400ms'), price: {usdPerHour: 2, devices: 1}},
    )
    const text = await renderRun(summary, ['one H100, Llama', 'step time: roofline'], plainStyle)
    assert.equal(
      text,
      `one H100, Llama
step time: roofline

ms     mean   p50    p90    p95    p99    max
TTFT    280   200    520    560    592    600
TPOT   32.5  30.0   54.0   57.0   59.4   60.0
ITL    12.3  12.3   12.3   12.3   12.3   12.3
E2E     780   800  1,520  1,760  1,952  2,000
queue   126  20.0    340    420    484    500

requests    5 of 6 completed in 4.00 s, 1 rejected
rejected    1: longer than max_model_len
throughput  1.25 req/s, 12.5 tok/s in, 18.8 tok/s out
goodput     1.00 req/s, 16.0 tok/s out: 4 requests (67 %) met TTFT ≤ 400 ms
KV cache    100 blocks, at most 96 % in use; 2 preemptions
prefix hits 25 % of prompt tokens
engine      1,234 steps, one running 75 % of the time
cost        $0.00222: $44.44 per 1M input tokens, $29.63 per 1M output tokens (1
            device at $2.00/h)

KV-bound: 37 of 256 seats, 96 % of blocks; requests were held back for 67 % of
  busy time`,
    )
  })

  it('stay within 80 columns whatever the numbers and names', async () => {
    const header = [`built: ${'long words here '.repeat(20)}`, 'x'.repeat(300)]
    assertFits(await renderRun(extreme(), header, plainStyle))
    const groups = summariseGroups(buildRun(sixRequests), 'model', {slo: parseSlo('ttft=1s')})
    const wide = groups.map((group) => ({
      ...group,
      ...(({ttft_ms, tpot_ms, throughput}) => ({ttft_ms, tpot_ms, throughput}))(extreme()),
      name: 'organisation/a-model-with-a-very-long-name-Instruct',
    }))
    assertFits(await renderGroups('model', wide, plainStyle))
    const devices = [
      {device: 'A-VERY-LONG-DEVICE-NAME-80GB', result: {fits: true, summary: extreme()}},
      {device: 'RTX3090', result: {fits: false, reason: 'weights need 141 GB '.repeat(9)}},
    ] as const
    assertFits(await renderDevices(devices, header, plainStyle))
  })

  it('say that a trace without prefix identity gets no hits', async () => {
    const text = await renderRun(summarise(buildRun(sixRequests)), [], plainStyle)
    assert.match(text, /prefix hits none: this trace does not say which prefixes are shared/)
  })

  it('say what the warm-up left out, and that ITL did not', async () => {
    const summary = summarise(buildRun(sixRequests), {warmup: parseWarmup('2')})
    const text = await renderRun(summary, [], plainStyle)
    assert.match(
      text,
      /warm-up {5}2: 2 requests left out of latencies and rates, which cover 3\.00 s/,
    )
    assert.match(text, /ITL leaves out nothing/)
    const all = summarise(buildRun(sixRequests), {warmup: parseWarmup('60s')})
    assert.match(
      await renderRun(all, [], plainStyle),
      /the warm-up \(.+\) covers the whole run(, which took .+)?: no/,
    )
  })

  it('say that every request was rejected, for one device, several, and beside another run', async () => {
    const reason = 'longer than max_model_len'
    const rejected = summarise(
      buildRun([0, 1, 2].map((arrived) => ({arrived, status: status.rejected, reason}))),
    )
    const says = /every request was rejected: longer than max_model_len/
    assert.match(await renderRun(rejected, [], plainStyle), says)
    const row = {device: 'T4', result: {fits: true as const, summary: rejected}}
    assert.match(await renderDevices([row, row], [], plainStyle), /T4: every request was rejected/)
    assert.doesNotMatch(await renderRun(summarise(buildRun(sixRequests)), [], plainStyle), says)
    const run = {name: 'r', folder: 'r', llmsim: '0', command: 'simulate', header: [], config: {}}
    const runs = [
      {...run, label: 'A', summary: summarise(buildRun(sixRequests))},
      {...run, label: 'B', summary: rejected},
    ]
    const report = {runs, metrics: compareRuns(runs.map(({summary}) => summary))}
    assert.match(await renderReport(report, 'table', plainStyle), /B: every request was rejected/)
  })

  it('say behind the figures what is below an empty line of the header', async () => {
    const header = ['trace t: 6 requests', '', 'note: N', 'gemm: G']
    const summary = summarise(buildRun(sixRequests))
    const device = {device: 'H100', result: {fits: true as const, summary}}
    for (const text of [
      await renderRun(summary, header, plainStyle),
      await renderDevices([device], header, plainStyle),
    ]) {
      assert.match(text, /^trace t: 6 requests\n\n\S/)
      assert.match(text, /\n\nnote: N\ngemm: G$/)
    }
  })

  it('warn of a queue that grows', async () => {
    const summary = {
      ...summarise(buildRun(sixRequests)),
      steady_state: {
        growing: true,
        verdict: 'overloaded' as const,
        tells_from: 0.05,
        needs_requests: null,
        asked_tokens_per_s: 12e3,
        served_tokens_per_s: 7.7e3,
        warning: 'overloaded: the queue grows',
      },
    }
    const style = {...plainStyle, warning: (text: string) => `<${text}>`}
    assert.match(await renderRun(summary, [], style), /\n<overloaded: the queue grows>$/)
  })

  it('of devices mark whose queue grows, and of which that cannot be told', async () => {
    const run = summarise(buildRun(sixRequests))
    const rowOf = (device: string, verdict: 'overloaded' | 'keeps up' | 'cannot tell') => {
      const growing = verdict === 'overloaded'
      const rates = {
        tells_from: 0.3,
        needs_requests: verdict === 'cannot tell' ? 300 : null,
        asked_tokens_per_s: 3,
        served_tokens_per_s: 2,
      }
      const summary = {...run, steady_state: {growing, verdict, ...rates}}
      return {device, result: {fits: true as const, summary}}
    }
    const rows = [rowOf('A', 'overloaded'), rowOf('B', 'keeps up'), rowOf('C', 'cannot tell')]
    const text = await renderDevices(rows, [], plainStyle)
    assert.match(text, /^A .*\S\*$/m)
    assert.match(text, /^B .*[^*?]$/m)
    assert.match(text, /^C .*\S\?$/m)
    assert.match(
      text,
      /\n\* overloaded in these 6 requests: the queue.*\n\? cannot tell from 6 requests whether overloaded: about 300 more would tell\nno mark: keeps up with 6 requests$/,
    )
    const calm = await renderDevices([rows[1]!], [], plainStyle)
    assert.match(calm, /\nall keep up with 6 requests$/)
    assert.doesNotMatch(calm, /overloaded|cannot tell/)
  })

  it('of devices have a row for each, and the reason of one that does not fit', async () => {
    const summary = summarise(buildRun(sixRequests, [engine({busyNs: 1e9})]), {
      price: {usdPerHour: 2, devices: 1},
    })
    const text = await renderDevices(
      [
        {device: 'H100', result: {fits: true, summary}},
        {device: 'A10', result: {fits: false, reason: 'the weights need 30 GiB, it has 24 GiB'}},
      ],
      ['trace chat.csv'],
      plainStyle,
    )
    assert.equal(
      text,
      `trace chat.csv

device  fits  TTFT p99  TPOT p99  goodput  busy  $/1M out  bound by
                    ms        ms    req/s
H100     yes       592      59.4     1.25  25 %    $29.63  step time
A10       no         –         –        –     –         –  –

goodput: completed requests (no --slo); busy: share of the run in which a step
  ran; bound by: what requests waited for, or else only the time of the steps
A10: the weights need 30 GiB, it has 24 GiB`,
    )
  })

  it('of devices say which share met the bounds, and what the bounds are', async () => {
    const summary = summarise(buildRun(sixRequests), {slo: parseSlo('ttft=400ms')})
    const text = await renderDevices(
      [{device: 'H100', result: {fits: true, summary}}],
      [],
      plainStyle,
    )
    assert.match(text, /goodput +met +busy/)
    assert.match(text, /^H100 .* 67 % /m)
    assert.match(text, /^goodput, met: requests within TTFT ≤ 400 ms; /m)
  })

  it('say of what was rejected how much, and why', async () => {
    const rows = ['total 9 > 8', 'total 12 > 8', 'no blocks'].map((reason, i) => ({
      ...sixRequests[0]!,
      arrived: i,
      status: status.rejected,
      reason,
    }))
    const summary = summarise(buildRun(rows))
    assert.deepEqual(summary.rejections, [
      {requests: 2, reason: 'total 9 > 8'},
      {requests: 1, reason: 'no blocks'},
    ])
    assert.match(
      await renderRun(summary, [], plainStyle),
      /\nrejected {4}2, the first: total 9 > 8\nrejected {4}1: no blocks\n/,
    )
  })

  it('show only the first groups and say how many there are', async () => {
    const rows = Array.from({length: 25}, (_, i) => ({...sixRequests[0]!, priority: i}))
    const groups = summariseGroups(buildRun(rows), 'priority')
    const lines = (await renderGroups('priority', groups, plainStyle)).split('\n')
    assert.equal(lines.length, 22)
    assert.equal(lines.at(-1), '… and 5 more; --format csv lists them all')
  })
})

describe('style', () => {
  it('has no colour in a pipe, under NO_COLOR or on a dumb terminal', async () => {
    assert.equal(await styleFor({isTTY: false}, {}), plainStyle)
    assert.equal(await styleFor({}, {}), plainStyle)
    assert.equal(await styleFor({isTTY: true}, {NO_COLOR: '1'}), plainStyle)
    assert.equal(await styleFor({isTTY: true}, {TERM: 'dumb'}), plainStyle)
    assert.equal(await styleFor({isTTY: true}, {NO_COLOR: '1', FORCE_COLOR: '1'}), plainStyle)
  })

  it('has colour on a terminal, at the same widths', async () => {
    const colour = await styleFor({isTTY: true}, {NO_COLOR: ''})
    assert.equal(colour.title('x'), '\u001b[1mx\u001b[22m')
    const summary = summarise(buildRun(sixRequests))
    const text = await renderRun(summary, ['header'], colour)
    const codes = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g')
    assert.notEqual(text, text.replace(codes, ''))
    assert.equal(text.replace(codes, ''), await renderRun(summary, ['header'], plainStyle))
  })

  it('wraps between words and keeps both ends of names', () => {
    assert.deepEqual(wrap('aa bb cc', 5), ['aa bb', '  cc'])
    assert.deepEqual(wrap('abcdefgh', 4), ['abcd', '  ef', '  gh'])
    assert.equal(shorten('abcdefgh', 5), 'ab…gh')
    assert.equal(shorten('abcde', 5), 'abcde')
  })
})

describe('figures', () => {
  it('count one thing as one', () => {
    const found = [0, 1, 2, 12_345].map((n) => counted(n, 'row'))
    assert.deepEqual(found, ['0 rows', '1 row', '2 rows', '12,345 rows'])
  })

  it('write large sums of money with separators', () => {
    const found = [0.00222, 12.34, 1234.5, 1e6].map((usd) => dollars(usd))
    assert.deepEqual(found, ['$0.00222', '$12.34', '$1,235', '$1,000,000'])
  })

  for (const [value, text] of [
    [null, '–'],
    [Number.NaN, '–'],
    [0, '0'],
    [0.012345, '0.0123'],
    [0.9999, '1.00'],
    [9.994, '9.99'],
    [9.996, '10.0'],
    [99.94, '99.9'],
    [99.96, '100'],
    [-1234.6, '-1,235'],
    [9999999, '9,999,999'],
    [9999999.9, '10.0M'],
    [123456789, '123M'],
  ] as const) {
    it(`${value} is ${text}`, () => {
      assert.equal(figure(value), text)
    })
  }

  it('compact numbers, shares and times', () => {
    assert.deepEqual([9.94, 999, 999.9, 7690, 12_400, 3.44e6].map(compact), [
      '9.9',
      '999',
      '1.0k',
      '7.7k',
      '12k',
      '3.4M',
    ])
    assert.deepEqual([0, 0.004, 0.0994, 0.0996, 0.96, 1].map(share), [
      '0 %',
      '0.4 %',
      '9.9 %',
      '10 %',
      '96 %',
      '100 %',
    ])
    assert.deepEqual([1.5, 119.9, 120, 7199.9, 7260].map(seconds), [
      '1.50 s',
      '120 s',
      '2 min 00 s',
      '2 h 00 min',
      '2 h 01 min',
    ])
  })
})
