// The engine's speed on the main case, in one run: 100,000 Poisson requests (mean 500 tokens in, 200 out) on one H100
// with 256 seats, at 0.8 × the rate that the same engine completes from a full queue. Ratios, not seconds, are the
// figures to compare: machines differ and are noisy.
import {deploy, generateTrace, simulate} from '../dist/index.js'
import {defaultModel} from '../dist/study/run-request.js'
import {parseGenerateSpec} from '../dist/trace/generate.js'

export const request = {
  model: defaultModel,
  hardware: 'H100',
  layout: {},
  engine: {maxNumSeqs: 256},
  latency: 'auto',
  policy: 'fcfs',
  router: 'least-requests',
  frontEnd: 'http',
  seed: 0,
}

/** Requests of the main case, arriving at `rate` per second. */
export const poisson = async (requests, rate) =>
  generateTrace(
    await parseGenerateSpec({
      requests,
      rate,
      arrivals: 'poisson',
      input: 'lognormal:mean=500,cv=1',
      output: 'lognormal:mean=200,cv=1',
      seed: 1,
    }),
  )

/** Simulates and times the engine alone. */
export const run = (trace, deployment) => {
  const {summary, engineSeconds} = simulate({trace, deployment})
  return {summary, seconds: engineSeconds, perSecond: trace.length / engineSeconds}
}

/** Rate in requests/s that the engine completes when all requests are there at once. */
export const fullQueueRate = async (deployment, requests = 20_000) =>
  run(await poisson(requests, 1e6), deployment).summary.throughput.requests_per_s

export const deployment = () => deploy(request)
