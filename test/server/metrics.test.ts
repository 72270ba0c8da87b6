// @alone: it measures the time between tokens.

import {expect} from 'chai'
import {routers} from '#llmsim/cluster/router.js'
import {kvOffloadOf} from '#llmsim/command-flags/kv-offload-flag.js'
import type {Port} from '#llmsim/server/port.js'
import {deploy} from '#llmsim/study/deployment.js'
import {listenModel as model, post} from '../support/listening.js'
import {openTestPort} from '../support/open-port.js'
import {runRequest} from '../support/run-request.js'

/** Name and labels → value. */
async function scrape(port: Port): Promise<Map<string, number>> {
  const response = await fetch(`${port.url}/metrics`)
  expect(response.headers.get('content-type')).match(/^text\/plain; version=0\.0\.4/)
  const lines = (await response.text())
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ')
      return [line.slice(0, at), Number(line.slice(at + 1))]
    }),
  )
}

const labels = `{model_name="${model}",engine="0"}`

describe('metrics', () => {
  let port: Port
  beforeEach(async () => {
    port = await openTestPort({speed: 20})
  })
  afterEach(() => port.close())

  const ask = (fields: object) =>
    post({url: port.url, body: {model, messages: [{role: 'user', content: 'Hello'}], ...fields}})

  it('have the names, labels and buckets of vLLM, from the start', async () => {
    const metrics = await scrape(port)
    const gauges = ['num_requests_running', 'num_requests_waiting', 'kv_cache_usage_perc']
    const counters = [
      'prompt_tokens_total',
      'generation_tokens_total',
      'num_preemptions_total',
      'prefix_cache_queries_total',
      'prefix_cache_hits_total',
    ]
    const histograms = [
      'time_to_first_token_seconds',
      'inter_token_latency_seconds',
      'time_per_output_token_seconds',
      'request_time_per_output_token_seconds',
      'e2e_request_latency_seconds',
      'request_queue_time_seconds',
      'request_inference_time_seconds',
      'request_prefill_time_seconds',
      'request_decode_time_seconds',
      'request_prompt_tokens',
      'request_generation_tokens',
      'request_params_n',
      'request_params_max_tokens',
    ]
    for (const name of [...gauges, ...counters, ...histograms.map((each) => `${each}_count`)]) {
      expect(metrics.get(`vllm:${name}${labels}`), name).equal(0)
    }
    for (const reason of ['stop', 'length', 'abort']) {
      expect(
        metrics.get(
          `vllm:request_success_total{model_name="${model}",engine="0",finished_reason="${reason}"}`,
        ),
      ).equal(0)
    }
    const bounds = (name: string): number[] =>
      [...metrics.keys()]
        .filter((key) => key.startsWith(`vllm:${name}_bucket{`))
        .map((key) => Number(/le="([^"]+)"/.exec(key)![1]!.replace('+Inf', 'Infinity')))
    expect(bounds('time_to_first_token_seconds').slice(0, 4)).deep.equal([0.001, 0.005, 0.01, 0.02])
    expect(bounds('time_to_first_token_seconds').length).equal(23)
    expect(bounds('inter_token_latency_seconds').length).equal(20)
    expect(bounds('e2e_request_latency_seconds').slice(-2)).deep.equal([
      7680,
      Number.POSITIVE_INFINITY,
    ])
    expect(bounds('request_prompt_tokens').slice(-3)).deep.equal([
      2000,
      5000,
      Number.POSITIVE_INFINITY,
    ])
    expect([...metrics.keys()].find((key) => key.startsWith('vllm:cache_config_info'))).match(
      /block_size="16"/,
    )
  })

  it('count what was served', async () => {
    await Promise.all([
      ask({max_tokens: 10, ignore_eos: true}),
      ask({max_tokens: 6, ignore_eos: true, stream: true}),
      ask({max_tokens: 500}),
    ])
    const metrics = await scrape(port)
    const value = (name: string): number => metrics.get(`vllm:${name}${labels}`)!
    expect(value('generation_tokens_total')).equal(10 + 6 + 20)
    expect(value('request_generation_tokens_sum')).equal(36)
    expect(value('prompt_tokens_total')).equal(3 * 11)
    expect(value('time_to_first_token_seconds_count')).equal(3)
    expect(value('inter_token_latency_seconds_count')).equal(9 + 5 + 19)
    // The model's times, whatever the clock's speed: an H100 takes some 6 ms for a token.
    expect(value('inter_token_latency_seconds_sum') / 33).within(0.003, 0.03)
    expect(value('e2e_request_latency_seconds_sum')).closeTo(
      value('request_queue_time_seconds_sum') + value('request_inference_time_seconds_sum'),
      1e-6,
    )
    const reasons = (reason: string) =>
      metrics.get(
        `vllm:request_success_total{model_name="${model}",engine="0",finished_reason="${reason}"}`,
      )
    expect([reasons('length'), reasons('stop')]).deep.equal([2, 1])
    const text = await (await fetch(`${port.url}/metrics`)).text()
    expect(text).contain('# TYPE vllm:time_to_first_token_seconds histogram')
  })

  it('count those who hang up', async () => {
    await post({
      url: port.url,
      body: {
        model,
        messages: [{role: 'user', content: 'Hello'}],
        max_tokens: 8000,
        ignore_eos: true,
      },
      leaveAfterMs: 30,
    })
    const key = `vllm:request_success_total{model_name="${model}",engine="0",finished_reason="abort"}`
    for (let i = 0; i < 400 && (await scrape(port)).get(key) === 0; i++)
      await new Promise((r) => setTimeout(r, 5))
    expect((await scrape(port)).get(key)).equal(1)
  })
})

describe('metrics of several engines', () => {
  it('have a series for each, and its own share of its own blocks', async () => {
    const {replicas} = await deploy(runRequest({hardware: 'H100', layout: {instances: 2}}))
    const blocks = [100, 400]
    const uneven = replicas.map((replica, i) => ({
      ...replica,
      engine: {...replica.engine, numGpuBlocks: blocks[i]!},
    }))
    const router = routers['round-robin']!()
    const port = await openTestPort({simulation: () => ({replicas: uneven, router})})
    try {
      const begin = await scrape(port)
      const series = (metrics: Map<string, number>, name: string, more = '') =>
        [0, 1].map((engine) =>
          metrics.get(`vllm:${name}{model_name="${model}",engine="${engine}"${more}}`),
        )
      for (const name of ['num_requests_running', 'e2e_request_latency_seconds_count'])
        expect(series(begin, name), name).deep.equal([0, 0])
      expect(
        blocks.map((count, i) =>
          begin.get(
            `vllm:cache_config_info{engine="${i}",block_size="16",num_gpu_blocks="${count}"}`,
          ),
        ),
      ).deep.equal([1, 1])

      // In turn: the first and third on one engine, the second on the other.
      const prompt = 'word '.repeat(300)
      const asked = ['a', 'b', 'c'].map((first) =>
        post({
          url: port.url,
          body: {
            model,
            max_tokens: 100,
            ignore_eos: true,
            messages: [{role: 'user', content: first + prompt}],
          },
        }),
      )
      let during = begin
      for (let i = 0; i < 200; i++) {
        during = await scrape(port)
        if (series(during, 'num_requests_running').join() === '2,1') break
      }
      expect(series(during, 'num_requests_running')).deep.equal([2, 1])
      const [small, large] = series(during, 'kv_cache_usage_perc')
      // Two prompts of some 20 blocks in 100, one in 400: a mean over both engines would be 0.25.
      expect(small).within(0.38, 0.6)
      expect(large).within(0.048, 0.08)
      await Promise.all(asked)
      const end = await scrape(port)
      expect(series(end, 'generation_tokens_total')).deep.equal([200, 100])
      expect(series(end, 'inter_token_latency_seconds_count')).deep.equal([198, 99])
      expect(series(end, 'time_to_first_token_seconds_count')).deep.equal([2, 1])
      expect(series(end, 'request_success_total', ',finished_reason="length"')).deep.equal([2, 1])
      const [twice, once] = series(end, 'prefix_cache_queries_total')
      expect(twice).equal(2 * once!)
      expect(once).above(300)
      const status = (await (await fetch(`${port.url}/status`)).json()) as {
        kv_blocks: {total: number}
      }
      expect(status.kv_blocks.total).equal(500)
    } finally {
      await port.close()
    }
  })
})

describe('metrics of memory tiers', () => {
  it('say what was found, what moved and what is held, in names of vLLM where it has some', async () => {
    const {replicas} = await deploy(
      runRequest({
        hardware: 'H100',
        engine: {numGpuBlocksOverride: 32},
        kvOffload: kvOffloadOf({'kv-offload': 'cpu:1GiB,nvme:1GB'}),
      }),
    )
    const router = routers['round-robin']!()
    const port = await openTestPort({speed: 20, simulation: () => ({replicas, router})})
    const blockBytes = replicas[0]!.tiers!.blockBytes
    const ask = (first: string) =>
      post({
        url: port.url,
        body: {
          model,
          max_tokens: 2,
          ignore_eos: true,
          messages: [{role: 'user', content: first + ' word'.repeat(300)}],
        },
      })
    const valuesOf = (metrics: Map<string, number>) => {
      const value = (name: string, more = '') =>
        metrics.get(`${name}{model_name="${model}",engine="0"${more}}`)
      const moved = (name: string, way: string) =>
        value(`vllm:kv_offload_total_${name}_total`, `,transfer_type="${way}"`)
      return {
        hits: value('vllm:external_prefix_cache_hits_total')!,
        queries: value('vllm:external_prefix_cache_queries_total')!,
        cpuHits: value('llmsim:kv_tier_hits_total', ',tier="cpu"')!,
        dropped: value('llmsim:kv_tier_dropped_blocks_total', ',tier="cpu"')!,
        up: moved('bytes', 'CPU_to_GPU')!,
        upTime: moved('time', 'CPU_to_GPU')!,
        down: moved('bytes', 'GPU_to_CPU')!,
        further: moved('bytes', 'CPU_to_NVME')!,
        usage: value('vllm:kv_offload_cpu_cache_usage_perc')!,
        nvme: value('llmsim:kv_tier_usage_perc', ',tier="nvme"')!,
      }
    }
    try {
      const begin = valuesOf(await scrape(port))
      expect(Object.values(begin).every((value) => value === 0)).equal(true)
      // Each takes most of 32 blocks, so the third finds the first one's below.
      for (const first of ['a', 'b', 'a']) await ask(first)
      const end = valuesOf(await scrape(port))
      expect(end.hits).above(96)
      expect(end.cpuHits).equal(end.hits)
      expect(end.queries).above(end.hits)
      expect(end.up).equal((end.hits / 16) * blockBytes)
      // PCIe 5: 64 GB/s, and 10 µs.
      expect(end.upTime).closeTo(end.up / 64e9 + 10e-6, 1e-6)
      expect(end.down / blockBytes).within(36, 60)
      expect(end.further).equal(end.down)
      expect(end.usage).closeTo(end.down / blockBytes / 512, 1e-3)
      expect(end.nvme).above(end.usage)
      expect(end.dropped).equal(0)
    } finally {
      await port.close()
    }
  })
})
