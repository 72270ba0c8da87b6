/** What a person reads after a run: within 80 columns, with or without colour. */

import type {Cost} from './cost.js'
import type {Energy} from './energy.js'
import {count, counted, dollars, figure, seconds, share} from './figures.js'
import type {FleetSummary} from './fleet.js'
import type {GroupSummary} from './groups.js'
import type {HandedOn} from './hand-offs.js'
import {boundsText, type Goodput, type Spread, spreadFields} from './measures.js'
import {nothingLeft} from './nothing-left.js'
import {goodVerdict} from './steady-state.js'
import {around, layTable, pageWidth, type Style, shorten, wrap} from './style.js'
import type {AdapterUse, Drafting, Summary} from './summary.js'
import type {TierUse} from './tier-use.js'
import type {WeightTraffic} from './weight-traffic.js'

const latencies = [
  ['TTFT', 'ttft_ms'],
  ['TPOT', 'tpot_ms'],
  ['ITL', 'itl_ms'],
  ['E2E', 'e2e_ms'],
  ['queue', 'queue_ms'],
] as const

/** The tables of one run. `header`: what was built and where each number comes from, one fact a line. */
export async function renderRun(
  summary: Summary,
  header: readonly string[],
  style: Style,
): Promise<string> {
  const {above, below} = around(header, style)
  const table = await layTable(
    [{title: 'ms'}, ...spreadFields.map((title) => ({title}))],
    latencies.map(([name, field]) => [name, ...spreadCells(summary[field])]),
    style,
  )
  const lines = [
    ...above,
    ...table,
    '',
    ...factsOf(summary).flatMap(([name, text]) => labelled(name, text, style)),
    '',
    ...wrap(summary.cause),
    ...goodVerdictLines(summary),
    ...warningsOf(summary).flatMap((text) => wrap(text).map(style.warning)),
    ...below,
  ]
  return lines.join('\n')
}

function goodVerdictLines({steady_state}: Summary): string[] {
  const good = goodVerdict(steady_state)
  return good === undefined ? [] : wrap(good)
}

const spreadCells = (spread: Spread): string[] => spreadFields.map((field) => figure(spread[field]))

const nameWidth = 12

function labelled(name: string, text: string, style: Style): string[] {
  const [first = '', ...rest] = wrap(text, pageWidth - nameWidth, '')
  const pad = ' '.repeat(nameWidth - name.length)
  return [`${style.title(name)}${pad}${first}`, ...rest.map((line) => ' '.repeat(nameWidth) + line)]
}

function factsOf(summary: Summary): (readonly [string, string])[] {
  const {throughput, warmup, goodput, cost, energy, weights, speculation, lora, autoscaling} =
    summary
  const rates = [
    `${figure(throughput.requests_per_s)} req/s`,
    `${figure(throughput.input_tokens_per_s)} tok/s in`,
    `${figure(throughput.output_tokens_per_s)} tok/s out`,
  ]
  return [
    ['requests', requestsFact(summary)],
    ...(summary.rejections ?? []).map(
      ({requests, reason}) =>
        ['rejected', `${count(requests)}${requests > 1 ? ', the first' : ''}: ${reason}`] as const,
    ),
    ['throughput', rates.join(', ')],
    ...(goodput ? [['goodput', goodputFact(goodput)] as const] : []),
    ['KV cache', kvFact(summary)],
    ['prefix hits', prefixFact(summary)],
    ...(summary.kv_tiers ? tierFacts(summary.kv_tiers) : []),
    ...(summary.kv_hand_offs ? [['KV moved', movedFact(summary.kv_hand_offs)] as const] : []),
    ['engine', engineFact(summary)],
    ...(autoscaling ? [['instances', fleetFact(autoscaling)] as const] : []),
    ...(lora ? [['adapters', adaptersFact(lora)] as const] : []),
    ...(speculation ? [['drafts', draftsFact(speculation)] as const] : []),
    ['cost', cost ? costFact(cost) : '– (no price is known; --price-per-hour gives one)'],
    ...(energy ? [['energy', energyFact(energy)] as const] : []),
    ...(weights ? [['weights', weightsFact(weights)] as const] : []),
    ...percentilesFact(summary),
    ...(warmup
      ? [
          [
            'warm-up',
            `${warmup.asked}: ${count(warmup.left_out)} requests left out of latencies and rates, which cover ${seconds(warmup.window_s)}`,
          ] as const,
        ]
      : []),
  ]
}

/** Says which percentiles are not exact, and how far off they may be. */
function percentilesFact(summary: Summary): (readonly [string, string])[] {
  const sketched = latencies.filter(([, field]) => summary[field].relative_error !== undefined)
  if (sketched.length === 0) return []
  const names = sketched.map(([name]) => name).join(', ')
  const error = Math.max(...sketched.map(([, field]) => summary[field].relative_error!))
  return [
    [
      'percentiles',
      `of ${names} are from samples in buckets, within ${(100 * error).toFixed(2)} %`,
    ],
  ]
}

function requestsFact({requests, duration_s}: Summary): string {
  const {submitted, completed, rejected, cancelled} = requests
  const unfinished = submitted - completed - rejected - cancelled
  const others = [
    ...(rejected > 0 ? [`${count(rejected)} rejected`] : []),
    ...(cancelled > 0 ? [`${count(cancelled)} cancelled`] : []),
    ...(unfinished > 0 ? [`${count(unfinished)} unfinished`] : []),
  ]
  const all = `${count(completed)} of ${count(submitted)} completed in ${seconds(duration_s)}`
  return [all, ...others].join(', ')
}

function goodputFact(goodput: Goodput): string {
  const rates = `${figure(goodput.requests_per_s)} req/s, ${figure(goodput.output_tokens_per_s)} tok/s out`
  const met = `${counted(goodput.requests, 'request')} (${share(goodput.attainment)})`
  return `${rates}: ${met} met ${boundsText(goodput)}`
}

function kvFact({kv, requests}: Summary): string {
  const {blocks, pages = 0} = kv
  // A page holds some of the layers only: the two do not add up.
  const held = [
    ...(blocks > pages || pages === 0 ? [counted(blocks - pages, 'block')] : []),
    ...(pages > 0 ? [counted(pages, 'page')] : []),
  ]
  return `${held.join(' and ')}, at most ${share(kv.peak_usage)} in use; ${counted(requests.preemptions, 'preemption')}`
}

function prefixFact({prefix_cache}: Summary): string {
  if (!prefix_cache.identity) {
    return 'none: this trace does not say which prefixes are shared'
  }
  if (prefix_cache.hit_rate === null) return 'none looked up'
  return `${share(prefix_cache.hit_rate)} of prompt tokens`
}

function engineFact({steps, utilisation, engines, autoscaling}: Summary): string {
  // Those that were never ready have none.
  const there = engines.filter((engine) => engine.utilisation !== null).length || engines.length
  const time = autoscaling ? 'the time that it was ready' : 'the time'
  const busy = `running ${share(utilisation)} of ${time}`
  if (there === 1) return `${counted(steps, 'step')}, one ${busy}`
  return `${there} engines, ${counted(steps, 'step')}, each ${busy} on average`
}

function fleetFact(fleet: FleetSummary): string {
  const {mean_instances, most_ready, scale_outs, scale_ins, instance_hours} = fleet
  const scaled = `scaled out ${counted(scale_outs, 'time')}, in ${counted(scale_ins, 'time')}`
  return `${figure(mean_instances)} on average, at most ${most_ready} ready; ${scaled}; ${figure(instance_hours)} instance-hours`
}

function tierFacts({loads, mean_load_ms, tiers}: TierUse): (readonly [string, string])[] {
  const each = tiers.map((use): readonly [string, string] => {
    const {tier, hit_rate, loaded_blocks, written_blocks, dropped_blocks, peak_usage} = use
    const dropped = dropped_blocks > 0 ? `, ${count(dropped_blocks)} dropped` : ''
    const moved = `${counted(loaded_blocks, 'block')} loaded, ${count(written_blocks)} written${dropped}`
    return [
      `KV in ${tier}`,
      `hits ${share(hit_rate)} of prompt tokens; ${moved}; at most ${share(peak_usage)} full`,
    ]
  })
  const mean = loads > 0 ? `, ${figure(mean_load_ms!)} ms on average` : ''
  return [...each, ['KV loads', `${count(loads)}${mean}`]]
}

const movedFact = ({transfers, gigabytes, mean_ms}: HandedOn): string =>
  `${count(transfers)} between instances, ${figure(gigabytes)} GB, ${figure(mean_ms)} ms on average`

function adaptersFact({loads, hit_rate, held, mean_held_ms}: AdapterUse): string {
  return `${counted(loads, 'load')}; ${share(hit_rate)} of requests found theirs, ${count(held)} waited ${figure(mean_held_ms)} ms on average`
}

function draftsFact({drafts, acceptance, tokens_per_step}: Drafting): string {
  return `${share(acceptance)} of ${count(drafts)} accepted: ${figure(tokens_per_step)} tokens a decode`
}

function costFact(cost: Cost): string {
  const devices = `${Number.isInteger(cost.devices) ? cost.devices : figure(cost.devices)} ${cost.devices === 1 ? 'device' : 'devices'}`
  const perToken = `${dollars(cost.usd_per_1m_input_tokens)} per 1M input tokens, ${dollars(cost.usd_per_1m_output_tokens)} per 1M output tokens`
  return `${dollars(cost.usd)}: ${perToken} (${devices} at ${dollars(cost.usd_per_hour)}/h)`
}

function energyFact(energy: Energy): string {
  const {total_j, mean_w, peak_w, j_per_request, j_per_output_token} = energy
  const watts = `${figure(mean_w)} W on average, at most ${figure(peak_w)} W`
  return `${figure(total_j / 3.6e6)} kWh, ${watts}; ${figure(j_per_request)} J per request, ${figure(j_per_output_token)} J per output token`
}

function weightsFact({bytes, bytes_per_step, link_busy}: WeightTraffic): string {
  const each = `${figure(bytes_per_step / 1e9)} GB a step over links`
  return `${each}, ${figure(bytes / 1e12)} TB in all; links busy ${figure(100 * link_busy)} % of the time of steps`
}

function warningsOf(summary: Summary): string[] {
  const {warmup} = summary
  const nothing = nothingLeft(summary)
  return [
    ...(summary.steady_state?.warning ? [summary.steady_state.warning] : []),
    ...(nothing === undefined ? [] : [nothing]),
    ...(warmup && warmup.itl_leaves_out !== warmup.asked
      ? [`ITL leaves out ${warmup.itl_leaves_out ?? 'nothing: it covers the warm-up too'}`]
      : []),
  ]
}

const groupsShown = 20

/** One row per group. */
export async function renderGroups(
  by: string,
  groups: readonly GroupSummary[],
  style: Style,
): Promise<string> {
  const withGoodput = groups.some((group) => group.goodput !== undefined)
  const columns = [
    {title: by},
    {title: 'requests'},
    {title: 'tok/s out'},
    {title: 'TTFT p50'},
    {title: 'p99'},
    {title: 'TPOT p50'},
    {title: 'p99'},
    ...(withGoodput ? [{title: 'met'}] : [{title: 'E2E p99'}]),
  ]
  const rows = groups
    .slice(0, groupsShown)
    .map((group) => [
      shorten(group.name, 16),
      count(group.requests.submitted),
      figure(group.throughput.output_tokens_per_s),
      figure(group.ttft_ms.p50),
      figure(group.ttft_ms.p99),
      figure(group.tpot_ms.p50),
      figure(group.tpot_ms.p99),
      withGoodput ? share(group.goodput?.attainment ?? null) : figure(group.e2e_ms.p99),
    ])
  const rest = groups.length - groupsShown
  const more = rest > 0 ? [`… and ${count(rest)} more; --format csv lists them all`] : []
  return [...(await layTable(columns, rows, style)), ...more].join('\n')
}
