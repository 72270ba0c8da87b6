#!/usr/bin/env node
/**
 * Simulates the measured serving runs below LLMSIM_DATA and writes the errors into docs/accuracy.md.
 * With --check it only says whether that page is up to date. The data belongs to its publishers and is not shipped.
 */
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join, resolve} from 'node:path'
import {fileURLToPath} from 'node:url'
import {collect, e2eOf, tpotOf, ttftOf} from '#llmsim/report/request-metrics.js'
import {describe} from '#llmsim/stats/percentiles.js'
import {deploy} from '#llmsim/study/deployment.js'
import {simulate} from '#llmsim/study/simulate.js'
import {readTrace} from '#llmsim/trace/read.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const data = resolve(root, process.env.LLMSIM_DATA ?? '../shared/data')
const page = `${root}docs/accuracy.md`
const begin = '<!-- accuracy: begin, written by npm run accuracy -->'
const end = '<!-- accuracy: end -->'

const workload = 'llmservingsim/workloads/sharegpt-llama-3.1-8b-300-sps10.jsonl'

/** Blocks where meta.json does not tell them. */
const runs = [
  {name: 'RTX 4090', hardware: 'RTX4090', folder: 'serving/vllm-0.19-rtx4090-llama-3.1-8b'},
  {
    name: 'RTX PRO 6000',
    hardware: 'RTXPRO6000',
    folder: 'serving/vllm-0.19-rtxpro6000-llama-3.1-8b',
    blocks: 36_578,
  },
]
const sources = ['profile', 'roofline', 'datasheet']
const statistics = ['mean', 'p50', 'p90', 'p99']
const metrics = [
  {name: 'TTFT', of: ttftOf, column: 'ttft_from_arrival_ms', theirs: 'TTFT', digits: 0},
  {name: 'TPOT', of: tpotOf, column: 'tpot_ms', theirs: 'TPOT', digits: 2},
  {name: 'E2E', of: e2eOf, column: 'e2e_from_arrival_ms', theirs: 'latency', digits: 0},
]

/** Rows of a CSV without quoted cells before its last column. */
function rowsOf(path) {
  const [header, ...lines] = readFileSync(path, 'utf8').trim().split('\n')
  const names = header.split(',')
  return lines.map((line) => {
    const cells = line.split(',', names.length)
    return Object.fromEntries(names.map((name, i) => [name, cells[i]]))
  })
}

const spread = (values) => describe(Float64Array.from(values))

function requestOf(run, meta, latency) {
  const {max_num_seqs, max_num_batched_tokens, max_model_len} = meta.engine_kwargs
  return {
    model: meta.model,
    engineProfile: 'vllm-0.19',
    // The published client samples greedily.
    sampling: 'plain',
    hardware: run.hardware,
    layout: {},
    engine: {
      maxNumSeqs: max_num_seqs,
      maxNumBatchedTokens: max_num_batched_tokens,
      maxModelLen: max_model_len ?? undefined,
      numGpuBlocksOverride: meta.kv_cache?.num_gpu_blocks ?? run.blocks,
    },
    latency,
    profiles: join(data, 'llmservingsim/perf'),
    policy: 'fcfs',
    router: 'least-requests',
    // The published client calls AsyncLLM in its own process.
    frontEnd: 'in-process',
    seed: 0,
  }
}

/** The workload with the arrivals that were measured: the client sent them a little later than it was told. */
function withMeasuredArrivals(trace, measured) {
  const arrivedAt = Float64Array.from(measured, (row) => Math.round(Number(row.arrival_s) * 1e9))
  for (const [i, row] of measured.entries()) {
    const isSame =
      Number(row.input_tokens) === trace.inputTokens[i] &&
      Number(row.output_tokens) === trace.outputTokens[i] &&
      (i === 0 || arrivedAt[i] >= arrivedAt[i - 1])
    if (!isSame) throw new Error(`request ${i} of the workload is not the one that was measured`)
  }
  return {...trace, arrivedAt}
}

export async function simulateRun(run, latency) {
  const meta = JSON.parse(readFileSync(join(data, run.folder, 'meta.json'), 'utf8'))
  const measured = rowsOf(join(data, run.folder, 'requests_derived.csv'))
  const trace = withMeasuredArrivals(await readTrace([join(data, workload)]), measured)
  const deployment = await deploy(requestOf(run, meta, latency))
  return simulate({trace, deployment, check: true})
}

/** Metric → statistics, ms. */
async function simulated(run, latency) {
  const {outcomes} = (await simulateRun(run, latency)).run
  const rows = Uint32Array.from({length: outcomes.length}, (_, row) => row)
  return metrics.map(({of}) => spread(collect(outcomes, rows, of).map((ns) => ns / 1e6)))
}

function measuredOf(run) {
  const rows = rowsOf(join(data, run.folder, 'requests_derived.csv'))
  return metrics.map(({column}) => spread(rows.map((row) => Number(row[column]))))
}

/** LLMServingSim's result for the run, and the errors that its authors print (their TTFT counts from `queued_ts`). */
function theirsOf(run) {
  const rows = rowsOf(join(data, run.folder, 'llmservingsim-sim.csv'))
  const values = metrics.map(({theirs}) => spread(rows.map((row) => Number(row[theirs]) / 1e6)))
  const summary = readFileSync(join(data, run.folder, 'llmservingsim-summary.txt'), 'utf8')
  const names = {mean: 'Mean', p50: 'Median', p90: 'P90', p99: 'P99'}
  const printed = metrics.map(({name}) => {
    const metric = name === 'E2E' ? 'Latency' : name
    return statistics.map((statistic) => {
      const line = new RegExp(`^${metric} ${names[statistic]} .*?(\\S+%)$`, 'm').exec(summary)
      return line[1].replace('-', '−').replace('%', ' %')
    })
  })
  return {values, printed}
}

const number = (value, digits) =>
  value.toLocaleString('en-US', {minimumFractionDigits: digits, maximumFractionDigits: digits})

function errorOf(value, truth) {
  const percent = (value / truth - 1) * 100
  return `${percent < 0 ? '−' : '+'}${Math.abs(percent).toFixed(1)} %`
}

async function tableOf(run) {
  const measured = measuredOf(run)
  const theirs = theirsOf(run)
  const rows = []
  const add = (m, source, cells) =>
    rows.push(`| ${[metrics[m].name, source, ...cells].join(' | ')} |`)
  const compared = (m, values) =>
    statistics.map(
      (s) => `${number(values[s], metrics[m].digits)} (${errorOf(values[s], measured[m][s])})`,
    )
  const ours = []
  for (const source of sources) ours.push({source, values: await simulated(run, source)})
  for (const m of metrics.keys()) {
    add(
      m,
      '**measured**',
      statistics.map((s) => `**${number(measured[m][s], metrics[m].digits)}**`),
    )
    for (const {source, values} of ours) add(m, source, compared(m, values[m]))
    add(m, 'LLMServingSim', compared(m, theirs.values[m]))
    add(m, '… as its authors print', theirs.printed[m])
  }
  return [
    `### ${run.name}`,
    '',
    `| ms | source | ${statistics.join(' | ')} |`,
    `| --- | --- | ${statistics.map(() => '---').join(' | ')} |`,
    ...rows,
  ].join('\n')
}

async function main() {
  const missing = [workload, 'llmservingsim/perf', ...runs.map(({folder}) => folder)].find(
    (path) => !existsSync(join(data, path)),
  )
  if (missing !== undefined) {
    console.error(`accuracy: skipped, there is no ${missing} below ${data} (set LLMSIM_DATA)`)
    return
  }
  const tables = []
  for (const run of runs) tables.push(await tableOf(run))
  const text = tables.join('\n\n')
  const before = readFileSync(page, 'utf8')
  const [head, rest] = before.split(begin)
  const after = `${head}${begin}\n\n${text}\n\n${end}${rest.split(end)[1]}`
  if (process.argv.includes('--check')) {
    if (after === before) return
    console.error('docs/accuracy.md is stale: npm run accuracy')
    process.exitCode = 1
    return
  }
  writeFileSync(page, after)
  console.log(text)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
