#!/usr/bin/env node
/**
 * Simulates the measured serving runs below LLMSIM_DATA with `validate` and writes the errors into docs/accuracy.md, and
 * the error bands that runs print into engines/error-bands.json. With --check it only says whether both are up to date.
 * The data belongs to its publishers and is not shipped.
 */
import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {fileURLToPath} from 'node:url'
import {withPrefixesOf} from '#llmsim/measured/prefixes.js'
import {readMeasured} from '#llmsim/measured/read.js'
import {signed, summariseErrors} from '#llmsim/report/validation.js'
import {describe} from '#llmsim/stats/percentiles.js'
import {deploy} from '#llmsim/study/deployment.js'
import {requestFor} from '#llmsim/study/measured-request.js'
import {validateRun} from '#llmsim/study/validate.js'
import {publishedRuns} from './published-runs.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const data = resolve(root, process.env.LLMSIM_DATA ?? '../shared/data')
const page = `${root}docs/accuracy.md`
const bandsFile = `${root}engines/error-bands.json`
const begin = '<!-- accuracy: begin, written by npm run accuracy -->'
const end = '<!-- accuracy: end -->'

const single = [
  {name: 'RTX 4090', folder: 'serving/vllm-0.19-rtx4090-llama-3.1-8b', settings: {}},
  {
    name: 'RTX PRO 6000',
    folder: 'serving/vllm-0.19-rtxpro6000-llama-3.1-8b',
    // Neither device nor blocks were recorded; the blocks are LLMServingSim's own figure.
    settings: {hardware: 'RTXPRO6000', numGpuBlocks: 36_578},
  },
]
const workload = 'llmservingsim/workloads/sharegpt-llama-3.1-8b-300-sps10.jsonl'
const training = 'serving/vllm-0.15-h100'
const sets = [
  'serving/decode-steady-h100',
  'serving/closed-loop-h100',
  'serving/vllm-0.11-h100-kubecon',
]
const sources = ['profile', 'roofline', 'datasheet']
const statistics = ['mean', 'p50', 'p90', 'p95', 'p99']
const metrics = [
  {name: 'TTFT', key: 'ttft_ms', theirs: 'TTFT', printed: 'TTFT', digits: 0},
  {name: 'TPOT', key: 'tpot_ms', theirs: 'TPOT', printed: 'TPOT', digits: 2},
  {name: 'E2E', key: 'e2e_ms', theirs: 'latency', printed: 'Latency', digits: 0},
]

const flags = (latency) => ({
  request: {
    model: '',
    hardware: undefined,
    layout: {},
    engine: {},
    engineProfile: 'vllm-0.19',
    sampling: 'model',
    latency,
    profiles: join(data, 'llmservingsim/perf'),
    policy: 'fcfs',
    router: 'least-requests',
    frontEnd: 'http',
    seed: 0,
  },
  given: new Set(),
})

async function compare(run, latency) {
  return validateRun(run, await requestFor(run, flags(latency)))
}

/** The class that stands in for a device's own, to learn how far off the defaults of a class may be. */
const neighbours = {H100: 'ampere', RTX4090: 'blackwell-consumer', RTXPRO6000: 'ada-consumer'}

/** The run on its device's datasheet with the efficiencies of another class: what a class that nobody measured gets. */
async function compareInOtherClass(run) {
  const folder = mkdtempSync(join(tmpdir(), 'llmsim-accuracy-'))
  try {
    const request = await requestFor(run, flags('datasheet'))
    const hardware = join(folder, 'other.yaml')
    const architecture = neighbours[request.hardware]
    writeFileSync(hardware, `extends: ${request.hardware}\narchitecture: ${architecture}\n`)
    return await validateRun(run, {...request, hardware})
  } finally {
    rmSync(folder, {recursive: true})
  }
}

const number = (value, digits) =>
  value.toLocaleString('en-US', {minimumFractionDigits: digits, maximumFractionDigits: digits})

/** LLMServingSim's result for the run, and the errors that its authors print (their TTFT counts from `queued_ts`). */
function theirsOf(folder) {
  const [header, ...lines] = readFileSync(join(data, folder, 'llmservingsim-sim.csv'), 'utf8')
    .trim()
    .split('\n')
  const names = header.split(',')
  const rows = lines.map((line) => line.split(',', names.length))
  const summary = readFileSync(join(data, folder, 'llmservingsim-summary.txt'), 'utf8')
  const labels = {mean: 'Mean', p50: 'Median', p90: 'P90', p95: 'P95', p99: 'P99'}
  return metrics.map(({theirs, printed}) => {
    const at = names.indexOf(theirs)
    const values = describe(Float64Array.from(rows, (row) => Number(row[at]) / 1e6))
    const authors = statistics.map((statistic) => {
      const line = new RegExp(`^${printed} ${labels[statistic]} .*?(\\S+%)$`, 'm').exec(summary)
      return line ? line[1].replace('-', '−').replace('%', ' %') : ''
    })
    return {values, authors}
  })
}

async function singleTable({name, folder, settings}, kept) {
  const [read] = await readMeasured(join(data, folder))
  const named = {...read, settings: {...read.settings, ...settings}}
  const run = await withPrefixesOf(named, join(data, workload))
  const ours = []
  for (const source of sources) ours.push({source, result: await compare(run, source)})
  kept.push(...ours, {source: 'other class', result: await compareInOtherClass(run)})
  const theirs = theirsOf(folder)
  const rows = []
  const add = (metric, source, cells) =>
    rows.push(`| ${[metric.name, source, ...cells].join(' | ')} |`)
  for (const [m, metric] of metrics.entries()) {
    const of = ({stages}) =>
      statistics.map((statistic) =>
        stages[0].comparisons.find(
          (each) => each.metric === metric.key && each.statistic === statistic,
        ),
      )
    const measured = of(ours[0].result).map((each) => each.measured)
    add(
      metric,
      '**measured**',
      measured.map((value) => `**${number(value, metric.digits)}**`),
    )
    for (const {source, result} of ours)
      add(
        metric,
        source,
        of(result).map(
          (each) => `${number(each.simulated, metric.digits)} (${signed(each.error_percent)})`,
        ),
      )
    const {values, authors} = theirs[m]
    add(
      metric,
      'LLMServingSim',
      statistics.map(
        (statistic, i) =>
          `${number(values[statistic], metric.digits)} (${signed((values[statistic] / measured[i] - 1) * 100)})`,
      ),
    )
    add(metric, '… as its authors print', authors)
  }
  const correlations = ours.map(
    ({source, result: {pearson_r: r}}) =>
      `${source} ${['ttft', 'tpot', 'e2e'].map((metric) => `${metric.toUpperCase()} ${r[metric].toFixed(3)}`).join(', ')}`,
  )
  return [
    `### ${name}`,
    '',
    `| ms | source | ${statistics.join(' | ')} |`,
    `| --- | --- | ${statistics.map(() => '---').join(' | ')} |`,
    ...rows,
    '',
    `Request by request, Pearson's r: ${correlations.join('; ')}.`,
  ].join('\n')
}

const isDense = ({name}) => !/scout/i.test(name)
const isPlain = ({name}) => !/ fp8 /.test(name)

function summaryTable(groups) {
  const rows = groups.flatMap(([label, results]) =>
    summariseErrors(results).map((row) => {
      const percent = (value) => `${value.toFixed(1)} %`
      const cells = [
        row.stages,
        percent(row.median_abs),
        percent(row.mean_abs),
        signed(row.bias),
        percent(row.worst),
      ]
      return `| ${[label, row.metric, ...cells].join(' | ')} |`
    }),
  )
  return [
    '| set | mean of | stages | median abs error | mean abs error | bias | worst |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n')
}

/** One row per stage: measured → simulated (error) of the first statistic of each metric. */
function stageTable(results, keys) {
  const cell = (comparisons, key) => {
    const found = comparisons.find(({metric}) => metric === key)
    if (found === undefined) return ''
    return `${number(found.measured, 2)} → ${number(found.simulated, 2)} (${signed(found.error_percent)})`
  }
  const rows = results.flatMap((run) =>
    run.stages.map(
      (stage) =>
        `| ${[run.name, stage.name, ...keys.map((key) => cell(stage.comparisons, key))].join(' | ')} |`,
    ),
  )
  return [
    `| run | stage | ${keys.join(' | ')} |`,
    `| --- | --- | ${keys.map(() => '---').join(' | ')} |`,
    ...rows,
  ].join('\n')
}

/** Blocks that the memory law finds, against those that vLLM logged. */
async function blocksTable(runs) {
  const rows = []
  const seen = new Set()
  for (const run of runs) {
    const {numGpuBlocks, ...rest} = run.settings
    if (numGpuBlocks === undefined) continue
    const request = await requestFor({...run, settings: rest}, flags('roofline'))
    const key = JSON.stringify([request.model, request.layout, request.engine])
    if (seen.has(key)) continue
    seen.add(key)
    const deployment = await deploy(request)
    const {config} = deployment.engines[0].settled
    const {model, hardware, layout, engine} = request
    const cells = [hardware, model, layout.tp ?? 1, engine.maxNumSeqs, engine.maxNumBatchedTokens]
    const error = signed((config.numGpuBlocks / numGpuBlocks - 1) * 100)
    rows.push(
      `| ${[...cells, number(numGpuBlocks, 0), number(config.numGpuBlocks, 0), error].join(' | ')} |`,
    )
  }
  return [
    '| device | model | tp | seats | tokens a step | blocks in vLLM | ours | error |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n')
}

/** Metrics of which a band is made; a median gap between tokens is as good as a mean TPOT. */
const banded = {ttft: ['ttft_ms'], tpot: ['tpot_ms', 'itl_ms'], e2e: ['e2e_ms']}

/** 90 % of the errors of stage means lie within the band. */
function bandOf(kind, results) {
  const p90 = (names) => {
    const errors = results.flatMap(({stages}) =>
      stages.flatMap(({comparisons}) => {
        const found = comparisons.find(({metric}) => names.includes(metric))
        return found ? [Math.abs(found.error_percent)] : []
      }),
    )
    return {most: Math.ceil(describe(Float64Array.from(errors))?.p90 ?? 0), stages: errors.length}
  }
  const [ttft, tpot, e2e] = Object.values(banded).map(p90)
  return {kind, ttft: ttft.most, tpot: tpot.most, e2e: e2e.most, stages: tpot.stages}
}

/** `own` with no figure below that of the others, from the stages of all of them. */
function widestOf(own, ...others) {
  const all = [own, ...others]
  const most = (metric) => Math.max(...all.map((each) => each[metric]))
  const stages = all.reduce((sum, each) => sum + each.stages, 0)
  return {kind: own.kind, ttft: most('ttft'), tpot: most('tpot'), e2e: most('e2e'), stages}
}

async function main() {
  const needed = [
    'llmservingsim/perf',
    workload,
    training,
    ...sets,
    ...single.map(({folder}) => folder),
  ]
  const missing = needed.find((path) => !existsSync(join(data, path)))
  if (missing !== undefined) {
    console.error(`accuracy: skipped, there is no ${missing} below ${data} (set LLMSIM_DATA)`)
    return
  }
  const kept = []
  const parts = ['## Request by request: vLLM 0.19']
  for (const run of single) parts.push(await singleTable(run, kept))
  const runs = await readMeasured(join(data, training))
  const results = []
  const onDatasheet = []
  const inOtherClass = []
  for (const run of runs) {
    results.push(await compare(run, 'roofline'))
    onDatasheet.push(await compare(run, 'datasheet'))
    inOtherClass.push(await compareInOtherClass(run))
  }
  const dense = results.filter(isDense)
  const scout = results.filter((run) => !isDense(run))
  const others = []
  for (const set of sets) {
    const compared = []
    for (const run of await readMeasured(join(data, set)))
      compared.push(await compare(run, 'roofline'))
    others.push(compared)
  }
  const [steady, closed, kubecon] = others
  parts.push(
    '## All sets, on the roofline',
    summaryTable([
      ['vLLM 0.15, H100, 16 bit', dense],
      ['vLLM 0.15, H100, FP8 Scout', scout],
      ['vLLM 0.15, H100, 16 bit, datasheet', onDatasheet.filter(isDense)],
      ['steady decode, vLLM 0.11, H100', steady],
      ['closed loop, vLLM 0.12, H100', closed],
      ['KubeCon, vLLM 0.11, H100', kubecon],
    ]),
    '## vLLM 0.15 on H100, every stage',
    stageTable([...dense, ...scout], ['ttft_ms', 'tpot_ms', 'e2e_ms']),
    '## KubeCon example, vLLM 0.11 on H100',
    stageTable(kubecon, ['requests_per_s', 'tpot_ms', 'ttft_ms']),
    '## Steady decode, vLLM 0.11 on H100: median gap between tokens',
    stageTable(steady, ['itl_ms']),
    '## Closed loop, vLLM 0.12 on H100',
    stageTable(closed, ['tpot_ms']),
    '## KV blocks',
    await blocksTable([
      ...(await Promise.all(
        single.slice(0, 1).map(async ({folder}) => (await readMeasured(join(data, folder)))[0]),
      )),
      ...runs,
    ]),
  )
  const of = (source) => kept.filter((each) => each.source === source).map(({result}) => result)
  const published = await publishedRuns()
  const band = (kind, ...own) => {
    const others = published.filter((run) => run.kind === kind)
    return bandOf(kind, [...own.flat(), ...others.map(({result}) => result)])
  }
  const special = band(
    'calibrated, experts or quantised',
    scout,
    closed.filter((run) => !isPlain(run)),
  )
  const defaults = band('class defaults', inOtherClass.filter(isDense), of('other class'))
  const bands = {
    source:
      '90th percentile of the absolute errors of stage means in docs/accuracy.md and docs/accuracy-published.md, in percent; class defaults and datasheet: also the former runs on the datasheet of their device with the efficiencies of a neighbouring class (H100 as Ampere, the two RTX cards as each other); with experts or quantised weights on class defaults: the widest of the kinds that it is made of',
    bands: [
      bandOf('profile', of('profile')),
      band('calibrated', dense, of('roofline')),
      band('calibrated, vLLM 0.11 to 0.13', steady, closed.filter(isPlain), kubecon),
      special,
      band('latent attention'),
      defaults,
      // Few stages of its own: at least as wide as either of what it is made of.
      widestOf(band(`${defaults.kind}, experts or quantised`), special, defaults),
    ],
  }
  const files = new Map([
    [page, replaced(readFileSync(page, 'utf8'), parts.join('\n\n'))],
    [bandsFile, `${JSON.stringify(bands, null, 2)}\n`],
  ])
  for (const [path, text] of files) {
    if (!process.argv.includes('--check')) writeFileSync(path, text)
    else if (!existsSync(path) || readFileSync(path, 'utf8') !== text) {
      console.error(`${path.slice(root.length)} is stale: npm run accuracy`)
      process.exitCode = 1
    }
  }
}

function replaced(before, text) {
  const [head, rest] = before.split(begin)
  return `${head}${begin}\n\n${text}\n\n${end}${rest.split(end)[1]}`
}

await main()
