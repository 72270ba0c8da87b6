#!/usr/bin/env node
/**
 * Measured throughput of vLLM on RTX A6000 cards against simulated: total tokens per second, and generated tokens in
 * every second. The data (artifact of LLMServingSim, MIT) lies below LLMSIM_DATA and is not shipped. `--write` puts the
 * table into docs/accuracy-a6000.md, `--series` prints every second.
 */
import {execFileSync} from 'node:child_process'
import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {fileURLToPath} from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const data = join(resolve(root, process.env.LLMSIM_DATA ?? '../shared/data'), 'serving/vllm-a6000')

const page = join(root, 'docs/accuracy-a6000.md')
const begin = '<!-- table: begin, written by npm run accuracy:a6000 -- --write -->'
const end = '<!-- table: end -->'

const base = 'meta-llama/Llama-3.1-8B'
const flags = ['--no-async-scheduling', '--max-num-batched-tokens', '2048', '--seed', '0']
const dense = 'sharegpt_req300_rate10_llama'
const engine = (model, seats, blocks, ...more) => [
  ...['--model', model, '--max-num-seqs', String(seats)],
  ...['--num-gpu-blocks-override', String(blocks), ...flags, ...more],
]
const figure5 = (name) => `figure_5/A6000/reference/${name}_throughput.csv`
const logOf = (degree) => `figure_6/raw_data/vllm_pulse_power_tp${degree}_engine_settings.json`
const pulsesOf50 = 'figure_7/raw_data/SD+PC/SD_pulse_vllm_engine_settings.json'

/** Settings: whether the log is the engine's own, or that of another run of the same publisher. */
const runs = [
  {
    name: 'TP 1, pulses of 10',
    settings: 'recorded',
    trace: 'sharegpt_pulse_req10_n3_delay60',
    log: logOf(1),
    measured: 'figure_6/raw_data/vllm_pulse_power_tp1_engine_stats.csv',
    argv: engine(`${base}-Instruct`, 256, 13_545),
  },
  {
    name: 'TP 2, pulses of 10',
    settings: 'recorded',
    trace: 'sharegpt_pulse_req10_n3_delay60',
    log: logOf(2),
    measured: 'figure_6/raw_data/vllm_pulse_power_tp2_engine_stats.csv',
    argv: engine(`${base}-Instruct`, 256, 34_669, '--npu', '2', '--tp', '2'),
  },
  {
    name: 'TP 1, pulses of 50',
    settings: 'recorded',
    trace: 'sharegpt_pulse_req50_n6_delay15_pc',
    log: pulsesOf50,
    measured: 'figure_7/raw_data/SD+PC/SD_pulse_vllm_engine_stats.csv',
    argv: engine(base, 128, 13_844),
  },
  {
    name: 'TP 1, 10 req/s',
    settings: 'assumed',
    trace: dense,
    log: pulsesOf50,
    measured: figure5('SD+PC'),
    argv: engine(base, 128, 13_844),
  },
  {
    name: 'two replicas, 10 req/s',
    settings: 'assumed',
    trace: dense,
    log: pulsesOf50,
    measured: figure5('MD'),
    argv: engine(base, 128, 13_844, '--npu', '2', '--tp', '1'),
  },
  {
    name: 'prefill + decode, 10 req/s',
    settings: 'assumed',
    trace: dense,
    log: pulsesOf50,
    measured: figure5('PDD'),
    argv: engine(base, 128, 13_844, '--prefill', '1', '--decode', '1'),
  },
  {
    name: 'Phi-mini-MoE, TP 1, 10 req/s',
    settings: 'assumed',
    trace: 'sharegpt_req300_rate10_phi',
    log: pulsesOf50,
    measured: figure5('SM'),
    argv: engine('microsoft/Phi-mini-MoE-instruct', 128, 13_844),
  },
]

/** The release, and whether it had CUDA graphs, as the engine's log has them. */
function loggedFlags(path) {
  const {vllm_version: release, non_default_args: args} = JSON.parse(
    readFileSync(join(data, path), 'utf8'),
  )
  const isEager = /'enforce_eager': True/.test(args)
  return ['--engine', release, ...(isEager ? ['--enforce-eager'] : [])]
}

/** Rows of a CSV without quoted cells. */
function rowsOf(path) {
  const [header, ...lines] = readFileSync(path, 'utf8').trim().split(/\r?\n/)
  const names = header.split(',')
  return lines.map((line) => {
    const cells = line.split(',')
    return Object.fromEntries(names.map((name, i) => [name, cells[i]]))
  })
}

/** Generated tokens in each second. */
function measuredBins(path) {
  const bins = []
  for (const row of rowsOf(join(data, path)))
    bins[Number(row.time_s ?? row.t_s)] = Number(row.throughput ?? row.gen_tok_s)
  return Array.from(bins, (tokens) => tokens ?? 0)
}

/** Prompt tokens that the prefix cache had, of all that were looked up; the log counts since the start. */
function measuredHits(path) {
  const last = rowsOf(join(data, path)).at(-1)
  return last.prefix_hit_pct === undefined ? '' : `${Number(last.prefix_hit_pct).toFixed(1)} %`
}

/** When a simulation generated how many tokens: decodes when their step ends, first tokens when the client has them. */
function simulatedTokens({trace, log, argv}, folder) {
  const steps = join(folder, 'steps.csv')
  const out = join(folder, 'run')
  const file = join(data, 'traces', `${trace}.slim.csv`)
  const flags = ['--hardware', 'A6000', ...argv, ...loggedFlags(log)]
  const outputs = ['--steps', steps, '--out', out]
  execFileSync(
    process.execPath,
    [join(root, 'bin/run.js'), 'simulate', file, ...flags, ...outputs],
    {stdio: ['ignore', 'ignore', 'pipe']},
  )
  const decodes = rowsOf(steps).map((row) => [Number(row.end_s), Number(row.decode_tokens)])
  const firsts = rowsOf(join(out, 'requests.csv')).map((row) => [
    Number(row.arrived_at) + Number(row.ttft_ms) / 1000,
    1,
  ])
  const {summary} = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'))
  const {identity, hit_rate} = summary.prefix_cache
  const hits = identity ? `${((hit_rate ?? 0) * 100).toFixed(1)} %` : 'trace has no prefixes'
  return {tokens: [...decodes, ...firsts], hits}
}

function binsOf(tokens, shift) {
  const bins = []
  for (const [at, count] of tokens) {
    const second = Math.floor(at + shift)
    if (second >= 0) bins[second] = (bins[second] ?? 0) + count
  }
  return Array.from(bins, (count) => count ?? 0)
}

const sum = (values) => values.reduce((total, value) => total + value, 0)
/** Tokens per second, over the seconds in which there were any: pulses leave gaps of known length. */
const rateOf = (bins) => sum(bins) / bins.filter((tokens) => tokens > 0).length

/**
 * The measured clock starts with the server's log, not with the trace, and its seconds begin anywhere: the shift (tenths
 * of a second) that fits best.
 */
function aligned(measured, tokens) {
  const fits = Array.from({length: 201}, (_, i) => {
    const bins = binsOf(tokens, (i - 100) / 10)
    const error = sum(measured.map((count, at) => Math.abs(count - (bins[at] ?? 0))))
    return {bins, error: error / sum(measured)}
  })
  return fits.reduce((a, b) => (b.error < a.error ? b : a))
}

const percent = (share) => `${share < 0 ? '−' : '+'}${Math.abs(share * 100).toFixed(1)} %`

/** A row of the table, and both series. */
function rowOf(run, folder) {
  const measured = measuredBins(run.measured)
  const {tokens, hits} = simulatedTokens(run, folder)
  const {bins, error} = aligned(measured, tokens)
  const [truth, ours] = [rateOf(measured), rateOf(bins)]
  const cells = [run.name, run.settings, truth.toFixed(0), ours.toFixed(0)]
  const errors = [percent(ours / truth - 1), `${(error * 100).toFixed(0)} %`]
  const hitRates = [measuredHits(run.measured), hits]
  const series = measured.map((count, i) => `${i} ${count} ${bins[i] ?? 0}`)
  return {row: `| ${[...cells, ...errors, ...hitRates].join(' | ')} |`, series}
}

/** A run that could not be simulated stands there with the reason. */
function rowOrReason(run) {
  const folder = mkdtempSync(join(tmpdir(), 'llmsim-a6000-'))
  try {
    return rowOf(run, folder)
  } catch (error) {
    const reason = error.stderr ? String(error.stderr).trim().split('\n')[0] : error.message
    return {row: `| ${run.name} | ${run.settings} | | ${reason} | | | | |`, series: []}
  } finally {
    rmSync(folder, {recursive: true})
  }
}

const head = [
  '| run | settings | measured tok/s | simulated | error | series error | measured hits | simulated |',
  '| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |',
]

function main() {
  if (!existsSync(data)) {
    console.error(`a6000: skipped, there is no ${data} (set LLMSIM_DATA)`)
    return
  }
  console.log(head.join('\n'))
  const rows = runs.map((run) => {
    const {row, series} = rowOrReason(run)
    console.log(row)
    if (process.argv.includes('--series')) console.log(series.join('\n'))
    return row
  })
  if (!process.argv.includes('--write')) return
  const text = readFileSync(page, 'utf8')
  const [before, rest] = text.split(begin)
  const after = rest.split(end)[1]
  writeFileSync(page, `${before}${begin}\n\n${[...head, ...rows].join('\n')}\n\n${end}${after}`)
}

main()
