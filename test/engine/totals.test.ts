import {expect} from 'chai'
import {Totals} from '#llmsim/engine/totals.js'

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
