/**
 * `GET /metrics`: Prometheus, with the names, labels and buckets of vLLM (vllm/v1/metrics/loggers.py), so that its
 * dashboards and autoscalers work. Times are those of the model.
 */
import type {FastifyInstance} from 'fastify'
import {Counter, Gauge, Histogram, Registry} from 'prom-client'
import type {RecordedRow} from '../trace/recording.js'
import type {EngineStatus} from './backend.js'
import type {TokenGaps} from './live-engine.js'
import type {FinishReason} from './plan.js'
import type {EngineAnswer, Serving} from './serving.js'
import {TierMetrics} from './tier-metrics.js'

export interface MetricsParts {
  readonly serving: Serving
  /** Value of the label `model_name`. */
  readonly modelName: string
  /** Tokens of prompt and answer together. */
  readonly maxModelLen: number
}

const requestSeconds = [
  0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
]
const ttftSeconds = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
  160, 640, 2560,
]
const tokenSeconds = [
  0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
]

/** 1, 2, 5, 10, 20, … up to `most`. */
function tokenBuckets(most: number): number[] {
  const bounds: number[] = []
  for (let power = 1; ; power *= 10) {
    for (const digit of [1, 2, 5]) {
      if (digit * power > most) return bounds
      bounds.push(digit * power)
    }
  }
}

const labelNames = ['model_name', 'engine'] as const

type Reason = FinishReason | 'abort' | 'error'

/** What vLLM calls the ends of requests. */
function reasonOf({status}: RecordedRow, reason: FinishReason): Reason {
  if (status === 'cancelled') return 'abort'
  if (status !== 'completed') return 'error'
  return reason === 'length' ? 'length' : 'stop'
}

const isKnown = (ns: number | undefined): ns is number => ns !== undefined && !Number.isNaN(ns)

type EngineLabels = Readonly<Record<(typeof labelNames)[number], string>>

export class ServingMetrics {
  readonly registry = new Registry()
  /** Of each engine, in their order. */
  readonly #labels: readonly EngineLabels[]
  readonly #serving: Serving
  readonly #counters = new Map<string, Counter>()
  readonly #histograms = new Map<string, Histogram>()
  readonly #reasons: Counter
  /** Absent: no engine has memory below its device. */
  readonly #tiers: TierMetrics | undefined
  /** What the engines had counted at the last look. */
  #counted: readonly EngineStatus[]

  constructor({serving, modelName, maxModelLen}: MetricsParts) {
    this.#serving = serving
    this.#counted = serving.backend.engines()
    this.#labels = this.#counted.map((_, i) => ({model_name: modelName, engine: String(i)}))
    this.#reasons = new Counter({
      name: 'vllm:request_success_total',
      help: 'Requests that ended, by reason.',
      labelNames: [...labelNames, 'finished_reason'],
      registers: [this.registry],
    })
    for (const labels of this.#labels) {
      for (const finished_reason of ['stop', 'length', 'abort', 'error'])
        this.#reasons.inc({...labels, finished_reason}, 0)
    }
    this.#addGauges()
    this.#addCounters()
    this.#addHistograms(maxModelLen)
    if (this.#counted.some(({tiers}) => tiers !== undefined)) {
      this.#tiers = new TierMetrics(this.registry, this.#labels, this.#counted)
      this.#tiers.addGauges(() => serving.backend.engines())
    }
    serving.observers.push({
      ended: (row, answer) => {
        if (answer !== undefined) this.#ended(row, answer)
      },
      gaps: (gaps) => this.#gaps(gaps),
    })
  }

  #addGauges(): void {
    const {backend} = this.#serving
    const allLabels = this.#labels
    const gauge = (name: string, help: string, value: (status: EngineStatus) => number): void => {
      new Gauge({
        name,
        help,
        labelNames: [...labelNames],
        registers: [this.registry],
        collect() {
          for (const [i, status] of backend.engines().entries())
            this.set(allLabels[i]!, value(status))
        },
      })
    }
    gauge(
      'vllm:num_requests_running',
      'Requests that have a seat in an engine.',
      ({running}) => running,
    )
    gauge('vllm:num_requests_waiting', 'Requests that wait for a seat.', ({waiting}) => waiting)
    gauge(
      'vllm:kv_cache_usage_perc',
      'Share of the KV blocks that is in use, 0 to 1.',
      ({usedBlocks, totalBlocks}) => (totalBlocks === 0 ? 0 : usedBlocks / totalBlocks),
    )
    const config = new Gauge({
      name: 'vllm:cache_config_info',
      help: 'Size and number of KV blocks.',
      labelNames: ['engine', 'block_size', 'num_gpu_blocks'],
      registers: [this.registry],
    })
    for (const [i, {blockSize, totalBlocks}] of backend.engines().entries())
      config.set({engine: i, block_size: blockSize, num_gpu_blocks: totalBlocks}, 1)
  }

  #addCounters(): void {
    const help: Readonly<Record<string, string>> = {
      'vllm:prompt_tokens_total': 'Prompt tokens of requests.',
      'vllm:generation_tokens_total': 'Output tokens of requests.',
      'vllm:num_preemptions_total': 'Times that a running request had to give its blocks away.',
      'vllm:prefix_cache_queries_total': 'Prompt tokens that were looked up in the prefix cache.',
      'vllm:prefix_cache_hits_total': 'Prompt tokens that were found in the prefix cache.',
    }
    for (const [name, text] of Object.entries(help)) {
      const counter = new Counter({
        name,
        help: text,
        labelNames: [...labelNames],
        registers: [this.registry],
      })
      for (const labels of this.#labels) counter.inc(labels, 0)
      this.#counters.set(name, counter)
    }
  }

  #addHistograms(maxModelLen: number): void {
    const tokens = tokenBuckets(maxModelLen)
    const shapes: readonly (readonly [name: string, help: string, buckets: number[]])[] = [
      ['vllm:time_to_first_token_seconds', 'From arrival to the first token.', ttftSeconds],
      ['vllm:inter_token_latency_seconds', 'Between two tokens of a request.', tokenSeconds],
      [
        'vllm:time_per_output_token_seconds',
        'Between two tokens of a request (older name).',
        tokenSeconds,
      ],
      [
        'vllm:request_time_per_output_token_seconds',
        'Mean time between the tokens of a request.',
        tokenSeconds,
      ],
      ['vllm:e2e_request_latency_seconds', 'From arrival to the last token.', requestSeconds],
      ['vllm:request_queue_time_seconds', 'From arrival to the first step.', requestSeconds],
      [
        'vllm:request_inference_time_seconds',
        'From the first step to the last token.',
        requestSeconds,
      ],
      [
        'vllm:request_prefill_time_seconds',
        'From the first step to the first token.',
        requestSeconds,
      ],
      ['vllm:request_decode_time_seconds', 'From the first token to the last.', requestSeconds],
      ['vllm:request_prompt_tokens', 'Prompt tokens of requests.', tokens],
      ['vllm:request_params_max_tokens', 'Output tokens that requests allow.', tokens],
      ['vllm:request_params_n', 'Answers that requests ask for.', [1, 2, 5, 10, 20]],
      ['vllm:request_generation_tokens', 'Output tokens of requests.', tokens],
    ]
    for (const [name, text, buckets] of shapes) {
      const histogram = new Histogram({
        name,
        help: text,
        labelNames: [...labelNames],
        buckets,
        registers: [this.registry],
      })
      for (const labels of this.#labels) histogram.zero(labels)
      this.#histograms.set(name, histogram)
    }
  }

  #observe(engine: number, name: string, value: number): void {
    this.#histograms.get(`vllm:${name}`)!.observe(this.#labels[engine]!, value)
  }

  #count(engine: number, name: string, by: number): void {
    this.#counters.get(`vllm:${name}`)!.inc(this.#labels[engine]!, by)
  }

  #ended(row: RecordedRow, {plan, index, engine}: EngineAnswer): void {
    const finished_reason = reasonOf(row, plan.finishReason(index))
    this.#reasons.inc({...this.#labels[engine]!, finished_reason})
    const produced = row.producedTokens ?? 0
    this.#count(engine, 'generation_tokens_total', produced)
    if (row.status !== 'completed') return
    this.#count(engine, 'prompt_tokens_total', row.inputTokens)
    this.#observe(engine, 'request_prompt_tokens', row.inputTokens)
    this.#observe(engine, 'request_params_n', plan.asked.n)
    const {maxTokens} = plan.asked
    if (maxTokens !== undefined) this.#observe(engine, 'request_params_max_tokens', maxTokens)
    this.#observe(engine, 'request_generation_tokens', produced)
    const {predictedTtft: ttft, predictedE2e: e2e, predictedQueue: queue} = row
    if (!isKnown(ttft) || !isKnown(e2e) || !isKnown(queue)) return
    this.#observe(engine, 'time_to_first_token_seconds', ttft / 1e9)
    this.#observe(engine, 'e2e_request_latency_seconds', e2e / 1e9)
    this.#observe(engine, 'request_queue_time_seconds', queue / 1e9)
    this.#observe(engine, 'request_inference_time_seconds', (e2e - queue) / 1e9)
    this.#observe(engine, 'request_prefill_time_seconds', (ttft - queue) / 1e9)
    this.#observe(engine, 'request_decode_time_seconds', (e2e - ttft) / 1e9)
    if (produced > 1) {
      this.#observe(
        engine,
        'request_time_per_output_token_seconds',
        (e2e - ttft) / (produced - 1) / 1e9,
      )
    }
  }

  #gaps({engine, ns, count}: TokenGaps): void {
    for (let i = 0; i < count; i++) {
      this.#observe(engine, 'inter_token_latency_seconds', ns / 1e9)
      this.#observe(engine, 'time_per_output_token_seconds', ns / 1e9)
    }
  }

  /** In the text format of Prometheus. */
  text(): Promise<string> {
    const now = this.#serving.backend.engines()
    for (const [i, {preemptions, lookedUpTokens, hitTokens}] of now.entries()) {
      const before = this.#counted[i]!
      this.#count(i, 'num_preemptions_total', preemptions - before.preemptions)
      this.#count(i, 'prefix_cache_queries_total', lookedUpTokens - before.lookedUpTokens)
      this.#count(i, 'prefix_cache_hits_total', hitTokens - before.hitTokens)
    }
    this.#tiers?.update(now)
    this.#counted = now
    return this.registry.metrics()
  }
}

export function addMetrics(app: FastifyInstance, parts: MetricsParts): void {
  const metrics = new ServingMetrics(parts)
  app.get('/metrics', async (_request, reply) =>
    reply.header('content-type', metrics.registry.contentType).send(await metrics.text()),
  )
}
