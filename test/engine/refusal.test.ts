import {expect} from 'chai'
import fc from 'fast-check'
import {Engine} from '#llmsim/engine/engine.js'
import type {EngineConfig} from '#llmsim/engine/engine-config.js'
import {refusalOf} from '#llmsim/engine/refusal.js'
import {RequestPool} from '#llmsim/engine/request-pool.js'
import {calm} from '../cluster/serve.js'

const window = fc.record({
  sees: fc.constantFrom('window' as const, 'chunk' as const),
  window: fc.integer({min: 1, max: 100}),
  pages: fc.integer({min: 1, max: 3}),
})
const everything = {sees: 'everything', window: 0, pages: 1} as const

const config: fc.Arbitrary<EngineConfig> = fc
  .record({
    numGpuBlocks: fc.integer({min: 1, max: 40}),
    blockSize: fc.constantFrom(1, 4, 16),
    maxNumBatchedTokens: fc.integer({min: 1, max: 200}),
    enableChunkedPrefill: fc.boolean(),
    maxModelLen: fc.integer({min: 2, max: 300}),
    kvGroups: fc.option(
      window.map((other) => [everything, other]),
      {nil: undefined},
    ),
    drafts: fc.option(fc.integer({min: 1, max: 5}), {nil: undefined}),
  })
  .map(({drafts, ...given}) => ({
    ...calm,
    ...given,
    depth: 1,
    speculation: drafts === undefined ? undefined : {tokens: drafts, accepts: () => false},
  }))

describe('the refusal of a request', () => {
  it('is the same whoever was asked about before', () => {
    fc.assert(
      fc.property(
        config,
        fc.array(fc.integer({min: 1, max: 320}), {minLength: 1}),
        (given, totals) => {
          const engine = new Engine(given, new RequestPool())
          for (const total of totals)
            expect(engine.refusal(total), String(total)).deep.equal(refusalOf(given, total))
        },
      ),
      {numRuns: 400, seed: 1},
    )
  })
})
