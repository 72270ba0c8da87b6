import {expect} from 'chai'
import fc from 'fast-check'
import {SlotHeap} from '#llmsim/engine/heap.js'

describe('SlotHeap', () => {
  it('is empty at first, and when all have left', () => {
    const heap = new SlotHeap()
    expect(heap.top).equal(Number.POSITIVE_INFINITY)
    heap.push(3, 7)
    heap.remove(3)
    expect(heap.top).equal(Number.POSITIVE_INFINITY)
  })

  it('lets any slot leave, not only the smallest', () => {
    const heap = new SlotHeap()
    for (const [slot, rank] of [
      [0, 5],
      [1, 3],
      [2, 8],
      [3, 3],
    ] as const)
      heap.push(slot, rank)
    const tops = [1, 2, 0, 3].map((slot) => {
      heap.remove(slot)
      return heap.top
    })
    expect(tops).deep.equal([3, 3, 3, Number.POSITIVE_INFINITY])
  })

  it('lets what moves into a gap rise as well as sink', () => {
    // Ranks as they lie; the last takes the place of the 13 and must go up past the 11 and the 10.
    const ranks = [0, 10, 1, 11, 12, 2, 4, 13, 14, 15, 16, 3]
    const heap = new SlotHeap()
    for (const [slot, rank] of ranks.entries()) heap.push(slot, rank)
    heap.remove(ranks.indexOf(13))
    const order: number[] = []
    for (const rank of [0, 1, 2, 3, 4]) {
      heap.remove(ranks.indexOf(rank))
      order.push(heap.top)
    }
    expect(order).deep.equal([1, 2, 3, 4, 10])
  })

  it('finds the smallest rank after any history', () => {
    const action = fc.record({
      slot: fc.nat(150),
      rank: fc.integer({min: -20, max: 20}),
      does: fc.constantFrom('push', 'push', 'remove'),
    })
    fc.assert(
      fc.property(fc.array(action, {maxLength: 600, size: 'max'}), (actions) => {
        const heap = new SlotHeap()
        const inside = new Map<number, number>()
        for (const {slot, rank, does} of actions) {
          if (does === 'push' && !inside.has(slot)) {
            heap.push(slot, rank)
            inside.set(slot, rank)
          } else if (inside.delete(slot)) heap.remove(slot)
          expect(heap.top).equal(Math.min(Number.POSITIVE_INFINITY, ...inside.values()))
        }
      }),
      {numRuns: 200, seed: 1},
    )
  })

  it('costs a logarithm for who comes and who leaves', () => {
    const heap = new SlotHeap()
    const count = 10_000
    for (let slot = 0; slot < count; slot++) heap.push(slot, -slot)
    for (let slot = 0; slot < count; slot += 2) heap.remove(slot)
    expect(heap.top).equal(1 - count)
    expect(heap.work).lessThan(1.5 * count * Math.log2(count))
    // A rank that is no smaller than those before it has nothing to do.
    const before = heap.work
    heap.push(count, 1)
    expect(heap.work - before).equal(1)
  })
})
