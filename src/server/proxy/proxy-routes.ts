/** `--upstream`: everything goes to a real server and back; what generates is measured and recorded. */
import type {FastifyInstance, FastifyReply, FastifyRequest} from 'fastify'
import {ApiError} from '../api-error.js'
import {onDeparture} from '../departure.js'
import {sendError} from '../http-sink.js'
import {recordedPaths} from './proxied-request.js'
import {ProxyExchange, type ProxyParts} from './proxy-exchange.js'
import {forwarded, type Upstream} from './upstream.js'

export function addProxy(app: FastifyInstance, parts: ProxyParts): void {
  app.addHook('onClose', () => parts.upstream.close())
  void app.register((scope, _options, done) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', {parseAs: 'buffer'}, (_request, body, parsed) =>
      parsed(null, body),
    )
    // Not async handlers: replies go out when the server says so, long after these return.
    for (const path of recordedPaths) {
      scope.post(path, (request, reply) => record(parts, request, reply))
    }
    done()
  })
  void app.register((scope, _options, done) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_request, _payload, parsed) => parsed(null))
    scope.all('/*', (request, reply) => passThrough(parts.upstream, request, reply))
    done()
  })
}

function record(parts: ProxyParts, request: FastifyRequest, reply: FastifyReply): void {
  try {
    parts.serving.admit()
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    parts.serving.turnAway(String(error.status))
    sendError(reply, error)
    return
  }
  new ProxyExchange(parts, request, reply).begin()
}

/** As it comes, both ways. */
function passThrough(upstream: Upstream, request: FastifyRequest, reply: FastifyReply): void {
  const {method, url, headers, raw: incoming} = request
  const {raw} = reply
  const asked = upstream.call({method, path: url, headers: forwarded(headers)})
  asked.once('response', (response) => {
    reply.hijack()
    raw.writeHead(response.statusCode!, forwarded(response.headers))
    response.on('error', () => raw.destroy())
    response.pipe(raw)
  })
  asked.on('error', (error) => {
    if (raw.headersSent) raw.destroy()
    else sendError(reply, upstream.unreachable(error))
  })
  onDeparture(incoming, raw, () => asked.destroy())
  incoming.pipe(asked)
}
