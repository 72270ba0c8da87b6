import {strict as assert} from 'node:assert'
import {findCause} from '#llmsim/report/diagnosis.js'
import {engine} from './build-run.js'

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

  it('is KV blocks, with seats and blocks of the time when requests were held back', () => {
    const engines = [
      held({seats: 0, blocks: 8 * second, budget: 0}, {preemptions: 194, runningNs: second}),
    ]
    const {bound, cause, held_back} = findCause(engines)
    assert.equal(bound, 'kv')
    assert.equal(held_back, 0.8)
    assert.match(cause, /^KV-bound: 37 of 256 seats, 96 % of blocks; .*80 %/)
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
