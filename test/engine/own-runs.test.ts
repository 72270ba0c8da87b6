import {expect} from 'chai'
import fc from 'fast-check'
import {BlockPool} from '#llmsim/engine/block-pool.js'
import {FreeList, kind, none} from '#llmsim/engine/free-list.js'
import {OwnRuns} from '#llmsim/engine/own-runs.js'
import {type Block, BlockPool as PlainPool} from '../reference/block-pool.js'

/** Runs from head to tail as `[low, top)+dead`, `own` ones with their owner; empties the list. */
const drain = (list: FreeList, own: OwnRuns): string[] => {
  const runs: string[] = []
  for (let node = list.head; node !== none; node = list.head) {
    const {low, top, dead} = list
    const name = list.kind[node] === kind.own ? `${own.ownerOf(node)}: ` : ''
    runs.push(`${name}[${low[node]}, ${top[node]})+${dead[node]}`)
    list.unlink(node)
  }
  return runs
}

const setUp = () => {
  const list = new FreeList()
  const own = new OwnRuns(list)
  return {list, own, left: () => drain(list, own)}
}

describe('OwnRuns', () => {
  it('finds what follows from a block on, as far as asked, for the owner alone', () => {
    const {own} = setUp()
    own.append(5, 2, 8)
    expect([
      own.count(5, 2, 99),
      own.count(5, 2, 4),
      own.count(5, 2, 2),
      own.count(5, 0, 99),
      own.count(6, 2, 99),
    ]).deep.equal([6, 2, 0, 0, 0])
  })

  it('walks the runs of several preemptions as one, if they touch', () => {
    const {own} = setUp()
    own.append(5, 6, 9)
    own.append(5, 4, 6)
    expect([own.count(5, 4, 99), own.count(5, 4, 7)]).deep.equal([5, 3])
    own.append(5, 1, 3)
    expect(own.count(5, 1, 99)).equal(2)
  })

  it('lets the owner hold its first blocks; the rest keeps its place', () => {
    const {list, own, left} = setUp()
    own.append(5, 0, 6)
    own.append(6, 0, 2)
    own.hold(5, 0, 4)
    expect(list.size(list.head)).equal(2)
    expect(left()).deep.equal(['5: [4, 6)+0', '6: [0, 2)+0'])
  })

  it('lets it hold over several runs, and take none out that it does not reach', () => {
    const {own, left} = setUp()
    own.append(5, 6, 9)
    own.append(5, 4, 6)
    own.append(5, 0, 4)
    own.hold(5, 0, 7)
    expect(own.count(5, 7, 99)).equal(2)
    expect(left()).deep.equal(['5: [7, 9)+0'])
  })

  it('has nothing to do for none, or for who owns nothing', () => {
    const {own, left} = setUp()
    own.hold(5, 0, 0)
    own.replace(5, 3)
    own.forget(5)
    expect(own.work).equal(0)
    own.append(5, 0, 2)
    own.hold(6, 0, 0)
    own.replace(6, 9)
    own.forget(6)
    expect(left()).deep.equal(['5: [0, 2)+0'])
  })

  it('counts blocks that were computed anew as dead, in their places', () => {
    const {own, left} = setUp()
    own.append(5, 2, 8)
    own.replace(5, 2)
    expect(own.count(5, 2, 99)).equal(6)
    own.replace(5, 5)
    expect([own.count(5, 2, 99), own.count(5, 5, 99)]).deep.equal([0, 3])
    own.replace(5, 4)
    expect(left()).deep.equal(['5: [5, 8)+3'])
  })

  it('makes a run plain in which nothing can be found any more', () => {
    for (const lose of [(own: OwnRuns) => own.replace(5, 8), (own: OwnRuns) => own.forget(5)]) {
      const {own, left} = setUp()
      own.append(5, 2, 8)
      own.append(5, 0, 2)
      lose(own)
      expect(own.count(5, 0, 99)).equal(0)
      expect(left()).deep.equal(['[8, 8)+6', '[2, 2)+2'])
    }
  })

  it('is eaten from the top, the dead after what can be found', () => {
    const {list, own, left} = setUp()
    own.append(5, 2, 8)
    own.replace(5, 4)
    const node = list.head
    own.eat(node, 3)
    expect(own.count(5, 4, 99)).equal(1)
    own.eat(node, 2)
    expect(own.count(5, 4, 99)).equal(0)
    expect([list.kind[node], list.size(node)]).deep.equal([kind.plain, 1])
    expect(left()).deep.equal(['[4, 4)+1'])
  })

  it('goes when it is eaten up, and its node is used again', () => {
    const {list, own, left} = setUp()
    own.append(5, 0, 3)
    own.append(5, 7, 9)
    const node = list.head
    own.eat(node, 3)
    expect(own.count(5, 7, 99)).equal(2)
    own.append(6, 0, 1)
    expect(own.ownerOf(node)).equal(6)
    expect(left()).deep.equal(['5: [7, 9)+0', '6: [0, 1)+0'])
  })

  it('keeps owners when the list grows', () => {
    const {list, own, left} = setUp()
    for (let owner = 0; owner < 100; owner++) own.append(owner, 0, owner + 1)
    expect(list.size(list.tail)).equal(100)
    for (let owner = 0; owner < 100; owner++) expect(own.count(owner, 0, 999)).equal(owner + 1)
    expect(left()[99]).equal('99: [0, 100)+0')
  })

  it('touches runs, not blocks', () => {
    const {own} = setUp()
    own.append(5, 0, 1_000_000)
    own.count(5, 0, 1_000_000)
    own.hold(5, 0, 500_000)
    own.replace(5, 900_000)
    expect(own.work).lessThan(6)
  })

  describe('as part of the pool', () => {
    const owners = 3
    const base = 2
    const action = fc.record({
      owner: fc.nat(owners - 1),
      count: fc.integer({min: 1, max: 6}),
      does: fc.constantFrom(
        'grow',
        'grow',
        'grow',
        'preempt',
        'preempt',
        'return',
        'leave',
        'take',
      ),
    })

    /** What requests do whose blocks from `base` on are their own, in both pools at once. */
    class Twins {
      readonly fast = new BlockPool(14)
      readonly plain = new PlainPool(14)
      /** Blocks of each owner from `base` on; undefined: it waits. */
      readonly held: (Block[] | undefined)[] = Array.from({length: owners}, () => [])
      readonly others: Block[] = []

      lookUp(owner: number, most = 99): Block[] {
        const names = Array.from({length: most}, (_, i) => `${owner}:${base + i}`)
        return this.plain.lookUp(names)
      }

      grow(owner: number, count: number): void {
        const mine = this.held[owner]
        if (!mine || this.fast.free < count) return
        this.fast.take(count)
        for (let i = 0; i < count; i++) {
          mine.push(this.plain.take())
          this.plain.enter(mine.at(-1)!, `${owner}:${base + mine.length - 1}`)
        }
        this.fast.replaceOwn(owner, base + mine.length)
      }

      preempt(owner: number): void {
        const mine = this.held[owner]
        if (!mine) return
        this.fast.giveOwn(owner, base, base + mine.length)
        this.plain.giveBack(mine)
        this.held[owner] = undefined
      }

      /** It takes what it finds, at most `count` more than a few. */
      comeBack(owner: number, count: number): void {
        if (this.held[owner]) return
        const hits = this.lookUp(owner, 3 * count)
        const found = this.fast.countOwn(owner, base, base + 3 * count)
        expect(found).equal(hits.length)
        this.fast.holdOwn(owner, base, found)
        for (const block of hits) this.plain.hold(block)
        this.held[owner] = hits
      }

      leave(owner: number): void {
        const mine = this.held[owner] ?? []
        this.fast.givePlain(mine.length)
        this.fast.forgetOwn(owner)
        this.plain.giveBack(mine)
        // Whoever has its number next finds nothing.
        for (const name of [...this.plain.index.keys()])
          if (name.startsWith(`${owner}:`)) this.plain.index.delete(name)
        this.held[owner] = []
      }

      take(count: number): void {
        if (this.fast.free < count) {
          this.fast.givePlain(this.others.length)
          this.plain.giveBack(this.others.splice(0))
          return
        }
        this.fast.take(count)
        for (let i = 0; i < count; i++) this.others.push(this.plain.take())
      }

      check(): void {
        expect(this.fast.free).equal(this.plain.free.length)
        for (let owner = 0; owner < owners; owner++)
          if (!this.held[owner])
            expect(this.fast.countOwn(owner, base, 99)).equal(this.lookUp(owner).length)
      }
    }

    it('is a list of blocks, for any requests that grow, are preempted and come back', () => {
      fc.assert(
        fc.property(fc.array(action, {maxLength: 200, size: 'max'}), (actions) => {
          const twins = new Twins()
          for (const {owner, count, does} of actions) {
            // The first of them is watched, as the head of the queue is.
            const before = twins.fast.countOwn(0, base, 99)
            twins.fast.startWatch(0, Number.NaN)
            if (does === 'grow') twins.grow(owner, count)
            else if (does === 'preempt') twins.preempt(owner)
            else if (does === 'return') twins.comeBack(owner, count)
            else if (does === 'leave') twins.leave(owner)
            else twins.take(count)
            twins.check()
            const isNews = twins.fast.countOwn(0, base, 99) !== before
            if (isNews && owner !== 0) expect(twins.fast.index.isDirty).equal(true)
          }
        }),
        {numRuns: 400, seed: 1},
      )
    })
  })
})
