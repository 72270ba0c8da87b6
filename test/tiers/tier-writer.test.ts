/** What waits to be written, and what is turned away. */
import {expect} from 'chai'
import {TierPool} from '#llmsim/tiers/tier-pool.js'
import {TierWriter} from '#llmsim/tiers/tier-writer.js'

const writerOf = (capacity: number, maxPending: number) => {
  const pool = new TierPool(capacity)
  return {pool, writer: new TierWriter({name: 'cpu', pool, write: 'through', maxPending})}
}

describe('TierWriter', () => {
  it('leaves out what the pool has', () => {
    const {pool, writer} = writerOf(20, 20)
    pool.enter([7, 2, 4], [])
    writer.offer([7, 0, 6])
    expect(writer.take()).equal(4)
    expect(writer.underWay).deep.equal([7, 4, 6, 7, 0, 2])
  })

  it('turns away what is more than may wait, the first blocks of a run last', () => {
    const {writer} = writerOf(20, 3)
    writer.offer([7, 0, 2])
    writer.offer([8, 0, 5])
    expect([writer.pending, writer.dropped]).deep.equal([3, 4])
    writer.take()
    expect(writer.underWay).deep.equal([7, 0, 2, 8, 4, 5])
  })

  it('never holds more than the pool', () => {
    const {writer} = writerOf(2, 50)
    writer.offer([7, 0, 5])
    expect([writer.pending, writer.dropped]).deep.equal([2, 3])
  })

  it('takes nothing while something is under way', () => {
    const {writer} = writerOf(20, 20)
    writer.offer([7, 0, 2])
    expect(writer.take()).equal(2)
    writer.offer([7, 5, 6])
    expect([writer.take(), writer.pending]).deep.equal([0, 1])
    writer.underWay = []
    expect(writer.take()).equal(1)
  })
})
