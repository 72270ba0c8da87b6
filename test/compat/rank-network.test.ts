/** LLMServingSim's network by pencil: what ranks wait for, and when their batches end. Times in ns. */
import {expect} from 'chai'
import {RankNetwork} from '#llmsim/compat/rank-network.js'
import type {Operation, RankPlan, RankWork, RingPhase} from '#llmsim/compat/rank-work.js'
import {emptyShape} from '#llmsim/latency/step-time.js'

const kernel = (ns: number): Operation => ({kind: 'kernel', ns})
const ring = (phase: Partial<RingPhase>): Operation => ({
  kind: 'collective',
  place: 0,
  phases: [{among: 'stage', steps: 1, stepNs: 100, reductions: 0, reduceNs: 0, ...phase}],
})

/** Plans of one layer each, by rank. */
const engine = (
  plans: readonly (readonly Operation[])[],
  given: {stages?: number; group?: number; layers?: number} = {},
) => {
  const {stages = 1, group, layers = 1} = given
  const work: RankWork = {
    stages,
    ranks: plans.length / stages,
    node: 0,
    hasExperts: true,
    plan: (_shape, stage, rank): RankPlan => ({
      before: [],
      layer: plans[(stage * plans.length) / stages + rank]!,
      layers,
      after: [],
    }),
  }
  return {work, group}
}

interface Given {
  readonly engines: readonly ReturnType<typeof engine>[]
  /** When each engine takes its batch; by default at 0. */
  readonly starts?: readonly number[]
}

/** When the batch of each engine ends, and all instants at which something does. */
const run = ({engines, starts = engines.map(() => 0)}: Given) => {
  const network = new RankNetwork(engines)
  const instants: number[] = []
  const ends: number[] = []
  for (const [at] of engines.entries())
    network.give({engine: at, pass: 1, shape: emptyShape(), start: Number.NaN, ended: 0})
  for (;;) {
    const late = starts.filter((at) => at > (instants.at(-1) ?? -1))
    const now = Math.min(network.nextAt, ...late)
    if (now === Number.POSITIVE_INFINITY) return {ends, instants}
    if (network.nextAt === now) {
      for (const batch of network.step()) ends[batch.engine] = now
    }
    instants.push(now)
    for (const [at] of engines.entries()) if (now >= starts[at]!) network.startIdle(at, now)
  }
}

describe("the ranks of LLMServingSim's network", () => {
  it('run their operations one after the other, layer by layer', () => {
    const {ends, instants} = run({engines: [engine([[kernel(5), kernel(7)]], {layers: 2})]})
    expect(instants).deep.equal([0, 5, 12, 17, 24])
    expect(ends).deep.equal([24])
  })

  it('copy from the host over one queue: each waits for the one before', () => {
    const copy: Operation = {kind: 'host copy', ns: 10}
    expect(run({engines: [engine([[copy], [copy]])]}).instants).deep.equal([0, 10, 20])
  })

  it('end a ring step an endpoint after the message of the neighbour, which left an endpoint after its start', () => {
    const {instants} = run({engines: [engine([[ring({})], [ring({})]])]})
    expect(instants).deep.equal([0, 110, 120])
  })

  it('add up what came in the steps that reduce', () => {
    const all = ring({steps: 2, reductions: 1, reduceNs: 3})
    // 10 + 100, + 10 + 3 and + 100, + 10.
    expect(run({engines: [engine([[all], [all]])]}).instants).deep.equal([0, 110, 223, 233])
  })

  it('swap the lag in a ring of two and one step', () => {
    const {ends, instants} = run({
      engines: [
        engine([
          [kernel(1), ring({})],
          [kernel(41), ring({})],
        ]),
      ],
    })
    // Rank 0 is ready at 1 and gets the message of rank 1 at 151; rank 1 is ready at 41 and gets the other's at 111.
    expect(instants).deep.equal([0, 1, 41, 111, 121, 151, 161])
    expect(ends).deep.equal([161])
  })

  it('run a kernel beside a collective, and go on after both', () => {
    const beside: Operation = {...(ring({}) as Operation & {kind: 'collective'}), besideNs: 300}
    const {instants} = run({engines: [engine([[ring({})], [beside, kernel(1)]])]})
    expect(instants).deep.equal([0, 110, 120, 300, 301])
  })

  it('send to the next stage, busy until it has arrived there', () => {
    const stages = [
      [kernel(5), {kind: 'send', ns: 20}] as const,
      [{kind: 'receive'}, kernel(3)] as const,
    ]
    const {ends, instants} = run({engines: [engine(stages, {stages: 2})]})
    expect(instants).deep.equal([0, 5, 25, 28])
    expect(ends).deep.equal([28])
  })

  it('wait for the ranks of the other engine of a group', () => {
    const shared = () => engine([[ring({among: 'group'})]], {group: 1})
    const {ends} = run({engines: [shared(), shared()], starts: [0, 1000]})
    expect(ends).deep.equal([1120, 1020])
  })

  it('do not wait for an engine without a group', () => {
    const {ends} = run({engines: [engine([[kernel(4)]]), engine([[kernel(9)]])]})
    expect(ends).deep.equal([4, 9])
  })
})
