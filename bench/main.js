// The main case: Poisson requests (mean 500 tokens in, 200 out) on one H100 with 256 seats, at 0.8 × the rate that the
// same engine completes from a full queue.
import {readFileSync} from 'node:fs'
import {join} from 'node:path'
import {writeTrace} from '../dist/index.js'
import {deployment, fullQueueRate, poisson, run} from './engine.js'
import {inScratch, llmsim, median, root, runNode} from './process.js'

/** From the CSV file to the printed table and requests.csv, in a process of its own. */
const wholeRun = (trace, folder) => {
  const out = join(folder, 'run')
  const flags = ['--hardware', 'H100', '--npu', '1', '--max-num-seqs', '256', '--out', out]
  const {seconds, rssMb} = runNode([llmsim, 'simulate', trace, ...flags])
  const {timing, summary} = JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'))
  return {seconds, rssMb, engineSeconds: timing.engine_s, steps: summary.steps}
}

export const mainCase = async ({requests}) => {
  const engine = await deployment()
  const rate = 0.8 * (await fullQueueRate(engine))
  return inScratch(async (folder) => {
    const path = join(folder, 'trace.csv')
    await writeTrace(await poisson(requests, rate), path, 'llmsim')
    const parseSeconds = Number(runNode([join(root, 'bench/parse.js'), path]).stdout)
    const runs = Array.from({length: 3}, () => wholeRun(path, folder))
    const of = (field) => median(runs.map((one) => one[field]))
    const warm = await warmEngine(engine, rate)
    return [
      {name: 'engine', value: requests / of('engineSeconds'), unit: 'requests/s', least: 800_000},
      {
        name: 'engine, warm, 100,000 requests in memory',
        value: warm.perSecond,
        unit: 'requests/s',
      },
      {
        name: 'CSV in, requests.csv and table out',
        value: requests / of('seconds'),
        unit: 'requests/s',
        least: 250_000,
      },
      {name: 'reading the CSV alone', value: requests / parseSeconds, unit: 'requests/s'},
      {name: 'engine ÷ reading (time)', value: of('engineSeconds') / parseSeconds, unit: '×'},
      {name: 'whole ÷ reading (time)', value: of('seconds') / parseSeconds, unit: '×'},
      {name: 'engine, per step', value: (1e9 * of('engineSeconds')) / of('steps'), unit: 'ns'},
      {name: 'memory', value: of('rssMb'), unit: 'MB', most: 1000},
    ].map((row) => ({...row, name: `${requests.toLocaleString('en-US')} requests: ${row.name}`}))
  })
}

/** In this process, where the compiler of V8 has done its work. */
const warmEngine = async (engine, rate) => {
  const trace = await poisson(100_000, rate)
  const runs = Array.from({length: 7}, () => run(trace, engine))
  return {perSecond: median(runs.slice(2).map((one) => one.perSecond))}
}
