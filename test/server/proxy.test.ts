import {createServer, type RequestListener, type Server} from 'node:http'
import type {AddressInfo} from 'node:net'
import {expect} from 'chai'
import OpenAI from 'openai'
import type {Port, PortOptions} from '#llmsim/server/port.js'
import {dataOf, EventSplitter} from '#llmsim/server/proxy/event-splitter.js'
import {upstreamUrl} from '#llmsim/server/proxy/upstream.js'
import {readTrace} from '#llmsim/trace/read.js'
import type {RecordedRow} from '#llmsim/trace/recording.js'
import {problemOf} from '../catalogue/problem.js'
import {spawnCli} from '../support/cli.js'
import {endListening, listenModel as model, post, startListen} from '../support/listening.js'
import {closeTestPorts, openTestPort} from '../support/open-port.js'

const messages = [
  {
    role: 'user' as const,
    content: 'Hello, how is everybody in this long and friendly sentence today?',
  },
]

const until = async (isSo: () => boolean): Promise<void> => {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5))
}

const rowsOf = (port: Port): RecordedRow[] => {
  const rows: RecordedRow[] = []
  port.serving.observers.push({ended: (row) => rows.push(row)})
  return rows
}

const proxyOf = (url: string, given: Partial<PortOptions> = {}) =>
  openTestPort({upstream: upstreamUrl(url), ...given})

/** A server that does what a test says. */
async function serverOf(listener: RequestListener): Promise<Server & {readonly url: string}> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const {port} = server.address() as AddressInfo
  return Object.assign(server, {url: `http://127.0.0.1:${port}`})
}

describe('a proxy', function () {
  this.timeout(30_000)

  describe('in front of a server', () => {
    let upstream: Port
    let proxy: Port
    let asked: RecordedRow[]
    let seen: RecordedRow[]
    before(async () => {
      upstream = await openTestPort()
      proxy = await proxyOf(`${upstream.url}/v1`)
      asked = rowsOf(upstream)
      seen = rowsOf(proxy)
    })
    after(async () => {
      await proxy.close()
      await upstream.close()
    })
    beforeEach(() => {
      asked.length = 0
      seen.length = 0
    })

    const ask = (fields: object, path?: string) =>
      post({url: proxy.url, ...(path ? {path} : {}), body: {model, messages, ...fields}})

    it('records the tokens, the times and every gap of a stream', async () => {
      const answer = await ask({max_tokens: 20, ignore_eos: true, stream: true})
      expect(answer.status).equal(200)
      const [row] = seen as [RecordedRow]
      const [told] = asked as [RecordedRow]
      expect([row.inputTokens, row.outputTokens, row.producedTokens]).deep.equal([
        told.inputTokens,
        20,
        20,
      ])
      expect([row.status, row.httpStatus, row.mode]).deep.equal(['completed', 200, 'stream'])
      expect(row.gaps!.length).equal(19)
      expect(row.gaps!.reduce((sum, gap) => sum + gap, 0)).equal(row.e2e! - row.ttft!)
      // As the modelled server behind it says, and what timers and a busy machine add.
      expect(row.ttft!).least(told.predictedTtft! * 0.95)
      expect(row.e2e!).least(told.predictedE2e! * 0.95)
      expect(row.blockHashes.split(' ').length).equal(Math.floor((told.inputTokens + 20) / 16))
      expect(row.predictedTtft).equal(undefined)
    })

    it('asks for the usage that a stream needs, and hides it from who did not', async () => {
      const plain = await ask({max_tokens: 3, ignore_eos: true, stream: true})
      expect(plain.text).not.contain('"prompt_tokens"')
      expect(plain.text.trimEnd().endsWith('data: [DONE]')).equal(true)
      const told = await ask({
        max_tokens: 3,
        ignore_eos: true,
        stream: true,
        stream_options: {include_usage: true},
      })
      expect(told.text).contain('"prompt_tokens"')
      expect(seen.map(({outputTokens}) => outputTokens)).deep.equal([3, 3])
    })

    it('serves whole answers, completions, responses, embeddings and everything else', async () => {
      const client = new OpenAI({baseURL: `${proxy.url}/v1`, apiKey: 'any', maxRetries: 0})
      const chat = await client.chat.completions.create({model, messages, n: 2, max_tokens: 6})
      expect(chat.choices.length).equal(2)
      await client.completions.create({model, prompt: ['a b c', 'd e'], max_tokens: 4})
      const stream = client.responses.stream({model, input: 'Hello', max_output_tokens: 7})
      const final = await stream.finalResponse()
      await client.embeddings.create({model, input: ['x', 'y z']})
      expect((await client.models.list()).data[0]!.id).equal(model)
      expect(await (await fetch(`${proxy.url}/metrics`)).text()).contain(
        'vllm:num_requests_running',
      )
      expect(
        await (
          await fetch(`${proxy.url}/tokenize`, {
            method: 'POST',
            headers: {'content-type': 'application/json'},
            body: '{"prompt": "hello"}',
          })
        ).json(),
      ).property('count', 2)
      const totals = (rows: readonly RecordedRow[]) =>
        ['/v1/chat/completions', '/v1/completions', '/v1/responses', '/v1/embeddings'].map(
          (path) => {
            const own = rows.filter(({endpoint}) => endpoint === path)
            const sum = (of: (row: RecordedRow) => number) =>
              own.reduce((all, row) => all + of(row), 0)
            return [path, own.length, sum((row) => row.inputTokens), sum((row) => row.outputTokens)]
          },
        )
      expect(totals(seen)).deep.equal(totals(asked))
      expect(final.usage!.output_tokens).equal(
        seen.find(({endpoint}) => endpoint === '/v1/responses')!.outputTokens,
      )
    })

    it('passes errors on as they are, and records them', async () => {
      const direct = await post({url: upstream.url, body: {model: 'none', messages}})
      const answer = await ask({model: 'none'})
      expect([answer.status, answer.text]).deep.equal([direct.status, direct.text])
      expect(seen.map(({status, httpStatus}) => [status, httpStatus])).deep.equal([['failed', 404]])
      const torn = await post({url: proxy.url, body: '{"model": '})
      expect(torn.status).equal(400)
      expect(JSON.parse(torn.text).error.type).equal('invalid_request_error')
    })

    it('hangs up when its client does', async () => {
      const answer = await post({
        url: proxy.url,
        body: {model, messages, max_tokens: 5000, ignore_eos: true, stream: true},
        leaveAfterMs: 120,
      })
      expect(answer.end).equal('left')
      await until(() => asked.length > 0 && seen.length > 0)
      expect([asked[0]!.status, seen[0]!.status]).deep.equal(['cancelled', 'cancelled'])
      expect(seen[0]!.cancelledAt).greaterThan(seen[0]!.arrivedAt)
      expect(upstream.serving.backend.status().usedBlocks).equal(0)
      expect(proxy.serving.open).equal(0)
    })

    it('finds conversations', async () => {
      const first = JSON.parse((await ask({max_tokens: 30, ignore_eos: true})).text).choices[0]
        .message
      await ask({messages: [...messages, first, {role: 'user', content: 'And?'}], max_tokens: 3})
      expect(seen.map(({turn}) => turn)).deep.equal([0, 1])
      expect(seen[1]!.session).equal(seen[0]!.session)
      expect(seen[1]!.blockHashes.startsWith(seen[0]!.blockHashes)).equal(true)
    })
  })

  it('leaves a trace that is read with what was measured', async () => {
    const upstream = await openTestPort()
    const proxy = await proxyOf(upstream.url)
    for (const max of [5, 9]) {
      await post({
        url: proxy.url,
        body: {model, messages, max_tokens: max, ignore_eos: true, stream: true},
      })
    }
    await proxy.close()
    await upstream.close()
    const trace = await readTrace(proxy.files)
    expect([...trace.outputTokens]).deep.equal([5, 9])
    const column = (name: string) => trace.extra!.get(name)!
    expect(column('ttft_ms').every((cell) => Number(cell) > 0)).equal(true)
    for (const [i, cell] of column('tpot_ms').entries()) {
      const [ttft, e2e] = [Number(column('ttft_ms')[i]), Number(column('e2e_ms')[i])]
      expect(Number(cell)).closeTo((e2e - ttft) / (trace.outputTokens[i]! - 1), 1e-5)
    }
    expect(column('gaps_ms').map((cell) => cell.split(' ').length)).deep.equal([4, 8])
    expect(column('http_status')).deep.equal(['200', '200'])
    expect(trace.prefix!.knownTokens[0]).greaterThan(15)
  })

  it('says 502 with a body of OpenAI when there is no server, and goes on when there is one', async () => {
    const gone = await serverOf(() => {})
    const {url} = gone
    const port = Number(new URL(url).port)
    await new Promise((resolve) => gone.close(resolve))
    const proxy = await proxyOf(url)
    const rows = rowsOf(proxy)
    const answer = await post({url: proxy.url, body: {model, messages}})
    expect(answer.status).equal(502)
    const {error} = JSON.parse(answer.text)
    expect([error.type, error.code, error.param]).deep.equal([
      'server_error',
      'upstream_unreachable',
      null,
    ])
    expect(error.message).contain(`127.0.0.1:${port}`).contain('ECONNREFUSED')
    expect((await fetch(`${proxy.url}/v1/models`)).status).equal(502)
    expect(rows.map(({status, httpStatus}) => [status, httpStatus])).deep.equal([['failed', 502]])
    expect([...proxy.serving.unanswered]).deep.equal([['502', 1]])
    const problem = await problemOf(() => readTrace([...proxy.files]))
    expect(problem.code).equal('TRACE_EMPTY')
    expect(problem.message).match(
      /: its only row is a failed request \(1 × 502\): there is nothing/,
    )
    const back = createServer((_request, response) => response.end('{"choices": []}'))
    await new Promise<void>((resolve) => back.listen(port, '127.0.0.1', resolve))
    expect((await post({url: proxy.url, body: {model, messages}})).status).equal(200)
    await proxy.close()
    back.close()
  })

  it('breaks off when the server does', async () => {
    const server = await serverOf((_request, response) => {
      response.writeHead(200, {'content-type': 'text/event-stream'})
      response.write('data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n')
      setTimeout(() => response.destroy(), 30)
    })
    const proxy = await proxyOf(server.url)
    const rows = rowsOf(proxy)
    const answer = await post({url: proxy.url, body: {model, messages, stream: true}})
    expect(answer.end).equal('broken')
    expect(answer.text).contain('Hi').not.contain('[DONE]')
    await until(() => rows.length > 0)
    expect([rows[0]!.status, rows[0]!.producedTokens]).deep.equal(['failed', 1])
    await proxy.close()
    server.close()
  })

  it('does not touch what it does not know', async () => {
    const events = [
      ': a comment\r\n\r\n',
      'event: odd\ndata: not json\n\n',
      'data: {"choices":[{"index":0,"delta":{"content":"漢字"}}]}\r\n\r\n',
      'data: {"x": 1}\n\n',
      'data: [DONE]\n\n',
    ]
    let heard: {headers: Record<string, unknown>; body: string} | undefined
    const server = await serverOf((request, response) => {
      let body = ''
      request.on('data', (chunk) => {
        body += chunk
      })
      request.on('end', () => {
        heard = {headers: request.headers, body}
        response.writeHead(200, {
          'content-type': 'text/event-stream',
          'x-odd': 'kept',
          'x-request-id': 'theirs',
        })
        const bytes = Buffer.from(events.join(''))
        // In pieces that end in the middle of events and characters.
        for (let at = 0; at < bytes.length; at += 7) response.write(bytes.subarray(at, at + 7))
        response.end()
      })
    })
    const proxy = await proxyOf(server.url)
    const body = {
      model: 'm',
      messages,
      stream: true,
      stream_options: {include_usage: true},
      odd: [1],
    }
    const answer = await post({
      url: proxy.url,
      path: '/v1/chat/completions?a=b',
      body,
      headers: {authorization: 'Bearer key', 'x-mine': '1'},
    })
    expect(answer.text).equal(events.join(''))
    expect([answer.headers['x-odd'], answer.headers['x-request-id']]).deep.equal(['kept', 'theirs'])
    expect(heard!.body).equal(JSON.stringify(body))
    expect([
      heard!.headers.authorization,
      heard!.headers['x-mine'],
      heard!.headers.host,
    ]).deep.equal(['Bearer key', '1', new URL(server.url).host])
    await proxy.close()
    server.close()
  })

  it('takes the count of the server over its own, and its own where the server has none', async () => {
    let usage: object | undefined = {
      prompt_tokens: 1000,
      completion_tokens: 77,
      prompt_tokens_details: {cached_tokens: 512},
    }
    const server = await serverOf((_request, response) => {
      response.setHeader('content-type', 'application/json')
      response.end(
        JSON.stringify({
          choices: [{index: 0, message: {role: 'assistant', content: 'one two three'}}],
          usage,
        }),
      )
    })
    const proxy = await proxyOf(server.url)
    const rows = rowsOf(proxy)
    await post({url: proxy.url, body: {model: 'm', messages}})
    usage = undefined
    await post({url: proxy.url, body: {model: 'm', messages}})
    expect(rows.map((row) => [row.outputTokens, row.cachedTokens])).deep.equal([
      [77, 512],
      [3, undefined],
    ])
    expect(rows[0]!.inputTokens).equal(1000)
    expect(rows[1]!.inputTokens).within(15, 40)
    await proxy.close()
    server.close()
  })

  it('sends once more what an idle connection lost', async () => {
    let calls = 0
    const server = await serverOf((_request, response) => {
      calls++
      response.end('{"choices": []}')
    })
    server.keepAliveTimeout = 1
    const proxy = await proxyOf(server.url)
    for (let i = 0; i < 8; i++) {
      expect((await post({url: proxy.url, body: {model, messages}})).status).equal(200)
      await new Promise((resolve) => setTimeout(resolve, i))
    }
    expect(calls).equal(8)
    await proxy.close()
    server.close()
  })

  it('wants a URL', async () => {
    expect(upstreamUrl('http://host:8000/v1/').href).equal('http://host:8000/')
    expect(upstreamUrl('https://host/base/v1').pathname).equal('/base')
    for (const text of ['host:8000', 'ftp://host', '']) {
      const problem = await problemOf(() => upstreamUrl(text))
      expect([problem.code, problem.message]).deep.equal([
        'FLAG_BAD_VALUE',
        `--upstream ${text}: it is not the URL of a server.`,
      ])
    }
  })
})

describe('listen --upstream', function () {
  this.timeout(60_000)
  afterEach(endListening)
  afterEach(closeTestPorts)

  it('lets open requests end at Ctrl-C, and simulates what it recorded', async () => {
    const upstream = await openTestPort()
    const proxy = await startListen('--upstream', `${upstream.url}/v1`, '--hardware', 'L40S')
    const body = {model, messages, max_tokens: 40, ignore_eos: true}
    const open = post({url: proxy.url, body: {...body, stream: true}})
    await post({url: proxy.url, body: {...body, max_tokens: 2}})
    proxy.kill('SIGINT')
    expect((await proxy.ended).code).equal(0)
    expect((await open).text).match(/data: \[DONE\]\n\n$/)
    expect(proxy.stdout()).contain('2 of 2 completed').contain(`2 rows in ${proxy.trace}`)
    expect(proxy.stdout()).contain(`run.js simulate ${proxy.trace} --hardware L40S`)
    const trace = await readTrace([proxy.trace])
    expect([...trace.outputTokens].sort((a, b) => a - b)).deep.equal([2, 40])
    await upstream.close()
  })

  it('refuses what only a model can do, and what is no URL', async () => {
    for (const [flags, code, says] of [
      [
        ['http://127.0.0.1:1', '--speed', '2'],
        'FLAG_CONFLICT',
        /--speed=2 cannot also be provided/,
      ],
      [['http://127.0.0.1:1', '--answer', 'echo'], 'FLAG_CONFLICT', /--answer=echo/],
      [['my-server'], 'FLAG_BAD_VALUE', /--upstream my-server: it is not the URL of a server\./],
    ] as const) {
      const {code: exit, stderr} = await spawnCli('listen', '--port', '0', '--upstream', ...flags)
      expect(exit, stderr).equal(2)
      expect(stderr).match(says).contain(`Code: ${code}`)
    }
  })
})

describe('server-sent events', () => {
  it('are the same however they are cut', () => {
    const text = 'data: a\n\ndata: b\r\ndata: c\r\n\r\n: hm\n\nevent: x\ndata:d\n\ndata: rest'
    for (let size = 1; size < text.length; size++) {
      const splitter = new EventSplitter()
      const events: Buffer[] = []
      for (let at = 0; at < text.length; at += size)
        events.push(...splitter.push(Buffer.from(text.slice(at, at + size))))
      expect(events.map((each) => dataOf(each))).deep.equal(['a', 'b\nc', undefined, 'd'])
      expect(splitter.rest.toString()).equal('data: rest')
    }
  })
})
