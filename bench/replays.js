#!/usr/bin/env node
/**
 * Published runs (replays.json) whose trace is below LLMSIM_DATA, simulated without anything fitted to them: on the link of
 * the catalogue, and on the one that the publisher's own configuration gives that server. `--write` puts the table into
 * docs/accuracy.md.
 */
import {existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join, resolve} from 'node:path'
import {fileURLToPath} from 'node:url'
import {signed} from '#llmsim/report/validation.js'
import {deploy} from '#llmsim/study/deployment.js'
import {compareRun} from '#llmsim/study/validate.js'
import {readTrace} from '#llmsim/trace/read.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const data = resolve(root, process.env.LLMSIM_DATA ?? '../shared/data')
const page = join(root, 'docs/accuracy.md')
const begin = '<!-- replays: begin, written by npm run accuracy:replays -- --write -->'
const end = '<!-- replays: end -->'
const cluster = join(data, 'serving/vllm-0.19-rtxpro6000-llama-3.1-8b/llmservingsim-cluster.json')
const {rows} = JSON.parse(readFileSync(new URL('replays.json', import.meta.url), 'utf8'))

const messageBytes = [16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864, 268435456]

/** A latency and a rate as a hardware file has a link between two devices. */
function linkOf({gbS, latencyUs}) {
  // What a call moves over the bus, as a share of its message: all of it where two reduce, half where they gather.
  const curve = (share) => {
    const rates = messageBytes.map((bytes) => {
      const moved = bytes * share
      return Number((moved / 1e3 / (latencyUs + moved / 1e3 / gbS)).toPrecision(3))
    })
    return {
      source: 'latency and rate',
      message_bytes: messageBytes,
      degrees: {2: {floor_us: latencyUs, bus_gb_s: rates}},
    }
  }
  const half = curve(0.5)
  return {
    kind: 'pcie',
    gb_s: gbS,
    max_devices: 2,
    all_reduce: curve(1),
    library: {all_reduce: curve(1), all_gather: half, reduce_scatter: half, all_to_all: half},
  }
}

/** A hardware file of the row's device with another link, in a folder. */
function withLink(folder, hardware, link) {
  const path = join(folder, `${hardware}-linked.yaml`)
  writeFileSync(path, JSON.stringify({extends: hardware, links: {publisher: link}}))
  return path
}

async function compared(row, hardware, latency) {
  const trace = await readTrace([join(data, 'llmservingsim/workloads', row.trace)])
  const run = {
    ...{name: row.name, format: 'published points', settings: {}, trace, notes: []},
    stages: [{name: 'all', has: () => true, spreads: row.measured, throughput: {}}],
  }
  const request = {
    ...{model: row.model, hardware, layout: row.layout, latency},
    ...{engineProfile: 'vllm-0.19', sampling: 'plain', frontEnd: 'in-process', seed: 0},
    ...{policy: 'fcfs', router: 'least-requests', profiles: join(data, 'llmservingsim/perf')},
    engine: {maxNumSeqs: 128, maxNumBatchedTokens: 2048},
  }
  return compareRun(run, await deploy(request)).stages[0].comparisons
}

function cellsOf(row, comparisons) {
  return Object.keys(row.measured).map((metric) => {
    const of = (statistic) =>
      comparisons.find((each) => each.metric === `${metric}_ms` && each.statistic === statistic)
    const {measured, simulated, error_percent: error} = of('mean')
    const digits = {maximumFractionDigits: measured < 1000 ? 1 : 0}
    const [from, to] = [measured, simulated].map((ms) => ms.toLocaleString('en-US', digits))
    return `${from} → ${to} (${signed(error)}; p99 ${signed(of('p99').error_percent)})`
  })
}

async function table(folder) {
  const {link_bw: gbS, link_latency: ns} = JSON.parse(readFileSync(cluster, 'utf8'))
  const slow = {gbS, latencyUs: ns / 1000}
  const lines = []
  for (const row of rows) {
    const {hardware} = row
    const linked = withLink(folder, hardware, linkOf(slow))
    const add = (how, cells) =>
      lines.push(`| ${[`[${row.name}](${row.url})`, how, ...cells].join(' | ')} |`)
    add('roofline', cellsOf(row, await compared(row, hardware, 'roofline')))
    add(
      `roofline, link of ${slow.gbS} GB/s and ${slow.latencyUs} µs`,
      cellsOf(row, await compared(row, linked, 'roofline')),
    )
    const theirs = Object.values(row.theirs).map((error) => signed(error))
    add('LLMServingSim with its profile, as its authors print', theirs)
  }
  return [
    '| run | source | TTFT ms | TPOT ms | E2E ms |',
    '| --- | --- | --- | --- | --- |',
    ...lines,
  ].join('\n')
}

async function main() {
  const folder = mkdtempSync(join(tmpdir(), 'llmsim-replays-'))
  try {
    const text = await table(folder)
    console.log(text)
    if (!process.argv.includes('--write')) return
    const [head, rest] = readFileSync(page, 'utf8').split(begin)
    writeFileSync(page, `${head}${begin}\n\n${text}\n\n${end}${rest.split(end)[1]}`)
  } finally {
    rmSync(folder, {recursive: true})
  }
}

if (existsSync(cluster)) await main()
else console.error(`skipped: no ${cluster} (LLMSIM_DATA names the folder)`)
