import {expect} from 'chai'
import {BusySpans} from '#llmsim/stats/busy-spans.js'

describe('busy spans', () => {
  it('are from the first step to the first moment without one; saying so twice changes nothing', () => {
    const spans = new BusySpans()
    spans.mark(3, false)
    spans.mark(5, true)
    spans.mark(7, true)
    spans.mark(9, false)
    spans.mark(11, true)
    expect([spans.length, spans.starts[0], spans.ends[0]]).deep.equal([1, 5, 9])
    expect(spans.openSince).equal(11)
  })

  it('go on where the last one ended', () => {
    const spans = new BusySpans()
    spans.mark(1, true)
    spans.mark(4, false)
    spans.mark(4, true)
    spans.mark(6, false)
    expect([spans.length, spans.starts[0], spans.ends[0]]).deep.equal([1, 1, 6])
    expect(spans.between(3, 5)).equal(2)
  })

  it('grow beyond their first room', () => {
    const spans = new BusySpans()
    for (let i = 0; i < 200; i++) {
      spans.mark(10 * i, true)
      spans.mark(10 * i + 4, false)
    }
    expect([spans.length, spans.starts[199], spans.ends[199]]).deep.equal([200, 1990, 1994])
  })
})
