// A fleet of 64 engines with prefix-affinity routing, beside one engine that gets the same requests 64 times further
// apart: what routing, and the memory of 64 engines, add to a request.
import {deploy, generateTrace} from '../dist/index.js'
import {parseGenerateSpec} from '../dist/trace/generate.js'
import {request, run} from './engine.js'

const instances = 64
/** Requests per second that one engine keeps up with. */
const rate = 27

const requestsAt = async (requests, perSecond) =>
  generateTrace(
    await parseGenerateSpec({
      requests,
      rate: perSecond,
      arrivals: 'poisson',
      input: 'lognormal:mean=500,cv=1',
      output: 'lognormal:mean=200,cv=1',
      prefixes: {groups: 1000, tokens: 128, skew: 0.5},
      seed: 1,
    }),
  )

export const fleet = async ({requests}) => {
  const on = (layout) =>
    deploy({...request, engine: {maxNumSeqs: 256}, layout, router: 'prefix-affinity'})
  const one = await on({})
  const many = await on({instances})
  run(await requestsAt(20_000, rate), one)
  run(await requestsAt(20_000, instances * rate), many)
  const single = run(await requestsAt(requests, rate), one)
  const all = run(await requestsAt(requests, instances * rate), many)
  const count = requests.toLocaleString('en-US')
  const perStep = ({seconds, summary}) => (1e9 * seconds) / summary.steps
  return [
    {
      name: `${instances} instances, prefix-affinity, ${count} requests`,
      value: all.perSecond,
      unit: 'requests/s',
    },
    {
      name: 'one instance, the same requests 64 times further apart',
      value: single.perSecond,
      unit: 'requests/s',
    },
    {
      name: `one instance ÷ ${instances} instances`,
      value: single.perSecond / all.perSecond,
      unit: '×',
      most: 2,
    },
    {name: `${instances} instances: per step`, value: perStep(all), unit: 'ns'},
    {name: 'one instance: per step', value: perStep(single), unit: 'ns'},
  ]
}
