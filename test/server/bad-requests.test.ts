/** What is wrong with a request is told in OpenAI's words, and the server is as healthy afterwards as before. */
import {connect} from 'node:net'
import {expect} from 'chai'
import type {Port} from '#llmsim/server/port.js'
import {type Answer, listenModel, post} from '../support/listening.js'
import {closeTestPorts, openTestPort} from '../support/open-port.js'

const chat = (more: object): string =>
  JSON.stringify({model: listenModel, messages: [{role: 'user', content: 'Hi'}], ...more})

interface Wrong {
  readonly what: string
  /** Raw bytes, or a body for the chat endpoint. */
  readonly raw?: string | Buffer
  readonly body?: string
  readonly path?: string
  readonly status: number
  /** In the message. */
  readonly says?: RegExp
  readonly param?: string
  readonly code?: string
}

const key = 'sk-right'

const head = (lines: readonly string[], body: string | Buffer = ''): Buffer => {
  const all = ['host: x', `authorization: Bearer ${key}`, ...lines.slice(1)]
  const length = Buffer.byteLength(body)
  const withLength = all.some((line) => /^(content-length|transfer-encoding)/i.test(line))
    ? all
    : [...all, `content-length: ${length}`]
  return Buffer.concat([
    Buffer.from(`${lines[0]}\r\n${withLength.join('\r\n')}\r\n\r\n`),
    Buffer.from(body),
  ])
}

const json = 'content-type: application/json'
const postChat = 'POST /v1/chat/completions HTTP/1.1'

const wrong: readonly Wrong[] = [
  {what: 'no body', body: '', status: 400, says: /empty/},
  {
    what: 'a torn body',
    body: '{"model": "x", ',
    status: 400,
    says: /body:1:16: not valid JSON/,
    code: 'invalid_json',
  },
  {what: 'a body that is no JSON', body: 'hello', status: 400, says: /body:1:1: not valid JSON/},
  {what: 'a trailing comma', body: '{"model": "x",}', status: 400, says: /not valid JSON/},
  {
    what: 'a key twice',
    body: `{"model": "${listenModel}", "n": 1, "n": 2, "messages": []}`,
    status: 400,
    says: /"n" twice/,
    param: 'n',
  },
  {
    what: 'a key twice, deep inside',
    body: `{"model": "x", "messages": [{"role": "user", "role": "system", "content": "x"}]}`,
    status: 400,
    says: /"role" twice/,
  },
  {what: 'an array', body: '[]', status: 400, says: /object/},
  {what: 'null', body: 'null', status: 400, says: /object/},
  {what: 'a number', body: '7', status: 400, says: /object/},
  {
    what: 'no model',
    body: '{"messages": [{"role": "user", "content": "x"}]}',
    status: 400,
    param: 'model',
  },
  {what: 'a model that is a number', body: chat({model: 7}), status: 400, param: 'model'},
  {
    what: 'an unknown model',
    body: chat({model: 'gpt-4o'}),
    status: 404,
    says: /--served-model-name gpt-4o.*--any-model/,
    code: 'model_not_found',
  },
  {what: 'no messages', body: JSON.stringify({model: listenModel}), status: 400, param: 'messages'},
  {what: 'empty messages', body: chat({messages: []}), status: 400, param: 'messages'},
  {what: 'messages that are text', body: chat({messages: 'Hi'}), status: 400, param: 'messages'},
  {
    what: 'an unknown role',
    body: chat({messages: [{role: 'boss', content: 'x'}]}),
    status: 400,
    param: 'messages[0].role',
  },
  {
    what: 'content that is a number',
    body: chat({messages: [{role: 'user', content: 7}]}),
    status: 400,
    param: 'messages[0].content',
  },
  {what: 'negative max_tokens', body: chat({max_tokens: -5}), status: 400, param: 'max_tokens'},
  {what: 'max_tokens of zero', body: chat({max_tokens: 0}), status: 400, param: 'max_tokens'},
  {what: 'max_tokens in words', body: chat({max_tokens: 'ten'}), status: 400, param: 'max_tokens'},
  {what: 'a half token', body: chat({max_tokens: 1.5}), status: 400, param: 'max_tokens'},
  {
    what: 'min_tokens above max_tokens',
    body: chat({max_tokens: 2, min_tokens: 3}),
    status: 400,
    param: 'min_tokens',
  },
  {
    what: 'more than the context',
    body: chat({max_tokens: 9000}),
    status: 400,
    code: 'context_length_exceeded',
  },
  {
    what: 'a prompt over the context',
    body: chat({messages: [{role: 'user', content: 'word '.repeat(9000)}]}),
    status: 400,
    code: 'context_length_exceeded',
  },
  {what: 'n of zero', body: chat({n: 0}), status: 400, param: 'n'},
  {what: 'stream in words', body: chat({stream: 'yes'}), status: 400, param: 'stream'},
  {
    what: 'temperature out of range',
    body: chat({temperature: 9}),
    status: 400,
    param: 'temperature',
  },
  {
    what: 'a wrong response_format',
    body: chat({response_format: {type: 'xml'}}),
    status: 400,
    param: 'response_format.type',
  },
  {what: 'tools that are an object', body: chat({tools: {}}), status: 400, param: 'tools'},
  {
    what: 'an empty prompt',
    path: '/v1/completions',
    body: JSON.stringify({model: listenModel, prompt: ''}),
    status: 400,
    param: 'prompt',
  },
  {
    what: 'token ids out of the vocabulary',
    path: '/v1/completions',
    body: JSON.stringify({model: listenModel, prompt: [99_999_999]}),
    status: 400,
    param: 'prompt',
  },
  {
    what: 'a body of 20 MB',
    body: `{"a": "${'x'.repeat(20_000_000)}"}`,
    status: 413,
    code: 'request_too_large',
  },
  {
    what: 'an unknown route',
    path: '/v1/chat/completion',
    body: '{}',
    status: 404,
    code: 'unknown_url',
    says: /^Unknown request URL: POST \/v1\/chat\/completion\. Did you mean \/v1\/chat\/completions\?$/,
  },
  {
    what: 'a route of a client whose base URL lacks /v1',
    path: '/chat/completions',
    body: '{}',
    status: 404,
    code: 'unknown_url',
    says: /It is \/v1\/chat\/completions: the base URL of a client ends in \/v1\.$/,
  },
  {
    what: 'a route of a client whose base URL has /v1 twice',
    path: '/v1/v1/models',
    body: '{}',
    status: 404,
    says: /ends in one \/v1\.$/,
  },
  {
    what: 'a route that is like no other',
    path: '/v1/images/generations',
    body: '{}',
    status: 404,
    says: /^Unknown request URL: POST \/v1\/images\/generations\.$/,
  },
  {
    what: 'a wrong method',
    raw: head(['PUT /v1/chat/completions HTTP/1.1', json], '{}'),
    status: 405,
    says: /takes POST, not PUT/,
  },
  {
    what: 'to delete a model',
    raw: head(['DELETE /v1/models/gpt-9 HTTP/1.1']),
    status: 405,
    says: /takes GET, not DELETE/,
  },
  {
    what: 'GET where POST is meant',
    raw: head(['GET /v1/chat/completions HTTP/1.1']),
    status: 405,
    says: /takes POST, not GET/,
  },
  {
    what: 'a form',
    raw: head([postChat, 'content-type: application/x-www-form-urlencoded'], 'a=1'),
    status: 415,
    says: /content-type: application\/json/,
  },
  {what: 'no content type', raw: head([postChat], chat({})), status: 415},
  {
    what: 'invalid UTF-8',
    raw: head([postChat, json], Buffer.from([0x22, 0xc3, 0x28, 0x22])),
    status: 400,
    says: /UTF-8/,
  },
  {
    what: 'no key',
    raw: Buffer.from(`${postChat}\r\nhost: x\r\n${json}\r\ncontent-length: 2\r\n\r\n{}`),
    status: 401,
    says: /API key/,
  },
  {
    what: 'no key, and a path in other letters',
    raw: Buffer.from(
      `POST /%76%31/chat/completions HTTP/1.1\r\nhost: x\r\n${json}\r\ncontent-length: 2\r\n\r\n{}`,
    ),
    status: 401,
    says: /API key/,
  },
  {
    what: 'no key, and a path that is none',
    raw: Buffer.from('GET /v1/models/%zz HTTP/1.1\r\nhost: x\r\n\r\n'),
    status: 400,
  },
  {
    what: 'a wrong key',
    raw: Buffer.from(
      `${postChat}\r\nhost: x\r\nauthorization: Bearer sk-wrong\r\n${json}\r\ncontent-length: 2\r\n\r\n{}`,
    ),
    status: 401,
    code: 'invalid_api_key',
  },
  {
    what: 'a flood of headers',
    raw: head([postChat, ...Array.from({length: 2000}, (_, i) => `x-${i}: ${'y'.repeat(20)}`)]),
    status: 431,
    says: /headers/,
  },
  {
    what: 'something that is no HTTP',
    raw: Buffer.from('hello there\r\n\r\n'),
    status: 400,
    says: /not valid HTTP/,
  },
  {
    what: 'two lengths',
    raw: head([postChat, json, 'content-length: 5', 'content-length: 6'], 'hello'),
    status: 400,
  },
  {
    what: 'a chunk that is none',
    raw: head([postChat, json, 'transfer-encoding: chunked'], 'zz\r\nhello'),
    status: 400,
  },
  {what: 'a malformed URL', raw: head(['GET /v1/models/%zz HTTP/1.1']), status: 400},
  {
    what: 'a model that is not there',
    raw: head(['GET /v1/models/gpt-9 HTTP/1.1']),
    status: 404,
    code: 'model_not_found',
  },
  {
    what: 'headers that never end',
    raw: Buffer.from(`${postChat}\r\nhost: x\r\nx-slow:`),
    status: 408,
  },
  {
    what: 'a body that never ends',
    raw: head([postChat, json, 'content-length: 1000'], '{"mo'),
    status: 408,
  },
]

interface Told {
  readonly status: number
  readonly body: {error: {message: string; type: string; param: string | null; code: string | null}}
}

/** Sends bytes and reads one response. */
const sendRaw = (port: Port, bytes: Buffer | string): Promise<Told> =>
  new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(port.url).port), '127.0.0.1')
    let text = ''
    socket.setEncoding('utf8')
    socket.on('data', (piece: string) => {
      text += piece
      const at = text.indexOf('\r\n\r\n')
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1])
      if (at < 0 || Buffer.byteLength(text.slice(at + 4)) < length) return
      socket.destroy()
      resolve({
        status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]),
        body: JSON.parse(text.slice(at + 4)),
      })
    })
    socket.on('error', () => undefined)
    socket.on('close', () => reject(new Error(`the connection was closed after: ${text}`)))
    socket.write(bytes)
  })

const sendBody = async (port: Port, {path, body}: Wrong): Promise<Told> => {
  const answer = await fetch(`${port.url}${path ?? '/v1/chat/completions'}`, {
    method: 'POST',
    headers: {'content-type': 'application/json', authorization: `Bearer ${key}`},
    body: body!,
  })
  return {status: answer.status, body: (await answer.json()) as Told['body']}
}

const typeOf = (status: number): string =>
  status === 429 ? 'rate_limit_error' : status >= 500 ? 'server_error' : 'invalid_request_error'

const settled = (ms = 50): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Nobody is in the house, nothing is held: soon, for a busy machine sees late that clients left. */
async function expectEmpty({serving}: Port): Promise<void> {
  for (let i = 0; i < 100 && serving.open + serving.backend.inFlight > 0; i++) await settled()
  expect(serving.open, 'open requests').equal(0)
  expect(serving.backend.inFlight, 'requests in the engine').equal(0)
  expect(serving.backend.status().usedBlocks, 'blocks').equal(0)
}

describe('bad requests', () => {
  let port: Awaited<ReturnType<typeof openTestPort>>
  before(async () => {
    port = await openTestPort({
      apiKey: key,
      limits: {headersTimeoutMs: 300, requestTimeoutMs: 600},
    })
  })
  after(closeTestPorts)

  it('are at least 40', () => {
    expect(wrong.length).least(40)
  })

  for (const one of wrong) {
    it(`${one.what}: ${one.status}`, async () => {
      const {status, body} =
        one.raw === undefined ? await sendBody(port, one) : await sendRaw(port, one.raw)
      expect(status, JSON.stringify(body)).equal(one.status)
      expect(Object.keys(body)).deep.equal(['error'])
      expect(Object.keys(body.error)).deep.equal(['message', 'type', 'param', 'code'])
      expect(body.error.type).equal(typeOf(status))
      expect(body.error.message).match(/^[A-Z'"/].*\S$/s)
      if (one.says) expect(body.error.message).match(one.says)
      if (one.param) expect(body.error.param).equal(one.param)
      if (one.code) expect(body.error.code).equal(one.code)
    })
  }

  const ask = (more: object, leaveAfterMs?: number): Promise<Answer> =>
    post({
      url: port.url,
      body: chat(more),
      headers: {authorization: `Bearer ${key}`},
      ...(leaveAfterMs === undefined ? {} : {leaveAfterMs}),
    })

  it('clients that leave in the middle of a stream, a wait, a body: their seats and blocks are free', async () => {
    const leavers = [5, 10, 20, 40, 60, 80].flatMap((ms) => [
      ask({stream: true, max_tokens: 500}, ms),
      ask({max_tokens: 500}, ms),
      ask({stream: true, max_tokens: 50, n: 3}, ms),
    ])
    const answers = await Promise.all(leavers)
    expect(new Set(answers.map(({end}) => end))).deep.equal(new Set(['left']))
    await settled()
    await expectEmpty(port)
    const half = connect(Number(new URL(port.url).port), '127.0.0.1')
    half.write(head([postChat, json, 'content-length: 100000'], '{"model": "'))
    await settled(20)
    half.destroy()
    await settled()
    await expectEmpty(port)
  })

  it('clients that leave while answers wait behind another on their connection (pipelining)', async () => {
    const socket = connect(Number(new URL(port.url).port), '127.0.0.1')
    const body = chat({max_tokens: 400, ignore_eos: true})
    const one = head([postChat, json], body)
    const begun = port.serving.recorder.rows
    // More than the ten listeners that Node warns of.
    socket.write(Buffer.concat(Array.from({length: 12}, () => one)))
    for (let i = 0; i < 100 && port.serving.open < 12; i++) await settled(5)
    expect(port.serving.open).equal(12)
    socket.destroy()
    await expectEmpty(port)
    await settled()
    expect(port.serving.recorder.rows - begun).equal(12)
  })

  it('answers come in the order of their requests on one connection, and all are counted out', async () => {
    const socket = connect(Number(new URL(port.url).port), '127.0.0.1')
    let text = ''
    socket.setEncoding('utf8').on('data', (piece: string) => {
      text += piece
    })
    const sizes = [30, 1, 5]
    socket.write(
      Buffer.concat(
        sizes.map((size) => head([postChat, json], chat({max_tokens: size, ignore_eos: true}))),
      ),
    )
    const lengths = () =>
      [...text.matchAll(/"completion_tokens":(\d+)/g)].map((found) => +found[1]!)
    for (let i = 0; i < 200 && lengths().length < 3; i++) await settled(10)
    expect(lengths()).deep.equal(sizes)
    await expectEmpty(port)
    socket.destroy()
  })

  it('leave a healthy server: no log of a bug, no connection, timer or block kept, and it still answers', async () => {
    const {status, text} = await ask({max_tokens: 3})
    expect(status, text).equal(200)
    await settled()
    await expectEmpty(port)
    expect(port.logged).deep.equal([])
    // One after the other: what is left behind would add up.
    const count = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    const before = count()
    for (let i = 0; i < 30; i++) await ask({max_tokens: i % 2 === 0 ? -1 : 1, stream: i % 3 === 0})
    await settled(100)
    expect(count()).most(before + 3)
  })
})

describe('a server that takes no requests now', () => {
  afterEach(closeTestPorts)

  it('says so while the model is loaded, and takes them afterwards', async () => {
    const port = await openTestPort({warmupMs: 400})
    const early = await post({url: port.url, body: chat({max_tokens: 1})})
    expect([early.status, early.headers['retry-after']]).deep.equal([503, '1'])
    expect(early.text).include('being loaded')
    expect((await fetch(`${port.url}/health`)).status).equal(503)
    await settled(450)
    expect((await fetch(`${port.url}/health`)).status).equal(200)
    expect((await post({url: port.url, body: chat({max_tokens: 1})})).status).equal(200)
  })

  it('turns requests away when the queue is full: 429 with retry-after', async () => {
    const port = await openTestPort({maxQueue: 4, speed: 0.05})
    const answers = await Promise.all(
      Array.from({length: 12}, () => post({url: port.url, body: chat({max_tokens: 1})})),
    )
    const statuses = answers.map(({status}) => status).sort()
    expect(statuses.filter((status) => status === 429).length).equal(8)
    const {headers, text} = answers.find(({status}) => status === 429)!
    expect(headers['retry-after']).equal('1')
    expect(JSON.parse(text).error).include({type: 'rate_limit_error', code: 'rate_limit_exceeded'})
  })

  it('answers 503 while it drains, and ends those who are in', async () => {
    const port = await openTestPort()
    const inside = post({url: port.url, body: chat({max_tokens: 30, stream: true})})
    while (port.serving.open === 0) await settled(5)
    const drained = port.drain()
    const late = await post({url: port.url, body: chat({max_tokens: 1})})
    expect(late.status).equal(503)
    expect(late.text).include('shutting down')
    await drained
    expect((await inside).text).match(/data: \[DONE\]\n\n$/)
  })
})
