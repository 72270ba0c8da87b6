/** What a server says of itself: models, health, version, status. */
import {type IntervalHistogram, monitorEventLoopDelay} from 'node:perf_hooks'
import type {FastifyInstance} from 'fastify'
import type {Answering} from './answering.js'
import type {Serving} from './serving.js'

export interface ServiceParts {
  readonly serving: Serving
  readonly answering: Answering
  readonly about: {readonly [field: string]: unknown}
  readonly version: string
}

/** Seconds over which rates are taken. */
const windowSeconds = 10

/** Output tokens per second over the last seconds. */
class TokenRate {
  readonly #samples: {readonly at: number; readonly tokens: number}[] = []
  readonly #count: () => number

  constructor(count: () => number) {
    this.#count = count
    const timer = setInterval(() => this.#sample(), 1000)
    // It must not keep a process alive that has nothing else to do.
    timer.unref()
    this.#sample()
  }

  #sample(): void {
    this.#samples.push({at: performance.now(), tokens: this.#count()})
    if (this.#samples.length > windowSeconds) this.#samples.shift()
  }

  now(): number {
    const first = this.#samples[0]!
    const seconds = (performance.now() - first.at) / 1000
    return seconds <= 0 ? 0 : (this.#count() - first.tokens) / seconds
  }
}

/** ms between two looks at the event loop. */
const lookMs = 10

function watchEventLoop(): IntervalHistogram {
  const delays = monitorEventLoopDelay({resolution: lookMs})
  delays.enable()
  return delays
}

/** By how much looks came late, ms. */
function delayOf(delays: IntervalHistogram) {
  const late = (percent: number) => round(Math.max(0, delays.percentile(percent) / 1e6 - lookMs))
  return {p50: late(50), p99: late(99), max: late(100)}
}

/** Which models there are, and whether they are served now. */
export function addModels(app: FastifyInstance, parts: ServiceParts): void {
  const {serving, answering, version} = parts
  app.get('/v1/models', () => answering.models.list())
  app.get<{Params: {'*': string}}>('/v1/models/*', ({params}) =>
    answering.models.model(params['*']),
  )
  app.get('/version', () => ({version}))
  app.get('/health', (_request, reply) => {
    const state = stateOf(serving)
    const isReady = state === 'serving'
    if (!isReady) reply.header('retry-after', String(Math.ceil(serving.warmingMs / 1000) || 1))
    return reply.code(isReady ? 200 : 503).send({status: state})
  })
}

export function addStatus(app: FastifyInstance, parts: ServiceParts): void {
  const {serving, answering, version} = parts
  const startedAt = performance.now()
  const counts = {completed: 0, cancelled: 0, failed: 0, lost: 0}
  serving.observers.push({
    ended: ({status}) => {
      counts[status]++
    },
  })
  const delays = watchEventLoop()
  app.addHook('onClose', () => void delays.disable())
  const rate = new TokenRate(() => serving.backend.status().outputTokens)
  app.get('/status', () => {
    const now = serving.backend.status()
    return {
      status: stateOf(serving),
      version,
      uptime_s: round((performance.now() - startedAt) / 1000),
      ...parts.about,
      tokenizer: answering.tokenizerName,
      chat_template: answering.chatTemplate,
      running: now.running,
      waiting: now.waiting,
      open_requests: serving.open,
      kv_blocks: {used: now.usedBlocks, total: now.totalBlocks, block_size: now.blockSize},
      prefix_cache: {
        hit_rate: now.lookedUpTokens === 0 ? 0 : round(now.hitTokens / now.lookedUpTokens),
        hit_tokens: now.hitTokens,
        looked_up_tokens: now.lookedUpTokens,
      },
      preemptions: now.preemptions,
      steps: now.steps,
      completed: counts.completed,
      cancelled: counts.cancelled,
      failed: counts.failed,
      output_tokens: now.outputTokens,
      output_tokens_per_s: round(rate.now()),
      event_loop_delay_ms: delayOf(delays),
      trace: {
        file: serving.recorder.files.at(-1),
        rows: serving.recorder.rows,
        trouble: serving.recorder.trouble ?? null,
      },
    }
  })
}

const round = (value: number): number => Math.round(value * 1000) / 1000

function stateOf(serving: Serving): 'serving' | 'loading' | 'draining' | 'not recording' {
  if (serving.isDraining) return 'draining'
  if (serving.warmingMs > 0) return 'loading'
  return serving.recorder.trouble === undefined ? 'serving' : 'not recording'
}
