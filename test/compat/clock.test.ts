/** The polling clock: an idle engine looks for work on a grid of 1 ms, and what it finds is queued until its last chunk. */
import {expect} from 'chai'
import {replay} from '#llmsim/cluster/replay.js'
import type {StepRecord} from '#llmsim/cluster/replica.js'
import {routers} from '#llmsim/cluster/router.js'
import {lastChunkQueueing, pollingClock} from '#llmsim/compat/llmservingsim.js'
import type {EngineConfig} from '#llmsim/engine/engine-config.js'
import {policies} from '#llmsim/engine/policy.js'
import type {Trace} from '#llmsim/trace/trace.js'

const ms = 1_000_000
const config: EngineConfig = {
  numGpuBlocks: 1000,
  blockSize: 16,
  maxNumSeqs: 8,
  maxNumBatchedTokens: 64,
  longPrefillTokenThreshold: 0,
  enableChunkedPrefill: true,
  enablePrefixCaching: true,
  reserveFullPrompt: true,
  ownBlocks: false,
  maxModelLen: Number.MAX_SAFE_INTEGER,
  depth: 1,
  policy: policies.find(({name}) => name === 'fcfs')!,
}

/** Arrival in ns, prompt, output. */
type Row = readonly [arrivedAt: number, input: number, output: number]

const traceOf = (rows: readonly Row[]): Trace => ({
  length: rows.length,
  arrivedAt: Float64Array.from(rows, ([at]) => at),
  inputTokens: Int32Array.from(rows, ([, input]) => input),
  outputTokens: Int32Array.from(rows, ([, , output]) => output),
  notes: [],
  format: 'made by hand',
})

interface Setting {
  readonly stepNs?: number
  readonly engine?: Partial<EngineConfig>
  readonly logIntervalNs?: number
}

const run = (rows: readonly Row[], {stepNs = 300_000, engine, logIntervalNs}: Setting = {}) => {
  const steps: {start: number; end: number; tokens: number}[] = []
  const {outcomes} = replay({
    trace: traceOf(rows),
    simulation: {
      replicas: [{engine: {...config, ...engine}, stepTime: () => stepNs}],
      router: routers['least-requests']!(),
      clock: pollingClock(logIntervalNs ?? 1_000 * ms),
      listener: (_instance, requests) => lastChunkQueueing(requests),
      onStep: ({start, end, shape}: StepRecord) => {
        steps.push({start, end, tokens: shape.tokens})
      },
    },
  })
  const queued = Array.from(outcomes.scheduledAt, (at, i) => at - outcomes.arrivedAt[i]!)
  return {steps, outcomes, queued}
}

describe('the polling clock', () => {
  it('notices at once what comes when the last event happens, and on the next tick what comes later', () => {
    const {noticeAt} = pollingClock(1)
    expect(noticeAt(500, 500)).equal(500)
    expect(noticeAt(500, 400)).equal(500)
    expect(noticeAt(500, 501)).equal(500 + ms)
    expect(noticeAt(500, 500 + ms)).equal(500 + ms)
    expect(noticeAt(500, 501 + ms)).equal(500 + 2 * ms)
  })

  it('begins with the first arrival, or with the first log line if that comes first', () => {
    const {firstIdle} = pollingClock(1_000 * ms)
    expect(firstIdle(46_926_808)).equal(46_926_808)
    expect(firstIdle(3_000 * ms)).equal(1_000 * ms)
  })
})

describe('a run of one engine on the polling clock', () => {
  it('starts with the first arrival: no tick is waited for', () => {
    expect(run([[46_926_808, 5, 1]]).steps[0]!.start).equal(46_926_808)
  })

  it('counts ticks from the first log line when the first request comes after it', () => {
    const at = 1_000 * ms + 300_001
    expect(run([[at, 5, 1]]).steps[0]!.start).equal(1_001 * ms)
    expect(run([[at, 5, 1]], {logIntervalNs: 250_000}).steps[0]!.start).equal(1_001_250_000)
  })

  it('idles on a grid of 1 ms from the end of its last step', () => {
    // The first request ends at 300,000; the second is noticed 3 ticks later.
    const {steps, queued} = run([
      [0, 5, 1],
      [2_500_000, 5, 1],
    ])
    expect(steps.map(({start}) => start)).deep.equal([0, 3_300_000])
    expect(queued).deep.equal([0, 800_000])
  })

  it('is on time for what arrives on a tick, or at the very end of a step', () => {
    const {queued} = run([
      [0, 5, 1],
      [300_000, 5, 1],
      [600_000 + 4 * ms, 5, 1],
    ])
    expect(queued).deep.equal([0, 0, 0])
  })

  it('sees arrivals of a running step at its end, and no tick comes in between', () => {
    const {steps} = run(
      [
        [0, 5, 2],
        [1, 5, 1],
      ],
      {stepNs: 2_400_000},
    )
    expect(steps.map(({start, tokens}) => [start, tokens])).deep.equal([
      [0, 5],
      [2_400_000, 6],
    ])
  })

  it('takes everybody who came before the tick that woke it', () => {
    const {steps} = run([
      [0, 5, 1],
      [400_000, 5, 1],
      [1_300_000, 5, 1],
      [1_300_001, 5, 1],
    ])
    expect(steps.map(({start, tokens}) => [start, tokens])).deep.equal([
      [0, 5],
      [1_300_000, 10],
      [1_600_000, 5],
    ])
  })
})

describe('the queueing delay of the last chunk', () => {
  it('ends when the last chunk of the prompt is scheduled', () => {
    // 150 tokens in chunks of 64: the third begins after two steps.
    const {queued, outcomes} = run([[0, 150, 3]])
    expect(queued).deep.equal([600_000])
    expect(outcomes.firstTokenAt[0]).equal(900_000)
  })

  it('is not moved by a preemption after the first token, but by one before it', () => {
    // Two requests that outgrow 6 blocks of 16: the second is preempted with its tokens begun.
    const after = run(
      [
        [0, 31, 20],
        [0, 31, 20],
      ],
      {engine: {numGpuBlocks: 5, reserveFullPrompt: true}},
    )
    expect(after.outcomes.preemptions[1]).greaterThan(0)
    expect(after.queued).deep.equal([0, 0])
    // The second has had a chunk of 1 and waits for its other ones when the first one grows.
    const before = run(
      [
        [0, 63, 40],
        [0, 90, 2],
      ],
      {engine: {numGpuBlocks: 7, reserveFullPrompt: false}},
    )
    expect(before.outcomes.preemptions[1]).greaterThan(0)
    expect(before.outcomes.scheduledAt[1]).greaterThan(before.outcomes.finishedAt[0]! - 1)
  })
})
