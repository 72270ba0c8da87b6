/** Answers over HTTP: server-sent events whose headers leave with the first token, or one JSON body. */
import type {FastifyReply} from 'fastify'
import type {ApiError} from './api-error.js'
import type {AnswerSink} from './exchange.js'
import {FairQueue} from './fair-queue.js'

export const ttftHeader = 'x-llmsim-ttft-ms'

const eventHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  'x-accel-buffering': 'no',
}

/** A client that reads so much slower than its answer comes is given up, before it fills our memory. */
const mostUnread = 16 * 1024 * 1024

/** Pieces of all streams: what a stream got in one turn of the event loop is one write of a later one. */
export class StreamFlusher {
  readonly #queue = new FairQueue()

  add(sink: HttpSink): void {
    this.#queue.add(sink.flush)
  }
}

export class HttpSink implements AnswerSink {
  readonly #reply: FastifyReply
  readonly #flusher: StreamFlusher
  #buffer = ''
  #isOpen = false
  #isEnding = false

  constructor(reply: FastifyReply, flusher: StreamFlusher) {
    this.#reply = reply
    this.#flusher = flusher
  }

  open(ttft: number): void {
    this.#isOpen = true
    this.#setTtft(ttft)
    this.#flusher.add(this)
  }

  #setTtft(ttft: number): void {
    if (!Number.isNaN(ttft)) this.#reply.header(ttftHeader, (ttft / 1e6).toFixed(6))
  }

  push(text: string): void {
    const isFirst = !this.#reply.raw.headersSent
    if (this.#buffer === '' && !isFirst) this.#flusher.add(this)
    this.#buffer += text
    // What a client waits for most does not wait for the pieces of others.
    if (isFirst) this.flush()
  }

  end(text: string): void {
    this.#isEnding = true
    this.#buffer += text
    this.flush()
  }

  /** Writes what has come together. */
  readonly flush = (): void => {
    const {raw} = this.#reply
    const text = this.#buffer
    this.#buffer = ''
    if (raw.destroyed || raw.writableEnded) return
    if (!raw.headersSent) {
      this.#reply.hijack()
      raw.writeHead(200, {...headersOf(this.#reply), ...eventHeaders})
    }
    if (this.#isEnding) raw.end(text)
    else if (text === '') raw.flushHeaders()
    else if (!raw.write(text) && raw.writableLength > mostUnread) raw.destroy()
  }

  whole(json: string, ttft: number): void {
    this.#setTtft(ttft)
    void this.#reply.header('content-type', 'application/json; charset=utf-8').send(json)
  }

  fail(error: ApiError): void {
    const {raw} = this.#reply
    if (this.#isOpen && raw.headersSent) {
      // Too late for a status: the client sees an error event and a connection that breaks off.
      raw.write(`${this.#buffer}data: ${error.body}\n\n`, () => raw.destroy())
      this.#buffer = ''
      return
    }
    this.#buffer = ''
    sendError(this.#reply, error)
  }
}

const headersOf = (reply: FastifyReply): Record<string, string> =>
  Object.fromEntries(
    Object.entries(reply.getHeaders()).map(([name, value]) => [name, String(value)]),
  )

export function sendError(reply: FastifyReply, error: ApiError): void {
  void reply
    .code(error.status)
    .headers(error.details.headers ?? {})
    .header('content-type', 'application/json; charset=utf-8')
    .send(error.body)
}
