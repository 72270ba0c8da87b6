/** Seats and tokens of a step: defaults that follow what is asked for, as vLLM has them, and what is refused. */
import {expect} from 'chai'
import {deploy} from '#llmsim/study/deployment.js'
import type {EngineSettings} from '#llmsim/study/run-request.js'
import {problemOf} from '../catalogue/problem.js'
import {runRequest} from '../support/run-request.js'

const limitsOf = async (hardware: string, engine: EngineSettings) => {
  const {engines} = await deploy(runRequest({hardware, engine}))
  const {maxNumSeqs, maxNumBatchedTokens} = engines[0]!.settled.config
  return [maxNumSeqs, maxNumBatchedTokens]
}

describe('seats and tokens of a step', () => {
  const cases: readonly (readonly [string, EngineSettings, seats: number, tokens: number])[] = [
    ['H100', {}, 1024, 8192],
    ['RTX3090', {}, 256, 2048],
    ['H100', {maxNumBatchedTokens: 512}, 512, 512],
    ['H100', {maxNumBatchedTokens: 1024}, 1024, 1024],
    ['H100', {maxNumBatchedTokens: 4096}, 1024, 4096],
    ['H100', {maxNumSeqs: 512, maxNumBatchedTokens: 512}, 512, 512],
    ['RTX3090', {maxNumSeqs: 2048}, 2048, 2048],
    ['RTX3090', {maxNumBatchedTokens: 1}, 1, 1],
  ]
  for (const [hardware, engine, ...limits] of cases)
    it(`${hardware} with ${JSON.stringify(engine)}: ${limits.join(' and ')}`, async () => {
      expect(await limitsOf(hardware, engine)).deep.equal(limits)
    })

  // Without chunked prefill vLLM raises its default first, and compares then.
  it('a step that takes the longest prompt whole has room for more seats', async () => {
    const engine = {maxNumSeqs: 4096, enableChunkedPrefill: false}
    const [seats, tokens] = await limitsOf('RTX3090', engine)
    expect(seats).equal(4096)
    expect(tokens).greaterThan(4096)
  })

  const refused: readonly (readonly [string, EngineSettings, RegExp])[] = [
    ['RTX3090', {maxNumSeqs: 2049}, /--max-num-seqs 2049 is more than max_num_batched_tokens 2048/],
    [
      'RTX3090',
      {maxNumSeqs: 4096, maxNumBatchedTokens: 2048},
      /--max-num-seqs 4096 is more than --max-num-batched-tokens 2048/,
    ],
    ['H100', {maxNumSeqs: 9, maxNumBatchedTokens: 8}, /--max-num-seqs 9 is more than/],
  ]
  for (const [hardware, engine, says] of refused)
    it(`${hardware} refuses ${JSON.stringify(engine)}`, async () => {
      const {code, message, suggestions} = await problemOf(() =>
        deploy(runRequest({hardware, engine})),
      )
      expect([code, message.match(says) !== null]).deep.equal(['FLAG_CONFLICT', true])
      expect(suggestions).deep.equal([
        `--max-num-seqs ${engine.maxNumBatchedTokens ?? 2048}`,
        `--max-num-batched-tokens ${engine.maxNumSeqs}`,
      ])
    })
})
