import {expect} from 'chai'
import {firstDisagreement} from './against-reference.js'
import {runFast} from './fast-engine.js'

describe('the fast engine is the reference engine', function () {
  this.timeout(600_000)

  it('step by step, shapes and counts included', () => {
    expect(firstDisagreement(runFast('every step'))).to.equal(undefined)
  })

  it('skipping ahead, in every request, gap and total', () => {
    expect(firstDisagreement(runFast('skipping'))).to.equal(undefined)
  })
})
