/** Arrivals, sessions, clients that leave: what the virtual clock does with a trace. */
import {expect} from 'chai'
import fc from 'fast-check'
import {replay} from '#llmsim/cluster/replay.js'
import {closedLoop, openLoop} from '#llmsim/cluster/workload.js'
import {policies} from '#llmsim/engine/policy.js'
import {type Row, type Setting, serve, simulationOf, statusesOf, timesOf, traceOf} from './serve.js'

const never = Number.NaN
const policy = (name: string) => policies.find((known) => known.name === name)!

describe('replay: the front end', () => {
  it('delays a request before the engine, and its tokens behind it', () => {
    const {steps, ...run} = serve({
      rows: [{at: 5, output: 2}],
      frontEnd: {delayNs: 100, afterNs: 7},
    })
    // Engine: in at 105, steps 105–115 and 115–125.
    expect(steps.map(({start, end}) => [start, end])).deep.equal([
      [105, 115],
      [115, 125],
    ])
    expect(timesOf(run)).deep.equal([[5, 105, 122, 132]])
  })

  it('reads prompts one after the other, and waits for nobody after that', () => {
    const run = serve({
      // Tokenizer: 0–40, 40–60, 60–70, then idle, 200–210; 30 more to the engine.
      rows: [
        {at: 0, input: 40},
        {at: 0, input: 20},
        {at: 50, input: 10},
        {at: 200, input: 10},
      ],
      frontEnd: {perTokenNs: 1, delayNs: 30},
      stepTime: () => 1,
    })
    expect(timesOf(run).map(([, scheduled]) => scheduled)).deep.equal([70, 90, 100, 240])
  })

  it('rounds the time of a prompt to whole ns', () => {
    const run = serve({rows: [{at: 0, input: 3}], frontEnd: {perTokenNs: 0.5, delayNs: 10}})
    expect(timesOf(run)[0]).deep.equal([0, 12, 22, 22])
  })

  it('turns away what the engine turns away, when it gets there', () => {
    const run = serve({
      rows: [
        {at: 0, input: 50},
        {session: 0, at: 3, input: 50},
        {session: 0, think: 5, input: 4},
      ],
      engine: {maxModelLen: 20},
      frontEnd: {delayNs: 100},
    })
    expect(statusesOf(run)).deep.equal(['rejected', 'rejected', 'completed'])
    expect(run.outcomes.reasons.get(0)).match(/51 tokens.*max_model_len is 20/)
    // Turned away at 103, thought for 5.
    expect(timesOf(run)[2]).deep.equal([108, 208, 218, 218])
  })

  it('of every instance is its own', () => {
    const run = serve({
      rows: [
        {at: 0, input: 40},
        {at: 0, input: 40},
        {at: 0, input: 40},
      ],
      instances: 2,
      frontEnd: {perTokenNs: 1},
    })
    expect(timesOf(run).map(([, scheduled]) => scheduled)).deep.equal([40, 40, 80])
  })
})

describe('replay: order at equal times', () => {
  it('lets in who comes as a batch ends, and keeps out who comes 1 ns later', () => {
    const run = serve({rows: [{at: 0, output: 3}, {at: 10}, {at: 21}]})
    expect(timesOf(run).map(([, scheduled]) => scheduled)).deep.equal([0, 10, 30])
  })

  it('gives the seat of a finished request to one who comes at that instant', () => {
    const run = serve({rows: [{at: 0}, {at: 10}], engine: {maxNumSeqs: 1}})
    expect(timesOf(run)).deep.equal([
      [0, 0, 10, 10],
      [10, 10, 20, 20],
    ])
  })

  it('releases a turn without a pause into the plan of that very instant', () => {
    const run = serve({
      rows: [
        {session: 0, at: 0, output: 2},
        {session: 0, think: 0},
        {at: 0, output: 9},
      ],
    })
    expect(timesOf(run)[1]).deep.equal([20, 20, 30, 30])
    expect(run.steps.map(({start}) => start)).deep.equal([0, 10, 20, 30, 40, 50, 60, 70, 80])
  })

  it('takes arrivals before what completions release, both before the plan', () => {
    const run = serve({
      rows: [{session: 0, at: 0}, {session: 0, think: 0}, {at: 10}],
      engine: {maxNumSeqs: 1},
    })
    expect(run.arrived).deep.equal([0, 2, 1])
    expect(timesOf(run).map(([, scheduled]) => scheduled)).deep.equal([0, 20, 10])
  })

  it('never plans a turn that is released and cancelled in one instant', () => {
    const run = serve({
      rows: [
        {session: 0, at: 0},
        {session: 0, think: 0, leaves: 10},
        {session: 0, think: 0, leaves: 4},
        {session: 0, think: 0},
        {at: 0, output: 3},
      ],
    })
    expect(statusesOf(run)).deep.equal([
      'completed',
      'cancelled',
      'cancelled',
      'completed',
      'completed',
    ])
    expect(timesOf(run).slice(1, 4)).deep.equal([
      [10, never, never, 10],
      [10, never, never, 10],
      [10, 10, 20, 20],
    ])
    expect(run.steps.map(({shape}) => shape.tokens)).deep.equal([8, 5, 1])
  })

  it('completes by instance, and what that releases is planned with the rest', () => {
    const run = serve({
      rows: [
        {session: 0, at: 0},
        {session: 1, at: 0},
        {session: 1, think: 0},
        {session: 0, think: 0},
      ],
      instances: 2,
    })
    expect(run.left).deep.equal([0, 1, 2, 3])
    // Instance 0 is first to complete, so its session is first to be routed, both times to instance 0, 1.
    expect(run.arrived).deep.equal([0, 1, 2, 3])
    expect(run.outcomes.instance).deep.equal(Int32Array.of(0, 1, 0, 1))
    expect(timesOf(run).slice(2)).deep.equal([
      [10, 10, 20, 20],
      [10, 10, 20, 20],
    ])
  })
})

describe('replay: sessions', () => {
  it('releases turn after turn, each so long after the end of the one before', () => {
    const run = serve({
      rows: [
        {session: 0, at: 0, output: 2},
        {session: 1, at: 5, output: 1},
        {session: 0, think: 100},
        {session: 1, think: 1},
        {session: 0, think: 30, output: 3},
      ],
    })
    expect(run.arrived).deep.equal([0, 1, 3, 2, 4])
    expect(timesOf(run).map(([arrived]) => arrived)).deep.equal([0, 5, 120, 21, 160])
  })

  it('counts the pause from when the client has its answer', () => {
    const run = serve({
      rows: [
        {session: 0, at: 0},
        {session: 0, think: 100},
      ],
      frontEnd: {afterNs: 7, delayNs: 1},
    })
    expect(timesOf(run)[1]![0]).equal(1 + 10 + 7 + 100)
  })

  it('goes on after a turn that is rejected or cancelled', () => {
    const run = serve({
      rows: [
        {session: 0, at: 0, input: 500},
        {session: 0, think: 5, output: 40, leaves: 23},
        {session: 0, think: 5},
        {session: 0, think: 0, input: 500},
        {session: 0, think: 0},
      ],
      engine: {maxModelLen: 100},
    })
    expect(statusesOf(run)).deep.equal([
      'rejected',
      'cancelled',
      'completed',
      'rejected',
      'completed',
    ])
    // The batch that held the cancelled turn goes on to 25.
    expect(timesOf(run)).deep.equal([
      [0, never, never, never],
      [5, 5, 15, 23],
      [28, 28, 38, 38],
      [38, never, never, never],
      [38, 38, 48, 48],
    ])
  })

  it('may come back earlier than the next arrival of the trace', () => {
    const run = serve({
      rows: [{session: 0, at: 0}, {at: 1000}, {session: 0, think: 0}, {session: 0, think: 10}],
    })
    expect(run.arrived).deep.equal([0, 2, 3, 1])
  })
})

describe('replay: a closed loop', () => {
  it('has so many clients, who take the rows in order', () => {
    const run = serve({
      rows: [{output: 1}, {output: 4}, {output: 1}, {output: 2}, {output: 1}],
      workload: (trace) => closedLoop(trace, 2),
    })
    expect(run.arrived).deep.equal([0, 1, 2, 3, 4])
    expect(timesOf(run).map(([arrived, , , finished]) => [arrived, finished])).deep.equal([
      [0, 10],
      [0, 40],
      [10, 20],
      [20, 40],
      [40, 50],
    ])
  })

  it('takes the next row after one that is rejected, and stops after the last', () => {
    const run = serve({
      rows: [{input: 500}, {input: 500}, {}],
      engine: {maxModelLen: 100},
      workload: (trace) => closedLoop(trace, 1),
    })
    expect(statusesOf(run)).deep.equal(['rejected', 'rejected', 'completed'])
    expect(timesOf(run)[2]).deep.equal([0, 0, 10, 10])
  })

  it('needs no more clients than rows', () => {
    const run = serve({rows: [{}, {}], workload: (trace) => closedLoop(trace, 100)})
    expect(timesOf(run).map(([arrived]) => arrived)).deep.equal([0, 0])
  })
})

describe('replay: clients that leave', () => {
  const leaving = (leaves: number, setting: Partial<Setting> = {}) =>
    serve({rows: [{at: 10, input: 8, output: 4, leaves}], ...setting})

  it('before they come, or as they come, leave at once', () => {
    for (const leaves of [0, 9, 10]) {
      const run = leaving(leaves)
      expect(statusesOf(run)).deep.equal(['cancelled'])
      expect(timesOf(run)).deep.equal([[10, never, never, 10]])
      expect(run.steps).deep.equal([])
    }
  })

  it('in the front end never reach the engine', () => {
    const run = leaving(60, {frontEnd: {delayNs: 100}})
    expect(statusesOf(run)).deep.equal(['cancelled'])
    expect(run.steps).deep.equal([])
    expect(run.engines[0]!.freeBlocksAtEnd).equal(1000)
  })

  it('in the front end do not disturb those behind them', () => {
    // The third leaves at the instant it reaches the engine: cancels come before plans.
    const run = serve({
      rows: [{at: 0, leaves: 50}, {at: 0}, {at: 0, leaves: 100}, {at: 0}],
      frontEnd: {delayNs: 100},
    })
    expect(timesOf(run).map(([, scheduled]) => scheduled)).deep.equal([never, 100, never, 100])
  })

  it('while they wait are never scheduled', () => {
    const run = serve({
      rows: [
        {at: 0, output: 5},
        {at: 0, leaves: 20},
      ],
      engine: {maxNumSeqs: 1},
    })
    expect(timesOf(run)[1]).deep.equal([0, never, never, 20])
  })

  it('in flight keep what they got, and lose what they did not', () => {
    // Steps end at 20, 30, 40 and 50; the token that would come at the instant of leaving is lost.
    for (const [leaves, produced] of [
      [15, 0],
      [20, 0],
      [21, 1],
      [40, 2],
      [49, 3],
      [50, 3],
    ] as const) {
      const run = leaving(leaves)
      expect(statusesOf(run), String(leaves)).deep.equal(['cancelled'])
      expect(run.outcomes.producedTokens[0], String(leaves)).equal(produced)
      expect(run.engines[0]!.freeBlocksAtEnd).equal(1000)
    }
  })

  it('after the end change nothing', () => {
    for (const leaves of [51, 1000]) expect(timesOf(leaving(leaves))).deep.equal([[10, 10, 20, 50]])
  })

  it('leave once, though their slot is soon taken by another', () => {
    const run = serve({rows: [{at: 0, leaves: 25}, {at: 20, output: 3}, {at: 25}]})
    expect(statusesOf(run)).deep.equal(['completed', 'completed', 'completed'])
  })
})

describe('replay: what policies are told', () => {
  const order = (name: string, rows: readonly Row[]) => {
    const run = serve({
      rows: [{at: 0}, ...rows.map((row) => ({at: 1, ...row}))],
      engine: {maxNumSeqs: 1, policy: policy(name)},
    })
    return run.left.slice(1).map((row) => row - 1)
  }

  it('the priority, 0 where there is none', () => {
    expect(order('priority', [{priority: 2}, {}, {priority: -1}])).deep.equal([2, 1, 0])
  })

  it('the predicted output, and the prompt where nobody predicted', () => {
    expect(order('sjf', [{input: 9}, {input: 5}, {input: 7}])).deep.equal([1, 2, 0])
    expect(order('sjf', [{input: 9}, {input: 5, predicted: 6}, {input: 3}])).deep.equal([2, 1, 0])
    // A trace holds 0 where its column is empty: that is no prediction of nothing.
    expect(
      order('sjf', [
        {input: 9, predicted: 0},
        {input: 50, predicted: 3},
      ]),
    ).deep.equal([1, 0])
    expect(
      order('sjf', [
        {input: 9, predicted: -7},
        {input: 50, predicted: 3},
      ]),
    ).deep.equal([1, 0])
  })
})

const rows: fc.Arbitrary<Row[]> = fc
  .array(
    fc.record({
      gap: fc.oneof(fc.constant(0), fc.integer({min: 0, max: 60})),
      input: fc.integer({min: 1, max: 40}),
      output: fc.integer({min: 1, max: 30}),
      priority: fc.integer({min: 0, max: 2}),
      stay: fc.option(fc.integer({min: 0, max: 500}), {nil: undefined, freq: 5}),
    }),
    {minLength: 1, maxLength: 30},
  )
  .map((list) => {
    let at = 0
    return list.map(({gap, stay, ...row}) => {
      at += gap
      return {at, ...row, ...(stay === undefined ? {} : {leaves: at + stay})}
    })
  })

/** Every third row follows the one three before it, often without a pause. */
const turns = fc.tuple(rows, fc.constantFrom(0, 0, 1, 30)).map(([rows, pause]) =>
  rows.map((row, i): Row => {
    if (i % 3 > 0) return row
    const {at, ...rest} = row
    return i === 0 ? {...row, session: 0} : {...rest, session: 0, think: pause}
  }),
)

const settings = fc.record({
  instances: fc.integer({min: 1, max: 3}),
  router: fc.constantFrom('least-requests', 'round-robin'),
  frontEnd: fc.constantFrom({}, {delayNs: 35, perTokenNs: 1, afterNs: 3}),
  engine: fc.record({
    numGpuBlocks: fc.integer({min: 20, max: 60}),
    maxNumSeqs: fc.integer({min: 1, max: 8}),
    maxNumBatchedTokens: fc.integer({min: 8, max: 64}),
    depth: fc.constantFrom(1, 2),
    policy: fc.constantFrom(...policies),
  }),
})

describe('replay, on any trace', () => {
  const stepTime: Setting['stepTime'] = (shape) => 5 + shape.tokens + (shape.decodeContext >> 3)

  it('is the same for engines on their own and in lockstep, by single steps and by leaps', () => {
    fc.assert(
      fc.property(rows, settings, (rows, setting) => {
        const trace = traceOf(rows)
        const full: Setting = {...setting, rows, stepTime}
        const run = (coupling: 'independent' | 'lockstep', onStep?: () => void) =>
          replay({
            trace,
            simulation: {...simulationOf(full), ...(onStep && {onStep})},
            workload: {...openLoop(trace), coupling},
          })
        const wanted = run('independent', () => {})
        for (const other of [run('independent'), run('lockstep'), run('lockstep', () => {})])
          expect(other).deep.equal(wanted)
      }),
      {numRuns: 200, seed: 1},
    )
  })

  it('is the same for turns that are released and for requests that come at those times', () => {
    fc.assert(
      fc.property(turns, settings, (rows, setting) => {
        const full: Setting = {...setting, rows, instances: 1, stepTime}
        const released = serve(full)
        const times = timesOf(released)
        const asRows = released.arrived.map((row): Row => {
          const {session: _, think: __, ...rest} = rows[row]!
          return {...rest, at: times[row]![0]!}
        })
        const given = serve({...full, rows: asRows})
        expect(timesOf(given)).deep.equal(released.arrived.map((row) => times[row]!))
        expect(given.steps).deep.equal(released.steps)
      }),
      {numRuns: 300, seed: 1},
    )
  })

  it('ends every request, gives every block back, and does so again', () => {
    fc.assert(
      fc.property(turns, settings, (rows, setting) => {
        const full: Setting = {...setting, rows, stepTime}
        const run = serve(full)
        expect(statusesOf(run)).not.include('pending')
        for (const engine of run.engines) expect(engine.freeBlocksAtEnd).equal(engine.blocks)
        expect([...run.left].sort((a, b) => a - b)).deep.equal(rows.map((_, row) => row))
        expect(serve(full)).deep.equal(run)
      }),
      {numRuns: 150, seed: 1},
    )
  })
})
