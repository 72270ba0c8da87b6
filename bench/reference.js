// The engine beside the plain one of test/reference, which must come to the same result and looks at every request in
// every step.
import {existsSync} from 'node:fs'
import {join} from 'node:path'
import {deployment, poisson, run} from './engine.js'
import {median, root} from './process.js'

export const reference = async () => {
  const module = join(root, '.test/reference/run-reference.js')
  if (!existsSync(module)) {
    console.error('reference: skipped, the tests are not compiled (npx tsc -b test)')
    return []
  }
  const {runReference} = await import(module)
  const built = await deployment()
  const {settled, latency} = built.engines[0]
  const trace = await poisson(1000, 34)
  const config = {...settled.config, blocks: settled.config.numGpuBlocks, policy: 'fcfs'}
  const startedAt = performance.now()
  runReference({trace, config, stepTime: latency.stepTime})
  const slow = trace.length / ((performance.now() - startedAt) / 1000)
  const fast = median(Array.from({length: 9}, () => run(trace, built).perSecond))
  return [
    {name: 'the plain engine of the tests, 1,000 requests', value: slow, unit: 'requests/s'},
    {name: 'the engine, the same requests', value: fast, unit: 'requests/s'},
    {name: 'engine ÷ plain engine', value: fast / slow, unit: '×'},
  ]
}
