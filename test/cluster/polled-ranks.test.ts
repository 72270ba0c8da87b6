/** Engines that are asked for work as nodes end anywhere, by pencil. Times in ns. */
import {expect} from 'chai'
import {realClock} from '#llmsim/cluster/idle-clock.js'
import {replay} from '#llmsim/cluster/replay.js'
import type {StepRecord} from '#llmsim/cluster/replica.js'
import {routers} from '#llmsim/cluster/router.js'
import type {RankWork} from '#llmsim/compat/rank-work.js'
import {calm, type Row, timesOf, traceOf} from './serve.js'

interface Setting {
  readonly hasExperts?: boolean
  readonly stages?: number
  readonly group?: number | undefined
  readonly tick?: number
  readonly copy?: number
}

/** Two engines of one rank a stage: a host copy, a kernel of a ns per padded token, hops of 1. */
const served = (rows: readonly Row[], setting: Setting) => {
  const {hasExperts = true, stages = 1, group, tick = 1, copy = 0} = setting
  const steps: StepRecord[] = []
  const work: RankWork = {
    stages,
    ranks: 1,
    node: 0,
    hasExperts,
    plan: ({paddedTokens}, stage) => ({
      before: [stage > 0 ? {kind: 'receive'} : {kind: 'host copy', ns: copy}],
      layer: [{kind: 'kernel', ns: paddedTokens}],
      layers: 1,
      after: stage + 1 < stages ? [{kind: 'send', ns: 1}] : [],
    }),
  }
  const engine = {...calm, depth: stages, stages}
  const replica = {engine, stepTime: () => 1, ranks: work, group}
  const result = replay({
    trace: traceOf(rows),
    simulation: {
      replicas: [replica, replica],
      router: routers['round-robin']!(),
      clock: {
        ...realClock,
        noticeAt: (since, at) => since + Math.ceil((at - since) / tick) * tick,
      },
      onStep: (step) => steps.push({...step, shape: {...step.shape}}),
    },
  })
  return {times: timesOf(result), steps}
}

describe('engines whose ranks run node by node', () => {
  it('run alone without a group', () => {
    const {times} = served(
      [
        {at: 0, input: 10},
        {at: 0, input: 4},
      ],
      {},
    )
    expect(times.map(([, , , end]) => end)).deep.equal([10, 4])
  })

  it('see an arrival when a node of another engine ends, else at a tick', () => {
    const rows = [
      {at: 0, input: 10},
      {at: 3, input: 4},
      {at: 50, input: 4},
    ]
    const {times} = served(rows, {tick: 100})
    expect(times.map(([, scheduled]) => scheduled)).deep.equal([0, 10, 114])
  })

  it('pad to the largest of a group; a rank without work takes part', () => {
    const {times, steps} = served([{at: 0, input: 10}], {group: 0})
    expect(times).deep.equal([[0, 0, 10, 10]])
    expect(steps.map(({shape}) => shape.paddedTokens)).deep.equal([10])
  })

  it('start as the next node ends, but for the one that came last', () => {
    // Engine 1 copies from 0 to 3; then engine 0 finds its pass.
    expect(served([{at: 0, input: 10}], {group: 0, copy: 3}).times[0]![3]).equal(16)
  })

  it('with experts take turns, though both have work', () => {
    const {times} = served(
      [
        {at: 0, input: 10},
        {at: 0, input: 4},
      ],
      {group: 0},
    )
    // As both end at 10, engine 0 is asked before engine 1 has something, and again a tick later.
    expect(times).deep.equal([
      [0, 0, 10, 10],
      [0, 10, 15, 15],
    ])
  })

  it('without experts run side by side', () => {
    const {times} = served(
      [
        {at: 0, input: 10},
        {at: 0, input: 4},
      ],
      {group: 0, hasExperts: false},
    )
    expect(times.map(([, , , end]) => end)).deep.equal([10, 10])
  })

  it('with something in flight contribute what they have', () => {
    // Chunks of 100 and 50 on engine 0; engine 1 joins the second pass, for its part of the first is in flight.
    const {times} = served(
      [
        {at: 0, input: 150},
        {at: 50, input: 4},
      ],
      {group: 0, stages: 2},
    )
    expect(times[1]!.slice(0, 2)).deep.equal([50, 101])
    // First stage 101 to 151 and the hop, last stage from 201.
    expect(times[1]![3]).equal(251)
  })
})
