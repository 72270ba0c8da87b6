// Workloads that stress different parts of the engine, each sized to run in about a second, beside the plain one.
import {deploy, generateTrace} from '../dist/index.js'
import {parseGenerateSpec} from '../dist/trace/generate.js'
import {fullQueueRate, poisson, request, run} from './engine.js'

const generate = async (spec) =>
  generateTrace(await parseGenerateSpec({seed: 1, arrivals: 'poisson', ...spec}))

const on = (engine, layout = {}) =>
  deploy({...request, engine: {maxNumSeqs: 256, ...engine}, layout})

/** Each: name, what it stresses, and how to build trace and deployment for about `requests` requests. */
const cases = [
  {
    name: 'plain',
    stresses: 'joins and leaves',
    async build(requests) {
      const deployment = await on({})
      return {
        deployment,
        trace: await poisson(requests, 0.8 * (await fullQueueRate(deployment, 5000))),
      }
    },
  },
  {
    name: 'chat',
    stresses: 'sessions: engines in lockstep with the clients',
    async build(requests) {
      const trace = await generate({
        requests,
        rate: 20,
        input: 'lognormal:mean=200,cv=1',
        output: 'lognormal:mean=200,cv=1',
        turns: 'uniform:1,6',
        thinkTime: 'exponential:20',
        prefixes: {groups: 8, tokens: 512, skew: 1},
      })
      return {deployment: await on({}), trace}
    },
  },
  {
    name: 'code',
    stresses: 'long prompts, short answers: chunks',
    build: async (requests) => ({
      deployment: await on({}),
      trace: await generate({
        requests,
        rate: 12,
        input: 'lognormal:mean=2000,cv=1',
        output: 'lognormal:mean=30,cv=1',
      }),
    }),
  },
  {
    name: 'long-context',
    stresses: 'many chunks and blocks a request',
    build: async (requests) => ({
      deployment: await on({}),
      trace: await generate({
        requests: requests / 10,
        rate: 0.5,
        input: 'lognormal:mean=20000,cv=0.5',
        output: 'lognormal:mean=400,cv=1',
      }),
    }),
  },
  {
    name: 'prefix-heavy',
    stresses: 'the prefix index: 2,048 shared tokens in every prompt, more than the cache holds',
    build: async (requests) => ({
      deployment: await on({numGpuBlocksOverride: 8000}),
      trace: await generate({
        requests,
        rate: 20,
        input: 'lognormal:mean=200,cv=1',
        output: 'lognormal:mean=100,cv=1',
        prefixes: {groups: 200, tokens: 2048, skew: 0.5},
      }),
    }),
  },
  {
    name: 'preemption-heavy',
    stresses: 'plans that run out of blocks and walk the running requests',
    build: async (requests) => ({
      deployment: await on({numGpuBlocksOverride: 2600}),
      trace: await generate({
        requests: requests / 2,
        rate: 14,
        input: 'lognormal:mean=300,cv=1',
        output: 'lognormal:mean=400,cv=1',
      }),
    }),
  },
  {
    name: 'P/D',
    stresses: 'two engines prefill, two decode: every request goes over the network',
    async build(requests) {
      const deployment = await on({}, {prefill: 2, decode: 2})
      return {deployment, trace: await poisson(requests, 50)}
    },
  },
  {
    name: 'pipeline',
    stresses: 'two stages, two batches in flight with decodes of their own',
    async build(requests) {
      const deployment = await on({}, {pp: 2})
      return {deployment, trace: await poisson(requests, 40)}
    },
  },
  {
    name: '64 instances',
    stresses: 'routing over many engines',
    async build(requests) {
      const deployment = await on({}, {instances: 64})
      return {deployment, trace: await poisson(requests, 64 * 27)}
    },
  },
]

/** Those that must not be more than five times slower than the plain one. */
const bounded = ['prefix-heavy', 'preemption-heavy']

export const workloads = async ({requests}) => {
  const rows = []
  let plain
  for (const {name, stresses, build} of cases) {
    const {deployment, trace} = await build(requests)
    const runs = Array.from({length: 4}, () => run(trace, deployment))
    const perSecond = Math.max(...runs.map((one) => one.perSecond))
    const {steps, requests: counts} = runs[0].summary
    plain ??= perSecond
    rows.push({name: `${name} (${stresses})`, value: perSecond, unit: 'requests/s'})
    if (perSecond !== plain)
      rows.push({
        name: `plain ÷ ${name}`,
        value: plain / perSecond,
        unit: '×',
        ...(bounded.includes(name) && {most: 5}),
      })
    rows.push({
      name: `${name}: per step`,
      value: (1e9 * trace.length) / perSecond / steps,
      unit: 'ns',
    })
    if (counts.preemptions > 0)
      rows.push({name: `${name}: preemptions`, value: counts.preemptions, unit: ''})
  }
  return rows
}
