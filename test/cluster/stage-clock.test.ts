import {expect} from 'chai'
import {StageClock} from '#llmsim/cluster/stage-clock.js'
import {Batch} from '#llmsim/engine/batch.js'

const times = (clock: StageClock, now: number): [number, number] => {
  const batch = new Batch()
  batch.addChunk(5, 0)
  clock.add(batch, now)
  return [batch.start, batch.end]
}

describe('StageClock', () => {
  it('runs one batch after the other in one stage', () => {
    const clock = new StageClock({stages: [() => 10], hop: () => 99})
    expect([times(clock, 3), times(clock, 3), times(clock, 50)]).deep.equal([
      [3, 13],
      [13, 23],
      [50, 60],
    ])
  })

  it('starts a stage when the one before and the hop are done, and the stage is free', () => {
    const clock = new StageClock({stages: [() => 10, () => 30, () => 10], hop: () => 2})
    // Stage ends 10, 42, 54; the second batch waits for stage 1 until 42: 20, 72, 84; the third: 30, 102, 114.
    expect([times(clock, 0), times(clock, 0), times(clock, 0)]).deep.equal([
      [0, 54],
      [10, 84],
      [20, 114],
    ])
  })

  it('hands the shape to stages and hops', () => {
    const clock = new StageClock({
      stages: [({tokens}) => tokens, ({sequences}) => sequences],
      hop: ({tokens}) => 100 * tokens,
    })
    expect(times(clock, 0)).deep.equal([0, 506])
  })
})
