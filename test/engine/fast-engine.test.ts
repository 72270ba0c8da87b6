import {expect} from 'chai'
import {groupedSpecs, speculatingSpecs} from '../reference/arbitraries.js'
import {firstDisagreement} from './against-reference.js'
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

  it('with layers that see a window, in every step', () => {
    const search = {specs: groupedSpecs, runs: process.env.LLMSIM_SOAK === '1' ? 40_000 : 1000}
    expect(firstDisagreement(runFast('every step'), search)).to.equal(undefined)
  })

  it('with layers that see a window, in every request, gap and total', () => {
    const search = {specs: groupedSpecs, runs: process.env.LLMSIM_SOAK === '1' ? 40_000 : 1000}
    expect(firstDisagreement(runFast('skipping'), search)).to.equal(undefined)
  })
})
