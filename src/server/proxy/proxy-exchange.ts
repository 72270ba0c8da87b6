/** One request on its way through the proxy to a real server and back, measured and recorded. */
import {randomUUID} from 'node:crypto'
import type {IncomingMessage} from 'node:http'
import type {FastifyReply, FastifyRequest} from 'fastify'
import type {RecordedRow, RecordedStatus} from '../../trace/recording.js'
import type {Answering} from '../answering.js'
import {ApiError} from '../api-error.js'
import {onDeparture} from '../departure.js'
import {sendError} from '../http-sink.js'
import type {Serving} from '../serving.js'
import {dataOf, EventSplitter} from './event-splitter.js'
import {type ProxiedRequest, promptsOf, proxiedRequest} from './proxied-request.js'
import type {ProxyBackend} from './proxy-backend.js'
import {rowsOf} from './proxy-rows.js'
import {SeenAnswer} from './seen-answer.js'
import {forwarded, type Upstream} from './upstream.js'

export interface ProxyParts {
  readonly upstream: Upstream
  readonly serving: Serving
  readonly answering: Answering
  readonly backend: ProxyBackend
}

export class ProxyExchange {
  readonly #parts: ProxyParts
  readonly #id = `req_${randomUUID().replaceAll('-', '')}`
  readonly #incoming: FastifyRequest
  readonly #reply: FastifyReply
  readonly #path: string
  readonly #request: ProxiedRequest
  readonly #arrivedAt: number
  readonly #seen = new SeenAnswer()
  readonly #splitter = new EventSplitter()
  #promptIds: readonly Uint32Array[] = []
  #httpStatus: number | undefined
  #abort: () => void = () => {}
  #isOver = false
  #response: IncomingMessage | undefined
  /** The last event of a stream waits until the row is written. */
  #held: Buffer[] = []

  constructor(parts: ProxyParts, request: FastifyRequest, reply: FastifyReply) {
    this.#parts = parts
    this.#incoming = request
    this.#reply = reply
    this.#arrivedAt = parts.backend.now()
    this.#path = request.url.split('?', 1)[0]!
    this.#request = proxiedRequest(this.#path, bytesOf(request.body))
  }

  begin(): void {
    const {serving, backend} = this.#parts
    serving.enter()
    backend.inFlight++
    onDeparture(this.#incoming.raw, this.#reply.raw, () => {
      serving.leave()
      this.#gone()
    })
    this.#send(this.#incoming)
    this.#count()
  }

  #send({method, url, headers}: FastifyRequest): void {
    const passed = {...forwarded(headers), 'accept-encoding': 'identity'}
    const call = {method, path: url, headers: passed}
    const {abort} = this.#parts.upstream.send(call, this.#request.body, {
      response: (response) => this.#answered(response),
      unreachable: (error) => this.#failed(error),
    })
    this.#abort = abort
  }

  /** The tokens of the prompt are counted while the server works. */
  #count(): void {
    promptsOf(this.#parts.answering, this.#request).then(
      (ids) => {
        this.#promptIds = ids
        if (this.#isOver) return
        for (const row of this.#rows('lost')) this.#parts.serving.recorder.accept(row)
      },
      // A thread that ended: the server's own count is what matters.
      () => {},
    )
  }

  #answered(response: IncomingMessage): void {
    this.#response = response
    this.#httpStatus = response.statusCode!
    const isStream = (response.headers['content-type'] ?? '').startsWith('text/event-stream')
    response.on('error', () => this.#broken())
    response.on('aborted', () => this.#broken())
    if (isStream) this.#stream(response)
    else this.#whole(response)
  }

  #stream(response: IncomingMessage): void {
    const {raw} = this.#reply
    this.#reply.hijack()
    raw.writeHead(response.statusCode!, {...headersOf(this.#reply), ...forwarded(response.headers)})
    raw.flushHeaders()
    response.on('data', (chunk: Buffer) => this.#chunk(chunk))
    response.on('end', () => {
      if (this.#isOver) return
      this.#held.push(this.#splitter.rest)
      this.#end(this.#ok ? 'completed' : 'failed', (fate) => {
        if (fate === 'kept') raw.end(Buffer.concat(this.#held))
        else raw.destroy()
      })
    })
  }

  #chunk(chunk: Buffer): void {
    if (this.#isOver) return
    const at = this.#parts.backend.now()
    const passed: Buffer[] = []
    for (const event of this.#splitter.push(chunk)) {
      const kind = this.#see(event, at)
      if (kind === 'last') this.#held.push(event)
      else if (kind === 'shown') passed.push(event)
    }
    if (passed.length === 0) return
    const bytes = passed.length === 1 ? passed[0]! : Buffer.concat(passed)
    // A client that reads slowly slows the server down, not our memory.
    if (!this.#reply.raw.write(bytes)) this.#pause()
  }

  #pause(): void {
    this.#response?.pause()
    this.#reply.raw.once('drain', () => this.#response?.resume())
  }

  #see(event: Buffer, at: number): 'shown' | 'hidden' | 'last' {
    const data = dataOf(event)
    if (data === undefined) return 'shown'
    if (data === '[DONE]') return 'last'
    let parsed: unknown
    try {
      parsed = JSON.parse(data)
    } catch {
      return 'shown'
    }
    const isUsageOnly = this.#seen.event(parsed, at)
    if (isUsageOnly && this.#request.hidesUsage) return 'hidden'
    const type =
      typeof parsed === 'object' && parsed !== null && 'type' in parsed ? parsed.type : ''
    return /^response\.(completed|incomplete|failed)$/.test(String(type)) ? 'last' : 'shown'
  }

  #whole(response: IncomingMessage): void {
    const chunks: Buffer[] = []
    response.on('data', (chunk: Buffer) => chunks.push(chunk))
    response.on('end', () => {
      if (this.#isOver) return
      const body = Buffer.concat(chunks)
      this.#seeWhole(body)
      this.#end(this.#ok ? 'completed' : 'failed', (fate) => {
        if (fate === 'lost') sendError(this.#reply, unrecorded())
        else this.#give(response, body)
      })
    })
  }

  #seeWhole(body: Buffer): void {
    try {
      this.#seen.whole(JSON.parse(body.toString()))
    } catch {
      // Not JSON: there is nothing to count.
    }
  }

  #give(response: IncomingMessage, body: Buffer): void {
    const {raw} = this.#reply
    this.#reply.hijack()
    raw.writeHead(response.statusCode!, {
      ...headersOf(this.#reply),
      ...forwarded(response.headers),
      'content-length': body.length,
    })
    raw.end(body)
  }

  get #ok(): boolean {
    return this.#httpStatus !== undefined && this.#httpStatus < 400
  }

  #failed(error: ApiError): void {
    if (this.#isOver) return
    this.#httpStatus = error.status
    this.#end('failed', () => sendError(this.#reply, error))
  }

  /** The server broke off in the middle of an answer: so does ours. */
  #broken(): void {
    if (this.#isOver) return
    const {raw} = this.#reply
    if (!raw.headersSent) {
      this.#failed(
        new ApiError(502, 'The upstream server broke off in the middle of its answer.', {
          code: 'upstream_broke_off',
        }),
      )
      return
    }
    this.#end('failed', () => raw.destroy())
  }

  #gone(): void {
    if (this.#isOver) return
    this.#abort()
    this.#end('cancelled', () => {})
  }

  #end(status: RecordedStatus, then: (fate: 'kept' | 'lost') => void): void {
    this.#isOver = true
    const {serving, backend} = this.#parts
    backend.inFlight--
    const rows = this.#rows(status)
    if (status !== 'completed' && rows.every(({outputTokens}) => outputTokens === 0))
      serving.turnAway(this.#ok ? status : String(this.#httpStatus ?? status))
    let left = rows.length
    let worst: 'kept' | 'lost' = 'kept'
    for (const row of rows) {
      backend.outputTokens += row.outputTokens
      serving.recorder.end(row, (fate) => {
        if (fate === 'lost') worst = fate
        for (const observer of serving.observers) observer.ended(row, undefined)
        if (--left === 0) then(worst)
      })
    }
  }

  #rows(status: RecordedStatus): RecordedRow[] {
    const {answering, backend, serving} = this.#parts
    const {sessions, salt, keepsText} = serving
    return rowsOf(
      {
        id: this.#id,
        endpoint: this.#path,
        request: this.#request,
        promptIds: this.#promptIds,
        seen: this.#seen,
        arrivedAt: this.#arrivedAt,
        endedAt: backend.now(),
        status,
        httpStatus: this.#httpStatus,
      },
      {
        tokens: answering.tokens,
        sessions: status === 'lost' ? undefined : sessions,
        salt,
        keepsText,
      },
    )
  }
}

const unrecorded = (): ApiError =>
  new ApiError(503, 'The answer could not be recorded, so it is not given.', {
    headers: {'retry-after': '1'},
  })

const headersOf = (reply: FastifyReply): Record<string, string> =>
  Object.fromEntries(
    Object.entries(reply.getHeaders()).map(([name, value]) => [name, String(value)]),
  )

const bytesOf = (body: unknown): Buffer => (Buffer.isBuffer(body) ? body : Buffer.alloc(0))
