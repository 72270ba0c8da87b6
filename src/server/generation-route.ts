/** From a body to a running exchange: the same way for every endpoint that generates. */
import type {FastifyInstance, FastifyReply, FastifyRequest} from 'fastify'
import {ApiError} from './api-error.js'
import {Exchange} from './exchange.js'
import type {FairQueue} from './fair-queue.js'
import {HttpSink, type StreamFlusher, sendError} from './http-sink.js'
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

export function generate(call: Call, makePlan: MakePlan, parts: GenerationParts): void {
  const {raw} = call.reply
  const receivedAt = parts.serving.backend.now()
  parts.serving.enter()
  // Emitted once, after the last byte or when the client is gone.
  raw.once('close', () => parts.serving.leave())
  parts.queue.add(() => {
    try {
      parts.serving.admit()
      const plan = makePlan(call.request.body)
      if (!(plan instanceof Promise)) {
        begin(plan, {...call, receivedAt}, parts)
        return
      }
      plan
        .then((ready) => begin(ready, {...call, receivedAt}, parts))
        .catch((error) => refuse(call.reply, error, parts))
    } catch (error) {
      refuse(call.reply, error, parts)
    }
  })
}

export interface Call {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

function begin(
  plan: Plan,
  {reply, receivedAt}: Call & {readonly receivedAt: number},
  {serving, flusher}: GenerationParts,
): void {
  const {raw} = reply
  // It may have left while its text was being counted.
  if (raw.destroyed || raw.closed) return
  const exchange = new Exchange({serving, receivedAt}, plan, new HttpSink(reply, flusher))
  raw.once('close', () => {
    if (!raw.writableFinished) exchange.gone()
  })
  exchange.begin()
}

function refuse(reply: FastifyReply, error: unknown, {onBug}: GenerationParts): void {
  if (error instanceof ApiError) {
    sendError(reply, error)
    return
  }
  onBug(error instanceof Error ? error : new Error(String(error)))
  sendError(reply, new ApiError(500, `This is a bug in llmsim: ${String(error)}`))
}
