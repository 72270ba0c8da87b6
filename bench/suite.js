// npm run bench -- suite: requests/s of every case beside the plain one, and how time grows with the number of
// requests, in one run. `--json` prints the figures; the last ones are kept in .llmsim/bench.json and compared with.
import {existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs'
import {dirname} from 'node:path'
import {cases} from './cases.js'
import {deployment, poisson, run} from './engine.js'

const keptIn = '.llmsim/bench.json'
const whole = (value) => Math.round(value).toLocaleString('en-US')
const best = (runs) => Math.max(...runs.map((one) => one.perSecond))

/** Least-squares slope of log(seconds) over log(requests). */
const logLogSlope = (points) => {
  const xs = points.map(({requests}) => Math.log(requests))
  const ys = points.map(({seconds}) => Math.log(seconds))
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [mx, my] = [mean(xs), mean(ys)]
  const sum = (f) => xs.reduce((total, _, i) => total + f(i), 0)
  return sum((i) => (xs[i] - mx) * (ys[i] - my)) / sum((i) => (xs[i] - mx) ** 2)
}

export const suite = async ({requests, sizes}) => {
  const rows = []
  for (const {name, stresses, build} of cases) {
    const {deployment: built, trace} = await build(requests)
    const runs = Array.from({length: 4}, () => run(trace, built))
    const {summary} = runs[0]
    rows.push({
      name,
      stresses,
      requests: trace.length,
      perSecond: best(runs),
      steps: summary.steps,
      nsPerStep: 1e9 / (best(runs) / trace.length) / summary.steps,
      preemptions: summary.requests.preemptions,
    })
  }
  const plain = rows[0].perSecond
  for (const row of rows) row.slower = plain / row.perSecond
  const engine = await deployment()
  const growth = []
  for (const size of sizes) {
    const trace = await poisson(size, 34)
    const runs = Array.from({length: size < 1e6 ? 5 : 2}, () => run(trace, engine))
    growth.push({
      requests: size,
      seconds: size / best(runs),
      rssMb: process.memoryUsage().rss / 2 ** 20,
    })
  }
  return {rows, growth, slope: logLogSlope(growth)}
}

export const printSuite = (result) => {
  const before = existsSync(keptIn) ? JSON.parse(readFileSync(keptIn, 'utf8')) : undefined
  console.log('case              requests/s  ÷ plain  ns/step  preempted  than last time')
  for (const row of result.rows) {
    const last = before?.rows.find((other) => other.name === row.name)?.perSecond
    const change = last === undefined ? '–' : `${(100 * (row.perSecond / last - 1)).toFixed(0)} %`
    console.log(
      [
        row.name.padEnd(17),
        whole(row.perSecond).padStart(10),
        row.slower.toFixed(2).padStart(8),
        whole(row.nsPerStep).padStart(8),
        whole(row.preemptions).padStart(10),
        change.padStart(14),
      ].join(' '),
    )
  }
  console.log('\nrequests      seconds  requests/s  resident MB')
  for (const {requests, seconds, rssMb} of result.growth) {
    console.log(
      `${whole(requests).padEnd(11)} ${seconds.toFixed(3).padStart(9)} ${whole(requests / seconds).padStart(11)} ${whole(rssMb).padStart(12)}`,
    )
  }
  console.log(`slope of log(time) over log(requests): ${result.slope.toFixed(3)}`)
  mkdirSync(dirname(keptIn), {recursive: true})
  writeFileSync(keptIn, JSON.stringify(result, null, 2))
}
