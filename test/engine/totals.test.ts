import {expect} from 'chai'
import {GapSamples, Totals} from '#llmsim/engine/totals.js'

describe('GapSamples', () => {
  it('counts neighbours that are equal together', () => {
    const gaps = new GapSamples()
    for (const [value, count] of [
      [5, 2],
      [5, 3],
      [6, 1],
      [5, 1],
    ] as const)
      gaps.add(value, count)
    expect(gaps.length).equal(3)
    expect([...gaps.values.subarray(0, 3)]).deep.equal([5, 6, 5])
    expect([...gaps.counts.subarray(0, 3)]).deep.equal([5, 1, 1])
  })

  it('grows', () => {
    const gaps = new GapSamples()
    for (let i = 0; i < 5000; i++) gaps.add(i, i + 1)
    expect([gaps.length, gaps.values[4999], gaps.counts[1023], gaps.counts[1024]]).deep.equal([
      5000, 4999, 1024, 1025,
    ])
  })
})

describe('Totals', () => {
  it('weigh what an engine holds by time, once more while something is held back', () => {
    const totals = new Totals()
    totals.spend(10, {running: 2, waiting: 0, usedBlocks: 7, heldBack: 'nobody'})
    totals.spend(5, {running: 3, waiting: 4, usedBlocks: 8, heldBack: 'blocks'})
    totals.spend(1, {running: 1, waiting: 4, usedBlocks: 9, heldBack: 'seats'})
    expect(totals).deep.include({
      busyNs: 16,
      runningNs: 36,
      waitingNs: 24,
      blocksNs: 119,
      heldBack: {seats: 1, blocks: 5, budget: 0},
      heldBackRunningNs: 16,
      heldBackBlocksNs: 49,
    })
  })
})
