/** The real server behind a proxy: where it is, and connections to it that stay open. */
import {
  Agent,
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request as plainRequest,
} from 'node:http'
import {Agent as SecureAgent, request as secureRequest} from 'node:https'
import {Problem} from '../../errors.js'
import {ApiError} from '../api-error.js'

/** Headers that concern one connection only (RFC 9110, 7.6.1). */
const hops = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** What is passed on of headers. */
export function forwarded(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const named = (headers.connection ?? '').toLowerCase().split(/\s*,\s*/)
  const kept: OutgoingHttpHeaders = {}
  for (const [name, value] of Object.entries(headers)) {
    if (!hops.has(name) && !named.includes(name)) kept[name] = value
  }
  return kept
}

export interface UpstreamCall {
  readonly method: string
  /** With the query. */
  readonly path: string
  readonly headers: OutgoingHttpHeaders
}

/** `http://host:8000`, with or without the /v1 that clients have in their base URL. @throws Problem FLAG_BAD_VALUE */
export function upstreamUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined && /^https?:$/.test(url.protocol)) {
    url.pathname = url.pathname.replace(/\/(v1\/?)?$/, '')
    return url
  }
  throw new Problem('FLAG_BAD_VALUE', `--upstream ${text}: it is not the URL of a server.`, {
    suggestions: ['--upstream http://127.0.0.1:8000'],
  })
}

export class Upstream {
  readonly url: URL
  readonly #agent: Agent
  readonly #request: typeof plainRequest
  readonly #base: string

  constructor(url: URL) {
    this.url = url
    const isSecure = url.protocol === 'https:'
    const options = {keepAlive: true, noDelay: true, scheduling: 'lifo'} as const
    this.#agent = isSecure ? new SecureAgent(options) : new Agent(options)
    this.#request = isSecure ? secureRequest : plainRequest
    this.#base = url.pathname.replace(/\/$/, '')
  }

  /** A request whose body the caller still has to send. */
  call({method, path, headers}: UpstreamCall): ClientRequest {
    const {hostname, port, host} = this.url
    return this.#request({
      agent: this.#agent,
      hostname: hostname.replace(/^\[|\]$/g, ''),
      port,
      method,
      path: this.#base + path,
      headers: {...headers, host},
    })
  }

  /**
   * Sends a whole body. A connection that the server closed while it was idle is no fault: then the request is sent
   * once more.
   */
  send(call: UpstreamCall, body: Buffer, on: UpstreamEvents): {abort(): void} {
    let isOver = false
    let request: ClientRequest
    const attempt = (): void => {
      request = this.call({...call, headers: {...call.headers, 'content-length': body.length}})
      request.once('response', (response) => {
        if (!isOver) on.response(response)
      })
      request.on('error', (error: NodeJS.ErrnoException) => {
        if (isOver) return
        if (request.reusedSocket && error.code === 'ECONNRESET') attempt()
        else on.unreachable(this.unreachable(error))
      })
      request.end(body)
    }
    attempt()
    return {
      abort: () => {
        isOver = true
        request.destroy()
      },
    }
  }

  /** What a client is told. */
  unreachable(error: NodeJS.ErrnoException): ApiError {
    return new ApiError(
      502,
      `The upstream server ${this.url.origin} cannot be reached: ${error.code ?? error.message}.`,
      {
        code: 'upstream_unreachable',
      },
    )
  }

  close(): void {
    this.#agent.destroy()
  }
}

export interface UpstreamEvents {
  response(response: IncomingMessage): void
  /** There will be no response. */
  unreachable(error: ApiError): void
}
