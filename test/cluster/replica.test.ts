/** One engine in time: when it looks for work, when its batches start and end. */
import {expect} from 'chai'
import {noFrontEnd} from '#llmsim/cluster/front-end.js'
import {type ClockHooks, realClock, type Surroundings} from '#llmsim/cluster/idle-clock.js'
import {Replica, type StepRecord} from '#llmsim/cluster/replica.js'
import {Engine} from '#llmsim/engine/engine.js'
import {RequestPool} from '#llmsim/engine/request-pool.js'
import type {NodeEnds} from '#llmsim/latency/step-time.js'
import {calm} from './serve.js'

const never = Number.POSITIVE_INFINITY

interface Setting {
  readonly depth?: number
  readonly clock?: ClockHooks
  readonly perTokenNs?: number
  readonly delayNs?: number
  readonly nodeEnds?: NodeEnds
  /** Of other engines; there are none unless given. */
  readonly around?: Partial<Surroundings>
}

const setUp = (setting: Setting = {}) => {
  const {depth = 1, clock = realClock, perTokenNs = 0, delayNs = 0, nodeEnds, around} = setting
  const requests = new RequestPool()
  const steps: StepRecord[] = []
  const rejected: [number, number, string][] = []
  const replica: Replica = new Replica({
    instance: 3,
    engine: new Engine({...calm, depth, maxModelLen: 50}, requests),
    requests,
    stepTime: (shape) => 10 * shape.sequences,
    nodeEnds,
    around: {lastEventAt: () => replica.idleSince, nextNodeEnd: () => never, ...around},
    frontEnd: {...noFrontEnd, perTokenNs, delayNs},
    clock,
    onStep: (step) => steps.push({...step, shape: {...step.shape}}),
  })
  const onRejected = (slot: number, now: number, reason: string) => {
    rejected.push([slot, now, reason])
  }
  const arrive = (now: number, input: number, output: number) => {
    const slot = requests.take()
    requests.input[slot] = input
    requests.total[slot] = input + output
    replica.arrive(slot, now, onRejected)
    return slot
  }
  /** Every event up to `until`. */
  const run = (until: number) => {
    while (replica.nextAt <= until) {
      const now = replica.nextAt
      replica.enter(now, onRejected)
      replica.complete(now)
      replica.plan(now)
    }
  }
  const spans = () => steps.map(({start, end}) => [start, end])
  return {replica, requests, steps, rejected, arrive, run, spans}
}

describe('Replica', () => {
  it('idles until somebody comes, and then plans at that instant', () => {
    const {replica, arrive, run, spans} = setUp()
    expect(replica.nextAt).equal(never)
    arrive(7, 4, 2)
    expect(replica.nextAt).equal(7)
    run(100)
    expect(spans()).deep.equal([
      [7, 17],
      [17, 27],
    ])
    expect(replica.nextAt).equal(never)
  })

  it('does not plan for an arrival while a batch runs', () => {
    const {replica, arrive, run, spans} = setUp()
    arrive(0, 4, 1)
    run(0)
    arrive(3, 4, 1)
    expect(replica.nextAt).equal(10)
    replica.plan(3)
    expect(spans()).deep.equal([[0, 10]])
    run(100)
    expect(spans()).deep.equal([
      [0, 10],
      [10, 20],
    ])
  })

  it('with two batches starts the second when the first ends, as it was planned', () => {
    const {arrive, run, steps, spans} = setUp({depth: 2})
    arrive(0, 4, 4)
    run(0)
    // Batches 1 and 2 are planned: the newcomer is in the third.
    arrive(3, 4, 1)
    run(100)
    expect(spans()).deep.equal([
      [0, 10],
      [10, 20],
      [20, 40],
      [40, 50],
    ])
    expect(steps.map(({shape}) => [shape.prefills, shape.decodes])).deep.equal([
      [1, 0],
      [0, 1],
      [1, 1],
      [0, 1],
    ])
  })

  it('shows a step with what its plan left', () => {
    const {arrive, run, steps} = setUp()
    arrive(0, 8, 1)
    run(0)
    const {shape, ...step} = steps[0]!
    expect(step).deep.equal({
      instance: 3,
      start: 0,
      end: 10,
      running: 1,
      waiting: 0,
      freeBlocks: 998,
      preempted: 0,
    })
    expect(shape.prefillTokens).equal(8)
  })

  it('says who was turned away, and when', () => {
    const {arrive, run, rejected} = setUp({delayNs: 5})
    const slot = arrive(1, 60, 1)
    run(100)
    expect(rejected).lengthOf(1)
    expect(rejected[0]!.slice(0, 2)).deep.equal([slot, 6])
  })

  it('takes a request out of its front end, and leaves the order of the others', () => {
    const {replica, arrive, run, spans} = setUp({perTokenNs: 1})
    const first = arrive(0, 20, 1)
    arrive(0, 5, 1)
    expect(replica.nextAt).equal(20)
    expect(replica.cancel(first, 0)).equal(0)
    // The tokenizer has worked for it all the same.
    expect(replica.nextAt).equal(25)
    run(100)
    expect(spans()).deep.equal([[25, 35]])
  })

  it('keeps a crowd in its front end in order, though some give up', () => {
    const {replica, requests, arrive, run} = setUp({perTokenNs: 1})
    const slots = Array.from({length: 2000}, () => arrive(0, 5, 1))
    run(4000)
    for (let i = 1000; i < 2000; i += 2) expect(replica.cancel(slots[i]!, 0)).equal(0)
    run(1e9)
    let latest = 0
    for (const [i, slot] of slots.entries()) {
      const scheduled = requests.scheduledAt[slot]!
      if (i >= 1000 && i % 2 === 0) expect(scheduled).NaN
      else {
        // It leaves the tokenizer in its turn, and nobody behind it is planned before.
        expect(scheduled).at.least(Math.max(latest, 5 * (i + 1)))
        latest = scheduled
      }
    }
    expect(replica.nextAt).equal(never)
  })

  it('notices work when its clock says so, since it idles', () => {
    const asked: number[][] = []
    const clock: ClockHooks = {
      firstIdle: (first) => first - 1,
      noticeAt: (idleSince, at) => {
        asked.push([idleSince, at])
        return at + 50
      },
    }
    const {arrive, run, spans} = setUp({clock})
    arrive(4, 4, 1)
    run(80)
    arrive(90, 4, 1)
    arrive(91, 4, 1)
    run(500)
    expect(spans()).deep.equal([
      [54, 64],
      [140, 160],
    ])
    expect(asked).deep.equal([
      [3, 4],
      [64, 90],
      [64, 91],
    ])
  })

  it('counts its idle time from the last end of any engine around it', () => {
    const asked: number[][] = []
    const clock: ClockHooks = {
      firstIdle: () => 0,
      noticeAt: (idleSince, at) => {
        asked.push([idleSince, at])
        return at
      },
    }
    const {arrive, run} = setUp({clock, around: {lastEventAt: () => 33}})
    arrive(40, 4, 1)
    run(100)
    expect(asked).deep.equal([[33, 40]])
  })

  it('notices work as something ends in another engine, whatever its own clock says', () => {
    const asked: number[] = []
    const clock: ClockHooks = {firstIdle: (first) => first, noticeAt: (_since, at) => at + 500}
    const nextNodeEnd = (at: number) => {
      asked.push(at)
      return at + 6
    }
    const {arrive, run, spans} = setUp({clock, around: {nextNodeEnd}})
    arrive(40, 4, 1)
    run(100)
    expect(asked).deep.equal([40])
    expect(spans()).deep.equal([[46, 56]])
  })

  it('shows what ends inside of the step that it executes, and nothing while it idles', () => {
    // Something ends every 4 ns after the start of the step.
    const nodeEnds: NodeEnds = (_shape, elapsed) => Math.ceil(elapsed / 4) * 4
    const {replica, arrive, run} = setUp({nodeEnds})
    expect(replica.nextNodeEnd(3)).equal(never)
    arrive(7, 4, 1)
    expect(replica.nextNodeEnd(7)).equal(never)
    run(7)
    expect([7, 8, 11, 12].map((at) => replica.nextNodeEnd(at))).deep.equal([7, 11, 11, 15])
    run(100)
    expect(replica.nextNodeEnd(18)).equal(never)
  })

  it('shows nothing where its step is not made of nodes', () => {
    const {replica, arrive, run} = setUp()
    arrive(0, 4, 1)
    run(0)
    expect(replica.nextNodeEnd(5)).equal(never)
  })
})
