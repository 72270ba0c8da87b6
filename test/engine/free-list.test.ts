import {expect} from 'chai'
import fc from 'fast-check'
import {FreeList, kind, none} from '#llmsim/engine/free-list.js'

/** The nodes of a list from head to tail; empties it. */
const drain = (list: FreeList): number[] => {
  const nodes: number[] = []
  while (list.head !== none) {
    nodes.push(list.head)
    list.unlink(list.head)
  }
  expect(list.tail).equal(none)
  return nodes
}

const plain = (list: FreeList, blocks: number): number => list.create(kind.plain, 0, 0, blocks)

describe('FreeList', () => {
  it('is empty at first', () => {
    const list = new FreeList()
    expect([list.head, list.tail]).deep.equal([none, none])
  })

  it('counts blocks that can be found and those that cannot', () => {
    const list = new FreeList()
    expect(list.size(list.create(kind.own, 3, 10, 2))).equal(9)
    expect(list.size(plain(list, 4))).equal(4)
  })

  it('creates nodes that are in no list yet', () => {
    const list = new FreeList()
    plain(list, 1)
    expect(list.head).equal(none)
  })

  it('appends at the tail, inserts towards the head', () => {
    const list = new FreeList()
    const [a, b, c, d] = [plain(list, 1), plain(list, 1), plain(list, 1), plain(list, 1)]
    list.append(a)
    list.append(b)
    list.insertBefore(c, a)
    list.insertBefore(d, b)
    expect([list.head, list.tail]).deep.equal([c, b])
    expect(drain(list)).deep.equal([c, a, d, b])
  })

  it('uses recycled nodes again, clean', () => {
    const list = new FreeList()
    const node = list.create(kind.own, 3, 10, 2)
    list.recycle(node)
    expect(list.create(kind.shared, 1, 2, 0)).equal(node)
    expect([list.kind[node], list.low[node], list.top[node], list.dead[node]]).deep.equal([
      kind.shared,
      1,
      2,
      0,
    ])
  })

  it('keeps all nodes, and has the columns of others grow, when it grows', () => {
    const list = new FreeList()
    const capacities: number[] = []
    list.grown.push((capacity) => capacities.push(capacity))
    const nodes = Array.from({length: 200}, (_, i) => {
      const node = list.create(kind.own, i, 2 * i, 3)
      list.append(node)
      return node
    })
    expect(new Set(nodes).size).equal(200)
    expect(capacities).deep.equal([128, 256])
    for (const [i, node] of nodes.entries())
      expect([list.kind[node], list.low[node], list.size(node)]).deep.equal([kind.own, i, i + 3])
    expect(drain(list)).deep.equal(nodes)
  })

  it('is an array, whoever comes and goes wherever', () => {
    const action = fc.record({
      at: fc.nat(99),
      does: fc.constantFrom('append', 'append', 'insert', 'unlink'),
    })
    fc.assert(
      fc.property(fc.array(action, {maxLength: 200, size: 'max'}), (actions) => {
        const list = new FreeList()
        const nodes: number[] = []
        for (const {at, does} of actions) {
          const i = at % Math.max(1, nodes.length)
          if (does === 'unlink' && nodes.length > 0) {
            const [node] = nodes.splice(i, 1)
            list.unlink(node!)
            list.recycle(node!)
          } else if (does === 'insert' && nodes.length > 0) {
            const node = plain(list, 1)
            list.insertBefore(node, nodes[i]!)
            nodes.splice(i, 0, node)
          } else if (does === 'append') {
            nodes.push(plain(list, 1))
            list.append(nodes.at(-1)!)
          }
          expect([list.head, list.tail]).deep.equal([nodes[0] ?? none, nodes.at(-1) ?? none])
        }
        expect(drain(list)).deep.equal(nodes)
      }),
      {numRuns: 200, seed: 1},
    )
  })
})
