#!/usr/bin/env node
/**
 * Scores the host terms of engines/vllm-0.15.yaml on a grid against the measured vLLM 0.15 stages in 16 bit, prints the
 * best, and leaves out one model at a time; then fits the four terms that vLLM 0.11 has of its own. Writes its tables
 * into docs/accuracy.md; the profiles are edited by hand.
 */
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join, resolve} from 'node:path'
import {fileURLToPath} from 'node:url'
import {loadEngine} from '#llmsim/catalogue/engines.js'
import {readMeasured} from '#llmsim/measured/read.js'
import {comparisonsUnder, fitHost, hostTerms} from '#llmsim/study/fit-host.js'
import {requestFor} from '#llmsim/study/measured-request.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const data = resolve(root, process.env.LLMSIM_DATA ?? '../shared/data')
const folder = join(data, 'serving/vllm-0.15-h100')
const page = `${root}docs/accuracy.md`
const begin = '<!-- host terms: begin, written by npm run fit:engines -->'
const end = '<!-- host terms: end -->'

const grid = {
  layer: [7, 8, 9, 10, 11, 12, 13],
  samplerEntry: [0.17, 0.23, 0.3, 0.37, 0.45],
  penalty: [0, 150, 225, 300, 400],
}
/** A constant time before the engine shifts TTFT and nothing else, so it needs no simulation of its own. */
const frontEnds = Array.from({length: 17}, (_, i) => 5 + i / 4)
const request = {
  model: '',
  layout: {},
  engine: {},
  latency: 'roofline',
  policy: 'fcfs',
  router: 'least-requests',
  frontEnd: 'http',
  seed: 0,
}

const softAt = 0.03
const soft = (error) => softAt * (Math.sqrt(1 + (error / softAt) ** 2) - 1)

/** Stage → simulated and measured means, at each point of the grid. */
async function pointsOf(targets, profile) {
  const baseMs = profile.frontEnd.httpNs / 1e6
  const points = []
  for (const layer of grid.layer)
    for (const samplerEntry of grid.samplerEntry)
      for (const penalty of grid.penalty) {
        // Only models that ask for a penalty can tell one from another.
        const of =
          penalty === 0 ? targets : targets.filter(({run}) => /Qwen2\.5/.test(run.settings.model))
        let state = {profile, scale: {compute: 1, memory: 1}}
        for (const [name, value] of Object.entries({layer, samplerEntry, penalty}))
          state = hostTerms[name].write(state, value)
        const runs = await comparisonsUnder(of, state)
        const stages = runs.flatMap((run) =>
          run.stages.map((stage) => {
            const mean = (metric) => stage.comparisons.find((each) => each.metric === metric)
            return {model: run.model, ttft: mean('ttft_ms'), tpot: mean('tpot_ms')}
          }),
        )
        points.push({layer, samplerEntry, penalty, stages, baseMs})
      }
  return points
}

/** The stages under terms: models without a penalty stand in the points that have none. */
function stagesAt(points, {layer, samplerEntry, penalty, frontEnd}) {
  const at = (p) =>
    points.find(
      (each) => each.layer === layer && each.samplerEntry === samplerEntry && each.penalty === p,
    )
  const plain = at(0)
  const own = at(penalty)
  const isPenalised = ({model}) => /Qwen2\.5/.test(model)
  const stages = [
    ...plain.stages.filter((stage) => !isPenalised(stage)),
    ...own.stages.filter(isPenalised),
  ]
  return stages.map(({model, ttft, tpot}) => ({
    model,
    ttft: (ttft.simulated + frontEnd - plain.baseMs) / ttft.measured - 1,
    tpot: tpot.simulated / tpot.measured - 1,
  }))
}

function best(points, isSeen, penalties) {
  let found
  for (const layer of grid.layer)
    for (const samplerEntry of grid.samplerEntry)
      for (const penalty of penalties)
        for (const frontEnd of frontEnds) {
          const terms = {layer, samplerEntry, penalty, frontEnd}
          const loss = stagesAt(points, terms)
            .filter(isSeen)
            .reduce((sum, {ttft, tpot}) => sum + soft(ttft) + soft(tpot), 0)
          if (found === undefined || loss < found.loss) found = {loss, terms}
        }
  return found.terms
}

const median = (values) => {
  const sorted = values.map(Math.abs).sort((a, b) => a - b)
  const middle = (sorted.length - 1) / 2
  return (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2
}
const mean = (values) => values.reduce((sum, value) => sum + Math.abs(value), 0) / values.length
const percent = (value) => `${(value * 100).toFixed(1)} %`

function row(label, terms, stages) {
  const cells = ['ttft', 'tpot'].flatMap((metric) => {
    const errors = stages.map((stage) => stage[metric])
    return [percent(median(errors)), percent(mean(errors))]
  })
  const {layer, samplerEntry, penalty, frontEnd} = terms
  return `| ${[label, stages.length, frontEnd, layer, samplerEntry, penalty, ...cells].join(' | ')} |`
}

/** Runs of vLLM 0.11 and 0.12 in 16 bit that tell its own terms; every third of a long set is enough. */
const olderSets = [
  {folder: 'serving/decode-steady-h100', every: 3},
  {folder: 'serving/closed-loop-h100', every: 6},
  {folder: 'serving/vllm-0.11-h100-kubecon', every: 1},
]
const olderTerms = ['samplerEntry', 'chatToken', 'synchronousStep', 'eagerLayer']

/** The four terms of vLLM 0.11 fitted to a part of each set, and the error of every second run left out. */
async function olderTable() {
  const {profile} = await loadEngine('vllm-0.11')
  const targets = []
  for (const {folder, every} of olderSets) {
    const runs = await readMeasured(join(data, folder))
    for (const [i, run] of runs.filter(({name}) => !/fp8/.test(name)).entries())
      if (i % every === 0)
        targets.push({run, request: await requestFor(run, {request, given: new Set()})})
  }
  const state = {profile, scale: {compute: 1, memory: 1}}
  const terms = olderTerms.map((name) => hostTerms[name])
  const errorsOf = async (of, at) =>
    (await comparisonsUnder(of, at)).flatMap(({stages}) =>
      stages.flatMap(({comparisons}) =>
        comparisons
          .filter(({metric}) => metric === 'tpot_ms' || metric === 'itl_ms')
          .map(({error_percent: error}) => error / 100),
      ),
    )
  const {state: fitted, terms: values} = await fitHost(targets, state, terms)
  const [seen, unseen] = [0, 1].map((rest) => targets.filter((_, i) => i % 2 === rest))
  const half = await fitHost(seen, state, terms)
  const rowOf = (label, errors) =>
    `| ${label} | ${errors.length} | ${percent(median(errors))} | ${percent(mean(errors))} |`
  return [
    ...values.map(({name, unit, before, after}) => {
      const other = half.terms.find((term) => term.name === name).after
      const three = (value) => Number(value.toPrecision(3))
      return `* \`${name}\`: ${three(after)} ${unit} (fitted to half of the runs: ${three(other)}; the profile has ${three(before)})`
    }),
    '',
    '| terms | stages | TPOT or gap, median | mean |',
    '| --- | --- | --- | --- |',
    rowOf('of the profile', await errorsOf(targets, state)),
    rowOf('fitted to all', await errorsOf(targets, fitted)),
    rowOf('fitted to half, scored on the other', await errorsOf(unseen, half.state)),
  ].join('\n')
}

async function main() {
  if (!existsSync(folder)) {
    console.error(`fit:engines: skipped, there is no ${folder} (set LLMSIM_DATA)`)
    return
  }
  const {profile} = await loadEngine('vllm-0.15')
  const targets = []
  for (const run of await readMeasured(folder)) {
    if (/scout/i.test(run.name)) continue
    targets.push({run, request: await requestFor(run, {request, given: new Set()})})
  }
  const points = await pointsOf(targets, profile)
  const all = best(points, () => true, grid.penalty)
  const rows = [row('all models', all, stagesAt(points, all))]
  const unseen = []
  for (const model of new Set(targets.map(({run}) => run.settings.model))) {
    // Without the model that asks for it, nothing is known of the penalty.
    const penalties = /Qwen2\.5/.test(model) ? [0] : grid.penalty
    const terms = best(points, (stage) => stage.model !== model, penalties)
    const own = stagesAt(points, terms).filter((stage) => stage.model === model)
    unseen.push(...own)
    rows.push(row(`without ${model}, scored on it`, terms, own))
  }
  rows.push(
    `| **left out, all together** | ${unseen.length} | | | | | ${['ttft', 'tpot']
      .flatMap((metric) =>
        [median, mean].map((of) => `**${percent(of(unseen.map((stage) => stage[metric])))}**`),
      )
      .join(' | ')} |`,
  )
  const text = [
    'Four terms, fitted to 18 stages in 16 bit; then to all models but one, and scored on that one:',
    '',
    '| fitted to | stages scored | front end ms | µs a layer | sampler ns | penalty µs | TTFT median | TTFT mean | TPOT median | TPOT mean |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
    'Four terms of vLLM 0.11 and 0.12, fitted to a part of the three sets measured with them:',
    '',
    await olderTable(),
  ].join('\n')
  const before = readFileSync(page, 'utf8')
  const [head, rest] = before.split(begin)
  writeFileSync(page, `${head}${begin}\n\n${text}\n\n${end}${rest.split(end)[1]}`)
  console.log(text)
}

await main()
