/** A folder that LLMServingSim's `bench run` wrote: meta.json, requests.jsonl and, perhaps, timeseries.csv. */
import {basename, join} from 'node:path'
import {type Fields, isFile, readJson, readJsonLines, readRows} from './fields.js'
import type {MeasuredMoment, MeasuredRun, MeasuredSettings} from './measured-run.js'
import {checkRow, tabulate} from './request-rows.js'

export const isBench = (folder: string): boolean =>
  isFile(join(folder, 'meta.json')) && isFile(join(folder, 'requests.jsonl'))

/**
 * Times count from the arrival at the client. The file has two clocks: `arrival_time` is of the day, the others
 * are monotonic, with an unknown offset between them. The request that waited least for the engine is taken to
 * have been queued at once.
 */
export function readBench(folder: string): MeasuredRun {
  const meta = readJson(join(folder, 'meta.json'))
  const file = join(folder, 'requests.jsonl')
  const requests = readJsonLines(file)
  const offset = clockOffset(requests)
  const rows = requests.map((request) => {
    const arrival = request.number('arrival_time') + offset
    const ms = (key: string) => (request.number(key) - arrival) * 1e3
    return {
      place: request.place,
      arrival,
      input: request.number('input_toks'),
      output: request.number('output_toks'),
      ttft: ms('first_token_ts'),
      e2e: ms('last_token_ts'),
    }
  })
  for (const row of rows) checkRow(row)
  const {trace, requests: measured, stage} = tabulate(rows, 'llmservingsim-bench')
  const series = join(folder, 'timeseries.csv')
  return {
    name: basename(folder),
    format: 'llmservingsim-bench',
    settings: settingsOf(meta),
    trace,
    stages: [stage],
    requests: measured,
    timeline: isFile(series) ? momentsOf(series) : undefined,
    notes: ['The requests are replayed without prefix identity: the file has no token ids.'],
  }
}

function clockOffset(requests: readonly Fields[]): number {
  let least = Number.POSITIVE_INFINITY
  for (const request of requests) {
    const gap = request.number('queued_ts') - request.number('arrival_time')
    if (gap < least) least = gap
  }
  return least
}

function settingsOf(meta: Fields): MeasuredSettings {
  const asked = meta.child('engine_kwargs')
  const cache = meta.maybeChild('kv_cache')
  const resolved = meta.maybeChild('resolved_config')
  const scheduler = resolved?.maybeChild('scheduler_config')
  const eager = resolved?.maybeChild('model_config')?.maybeFlag('enforce_eager')
  return {
    model: meta.text('model'),
    hardware: meta.maybeChild('hardware')?.maybeText('device_name'),
    engine: meta.maybeText('vllm_version'),
    tp: asked.maybeNumber('tensor_parallel_size'),
    maxNumSeqs: asked.maybeNumber('max_num_seqs'),
    maxNumBatchedTokens: asked.maybeNumber('max_num_batched_tokens'),
    maxModelLen: asked.maybeNumber('max_model_len'),
    kvCacheDtype: asked.maybeText('kv_cache_dtype')?.startsWith('fp8') ? 'fp8' : 'auto',
    numGpuBlocks: cache?.maybeNumber('num_gpu_blocks'),
    gpuMemoryUtilization: cache?.maybeNumber('gpu_memory_utilization'),
    enablePrefixCaching: cache?.maybeFlag('enable_prefix_caching'),
    enableChunkedPrefill: scheduler?.maybeFlag('enable_chunked_prefill'),
    asyncScheduling: scheduler?.maybeFlag('async_scheduling'),
    enforceEager: eager ?? asked.maybeFlag('enforce_eager'),
    // The client calls AsyncLLM in its own process, at temperature 0.
    frontEnd: 'in-process',
    sampling: 'plain',
  }
}

const momentsOf = (file: string): MeasuredMoment[] =>
  readRows(file).map((row) => ({
    at: Number(row.t),
    running: Number(row.running),
    waiting: Number(row.waiting),
    kv: Number(row.kv_cache_pct) > 0 ? Number(row.kv_cache_pct) / 100 : undefined,
  }))
