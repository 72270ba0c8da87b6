/** From a body to a running exchange: the same way for every endpoint that generates. */
import type {FastifyInstance, FastifyReply, FastifyRequest} from 'fastify'
import {ApiError} from './api-error.js'
import {onDeparture} from './departure.js'
import {Exchange} from './exchange.js'
import type {FairQueue} from './fair-queue.js'
import {HttpSink, type StreamFlusher, sendError} from './http-sink.js'
import {parseBody} from './json-body.js'
import type {Plan} from './plan.js'
import type {Serving} from './serving.js'

export interface GenerationParts {
  readonly serving: Serving
  readonly flusher: StreamFlusher
  readonly queue: FairQueue
  readonly onBug: (error: Error) => void
}

/** Counts and fixes all tokens of what a body asks; long texts take a while. @throws ApiError */
export type MakePlan = (body: unknown) => Plan | Promise<Plan>

export function addGeneration(
  app: FastifyInstance,
  path: string,
  makePlan: MakePlan,
  parts: GenerationParts,
): void {
  // Not an async handler: the reply goes out when the model says so, long after this returns.
  app.post(path, (request, reply) => generate({request, reply}, makePlan, parts))
}

function generate(call: Call, makePlan: MakePlan, parts: GenerationParts): void {
  const visit = enter(call, parts.serving)
  parts.queue.goOn(() => {
    try {
      parts.serving.admit()
      const plan = makePlan(parseBody(call.request.body))
      if (!(plan instanceof Promise)) {
        begin(plan, {...call, visit}, parts)
        return
      }
      plan
        .then((ready) => begin(ready, {...call, visit}, parts))
        .catch((error) => refuse(call.reply, error, parts))
    } catch (error) {
      refuse(call.reply, error, parts)
    }
  })
}

interface Call {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

/** What a client is here for, as long as it is. */
interface Visit {
  exchange: Exchange | undefined
  isOver: boolean
}

/**
 * Ends after the last byte, or when the client is gone. A response has grown old by the time it is answered, and what
 * old objects refer to is copied along by the garbage collector even when they are dead: so it lets go of the rest.
 */
function enter({request, reply: {raw}}: Call, serving: Serving): Visit {
  const visit: Visit = {exchange: undefined, isOver: false}
  serving.enter()
  onDeparture(request.raw, raw, () => {
    const {exchange} = visit
    visit.exchange = undefined
    visit.isOver = true
    if (!raw.writableFinished) exchange?.gone()
    serving.leave()
  })
  return visit
}

function begin(
  plan: Plan,
  {request: {receivedAt}, reply, visit}: Call & {readonly visit: Visit},
  {serving, flusher}: GenerationParts,
): void {
  // It may have left while its text was being counted.
  if (visit.isOver) return
  visit.exchange = new Exchange({serving, receivedAt}, plan, new HttpSink(reply, flusher))
  visit.exchange.begin()
}

function refuse(reply: FastifyReply, error: unknown, {serving, onBug}: GenerationParts): void {
  serving.turnAway(String(error instanceof ApiError ? error.status : 500))
  if (error instanceof ApiError) {
    sendError(reply, error)
    return
  }
  onBug(error instanceof Error ? error : new Error(String(error)))
  sendError(reply, new ApiError(500, `This is a bug in llmsim: ${String(error)}`))
}
