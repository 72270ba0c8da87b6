import {expect} from 'chai'
import fc from 'fast-check'
import {StampedHeap} from '#llmsim/engine/heap.js'

const tags = 8

describe('StampedHeap', () => {
  it('is empty at first', () => {
    expect(new StampedHeap().top(new Float64Array(1))).equal(Number.POSITIVE_INFINITY)
  })

  it('forgets what was stamped anew', () => {
    const heap = new StampedHeap()
    const stamps = Float64Array.of(1, 1)
    heap.push(5, 0, 1)
    heap.push(7, 1, 1)
    stamps[0] = 2
    expect(heap.top(stamps)).equal(7)
    heap.push(9, 0, 2)
    expect(heap.top(stamps)).equal(7)
    expect(heap.take()).equal(1)
    expect(heap.top(stamps)).equal(9)
  })

  it('finds the smallest live rank after any history', () => {
    const action = fc.record({
      tag: fc.nat(tags - 1),
      rank: fc.integer({min: -20, max: 20}),
      does: fc.constantFrom('join', 'join', 'leave', 'trim', 'take'),
    })
    fc.assert(
      fc.property(fc.array(action, {maxLength: 400}), (actions) => {
        const heap = new StampedHeap()
        const stamps = new Float64Array(tags)
        const live = new Map<number, number>()
        const smallest = () => Math.min(Number.POSITIVE_INFINITY, ...live.values())
        for (const {tag, rank, does} of actions) {
          if (does === 'join') {
            live.set(tag, rank)
            heap.push(rank, tag, ++stamps[tag]!)
          } else if (does === 'leave') {
            live.delete(tag)
            stamps[tag]!++
          } else if (does === 'trim') heap.trim(stamps, live.size)
          else if (live.size > 0) {
            heap.top(stamps)
            const taken = heap.take()
            expect(live.get(taken)).equal(smallest())
            live.delete(taken)
            stamps[taken]!++
          }
          expect(heap.top(stamps)).equal(smallest())
        }
      }),
      {numRuns: 200, seed: 1},
    )
  })

  it('does not keep what is stale for ever, and pays for cleaning once', () => {
    const heap = new StampedHeap()
    const stamps = new Float64Array(1)
    for (let i = 1; i <= 10_000; i++) {
      // A rising rank stays below the top, where nobody would ever come across it.
      heap.push(i, 0, ++stamps[0]!)
      heap.trim(stamps, 1)
    }
    expect(heap.top(stamps)).equal(10_000)
    expect(heap.work).lessThan(10_000 * 4)
  })
})
