// npm run bench: simulated requests/s and peak memory of the main case, beside the work it is compared with, in one
// run. Figures of one run are comparable with each other and with nothing else: machines are noisy.
//   node bench/run.js [suite|port] [--requests N] [--json] [--no-profile] [--sizes 10000,100000,1000000]
import {mkdtempSync, rmSync, statSync} from 'node:fs'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {parseArgs} from 'node:util'
import {readTrace, writeTrace} from '../dist/index.js'
import {deployment, fullQueueRate, poisson, run} from './engine.js'
import {portBench} from './port.js'
import {selfTimes} from './self-time.js'
import {printSuite, suite} from './suite.js'

const {values, positionals} = parseArgs({
  allowPositionals: true,
  options: {
    requests: {type: 'string', default: '100000'},
    json: {type: 'boolean', default: false},
    'no-profile': {type: 'boolean', default: false},
    sizes: {type: 'string', default: '10000,100000,1000000'},
  },
})
const requests = Number(values.requests)
const repeats = 5

if (positionals[0] === 'port') {
  const result = await portBench()
  if (values.json) console.log(JSON.stringify(result, null, 2))
  else
    for (const [name, value] of Object.entries(result))
      console.log(name.padEnd(30), value.toFixed(3))
  process.exit(0)
}

if (positionals[0] === 'suite') {
  const result = await suite({
    requests: Math.min(requests, 50_000),
    sizes: values.sizes.split(',').map(Number),
  })
  if (values.json) console.log(JSON.stringify(result, null, 2))
  else printSuite(result)
  process.exit(0)
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]

/** Requests/s of reading the same trace from our CSV: the limit that simulating should approach. */
const parsing = async (trace) => {
  const folder = mkdtempSync(join(tmpdir(), 'llmsim-bench-'))
  const path = join(folder, 'trace.csv')
  try {
    await writeTrace(trace, path, 'llmsim')
    const seconds = []
    for (let i = 0; i < 3; i++) {
      const startedAt = performance.now()
      await readTrace([path], {})
      seconds.push((performance.now() - startedAt) / 1000)
    }
    return {perSecond: requests / median(seconds), megabytes: statSync(path).size / 1e6}
  } finally {
    rmSync(folder, {recursive: true})
  }
}

const engine = await deployment()
const full = await fullQueueRate(engine)
const rate = 0.8 * full
const trace = await poisson(requests, rate)
const runs = Array.from({length: repeats}, () => run(trace, engine))
const {summary} = runs[0]
const peakMegabytes = process.resourceUsage().maxRSS / 1024
const parse = await parsing(trace)
const result = {
  case: `${requests} Poisson requests, mean 500 in / 200 out (lognormal, cv 1), one H100, 256 seats`,
  full_queue_requests_per_s: full,
  rate_requests_per_s: rate,
  steps: summary.steps,
  engine_requests_per_s: {
    first: runs[0].perSecond,
    median: median(runs.map((one) => one.perSecond)),
    best: Math.max(...runs.map((one) => one.perSecond)),
  },
  engine_ns_per_step: (median(runs.map((one) => one.seconds)) * 1e9) / summary.steps,
  parse_requests_per_s: parse.perSecond,
  parse_over_engine: median(runs.map((one) => one.perSecond)) / parse.perSecond,
  peak_rss_mb: peakMegabytes,
}
const profile = values['no-profile'] ? [] : await selfTimes(() => run(trace, engine))

if (values.json) console.log(JSON.stringify({...result, profile: profile.slice(0, 20)}, null, 2))
else {
  const whole = (value) => Math.round(value).toLocaleString('en-US')
  console.log(result.case)
  console.log(
    `completes from a full queue   ${full.toFixed(2)} requests/s; replayed at ${rate.toFixed(2)}`,
  )
  const {first, median: middle, best} = result.engine_requests_per_s
  console.log(
    `engine, simulated requests/s  first ${whole(first)}, median ${whole(middle)}, best ${whole(best)}`,
  )
  console.log(
    `engine, steps                 ${whole(summary.steps)}, ${whole(result.engine_ns_per_step)} ns each`,
  )
  console.log(
    `reading the same trace        ${whole(parse.perSecond)} requests/s (${parse.megabytes.toFixed(1)} MB of CSV)`,
  )
  console.log(`engine ÷ reading              ${result.parse_over_engine.toFixed(2)}`)
  console.log(`peak memory                   ${whole(peakMegabytes)} MB`)
  if (profile.length > 0) console.log('\nself time of engine and summary')
  for (const [share, name] of profile.slice(0, 16))
    console.log(`${(100 * share).toFixed(1).padStart(6)} %  ${name}`)
}
