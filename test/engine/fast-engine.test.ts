import {expect} from 'chai'
import {groupedSpecs, speculatingSpecs} from '../reference/arbitraries.js'
import {buildCase, type CaseSpec} from '../reference/case-spec.js'
import {differenceIn, firstDisagreement} from './against-reference.js'
import {runFast} from './fast-engine.js'

describe('the fast engine is the reference engine', function () {
  // The long search takes some minutes on an idle machine, and must not fail on a busy one.
  this.timeout(process.env.LLMSIM_SOAK === '1' ? 3_600_000 : 600_000)

  it('step by step, shapes and counts included', () => {
    expect(firstDisagreement(runFast('every step'))).to.equal(undefined)
  })

  it('skipping ahead, in every request, gap and total', () => {
    expect(firstDisagreement(runFast('skipping'))).to.equal(undefined)
  })

  for (const detail of ['every step', 'skipping'] as const)
    it(`with speculative decoding, ${detail}`, () => {
      expect(firstDisagreement(runFast(detail), {specs: speculatingSpecs})).to.equal(undefined)
    })

  it('where a preempted request lost a block of its window, and goes back to earlier ones of all groups', () => {
    // Too rare to wait for: the second request gives way to itself, and the first takes a page of what that one just left.
    const spec: CaseSpec = {
      requests: [
        {
          gap: 1,
          input: 15,
          output: 3,
          content: {kind: 'fresh'},
          known: 'none',
          priority: 0,
          predicted: 0,
          leaving: 'never',
        },
        {
          gap: 1,
          input: 45,
          output: 1,
          content: {kind: 'group', group: 1, shared: 1},
          known: 'none',
          priority: 0,
          predicted: 0,
          leaving: 'never',
        },
        {
          gap: 0,
          input: 1,
          output: 1,
          content: {kind: 'same prompt', of: 0},
          known: 'none',
          priority: 0,
          predicted: 0,
          leaving: 'before arrival',
        },
      ],
      spanTokens: 'block size',
      prefixes: false,
      predictions: false,
      config: {
        blockSize: 4,
        maxNumSeqs: 2,
        maxNumBatchedTokens: 26,
        longPrefillTokenThreshold: 0,
        enableChunkedPrefill: true,
        enablePrefixCaching: true,
        reserveFullPrompt: false,
        ownBlocks: true,
        maxModelLen: 100000,
        depth: 1,
        blocks: 40,
        kvGroups: [
          {sees: 'window', window: 10, pages: 1},
          {sees: 'chunk', window: 8, pages: 2},
          {sees: 'everything', window: 0, pages: 1},
        ],
      },
      pipeline: {stages: 2, skew: 1, hop: 0},
      policy: {key: 'longest first', victim: 'last-admitted'},
      stepTime: {base: 0, weights: {}, bend: 'none'},
    }
    for (const detail of ['every step', 'skipping'] as const)
      expect(differenceIn(buildCase(spec), runFast(detail))).equal(undefined)
  })

  it('with layers that see a window, in every step', () => {
    const search = {specs: groupedSpecs, runs: process.env.LLMSIM_SOAK === '1' ? 40_000 : 1000}
    expect(firstDisagreement(runFast('every step'), search)).to.equal(undefined)
  })

  it('with layers that see a window, in every request, gap and total', () => {
    const search = {specs: groupedSpecs, runs: process.env.LLMSIM_SOAK === '1' ? 40_000 : 1000}
    expect(firstDisagreement(runFast('skipping'), search)).to.equal(undefined)
  })
})
