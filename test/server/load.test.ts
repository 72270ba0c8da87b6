// @alone: it measures how much a port serves.

/** Load: nothing is lost, memory stays flat, and, on a quiet machine (npm run soak), the rates are what they must be. */
import {readFileSync} from 'node:fs'
import autocannon from 'autocannon'
import {expect} from 'chai'
import {readTrace} from '#llmsim/trace/read.js'
import {endListening, type ListenProcess, listenModel, startListen} from '../support/listening.js'

const isSoak = process.env.LLMSIM_SOAK === '1'

/** About 200 tokens, none of them the same. */
const prompt = (seed: number): string =>
  Array.from({length: 100}, (_, i) => `word${(seed * 7919 + i * 31) % 997}`).join(' ')

interface Load {
  readonly amount: number
  readonly connections: number
  readonly mode: 'stream' | 'whole'
}

async function shoot(url: string, {amount, connections, mode}: Load) {
  let sent = 0
  const startedAt = performance.now()
  const result = await autocannon({
    url,
    connections,
    amount,
    timeout: 60,
    requests: [
      {
        method: 'POST',
        path: '/v1/chat/completions',
        headers: {'content-type': 'application/json'},
        setupRequest: (request) => ({
          ...request,
          body: JSON.stringify({
            model: listenModel,
            stream: mode === 'stream',
            max_tokens: 50,
            min_tokens: 50,
            ignore_eos: true,
            messages: [{role: 'user', content: prompt(sent++ % 5000)}],
          }),
        }),
      },
    ],
  })
  const seconds = (performance.now() - startedAt) / 1000
  return {result, perSecond: result['2xx'] / seconds}
}

interface Status {
  readonly event_loop_delay_ms: {readonly p99: number}
  readonly open_requests: number
}

const statusOf = async ({url}: ListenProcess): Promise<Status> =>
  (await (await fetch(`${url}/status`)).json()) as Status

const residentMb = ({pid}: ListenProcess): number => {
  const pages = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(pages![1]) / 1024
}

async function stop(server: ListenProcess): Promise<number> {
  server.kill('SIGINT')
  expect((await server.ended).code, server.stderr()).equal(0)
  return (await readTrace([server.trace])).length
}

describe('listen under load', () => {
  afterEach(endListening)

  const perSecond = isSoak ? 2000 : 0
  const amount = isSoak ? 75_000 : 10_000
  it(`answers and records ${amount} requests, none lost`, async function () {
    this.timeout(180_000)
    const server = await startListen('--respond', 'instant')
    await shoot(server.url, {amount: 2000, connections: 32, mode: 'whole'})
    const {result, perSecond: rate} = await shoot(server.url, {
      amount,
      connections: 32,
      mode: 'whole',
    })
    const {event_loop_delay_ms: delay} = await statusOf(server)
    expect([result['2xx'], result.non2xx, result.errors]).deep.equal([amount, 0, 0])
    expect(await stop(server)).equal(amount + 2000)
    this.test!.title += `: ${Math.round(rate)} requests/s, event loop p99 ${delay.p99} ms`
    expect(rate).above(perSecond)
    if (isSoak) expect(delay.p99).below(20)
  })

  it('holds 1,000 concurrent streams', async function () {
    this.timeout(180_000)
    const streams = isSoak ? 20_000 : 3000
    const server = await startListen('--respond', 'instant')
    const {result, perSecond: rate} = await shoot(server.url, {
      amount: streams,
      connections: 1000,
      mode: 'stream',
    })
    expect([result['2xx'], result.non2xx, result.errors]).deep.equal([streams, 0, 0])
    const {open_requests: open, event_loop_delay_ms: delay} = await statusOf(server)
    expect(open).equal(0)
    expect(await stop(server)).equal(streams)
    this.test!.title += `: ${Math.round(rate)} streams/s, event loop p99 ${delay.p99} ms`
    if (isSoak) expect(delay.p99).below(20)
  })

  it('keeps its memory over 500,000 requests', async function () {
    if (!isSoak) {
      this.test!.title += ' (npm run soak)'
      this.skip()
    }
    this.timeout(900_000)
    const server = await startListen('--respond', 'instant')
    const resident: number[] = []
    for (let round = 0; round < 10; round++) {
      await shoot(server.url, {amount: 50_000, connections: 32, mode: 'whole'})
      resident.push(residentMb(server))
    }
    expect(await stop(server)).equal(500_000)
    this.test!.title += `: ${resident.map(Math.round).join(', ')} MB`
    // The heap has found its size after the first rounds.
    expect(Math.max(...resident.slice(5))).below(Math.max(...resident.slice(1, 5)) * 1.15)
  })
})
