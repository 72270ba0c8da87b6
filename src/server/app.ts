/** The port itself: what every request passes whatever it asks for, and what every error looks like. */
import {createHash, randomUUID, timingSafeEqual} from 'node:crypto'
import {type ServerOptions, STATUS_CODES} from 'node:http'
import type {Socket} from 'node:net'
import fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
} from 'fastify'
import {closest} from '../edit-distance.js'
import {ApiError} from './api-error.js'
import {sendError, ttftHeader} from './http-sink.js'
import {bodyTooLarge, createIntake, type Intake, readBody} from './intake.js'

declare module 'fastify' {
  interface FastifyRequest {
    /** When the last byte of its body was there, on the model's clock. */
    receivedAt: number
  }
}

export interface AppOptions {
  /** Without one everybody is let in. */
  readonly apiKey?: string | undefined
  readonly bodyLimit: number
  /** How long a client may take to send headers, and a whole request. */
  readonly headersTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly intake: Intake
  /** Told of faults of ours: a sentence and a stack. */
  readonly onBug: (error: Error) => void
  /** Told the status of every POST that reaches no route, or that none of them could read. */
  readonly onRefused?: (status: number) => void
}

export const appDefaults = {
  bodyLimit: 16 * 1024 * 1024,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 60_000,
} as const

/** Paths that need the key: everything that OpenAI has, and the tokenizer. */
const guarded = /^\/(v1|tokenize|detokenize)(\/|\?|$)/

/** As the router reads it, and whoever may stand behind us: `/%761/…` is `/v1/…`. */
function isGuarded({url, routeOptions}: FastifyRequest): boolean {
  if (guarded.test(routeOptions.url ?? '')) return true
  const [path = ''] = url.split('?', 1)
  try {
    return guarded.test(decodeURIComponent(path))
  } catch {
    // Not what anybody can decode: no route has it, and whoever has the key may find out.
    return true
  }
}

export function createApp(options: AppOptions): FastifyInstance {
  const app = fastify({
    bodyLimit: options.bodyLimit,
    serverFactory: (handle) => createIntake(serverOptions(options), handle, options.intake),
    forceCloseConnections: 'idle',
    exposeHeadRoutes: true,
    clientErrorHandler: brokenRequest,
    frameworkErrors: (error, _request, reply) => sendError(reply, translated(error)),
  })
  app.removeAllContentTypeParsers()
  app.decorateRequest('receivedAt', 0)
  app.addContentTypeParser('application/json', (request, message, done) => {
    readBody(message, {limit: options.bodyLimit, now: options.intake.now}, (error, body) => {
      if (body === undefined) {
        done(error!)
        return
      }
      request.receivedAt = body.at
      done(null, body.bytes)
    })
  })
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', requestId(request))
    reply.header('access-control-allow-origin', '*')
    reply.header('access-control-expose-headers', `x-request-id, ${ttftHeader}, retry-after`)
    if (request.method === 'OPTIONS') {
      reply.headers(preflight(request)).code(204).send()
      return
    }
    const isRefused = options.apiKey !== undefined && !hasKey(request, options.apiKey)
    if (isRefused && isGuarded(request)) refuse(request, reply, wrongKey(request))
    else done()
  })
  /** Who only looks (GET) asked for nothing that could have been served. */
  const refuse = (request: FastifyRequest, reply: FastifyReply, error: ApiError) => {
    if (request.method === 'POST') options.onRefused?.(error.status)
    sendError(reply, error)
  }
  const routes: Route[] = []
  app.addHook('onRoute', ({method, url}) => {
    for (const one of [method].flat()) routes.push({method: one, path: url})
  })
  app.setNotFoundHandler((request, reply) => {
    refuse(request, reply, notThere(routes, request))
  })
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const told = translated(error)
    if (told.status >= 500 && !(error instanceof ApiError)) options.onBug(error)
    refuse(request, reply, told)
  })
  return app
}

const serverOptions = ({headersTimeoutMs, requestTimeoutMs}: AppOptions): ServerOptions => ({
  headersTimeout: headersTimeoutMs,
  requestTimeout: requestTimeoutMs,
  connectionsCheckingInterval: Math.min(5000, headersTimeoutMs),
  maxHeaderSize: 16 * 1024,
  keepAliveTimeout: 75_000,
})

/** The client's own id where it sent a usable one. */
function requestId({headers}: FastifyRequest): string {
  const given = headers['x-request-id']
  const isUsable = typeof given === 'string' && /^[\x21-\x7e]{1,128}$/.test(given)
  return isUsable ? given : `req_${randomUUID().replaceAll('-', '')}`
}

const preflight = ({headers}: FastifyRequest): Record<string, string> => ({
  'access-control-allow-methods': 'GET, POST, OPTIONS',
  'access-control-allow-headers': headers['access-control-request-headers'] ?? '*',
  'access-control-max-age': '86400',
})

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Takes the same time whatever the key is. */
function hasKey({headers}: FastifyRequest, key: string): boolean {
  const given = headers.authorization ?? ''
  return timingSafeEqual(digest(given), digest(`Bearer ${key}`))
}

const wrongKey = ({headers}: FastifyRequest): ApiError =>
  headers.authorization === undefined
    ? new ApiError(
        401,
        "You didn't provide an API key. Send it in the header Authorization: Bearer YOUR_KEY.",
      )
    : new ApiError(401, 'Incorrect API key provided: it is not the one of --api-key.', {
        code: 'invalid_api_key',
      })

interface Route {
  readonly method: string
  /** May end in `*`. */
  readonly path: string
}

const isOn = ({path}: Route, url: string): boolean =>
  path.endsWith('*') ? url.startsWith(path.slice(0, -1)) : url === path

/** Clients that were given the address without /v1 ask for what stands behind it. */
function meantPath(routes: readonly Route[], path: string): string {
  const paths = [...new Set(routes.map((route) => route.path))].filter((own) => own.length > 1)
  if (paths.includes(`/v1${path}`))
    return ` It is /v1${path}: the base URL of a client ends in /v1.`
  if (path.startsWith('/v1/v1/')) return ' The base URL of a client ends in one /v1.'
  const [near] = closest(path, paths)
  return near === undefined ? '' : ` Did you mean ${near}?`
}

function notThere(routes: readonly Route[], {method, url}: FastifyRequest): ApiError {
  const path = url.split('?', 1)[0]!
  const allowed = ['GET', 'POST'].filter(
    (other) =>
      other !== method && routes.some((route) => route.method === other && isOn(route, path)),
  )
  if (allowed.length > 0) {
    return new ApiError(405, `${path} takes ${allowed.join(' or ')}, not ${method}.`, {
      code: 'method_not_allowed',
      headers: {allow: [...allowed, 'OPTIONS'].join(', ')},
    })
  }
  return new ApiError(404, `Unknown request URL: ${method} ${path}.${meantPath(routes, path)}`, {
    code: 'unknown_url',
  })
}

/** Fastify's faults in our words; what is not known is a bug of ours. */
function translated(error: FastifyError | ApiError): ApiError {
  if (error instanceof ApiError) return error
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return bodyTooLarge()
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
    case 'FST_ERR_CTP_EMPTY_TYPE':
      return new ApiError(
        415,
        'The body must be JSON: send the header content-type: application/json.',
        {code: 'unsupported_media_type'},
      )
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new ApiError(400, 'The body is empty; it must be a JSON object.', {
        code: 'invalid_json',
      })
    default:
      if (error.statusCode !== undefined && error.statusCode < 500)
        return new ApiError(error.statusCode, error.message)
      return new ApiError(500, `This is a bug in llmsim: ${error.message}`, {
        code: 'internal_error',
      })
  }
}

/** What is not even HTTP, comes too slowly, or has too many headers. */
function brokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const told = brokenAs(error.code)
  const {body, status} = told
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroySoon())
}

function brokenAs(code: string | undefined): ApiError {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new ApiError(431, 'The headers are too large: at most 16 KiB are taken.')
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return new ApiError(408, 'The request was not sent to its end in time.')
  return new ApiError(400, `The request is not valid HTTP (${code}).`)
}
