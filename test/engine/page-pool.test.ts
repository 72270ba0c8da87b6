import {expect} from 'chai'
import {BlockNames} from '#llmsim/engine/block-names.js'
import {PagePool} from '#llmsim/engine/page-pool.js'

/** A pool of 20 pages, in which blocks 0, 1 and 2 of stretch 7 lie, of two pages each, all held once. */
const threeBlocks = () => {
  const pool = new PagePool(20)
  const names = new BlockNames()
  pool.take(6)
  const nodes = [0, 1, 2].map((block) => pool.enter(names, 7, block, 2))
  return {pool, names, nodes}
}

describe('a look-up that a pool of pages watches', () => {
  it('costs what nobody holds, and that changes with who does', () => {
    const {pool, nodes} = threeBlocks()
    const [first, second] = nodes as [number, number]
    pool.release(second)
    pool.startWatch()
    pool.watch(first)
    pool.watch(second)
    expect(pool.unheld).equal(2)
    pool.release(first)
    expect(pool.unheld).equal(4)
    pool.hold(second)
    expect(pool.unheld).equal(2)
    pool.hold(second)
    pool.release(second)
    expect(pool.unheld).equal(2)
    expect(pool.isStale).equal(false)
  })

  it('does not change with blocks that it did not find', () => {
    const {pool, names, nodes} = threeBlocks()
    pool.startWatch()
    pool.watch(nodes[0]!)
    pool.release(nodes[1]!)
    pool.hold(nodes[1]!)
    pool.release(nodes[1]!)
    expect(pool.unheld).equal(0)
    pool.take(pool.free)
    expect(names.find(7, 1)).equal(-1)
    expect(pool.isStale).equal(false)
  })

  it('is stale as soon as a page is taken of a block that it found', () => {
    const {pool, names, nodes} = threeBlocks()
    pool.startWatch()
    pool.watch(nodes[2]!)
    pool.release(nodes[2]!)
    pool.take(pool.free - 2)
    expect(pool.isStale).equal(false)
    pool.take(1)
    expect(pool.isStale).equal(true)
    expect(names.find(7, 2)).equal(-1)
  })

  it('is stale when a newer block takes the name of one that it found', () => {
    const {pool, names, nodes} = threeBlocks()
    pool.startWatch()
    pool.watch(nodes[2]!)
    pool.take(2)
    const newer = pool.enter(names, 7, 2, 2)
    expect(names.find(7, 2)).equal(newer)
    expect(pool.isStale).equal(true)
  })

  it('is stale when nobody will look for its stretch again', () => {
    const {pool, names, nodes} = threeBlocks()
    pool.startWatch()
    pool.watch(nodes[1]!)
    pool.forget(names, 8)
    expect(pool.isStale).equal(false)
    pool.forget(names, 7)
    expect(pool.isStale).equal(true)
  })

  it('holds no pages in which nothing can be found', () => {
    const {pool, names, nodes} = threeBlocks()
    pool.forget(names, 7)
    expect(() => pool.hold(nodes[0]!)).throw('nothing can be found in these pages')
  })
})
