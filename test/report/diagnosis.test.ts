import {strict as assert} from 'node:assert'
import {findCause, findSteadyState} from '#llmsim/report/diagnosis.js'
import {buildRun, engine, type Row} from './build-run.js'

const second = 1e9

describe('the cause of a run', () => {
  const held = (heldBack: {seats: number; blocks: number; budget: number}, fields = {}) =>
    engine({
      blocks: 1000,
      maxNumSeqs: 256,
      busyNs: 10 * second,
      heldBack,
      heldBackRunningNs: 37 * 8 * second,
      heldBackBlocksNs: 960 * 8 * second,
      ...fields,
    })

  it('is KV blocks, with seats, blocks and preemptions of the time when requests were held back', () => {
    const engines = [
      held({seats: 0, blocks: 8 * second, budget: 0}, {preemptions: 194, runningNs: second}),
    ]
    const {bound, cause, held_back} = findCause(engines)
    assert.equal(bound, 'kv')
    assert.equal(held_back, 0.8)
    assert.match(cause, /^KV-bound: 37 of 256 seats, 96 % of blocks; 194 preemptions; .*80 %/)
  })

  it('is whatever held requests back the longest', () => {
    const seats = findCause([held({seats: 5 * second, blocks: 2 * second, budget: second})])
    assert.equal(seats.bound, 'seats')
    assert.match(seats.cause, /^seat-bound: 37 of 256 seats \(max_num_seqs\), 96 % of blocks/)
    const budget = findCause([held({seats: 0, blocks: second, budget: 7 * second})])
    assert.equal(budget.bound, 'budget')
    assert.match(budget.cause, /token budget.*max_num_batched_tokens.*37 of 256 seats/)
  })

  it('averages several engines, weighted by the time and size of each', () => {
    const large = held(
      {seats: 0, blocks: 6 * second, budget: 0},
      {
        blocks: 3000,
        heldBackRunningNs: 100 * 6 * second,
        heldBackBlocksNs: 3000 * 6 * second,
      },
    )
    const small = held(
      {seats: 0, blocks: 2 * second, budget: 0},
      {
        heldBackRunningNs: 20 * 2 * second,
        heldBackBlocksNs: 500 * 2 * second,
      },
    )
    // (100·6 + 20·2)/8 seats; (3000·6 + 500·2)/(3000·6 + 1000·2) of blocks
    assert.match(findCause([large, small]).cause, /: 80 of 256 seats, 95 % of blocks/)
  })

  it('is nothing where hardly anybody waited', () => {
    const idle = engine({
      blocks: 1000,
      busyNs: 10 * second,
      runningNs: 50 * second,
      blocksNs: 1200 * second,
      heldBack: {seats: 0, blocks: 0.4 * second, budget: 0},
    })
    const {bound, cause} = findCause([idle])
    assert.equal(bound, 'none')
    assert.match(
      cause,
      /^not saturated.*only 4\.0 % of busy time; on average 5 of 256 seats, 12 % of blocks$/,
    )
    const never = findCause([{...idle, heldBack: {seats: 0, blocks: 0, budget: 0}}])
    assert.match(
      never.cause,
      /no request waited for a seat, blocks or the token budget; on average/,
    )
  })

  it('of a run without steps says so', () => {
    assert.deepEqual(findCause([engine()]), {
      bound: 'none',
      held_back: null,
      cause: 'nothing ran: no engine executed a step',
    })
  })
})

/** One server, first come first served, a fixed service time; arrivals as given (ms). */
function queueRun(arrivals: readonly number[], serviceMs: number) {
  let free = 0
  const rows = arrivals.map((arrived): Row => {
    const scheduled = Math.max(free, arrived)
    free = scheduled + serviceMs
    return {arrived, scheduled, first: scheduled + 1, finished: free, input: 900, output: 100}
  })
  return findSteadyState(buildRun(rows), 1)
}

const every = (gap: number, count: number): number[] =>
  Array.from({length: count}, (_, i) => i * gap)

/** Exponential gaps from a fixed linear congruence: the same arrivals in every run of the test. */
function poisson(meanGap: number, count: number, seed: number): number[] {
  let state = seed
  let at = 0
  return Array.from({length: count}, () => {
    state = (state * 1103515245 + 12345) % 2 ** 31
    at += -Math.log((state + 1) / (2 ** 31 + 1)) * meanGap
    return at
  })
}

describe('steady state', () => {
  it('is missed by a trace that asks more than is served', () => {
    // A request of 1,000 tokens every 80 ms asks 12.5k tok/s; one per 130 ms serves 7.7k tok/s.
    const state = queueRun(every(80, 1000), 130)!
    assert.equal(state.growing, true)
    assert.equal(
      state.warning,
      'queue still growing: no steady state, the engine sustains 7.7k tok/s, this trace asks 13k',
    )
    assert.ok(Math.abs(state.asked_tokens_per_s - 1e6 / (0.08 * 999)) < 1e-6)
    assert.ok(Math.abs(state.served_tokens_per_s / (1000 / 0.13) - 1) < 0.01)
  })

  it('holds where the server keeps up', () => {
    const state = queueRun(every(130, 1000), 120)!
    assert.equal(state.growing, false)
    assert.equal(state.warning, undefined)
  })

  it('is not mistaken under a heavy but bearable random load', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const state = queueRun(poisson(100, 3000, seed * 7919), 80)!
      assert.equal(state.growing, false, `seed ${seed}`)
    }
  })

  it('is missed under random overload', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const state = queueRun(poisson(100, 3000, seed * 7919), 125)!
      assert.equal(state.growing, true, `seed ${seed}`)
    }
  })

  it('is not missed because of one burst at the end', () => {
    const calm = every(100, 300)
    const burst = every(1, 60).map((at) => 30_000 + at)
    assert.equal(queueRun([...calm, ...burst], 90)!.growing, false)
  })

  it('is no question when all arrive at once, or too few', () => {
    assert.equal(queueRun(every(0, 500), 10), undefined)
    assert.equal(queueRun(every(10, 20), 100), undefined)
  })

  it('is a question of those alone that came by themselves', () => {
    const rows = every(100, 600).map((arrived, i): Row => {
      // Every second request waits longer and longer, the others are served at once.
      const scheduled = arrived + (i % 2 === 0 ? i * 50 : 0)
      return {arrived, scheduled, first: scheduled + 1, finished: scheduled + 2, input: 100}
    })
    const run = buildRun(rows)
    const growing = (isOpen: (row: number) => boolean) =>
      findSteadyState({...run, isOpen}, 1)?.growing
    assert.equal(
      growing((row) => row % 2 === 0),
      true,
    )
    assert.equal(
      growing((row) => row % 2 === 1),
      false,
    )
    assert.equal(
      growing(() => false),
      undefined,
    )
  })

  it('counts what was never scheduled as waiting to the end', () => {
    const rows = every(100, 300).map((arrived, i): Row => {
      if (i < 60) return {arrived, scheduled: arrived, first: arrived + 5, finished: arrived + 90}
      return {arrived, status: 3, finished: arrived + 600 * i}
    })
    const state = findSteadyState(buildRun(rows), 2)!
    assert.equal(state.growing, true)
    assert.match(state.warning!, /the 2 engines sustain/)
  })
})
