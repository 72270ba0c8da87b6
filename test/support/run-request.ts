/** What flags that nobody gave make of a run. */
import {defaultModel, type RunRequest} from '#llmsim/study/run-request.js'

export const runRequest = (given: Partial<RunRequest>): RunRequest => ({
  model: defaultModel,
  layout: {},
  engine: {},
  latency: 'auto',
  policy: 'fcfs',
  router: 'least-requests',
  frontEnd: 'http',
  seed: 0,
  ...given,
})
