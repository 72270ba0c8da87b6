/** Speculative decoding: how many tokens a step brings, and that draws belong to tokens. */
import {expect} from 'chai'
import {replay} from '#llmsim/cluster/replay.js'
import {routers} from '#llmsim/cluster/router.js'
import type {EngineConfig} from '#llmsim/engine/engine-config.js'
import {expectedTokens, speculationOf} from '#llmsim/engine/speculation.js'
import {calm} from '../cluster/serve.js'
import {play} from '../reference/scenario.js'

const configOf = (tokens: number, rates: readonly number[], seed = 0): EngineConfig => ({
  ...calm,
  numGpuBlocks: 100_000,
  blockSize: 16,
  maxNumSeqs: 64,
  maxNumBatchedTokens: 8192,
  speculation: speculationOf({tokens, rates, seed}),
})

const run = (config: EngineConfig, rows: number, output: number) =>
  replay({
    trace: {
      length: rows,
      arrivedAt: new Float64Array(rows),
      inputTokens: new Int32Array(rows).fill(20),
      outputTokens: new Int32Array(rows).fill(output),
      notes: [],
      format: 'test',
    },
    simulation: {
      replicas: [{engine: config, stepTime: () => 10}],
      router: routers['round-robin']!(),
    },
  })

describe('speculative decoding', () => {
  const cases = [
    {tokens: 1, rates: [0.7]},
    {tokens: 4, rates: [0.8]},
    {tokens: 5, rates: [0.9, 0.7, 0.5]},
    {tokens: 3, rates: [0]},
    {tokens: 3, rates: [1]},
  ]
  for (const {tokens, rates} of cases)
    it(`with ${tokens} drafts accepted at ${rates} brings (1 − aⁿ⁺¹)/(1 − a) tokens a step on average`, () => {
      const {engines} = run(configOf(tokens, rates), 60, 2000)
      const {verifications, accepted, drafts} = engines[0]!.speculation!
      const mean = 1 + accepted / verifications
      const expected = expectedTokens({tokens, rates})
      const [a] = rates
      if (rates.length === 1 && a! < 1)
        expect(expected).closeTo((1 - a! ** (tokens + 1)) / (1 - a!), 1e-12)
      // Four standard errors: at most tokens/2 a step.
      expect(mean).closeTo(expected, (4 * tokens) / 2 / Math.sqrt(verifications) + 1e-12)
      expect(drafts).equal(tokens * verifications)
    })

  it('draws for a token, whatever else runs', () => {
    const alone = run(configOf(4, [0.6], 7), 1, 500).outcomes
    const crowded = run({...configOf(4, [0.6], 7), maxNumBatchedTokens: 8192}, 40, 500).outcomes
    expect(crowded.finishedAt[0]).equal(alone.finishedAt[0])
    expect(run(configOf(4, [0.6], 8), 1, 500).outcomes.finishedAt[0]).not.equal(alone.finishedAt[0])
  })

  it('by hand: drafts are computed, take blocks that stay, and the output ends where it was asked to', () => {
    // Blocks of 4; 4 + 7 tokens; 3 drafts of which the first is always right and the second never.
    const accepts = (_row: number, _position: number, depth: number) => depth === 0
    const scenario = play({
      rows: [{at: 0, input: 4, output: 6}],
      config: {speculation: {tokens: 3, accepts}},
    })
    expect(scenario.steps.map(({shape}) => shape.tokens)).deep.equal([4, 4, 4, 4])
    expect(scenario.steps.map(({shape}) => shape.prefillContext)).deep.equal([0, 4, 6, 8])
    // 4, 8, 10 and 12 tokens lie in blocks.
    expect(scenario.steps.map(({freeBlocks}) => freeBlocks)).deep.equal([99, 98, 97, 97])
    expect(scenario.requests[0]).include({firstTokenAt: 10, finishedAt: 40, producedTokens: 6})
    expect(scenario.requests[0]!.gaps).deep.equal([10, 0, 10, 0, 10])
    expect(scenario.freeBlocksAtEnd).equal(100)
  })

  it('refuses what its drafts could never find blocks for', () => {
    const small = {...configOf(8, [1]), numGpuBlocks: 2}
    const {outcomes} = run(small, 1, 12)
    expect(outcomes.reasons.get(0)).match(/it needs 3 KV blocks of 2/)
    expect(run({...small, maxModelLen: 32}, 1, 12).outcomes.reasons.size).equal(0)
  })
})
