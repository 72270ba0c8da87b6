#!/usr/bin/env node
/**
 * Simulates the published runs that nothing was fitted to (published-runs.json) and compares. `--write` puts the tables
 * into docs/accuracy-published.md, `--check` says whether they are up to date. Needs no data but what is shipped.
 */
import {readFileSync, writeFileSync} from 'node:fs'
import {fileURLToPath} from 'node:url'
import {loadHardware} from '#llmsim/catalogue/hardware.js'
import {coefficientsFor} from '#llmsim/latency/coefficients.js'
import {distinctExperts, expertsNs} from '#llmsim/latency/moe.js'
import {precisionOfClass} from '#llmsim/latency/precision.js'
import {signed, summariseErrors} from '#llmsim/report/validation.js'
import {publishedRuns} from './published-runs.js'

const page = fileURLToPath(new URL('../docs/accuracy-published.md', import.meta.url))
const begin = '<!-- table: begin, written by npm run accuracy:published -- --write -->'
const end = '<!-- table: end -->'

const number = (value) =>
  value.toLocaleString('en-US', {maximumFractionDigits: value < 100 ? 2 : value < 10_000 ? 1 : 0})

const metrics = ['ttft_ms', 'tpot_ms', 'e2e_ms', 'output_tokens_per_s']

const comparisonsOf = ({result}) => result.stages[0].comparisons

function cell(run, metric) {
  // What the publisher did not print is worked out for the bands alone.
  if (run.row.measured[metric] === undefined) return ''
  const {
    measured,
    simulated,
    error_percent: error,
  } = comparisonsOf(run).find((each) => each.metric === metric)
  return `${number(measured)} → ${number(simulated)} (${signed(error)})`
}

/** A band does not hold for throughput, which is held to that of E2E. */
const bandKeys = {ttft_ms: 'ttft', tpot_ms: 'tpot', e2e_ms: 'e2e', output_tokens_per_s: 'e2e'}

function isInside(run, {metric, error_percent: error}) {
  return Math.abs(error) <= run.band[bandKeys[metric]]
}

function summary(runs) {
  const kinds = [...new Set(runs.map(({kind}) => kind))]
  const rows = kinds.flatMap((kind) => {
    const own = runs.filter((run) => run.kind === kind)
    return summariseErrors(own.map(({result}) => result)).map((row) => {
      const all = own.flatMap((run) =>
        comparisonsOf(run)
          .filter(({metric}) => metric === row.metric)
          .map((comparison) => isInside(run, comparison)),
      )
      const inside = all.filter(Boolean).length
      const cells = [
        `${row.median_abs.toFixed(1)} %`,
        `${row.mean_abs.toFixed(1)} %`,
        signed(row.bias),
        `${row.worst.toFixed(1)} %`,
        `${inside} of ${all.length}`,
      ]
      return `| ${[kind, row.metric, row.stages, ...cells].join(' | ')} |`
    })
  })
  return [
    '| kind of run | mean of | rows | median abs error | mean abs error | bias | worst | inside the band |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n')
}

function table(runs) {
  const rows = runs.map((run) => {
    const {row, source, result} = run
    const devices = (row.tp ?? 1) * (row.instances ?? 1)
    const cells = [
      `${devices === 1 ? '' : `${devices} × `}${row.hardware}`,
      result.name,
      row.engine,
      `[${source.publisher}](${source.url})${row.note ? ` *(${row.note})*` : ''}`,
      ...metrics.map((metric) => cell(run, metric)),
    ]
    return `| ${cells.join(' | ')} |`
  })
  return [
    `| devices | run | vLLM | source | ${metrics.join(' | ')} |`,
    `| --- | --- | --- | --- | ${metrics.map(() => '---').join(' | ')} |`,
    ...rows,
  ].join('\n')
}

const tokenCounts = [1, 4, 16, 64, 128, 256, 512, 1024, 2048, 4096]

/** Experts of one layer; in brackets where their weights fit the L2 cache, from which the benchmark then reads them. */
async function kernelTable() {
  const {rows} = JSON.parse(
    readFileSync(new URL('published-kernels.json', import.meta.url), 'utf8'),
  )
  const lines = []
  for (const {us, ...row} of rows) {
    const hardware = await loadHardware(row.hardware)
    const precision = precisionOfClass(row.format, hardware)
    const {coefficients} = coefficientsFor(hardware, 'measured').moeChoice(row.format)
    const share = {
      hiddenSize: row.hidden,
      count: row.experts,
      perToken: row.perToken,
      expertRanks: 1,
      intermediate: row.intermediate,
    }
    const weightBytes = 3 * row.hidden * row.intermediate * precision.weightBytes
    const cells = tokenCounts.map((tokens) => {
      const measured = us[tokens]
      if (measured === undefined) return ''
      const {bandwidthGbS, l2Mb = 0} = hardware
      const ours = expertsNs(tokens, share, {precision, coefficients, bandwidthGbS}) / 1000
      const text = `${number(measured)} → ${number(ours)} (${signed((ours / measured - 1) * 100)})`
      const isCached = distinctExperts(tokens, share) * weightBytes < l2Mb * 1e6
      return isCached ? `[${text}]` : text
    })
    const source = `[${row.publisher}](${row.url})`
    lines.push(`| ${[row.hardware, `${row.model}, ${row.format}`, source, ...cells].join(' | ')} |`)
  }
  return [
    `| device | experts of | source | ${tokenCounts.join(' | ')} |`,
    `| --- | --- | --- | ${tokenCounts.map(() => '---').join(' | ')} |`,
    ...lines,
  ].join('\n')
}

const runs = await publishedRuns()
const parts = [
  summary(runs),
  '## Kernels of experts: µs by tokens, measured → ours',
  await kernelTable(),
  '## Every row',
  table(runs),
]
const tables = [begin, ...parts, end].join('\n\n')
const before = readFileSync(page, 'utf8')
const [head, rest] = before.split(begin)
const after = `${head}${tables}${rest.split(end)[1]}`
if (process.argv.includes('--write')) writeFileSync(page, after)
else if (!process.argv.includes('--check')) console.log(tables)
else if (before !== after) {
  console.error('docs/accuracy-published.md is stale: npm run accuracy:published -- --write')
  process.exitCode = 1
}
