/**
 * The way in. Connections of a burst are all readable in one turn of the event loop, so what is done there is done for
 * all of them at once: here that is HTTP's own parsing and no more. Routing, bodies and answers follow request by
 * request, in the order in which they came.
 */
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'
import {ApiError} from './api-error.js'
import type {FairQueue} from './fair-queue.js'

const seenAt = Symbol('seen at')

/** A request that knows when its head was there, on the clock of whoever answers. */
interface SeenMessage extends IncomingMessage {
  [seenAt]?: number
}

export interface Intake {
  readonly queue: FairQueue
  now(): number
}

/** Requests with a body wait for their turn; looks at the server's state do not wait behind them. */
export function createIntake(
  options: ServerOptions,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
  {queue, now}: Intake,
): Server {
  return createServer(options, (request: SeenMessage, response) => {
    if (request.method !== 'POST') {
      handle(request, response)
      return
    }
    request[seenAt] = now()
    queue.add(() => {
      if (!request.destroyed) handle(request, response)
    })
  })
}

export const bodyTooLarge = (): ApiError =>
  new ApiError(413, 'The body is too large.', {
    code: 'request_too_large',
    headers: {connection: 'close'},
  })

/** A body, and when all of it was there. */
export interface ReadBody {
  readonly bytes: Buffer
  readonly at: number
}

export interface BodyReading {
  readonly limit: number
  now(): number
}

/** Calls `done` at once where the body came with the head, as most do. */
export function readBody(
  message: IncomingMessage,
  {limit, now}: BodyReading,
  done: (error: Error | undefined, body?: ReadBody) => void,
): void {
  if (Number(message.headers['content-length']) > limit) {
    done(bodyTooLarge())
    return
  }
  if (message.complete) {
    const bytes = (message.read() as Buffer | null) ?? Buffer.alloc(0)
    if (bytes.length > limit) done(bodyTooLarge())
    else done(undefined, {bytes, at: (message as SeenMessage)[seenAt] ?? now()})
    // To its end, which frees it.
    message.resume()
    return
  }
  const chunks: Buffer[] = []
  let length = 0
  const stop = (): void => {
    message.off('data', more).off('end', end).off('error', stop)
  }
  const more = (chunk: Buffer): void => {
    chunks.push(chunk)
    length += chunk.length
    if (length <= limit) return
    stop()
    done(bodyTooLarge())
  }
  const end = (): void => {
    stop()
    done(undefined, {bytes: Buffer.concat(chunks, length), at: now()})
  }
  // A client that leaves before its body is whole is told nothing: nobody listens.
  message.on('data', more).on('end', end).on('error', stop)
}
