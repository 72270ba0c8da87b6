// Compares schedulers of one's own on a trace that overloads one card: node docs/examples/schedulers.mjs
import {deploy, Problem, readTrace, simulate} from 'llmsim'

const policies = [
  'fcfs',
  {name: 'shortest prompt', key: (request) => request.inputTokens},
  {name: 'patient', key: (request) => request.arrivedAt / 1e9 + request.inputTokens / 1000},
]

const trace = await readTrace([new URL('../../traces/code.csv', import.meta.url).pathname])
for (const policy of policies) {
  // What is left out has the defaults of the flags.
  const deployment = await deploy({hardware: 'RTX3090', policy, engine: {maxNumSeqs: 16}})
  const {summary} = simulate({trace, deployment})
  const {mean, p99} = summary.ttft_ms
  console.log(`${deployment.policy.name}: TTFT mean ${mean.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms`)
}

try {
  await deploy({hardware: 'RTX3090', engine: {max_num_seqs: 16}})
} catch (error) {
  if (!(error instanceof Problem)) throw error
  console.log(`${error.code}: ${error.message} Try ${error.suggestions[0]}.`)
}
