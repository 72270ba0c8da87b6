// @alone: it measures how late answers are.

/** One engine, two clocks: what the port served is what `simulate` makes of its recording. */
import {expect} from 'chai'
import {statusNames} from '#llmsim/stats/outcomes.js'
import {deploy} from '#llmsim/study/deployment.js'
import {simulate} from '#llmsim/study/simulate.js'
import {readTrace} from '#llmsim/trace/read.js'
import {
  type Answer,
  endListening,
  type ListenProcess,
  listenModel,
  manyConnections,
  post,
  startListen,
} from '../support/listening.js'
import {runRequest} from '../support/run-request.js'

const isSoak = process.env.LLMSIM_SOAK === '1'
const seconds = isSoak ? 60 : 10
const rate = 50

/** About `count` tokens of words that depend on `seed`. */
const words = (count: number, seed: number): string =>
  Array.from({length: count}, (_, i) => `w${(seed * 7919 + i * 31) % 997}`).join(' ')

interface Sent {
  readonly answer: Promise<Answer>
}

/** 50 requests a second: a shared system prompt for each of four groups, some streams, some clients that leave. */
async function traffic(server: ListenProcess): Promise<Answer[]> {
  const agent = manyConnections()
  const sent: Sent[] = []
  const startedAt = performance.now()
  for (let i = 0; i < seconds * rate; i++) {
    const due = startedAt + (i * 1000) / rate
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())))
    const messages = [
      {role: 'system', content: words(100, i % 4)},
      {role: 'user', content: words(30, i)},
    ]
    const body = {
      model: listenModel,
      messages,
      stream: i % 3 !== 0,
      max_tokens: 100,
      min_tokens: 100,
      ignore_eos: true,
    }
    const leaves = i % 10 === 7 ? {leaveAfterMs: 50 + ((i * 37) % 500)} : {}
    sent.push({answer: post({url: server.url, body, agent, ...leaves})})
  }
  const answers = await Promise.all(sent.map(({answer}) => answer))
  agent.destroy()
  return answers
}

describe('live = simulated', () => {
  afterEach(endListening)

  it(`holds to the nanosecond over ${seconds} s of ${rate} requests/s, cancels and shared prefixes included`, async function () {
    this.timeout((seconds + 60) * 1000)
    const server = await startListen()
    const answers = await traffic(server)
    server.kill('SIGINT')
    expect((await server.ended).code, server.stderr()).equal(0)

    const trace = await readTrace([server.trace])
    expect(trace.notes).deep.equal([])
    // On a busy machine some clients leave before their request is even read.
    const left = answers.filter(({end}) => end === 'left').length
    expect(trace.length)
      .most(answers.length)
      .least(answers.length - left)
    const deployment = await deploy(runRequest({hardware: 'H100'}))
    const {run} = simulate({trace, deployment, check: true})
    const {outcomes} = run
    const extra = (name: string, row: number) => trace.extra!.get(name)![row]!
    const served = {completed: 0, cancelled: 0, cached: 0}
    for (let row = 0; row < trace.length; row++) {
      const status = statusNames[outcomes.status[row]!]
      expect(extra('status', row), `status of row ${row}`).equal(status)
      const arrived = outcomes.arrivedAt[row]!
      const ns = (name: string) => {
        const text = extra(name, row)
        return text === '' ? Number.NaN : arrived + Math.round(Number(text) * 1e6)
      }
      expect(ns('predicted_queue_ms')).deep.equal(outcomes.scheduledAt[row]!)
      expect(ns('predicted_ttft_ms')).deep.equal(outcomes.firstTokenAt[row]!)
      if (status === 'completed') expect(ns('predicted_e2e_ms')).equal(outcomes.finishedAt[row]!)
      else expect(extra('predicted_e2e_ms', row)).equal('')
      expect(Number(extra('cached_tokens', row))).equal(outcomes.cachedTokens[row]!)
      expect(Number(extra('produced_tokens', row))).equal(outcomes.producedTokens[row]!)
      if (status === 'completed') served.completed++
      if (status === 'cancelled') served.cancelled++
      served.cached += outcomes.cachedTokens[row]!
    }
    // Otherwise the equality would be an easy one.
    expect(served.completed).above(answers.length * 0.7)
    expect(served.cancelled).above(0)
    expect(served.cached).above(answers.length * 50)

    const completed = answers.filter(({end, status}) => end === 'whole' && status === 200)
    // Some left when the last token was on its way.
    expect(completed.length).most(served.completed)
    const rowOf = new Map(trace.requestId!.map((id, row) => [id, row]))
    const late: number[] = []
    for (const {text, sentAt, endedAt, eventsAt} of completed) {
      const row = rowOf.get(/"id":"([^"]+)"/.exec(text)![1]!)!
      expect(extra('status', row)).equal('completed')
      const [arrived, first, last] = [
        outcomes.arrivedAt[row]!,
        outcomes.firstTokenAt[row]!,
        outcomes.finishedAt[row]!,
      ]
      if (eventsAt.length > 0) late.push(Math.abs(eventsAt[0]! - sentAt - (first - arrived) / 1e6))
      late.push(Math.abs(endedAt - sentAt - (last - arrived) / 1e6))
    }
    const p95 = late.toSorted((a, b) => a - b)[Math.ceil(late.length * 0.95) - 1]!
    this.test!.title += `; clients measured it within ${p95.toFixed(2)} ms (p95)`
    if (isSoak) expect(p95).below(3)
  })
})
