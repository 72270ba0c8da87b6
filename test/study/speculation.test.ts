/** Speculative decoding on whole deployments: memory, time, and what the result says. */
import {expect} from 'chai'
import {deploy} from '#llmsim/study/deployment.js'
import {simulate} from '#llmsim/study/simulate.js'
import type {Trace} from '#llmsim/trace/trace.js'
import {problemOf} from '../catalogue/problem.js'
import {llmsim, root} from '../support/cli.js'
import {runRequest} from '../support/run-request.js'

const chat = `${root}traces/chat.csv`
const draftModel = 'meta-llama/Llama-3.2-1B-Instruct'

const request = runRequest({
  hardware: 'H100',
  router: 'round-robin',
  frontEnd: 'none',
  seed: 3,
})

const one: Trace = {
  length: 1,
  arrivedAt: new Float64Array(1),
  inputTokens: Int32Array.of(500),
  outputTokens: Int32Array.of(1201),
  notes: [],
  format: 'test',
}

describe('a deployment with speculative decoding', () => {
  it('brings as many tokens a step as its rate says, and is faster where drafts are cheap', async () => {
    const plain = simulate({trace: one, deployment: await deploy(request)}).summary
    const speculation = {tokens: 4, rates: [0.8]}
    const deployment = await deploy({...request, speculation})
    expect(deployment.replicas[0]!.engine.depth).equal(1)
    const {summary} = simulate({trace: one, deployment, check: true})
    // 1200 tokens after the first, (1 − 0.8⁵)/(1 − 0.8) = 3.36 a step.
    expect(summary.speculation!.tokens_per_step).closeTo(3.36, 0.25)
    expect(summary.steps - 1).closeTo(1200 / summary.speculation!.tokens_per_step!, 2)
    expect(plain.e2e_ms.mean! / summary.e2e_ms.mean!).within(2, 3.4)
  })

  it('that are always right bring N + 1 tokens a step, in N + 1 times fewer steps', async () => {
    const deployment = await deploy({...request, speculation: {tokens: 3, rates: [1]}})
    const {summary} = simulate({trace: one, deployment})
    expect(summary.steps).equal(1 + 1200 / 4)
    expect(summary.speculation).deep.equal({
      drafts: 900,
      accepted: 900,
      acceptance: 1,
      tokens_per_step: 4,
    })
  })

  it('of a pair that shares prompts, only who decodes has drafts', async () => {
    const layout = {prefill: 1, decode: 1}
    const speculation = {tokens: 3, rates: [1], draftModel}
    const deployment = await deploy({...request, layout, speculation})
    expect(deployment.replicas.map(({engine}) => engine.speculation?.tokens)).deep.equal([
      undefined,
      3,
    ])
    const {summary} = simulate({trace: one, deployment, check: true})
    // The prompt, its last token once more, and 1200 tokens, four a step.
    expect(summary.steps).equal(1 + 1 + 1200 / 4)
  })

  it('of tied ranks make the passes of all longer and fewer', async () => {
    const layout = {dp: 2, npu: 2}
    const model = 'Qwen/Qwen3-30B-A3B'
    const deployment = await deploy({
      ...request,
      model,
      layout,
      speculation: {tokens: 3, rates: [1]},
    })
    const {summary} = simulate({trace: one, deployment, check: true})
    expect(summary.steps).equal(1 + 1200 / 4)
  })

  it('pays for a draft model in memory and in time', async () => {
    const free = await deploy({...request, speculation: {tokens: 4, rates: [0.8]}})
    const paid = await deploy({...request, speculation: {tokens: 4, rates: [0.8], draftModel}})
    const [cheap, dear] = [free, paid].map((deployment) => simulate({trace: one, deployment}))
    // 2.5 GB of weights, and 32 KiB beside 128 KiB of KV for a token.
    const [blocks, fewer] = [free, paid].map(({replicas}) => replicas[0]!.engine.numGpuBlocks)
    const {memory} = free.engines[0]!.settled
    const room = memory!.budgetBytes - memory!.weights.total - memory!.activationBytes
    const left = room - memory!.runtimeBytes - 1_235_814_400 * 2
    expect(fewer).closeTo(left / (16 * (131_072 + 32_768)), 2)
    expect(fewer).lessThan(blocks!)
    expect(dear!.summary.steps).equal(cheap!.summary.steps)
    expect(dear!.summary.tpot_ms.mean!).greaterThan(1.1 * cheap!.summary.tpot_ms.mean!)
  })

  it('cannot go with another simulator’s clock, asynchronous scheduling or a pipeline', async () => {
    const speculation = {tokens: 4, rates: [0.8]}
    for (const change of [
      {compat: 'llmservingsim'},
      {engine: {asyncScheduling: true}},
      {layout: {pp: 2}},
    ] as const) {
      const problem = await problemOf(() => deploy({...request, ...change, speculation}))
      expect(problem.code).equal('FLAG_CONFLICT')
    }
  })
})

describe('llmsim simulate with drafts', () => {
  const wrong: readonly (readonly [code: string, says: string, ...flags: string[]])[] = [
    ['FLAG_MISSING', 'Missing --acceptance-rate', '--num-speculative-tokens', '4'],
    ['FLAG_CONFLICT', '--acceptance-rate without --num-spec', '--acceptance-rate', '0.5'],
    ['FLAG_CONFLICT', '--draft-model without --num-spec', '--draft-model', draftModel],
    [
      'FLAG_BAD_VALUE',
      'place 2 must be a number from 0 to 1',
      ...['--num-speculative-tokens', '2', '--acceptance-rate', '0.5,1.5'],
    ],
    [
      'FLAG_BAD_VALUE',
      '2 rates for --num-speculative-tokens 4',
      ...['--num-speculative-tokens', '4', '--acceptance-rate', '0.5,0.4'],
    ],
  ]
  for (const [code, says, ...flags] of wrong)
    it(`refuses ${flags.join(' ')}`, async () => {
      const {error} = await llmsim('simulate', chat, '--hardware', 'H100', '--no-save', ...flags)
      expect(error?.code).equal(code)
      expect(error?.message).include(says)
    })

  it('says seed, expected and real tokens a step, and is the same twice', async () => {
    const flags = ['--num-speculative-tokens', '3', '--acceptance-rate', '0.9,0.5,0.1']
    const call = ['simulate', chat, '--hardware', 'H100', '--no-save', '--seed', '5', ...flags]
    const [first, second] = [await llmsim(...call), await llmsim(...call)]
    // 1 + 0.9 + 0.45 + 0.045
    expect(first.stdout).match(
      /accepted at\s+0\.9,\s+0\.5,\s+0\.1:\s+2\.40\s+tokens a\s+step\s+expected;\s+seed 5/,
    )
    expect(first.stdout).match(/^drafts +\d+ % of [\d,]+ accepted: 2\.\d\d tokens a decode$/m)
    expect(second.stdout).equal(first.stdout)
  })
})
