import {expect} from 'chai'
import {none, RequestPool, state} from '#llmsim/engine/request-pool.js'
import {RunningList} from '#llmsim/engine/running-list.js'

describe('RequestPool', () => {
  it('gives slots out clean, whoever had them before', () => {
    const pool = new RequestPool()
    const slot = pool.take()
    const columns = pool as unknown as Record<
      string,
      ArrayLike<number> & {fill(value: number): void}
    >
    const snapshot = () =>
      Object.fromEntries(
        Object.entries(columns).flatMap(([name, column]) =>
          ArrayBuffer.isView(column) ? [[name, column[slot]]] : [],
        ),
      )
    const clean = snapshot()
    for (const column of Object.values(columns)) if (ArrayBuffer.isView(column)) column.fill(77)
    pool.furtherPieces.set(slot, [1, 2])
    pool.further[slot] = 1
    pool.give(slot)
    expect(pool.state[slot]).equal(state.free)
    expect(pool.take()).equal(slot)
    expect(pool.furtherPieces.get(slot)).equal(undefined)
    // The rest is written by who submits, or when it is admitted.
    const {
      row,
      input,
      total,
      arrivedAt,
      arrival,
      admission,
      previous,
      next,
      seat,
      ticket,
      pieceEnd,
      ...reset
    } = clean
    expect(snapshot()).deep.include(reset)
  })

  it('says that nothing was predicted, and nothing happened', () => {
    const pool = new RequestPool()
    const slot = pool.take()
    expect(pool.predicted[slot]).equal(none)
    for (const column of [pool.scheduledAt, pool.firstTokenAt, pool.lastTokenAt])
      expect(column[slot]).NaN
  })

  it('keeps what it holds when it grows', () => {
    const pool = new RequestPool()
    const slots = Array.from({length: 1000}, (_, i) => {
      const slot = pool.take()
      pool.row[slot] = i
      pool.key[slot] = -i / 3
      return slot
    })
    expect(new Set(slots).size).equal(1000)
    expect(pool.size).equal(1000)
    for (const [i, slot] of slots.entries())
      expect([pool.row[slot], pool.key[slot]]).deep.equal([i, -i / 3])
    for (const slot of slots) pool.give(slot)
    expect(pool.size).equal(0)
  })
})

describe('RunningList', () => {
  const walk = (list: RunningList, pool: RequestPool) => {
    const forth: number[] = []
    for (let slot = list.head; slot !== none; slot = pool.next[slot]!) forth.push(slot)
    const back: number[] = []
    for (let slot = list.tail; slot !== none; slot = pool.previous[slot]!) back.unshift(slot)
    expect(back).deep.equal(forth)
    expect(list.size).equal(forth.length)
    return forth
  }

  it('keeps the order of admission, whoever leaves; who returns goes to the end', () => {
    const pool = new RequestPool()
    const list = new RunningList(pool)
    const [a, b, c, d] = [pool.take(), pool.take(), pool.take(), pool.take()]
    expect(walk(list, pool)).deep.equal([])
    for (const slot of [a, b, c, d]) list.push(slot)
    expect(walk(list, pool)).deep.equal([a, b, c, d])
    list.remove(b)
    expect(walk(list, pool)).deep.equal([a, c, d])
    list.push(b)
    list.remove(a)
    expect(walk(list, pool)).deep.equal([c, d, b])
    expect(pool.admission[b]!).greaterThan(pool.admission[d]!)
    for (const slot of [b, c, d]) list.remove(slot)
    expect(walk(list, pool)).deep.equal([])
  })
})
