/** Ranks that make their passes together, by pencil. Times in ns. */
import {expect} from 'chai'
import {replay} from '#llmsim/cluster/replay.js'
import type {StepRecord} from '#llmsim/cluster/replica.js'
import {routers} from '#llmsim/cluster/router.js'
import type {BatchShape} from '#llmsim/latency/step-time.js'
import {calm, type Row, timesOf, traceOf} from './serve.js'

/** Two ranks of two stages: a stage takes a ns for each padded token, on the slower rank two; a hop takes 1. */
const served = (rows: readonly Row[], slower = 1) => {
  const steps: StepRecord[] = []
  const rank = (factor: number) => {
    const stage = (shape: BatchShape) => factor * shape.paddedTokens
    return {
      engine: {...calm, depth: 2, stages: 2},
      stepTime: stage,
      pipeline: {stages: [stage, stage], hop: () => 1},
      group: 0,
    }
  }
  const result = replay({
    trace: traceOf(rows),
    simulation: {
      replicas: [rank(1), rank(slower)],
      router: routers['round-robin']!(),
      onStep: (step) => steps.push({...step, shape: {...step.shape}}),
    },
  })
  return {times: timesOf(result), steps}
}

describe('data-parallel ranks with pipeline stages', () => {
  it('pad to the largest batch, and an idle rank runs along', () => {
    const {times, steps} = served([{at: 0, input: 10}])
    expect(times).deep.equal([[0, 0, 21, 21]])
    expect(steps.map(({instance}) => instance)).deep.equal([0])
  })

  it('leave each stage together, as late as the slowest', () => {
    expect(served([{at: 0, input: 10}], 2).times).deep.equal([[0, 0, 41, 41]])
  })

  it('make the next pass when the first stage is free, while the one before is in the last', () => {
    const {times, steps} = served([
      {at: 0, input: 10},
      {at: 0, input: 4},
      {at: 5, input: 6},
    ])
    // The third row comes to rank 0, whose second place is free, but which is busy until its batch ends at 21.
    expect(times).deep.equal([
      [0, 0, 21, 21],
      [0, 0, 21, 21],
      [5, 21, 34, 34],
    ])
    expect(steps.map(({shape}) => shape.paddedTokens)).deep.equal([10, 10, 6])
  })

  it('have as many passes in flight as stages: chunks of one prompt follow each other', () => {
    const chunked = served([{at: 0, input: 150}])
    // 100 tokens: [0, 100], hop, [101, 201]; 50 behind them: [100, 150], then when the stage is free: [201, 251].
    expect(chunked.times).deep.equal([[0, 0, 251, 251]])
    expect(chunked.steps.map(({start, end}) => [start, end])).deep.equal([
      [0, 201],
      [100, 251],
    ])
  })

  it('let a rank that idles in one pass work in the next', () => {
    const {times} = served([
      {at: 0, input: 150, output: 1},
      {at: 10, input: 30, output: 1},
    ])
    // Rank 1 idles in both passes of rank 0, looks for work as the first of them ends, and waits for the last stage.
    expect(times[1]).deep.equal([10, 201, 281, 281])
  })
})
