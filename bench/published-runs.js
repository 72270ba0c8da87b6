/** The rows of published-runs.json as runs that can be validated, each with the request that its settings make. */
import {readFileSync} from 'node:fs'
import {deploy} from '#llmsim/study/deployment.js'
import {bandKind, errorBand} from '#llmsim/study/error-bands.js'
import {compareRun} from '#llmsim/study/validate.js'

const {sources, rows} = JSON.parse(
  readFileSync(new URL('published-runs.json', import.meta.url), 'utf8'),
)

/** Shares from 0 to 1, evenly spread in any order that they are taken; `stride` is irrational. */
const shares = (length, stride) =>
  Array.from({length}, (_, at) => (Math.floor(((at * stride) % 1) * length) + 0.5) / length)

const golden = 0.618_033_988_75
const silver = 0.414_213_562_37

/** Tokens of each request: of that mean, alike or not. */
function lengthsOf(mean, kind, {requests, stride}) {
  const of = {
    fixed: () => mean,
    spread: (share) => mean * (0.5 + share),
    exponential: (share) => -mean * Math.log(1 - share),
  }[kind]
  return Int32Array.from(shares(requests, stride), (share) => Math.max(2, Math.round(of(share))))
}

function traceOf({requests, input, output, lengths = 'fixed'}) {
  const inputs = lengths === 'exponential' ? lengths : 'fixed'
  return {
    length: requests,
    arrivedAt: new Float64Array(requests),
    inputTokens: lengthsOf(input, inputs, {requests, stride: golden}),
    outputTokens: lengthsOf(output, lengths, {requests, stride: silver}),
    notes: [],
    format: 'reconstructed',
  }
}

function spreadsOf({measured, statistic = 'mean', lengths, output}) {
  const {ttft_ms: ttft, tpot_ms: tpot, e2e_ms: e2e} = measured
  // With answers of one length the means add up.
  const whole =
    e2e ??
    (lengths || !ttft || !tpot || statistic !== 'mean' ? undefined : ttft + tpot * (output - 1))
  return {
    ...(ttft && {ttft: {mean: ttft}}),
    ...(tpot && {tpot: {[statistic]: tpot}}),
    ...(whole && {e2e: {mean: whole}}),
  }
}

const nameOf = ({model, dtype, input, output, concurrency, requests}) => {
  const format = dtype ? ` ${dtype}` : ''
  const load = concurrency ? `${concurrency} clients` : `${requests} at once`
  return `${model.split('/')[1]}${format}, ${input}/${output}, ${load}`
}

const runOf = (row) => ({
  name: nameOf(row),
  format: 'published points',
  settings: {},
  trace: traceOf(row),
  concurrency: row.concurrency,
  stages: [
    {
      name: 'all',
      has: () => true,
      spreads: spreadsOf(row),
      throughput: {outputTokensPerS: row.measured.output_tokens_per_s},
    },
  ],
  notes: [],
})

const requestOf = (row) => ({
  model: row.model,
  hardware: row.hardware,
  layout: {tp: row.tp ?? 1, ep: row.ep, ...(row.instances && {instances: row.instances})},
  engineProfile: row.engine,
  // The client of vLLM asks for temperature 0 unless it is told otherwise.
  sampling: 'plain',
  latency: 'roofline',
  policy: 'fcfs',
  router: 'least-requests',
  frontEnd: row.frontEnd ?? 'http',
  seed: 0,
  engine: {
    dtype: row.dtype,
    kvCacheDtype: row.kvCacheDtype,
    maxModelLen: row.maxModelLen,
    maxNumSeqs: row.maxNumSeqs,
    maxNumBatchedTokens: row.maxNumBatchedTokens,
    gpuMemoryUtilization: row.gpuMemoryUtilization,
    asyncScheduling: row.asyncScheduling,
  },
})

/** Every row with its source, the comparison, and the error band that the run prints, with its kind. */
export async function publishedRuns() {
  const results = []
  for (const row of rows) {
    const deployment = await deploy(requestOf(row))
    results.push({
      row,
      source: sources[row.source],
      kind: bandKind(deployment.engines[0]),
      band: errorBand(deployment),
      result: compareRun(runOf(row), deployment),
    })
  }
  return results
}
