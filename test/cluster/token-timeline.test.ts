import {expect} from 'chai'
import {TokenTimeline} from '#llmsim/cluster/token-timeline.js'

const timeline = (...ends: readonly number[]) => {
  const made = new TokenTimeline()
  for (const [i, end] of ends.entries()) made.listener.batchEnded!(i + 1, end)
  return made
}

describe('TokenTimeline', () => {
  it('has the gaps of a request between its first and its last batch', () => {
    const made = timeline(10, 30, 60, 100)
    made.listener.tokensFrom!(4, 1)
    made.listener.tokensUntil!(4, 3)
    expect(made.takeGaps(4)).deep.equal([20, 30])
  })

  it('spans batches without a token', () => {
    const made = timeline(10, 30, 60, 100, 150)
    made.listener.tokensFrom!(4, 1)
    made.listener.tokensUntil!(4, 2)
    made.listener.tokensFrom!(4, 5)
    made.listener.tokensUntil!(4, 5)
    expect(made.takeGaps(4)).deep.equal([20, 120])
  })

  it('takes an earlier end for a later one that was announced', () => {
    const made = timeline(10, 30, 60)
    made.listener.tokensFrom!(4, 1)
    made.listener.tokensUntil!(4, 9)
    made.listener.tokensUntil!(4, 2)
    made.listener.tokensUntil!(4, 7)
    expect(made.takeGaps(4)).deep.equal([20])
  })

  it('counts no batch that has not ended', () => {
    const made = timeline(10, 30)
    made.listener.tokensFrom!(4, 1)
    expect(made.takeGaps(4)).deep.equal([20])
  })

  it('has none for one token, none for a stranger, and forgets a slot that left', () => {
    const made = timeline(10, 30)
    made.listener.tokensFrom!(4, 2)
    made.listener.tokensUntil!(4, 2)
    expect(made.takeGaps(4)).deep.equal([])
    expect(made.takeGaps(5)).deep.equal([])
    made.listener.tokensFrom!(4, 1)
    expect(made.takeGaps(4)).deep.equal([20])
    expect(made.takeGaps(4)).deep.equal([])
  })
})
