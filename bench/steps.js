#!/usr/bin/env node
/**
 * The steps of a measured run of vLLM 0.19 without preemption (RTX PRO 6000), counted from its requests, and what the
 * profile and the roofline say of the same batches. When a request was scheduled and when its first and last token came
 * are ends of steps. A request gets a token in every step between its first and its last one, and its first one in the
 * second step after it was scheduled, as batches are planned ahead. Whatever hangs together by that has a number; the
 * steps between two such moments are known one by one. `--write` puts the tables into docs/accuracy.md.
 */
import {existsSync, readFileSync, writeFileSync} from 'node:fs'
import {join, resolve} from 'node:path'
import {fileURLToPath} from 'node:url'
import {emptyShape} from '#llmsim/latency/step-time.js'
import {withPrefixesOf} from '#llmsim/measured/prefixes.js'
import {readMeasured} from '#llmsim/measured/read.js'
import {deploy} from '#llmsim/study/deployment.js'
import {requestFor} from '#llmsim/study/measured-request.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const data = resolve(root, process.env.LLMSIM_DATA ?? '../shared/data')
const folder = join(data, 'serving/vllm-0.19-rtxpro6000-llama-3.1-8b')
const workload = join(data, 'llmservingsim/workloads/sharegpt-llama-3.1-8b-300-sps10.jsonl')
const page = join(root, 'docs/accuracy.md')
const begin = '<!-- steps: begin, written by npm run accuracy:steps -- --write -->'
const end = '<!-- steps: end -->'

const settings = {hardware: 'RTXPRO6000', numGpuBlocks: 36_578}
const tokensAStep = 2048
/** Prompts that arrive together fit one step for certain. */
const surelyOneStep = 1850
/** Times within so many ms are one moment: a step takes 11 at least. */
const sameMomentMs = 2

const readRequests = () => {
  const rows = readFileSync(join(folder, 'requests.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map(JSON.parse)
  const start = rows[0].queued_ts
  const ms = (seconds) => (seconds - start) * 1000
  return rows.map((row, index) => ({
    ...{index, input: row.input_toks, output: row.output_toks},
    ...{queued: ms(row.queued_ts), scheduled: ms(row.scheduled_ts)},
    ...{first: ms(row.first_token_ts), last: ms(row.last_token_ts)},
  }))
}

/** Moments in order, and the moment of each time. */
const momentsOf = (requests) => {
  const times = requests.flatMap(({queued, scheduled, first, last}) => [
    queued,
    scheduled,
    first,
    last,
  ])
  const moments = []
  const momentOf = new Map()
  let latest = Number.NEGATIVE_INFINITY
  for (const time of [...new Set(times)].sort((a, b) => a - b)) {
    if (time - latest > sameMomentMs) moments.push(time)
    latest = time
    momentOf.set(time, moments.length - 1)
  }
  return {moments, momentOf}
}

/** Steps between moments, wherever a request tells. */
const distancesOf = (requests, momentOf) => {
  const near = new Map()
  const add = (from, to, steps) => {
    near.set(from, [...(near.get(from) ?? []), [to, steps]])
    near.set(to, [...(near.get(to) ?? []), [from, -steps]])
  }
  for (const {first, last, output} of requests)
    add(momentOf.get(first), momentOf.get(last), output - 1)
  const together = new Map()
  for (const request of requests) {
    const moment = momentOf.get(request.scheduled)
    together.set(moment, [...(together.get(moment) ?? []), request])
  }
  for (const [moment, group] of together) {
    const prompts = group.reduce((sum, {input}) => sum + input, 0)
    const firsts = new Set(group.map(({first}) => momentOf.get(first)))
    if (moment > 0 && prompts < surelyOneStep && firsts.size === 1) add(moment, [...firsts][0], 2)
  }
  return near
}

/** Step numbers of the largest set of moments that hang together, and how many distances contradict them. */
const numberMoments = ({moments, momentOf}, requests) => {
  const near = distancesOf(requests, momentOf)
  const number = new Map()
  let largest = []
  for (let start = 0; start < moments.length; start++) {
    if (number.has(start)) continue
    number.set(start, 0)
    const members = [start]
    for (const from of members)
      for (const [to, steps] of near.get(from) ?? [])
        if (!number.has(to)) {
          number.set(to, number.get(from) + steps)
          members.push(to)
        }
    if (members.length > largest.length) largest = members
  }
  const contradictions = largest.filter((from) =>
    (near.get(from) ?? []).some(([to, steps]) => number.get(to) - number.get(from) !== steps),
  ).length
  const known = largest
    .sort((a, b) => a - b)
    .map((moment) => ({at: moments[moment], step: number.get(moment)}))
  return {known: inOrder(known), contradictions}
}

/** Of two moments of which the later does not have the larger number, the one that lies off the line goes. */
const inOrder = (moments) => {
  const kept = [...moments]
  for (let i = 1; i < kept.length; i++) {
    if (kept[i].step > kept[i - 1].step) continue
    const [low, high] = [kept[i - 2], kept[i + 1]]
    const off = ({at, step}) =>
      Math.abs(step - low.step - ((high.step - low.step) * (at - low.at)) / (high.at - low.at))
    kept.splice(off(kept[i - 1]) > off(kept[i]) ? i - 1 : i, 1)
    i = Math.max(0, i - 2)
  }
  return kept
}

/** The step that ends at a time: exact at numbered moments, between them by the clock. */
const stepAt = (known, time) => {
  const after = known.findIndex(({at}) => at >= time)
  const [low, high] = after <= 0 ? known.slice(0, 2) : known.slice(after - 1, after + 1)
  return low.step + ((high.step - low.step) * (time - low.at)) / (high.at - low.at)
}

/** Prompt tokens that a request found in the cache, which never fills up here. */
const hitsOf = (requests, {spanTokens, offsets, ids}) => {
  const seen = new Set()
  const hits = []
  for (const {index, input} of [...requests].sort(
    (a, b) => a.scheduled - b.scheduled || a.index - b.index,
  )) {
    const spans = ids.slice(offsets[index], offsets[index + 1])
    const most = Math.floor((input - 1) / spanTokens)
    let found = 0
    while (found < most && seen.has(spans[found])) found++
    hits[index] = found * spanTokens
    for (const id of spans) seen.add(id)
  }
  return hits
}

/** What each step held: contexts of its decodes, and its chunks as [cached, new]. */
const batchesOf = (requests, known, hits) => {
  const batches = new Map()
  const batch = (step) => {
    if (!batches.has(step)) batches.set(step, {contexts: [], chunks: []})
    return batches.get(step)
  }
  const waiting = []
  for (const {index, input, output, scheduled, first, last} of requests) {
    const byFirst = stepAt(known, first)
    const byLast = stepAt(known, last) - output + 1
    const off = (value) => Math.abs(value - Math.round(value))
    const step = Math.round(off(byFirst) <= off(byLast) ? byFirst : byLast)
    for (let token = 1; token < output; token++)
      batch(step + token).contexts.push(input + token - 1)
    const from = Math.min(step, Math.max(step - 6, Math.round(stepAt(known, scheduled)) + 2))
    waiting.push({scheduled, index, step, from, cached: hits[index], left: input - hits[index]})
  }
  waiting.sort((a, b) => a.scheduled - b.scheduled || a.index - b.index)
  const lastPrompt = Math.max(...waiting.map(({step}) => step))
  for (let step = Math.min(...waiting.map(({from}) => from)); step <= lastPrompt; step++) {
    let room = tokensAStep - batch(step).contexts.length
    for (const prompt of waiting) {
      if (prompt.left === 0 || step < prompt.from || step > prompt.step) continue
      const taken = step === prompt.step ? prompt.left : Math.min(room, prompt.left)
      if (taken <= 0) continue
      batch(step).chunks.push([prompt.cached, taken])
      prompt.cached += taken
      prompt.left -= taken
      room -= taken
    }
  }
  return batches
}

const shapeOf = ({contexts, chunks}) => {
  const sum = (values) => values.reduce((total, value) => total + value, 0)
  const sizes = chunks.map(([, size]) => size)
  const cached = chunks.map(([before]) => before)
  const tokens = contexts.length + sum(sizes)
  return {
    ...emptyShape(),
    ...{tokens, paddedTokens: tokens, sequences: contexts.length + chunks.length},
    ...{
      prefills: chunks.length,
      prefillTokens: sum(sizes),
      prefillTokensMax: Math.max(0, ...sizes),
    },
    ...{prefillContext: sum(cached), prefillContextMax: Math.max(0, ...cached)},
    prefillWork: sum(chunks.map(([before, size]) => size * (before + (size + 1) / 2))),
    ...{decodes: contexts.length, decodeContext: sum(contexts)},
    decodeContextMin: contexts.length === 0 ? 0 : Math.min(...contexts),
    decodeContextMax: Math.max(0, ...contexts),
  }
}

/** Stretches between two numbered moments: steps, their shapes, and ms as measured and as each source has them. */
const stretchesOf = (known, batches, sources) =>
  known.slice(1).flatMap((to, i) => {
    const from = known[i]
    const shapes = []
    for (let step = from.step + 1; step <= to.step; step++)
      if (batches.has(step)) shapes.push(shapeOf(batches.get(step)))
    if (shapes.length < to.step - from.step) return []
    const predicted = sources.map((time) =>
      shapes.reduce((sum, shape) => sum + time(shape) / 1e6, 0),
    )
    return [{at: from.at, measured: to.at - from.at, shapes, predicted}]
  })

const sumOf = (stretches) => {
  const steps = stretches.reduce((sum, {shapes}) => sum + shapes.length, 0)
  if (steps === 0) return '–'
  const mean = (of) => stretches.reduce((sum, stretch) => sum + of(stretch), 0) / steps
  const measured = mean((stretch) => stretch.measured)
  const cells = [0, 1].map((source) => {
    const ms = mean(({predicted}) => predicted[source])
    const error = ((ms / measured - 1) * 100).toFixed(1).replace('-', '−')
    return `${ms.toFixed(2)} (${ms >= measured ? '+' : ''}${error} %)`
  })
  return [steps, measured.toFixed(2), ...cells].join(' | ')
}

const tablesOf = (stretches, lastArrival) => {
  const decodes = (low, high) => (stretch) =>
    stretch.shapes.every(({prefills}) => prefills === 0) &&
    stretch.shapes.every((shape) => shape.decodes >= low && shape.decodes <= high)
  const prompts =
    (low, high) =>
    ({shapes}) =>
      shapes.length === 1 &&
      shapes[0].prefills > 0 &&
      shapes[0].tokens >= low &&
      shapes[0].tokens <= high
  const rows = []
  const add = (name, isIn) => rows.push(`| ${name} | ${sumOf(stretches.filter(isIn))} |`)
  for (const [low, high] of [
    [1, 16],
    [17, 32],
    [33, 64],
    [65, 96],
    [97, 128],
  ]) {
    const isIn = decodes(low, high)
    add(`${low}–${high} decodes, requests arriving`, (each) => each.at < lastArrival && isIn(each))
    add(`${low}–${high} decodes, none arriving`, (each) => each.at >= lastArrival && isIn(each))
  }
  for (const [low, high] of [
    [130, 256],
    [257, 512],
    [513, 768],
    [769, 896],
    [897, 1280],
    [1281, 1408],
    [1409, 2048],
  ])
    add(`${low}–${high} tokens, with prompts`, prompts(low, high))
  const header = '| ms a step | steps | measured | profile | roofline |'
  return [header, '| --- | --- | --- | --- | --- |', ...rows].join('\n')
}

const sourcesFor = async (run) => {
  const flags = (latency) => ({
    request: {
      ...{model: '', hardware: undefined, layout: {}, engine: {}, engineProfile: 'vllm-0.19'},
      ...{sampling: 'model', latency, profiles: join(data, 'llmservingsim/perf'), policy: 'fcfs'},
      ...{router: 'least-requests', frontEnd: 'http', seed: 0},
    },
    given: new Set(),
  })
  const times = []
  for (const latency of ['profile', 'roofline'])
    times.push((await deploy(await requestFor(run, flags(latency)))).engines[0].latency.stepTime)
  return times
}

async function main() {
  const [read] = await readMeasured(folder)
  const run = await withPrefixesOf({...read, settings: {...read.settings, ...settings}}, workload)
  const requests = readRequests()
  const all = momentsOf(requests)
  const {known, contradictions} = numberMoments(all, requests)
  const batches = batchesOf(requests, known, hitsOf(requests, run.trace.prefix))
  const stretches = stretchesOf(known, batches, await sourcesFor(run))
  const lastArrival = Math.max(...requests.map(({queued}) => queued))
  const line = `${known.length} of ${all.moments.length} moments hang together, ${contradictions} contradict; ${known.at(-1).step - known[0].step} steps between the first and the last.`
  const text = `${line}\n\n${tablesOf(stretches, lastArrival)}`
  console.log(text)
  if (!process.argv.includes('--write')) return
  const before = readFileSync(page, 'utf8')
  const [head, rest] = before.split(begin)
  writeFileSync(page, `${head}${begin}\n\n${text}\n\n${end}${rest.split(end)[1]}`)
}

if (existsSync(folder)) await main()
else console.error(`skipped: no ${folder} (LLMSIM_DATA names the folder)`)
