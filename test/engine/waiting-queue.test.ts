import {expect} from 'chai'
import fc from 'fast-check'
import {WaitingQueue} from '#llmsim/engine/waiting-queue.js'

const drain = (queue: WaitingQueue): number[] => {
  const slots: number[] = []
  while (queue.size > 0) {
    slots.push(queue.head())
    queue.shift()
  }
  return slots
}

describe('WaitingQueue', () => {
  it('has no head when nobody waits', () => {
    const queue = new WaitingQueue({ticket: new Float64Array(100)})
    expect(queue.head()).equal(-1)
    queue.arrive(3, 0)
    queue.remove(3)
    expect([queue.head(), queue.size]).deep.equal([-1, 0])
  })

  it('numbers arrivals and serves equals in that order', () => {
    const queue = new WaitingQueue({ticket: new Float64Array(100)})
    expect([9, 4, 7].map((slot) => queue.arrive(slot, 0))).deep.equal([1, 2, 3])
    expect(drain(queue)).deep.equal([9, 4, 7])
  })

  it('goes by key first, then preempted before fresh, the latest preempted first', () => {
    const queue = new WaitingQueue({ticket: new Float64Array(100)})
    for (const slot of [0, 1, 2, 3, 4]) queue.arrive(slot, slot === 4 ? -1 : 0)
    expect(queue.head()).equal(4)
    for (const slot of [1, 2]) queue.remove(slot)
    queue.comeBack(1, 0)
    queue.comeBack(2, 0)
    expect(drain(queue)).deep.equal([4, 2, 1, 0, 3])
  })

  it('does not mistake a recycled slot for the one that left', () => {
    const queue = new WaitingQueue({ticket: new Float64Array(100)})
    queue.arrive(0, 0)
    queue.arrive(1, 0)
    queue.remove(0)
    queue.arrive(0, 0)
    expect(queue.size).equal(2)
    expect(drain(queue)).deep.equal([1, 0])
  })

  it('is a sorted list, whatever happens', () => {
    const action = fc.record({
      slot: fc.nat(99),
      key: fc.integer({min: -1, max: 2}),
      does: fc.constantFrom('arrive', 'arrive', 'come back', 'remove', 'shift'),
    })
    fc.assert(
      fc.property(fc.array(action, {maxLength: 300}), (actions) => {
        const queue = new WaitingQueue({ticket: new Float64Array(100)})
        const list: {slot: number; key: number; turn: number}[] = []
        let arrivals = 0
        let preemptions = 0
        for (const {slot, key, does} of actions) {
          const at = list.findIndex((waiting) => waiting.slot === slot)
          if (does === 'shift') {
            expect(queue.head()).equal(list[0]?.slot ?? -1)
            if (list.shift()) queue.shift()
          } else if (does === 'remove' && at >= 0) {
            list.splice(at, 1)
            queue.remove(slot)
          } else if (at < 0 && does === 'arrive') {
            list.push({slot, key, turn: ++arrivals})
            expect(queue.arrive(slot, key)).equal(arrivals)
          } else if (at < 0 && does === 'come back') {
            list.push({slot, key, turn: -++preemptions})
            queue.comeBack(slot, key)
          }
          list.sort((a, b) => a.key - b.key || a.turn - b.turn)
          expect([queue.size, queue.head()]).deep.equal([list.length, list[0]?.slot ?? -1])
        }
        expect(drain(queue)).deep.equal(list.map(({slot}) => slot))
      }),
      {numRuns: 200, seed: 1},
    )
  })
})
