// How time and memory grow with the trace: whole runs of the main case's requests, one size after another.
import {closeSync, openSync, writeSync} from 'node:fs'
import {join} from 'node:path'
import {poisson} from './engine.js'
import {inScratch, llmsim, runNode} from './process.js'

const ratePerSecond = 34
const most = 1_000_000

/** Least-squares slope of log(seconds) over log(requests). */
const logLogSlope = (points) => {
  const xs = points.map(({requests}) => Math.log(requests))
  const ys = points.map(({seconds}) => Math.log(seconds))
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [mx, my] = [mean(xs), mean(ys)]
  const sum = (f) => xs.reduce((total, _, i) => total + f(i), 0)
  return sum((i) => (xs[i] - mx) * (ys[i] - my)) / sum((i) => (xs[i] - mx) ** 2)
}

/** The requests of `trace` over and over, each time later by its span, until there are `requests`. */
const write = (path, trace, requests) => {
  const file = openSync(path, 'w')
  writeSync(file, 'arrived_at,input_tokens,output_tokens\n')
  const span = trace.arrivedAt[trace.length - 1] + 1e9 / ratePerSecond
  let text = ''
  for (let i = 0; i < requests; i++) {
    const row = i % trace.length
    const at = Math.floor(i / trace.length) * span + trace.arrivedAt[row]
    text += `${(at / 1e9).toFixed(6)},${trace.inputTokens[row]},${trace.outputTokens[row]}\n`
    if (text.length < 1 << 20) continue
    writeSync(file, text)
    text = ''
  }
  writeSync(file, text)
  closeSync(file)
}

export const growth = ({sizes}) =>
  inScratch(async (folder) => {
    const trace = await poisson(Math.min(most, Math.max(...sizes)), ratePerSecond)
    const flags = ['--hardware', 'H100', '--npu', '1', '--max-num-seqs', '256', '--no-save']
    const start = runNode([llmsim, '--version']).seconds
    const points = []
    for (const requests of sizes) {
      const path = join(folder, `${requests}.csv`)
      write(path, trace, requests)
      const runs = Array.from({length: requests < 1e6 ? 3 : 1}, () =>
        runNode([llmsim, 'simulate', path, ...flags]),
      )
      points.push({
        requests,
        seconds: Math.min(...runs.map(({seconds}) => seconds)) - start,
        rssMb: Math.max(...runs.map(({rssMb}) => rssMb)),
      })
    }
    return [
      ...points.flatMap(({requests, seconds, rssMb}) => [
        {
          name: `${requests.toLocaleString('en-US')} requests: after --version`,
          value: seconds,
          unit: 's',
        },
        {
          name: `${requests.toLocaleString('en-US')} requests: memory`,
          value: rssMb,
          unit: 'MB',
          ...(requests >= 1e6 && {most: requests >= 1e7 ? 4000 : 1000}),
        },
      ]),
      {
        name: 'slope of log(time) over log(requests)',
        value: logLogSlope(points),
        unit: '',
        most: 1.05,
      },
    ]
  })
