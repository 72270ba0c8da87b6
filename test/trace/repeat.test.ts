import {expect} from 'chai'
import {repeat} from '#llmsim/trace/repeat.js'
import type {Trace} from '#llmsim/trace/trace.js'

const plain: Trace = {
  length: 3,
  arrivedAt: Float64Array.of(5, 7, Number.NaN),
  inputTokens: Int32Array.of(10, 20, 30),
  outputTokens: Int32Array.of(1, 2, 3),
  notes: [],
  format: 'test',
}

describe('a trace that follows itself', () => {
  it('has its rows again, a round later each time', () => {
    const {length, arrivedAt, inputTokens, outputTokens} = repeat(plain, {count: 3, ns: 100})
    expect(length).equal(9)
    expect([...arrivedAt]).deep.equal([
      5,
      7,
      Number.NaN,
      105,
      107,
      Number.NaN,
      205,
      207,
      Number.NaN,
    ])
    expect([...inputTokens]).deep.equal([10, 20, 30, 10, 20, 30, 10, 20, 30])
    expect([...outputTokens]).deep.equal([1, 2, 3, 1, 2, 3, 1, 2, 3])
  })

  it('has sessions, names and cancellations of its own in each round', () => {
    const trace = repeat(
      {
        ...plain,
        requestId: ['a', 'b', 'c'],
        session: {codes: Int32Array.of(1, -1, 1), names: ['unused', 's']},
        cancelledAt: Float64Array.of(Number.NaN, 9, Number.NaN),
      },
      {count: 2, ns: 100},
    )
    expect(new Set(trace.requestId).size).equal(6)
    expect(trace.requestId!.slice(0, 3)).deep.equal(['a', 'b', 'c'])
    expect([...trace.session!.codes]).deep.equal([1, -1, 1, 3, -1, 3])
    expect(new Set(trace.session!.names).size).equal(4)
    expect([...trace.cancelledAt!].filter((ns) => !Number.isNaN(ns))).deep.equal([9, 109])
  })

  it('shares prefixes within a round alone', () => {
    const prefix = {
      spanTokens: 16,
      offsets: Float64Array.of(0, 2, 4, 4),
      ids: Float64Array.of(2 ** 53 - 2, 7, 2 ** 53 - 2, 8),
      knownTokens: Int32Array.of(32, 32, 0),
    }
    const {ids, offsets, knownTokens} = repeat({...plain, prefix}, {count: 2, ns: 100}).prefix!
    expect([...offsets]).deep.equal([0, 2, 4, 4, 6, 8, 8])
    expect([...knownTokens]).deep.equal([32, 32, 0, 32, 32, 0])
    const [first, second] = [ids.subarray(0, 4), ids.subarray(4)]
    for (const round of [first, second]) {
      expect(round[0]).equal(round[2])
      expect(new Set(round).size).equal(3)
      for (const id of round) expect(Number.isSafeInteger(id)).equal(true)
    }
    expect(first.some((id) => second.includes(id))).equal(false)
  })
})
