import {expect} from 'chai'
import {closedLoop, openLoop, type Workload} from '#llmsim/cluster/workload.js'
import {traceOf} from './serve.js'

const drain = ({arrivals}: Workload): [number, number][] => {
  const taken: [number, number][] = []
  for (let at = arrivals.nextAt(); at < Number.POSITIVE_INFINITY; at = arrivals.nextAt())
    taken.push([arrivals.take(), at])
  return taken
}

describe('openLoop', () => {
  it('brings rows as the trace says, and couples nobody', () => {
    const workload = openLoop(traceOf([{at: 0}, {at: 5}, {at: 5}]))
    expect(workload.coupling).equal('independent')
    expect(workload.ended(0, 9)).equal(false)
    expect(drain(workload)).deep.equal([
      [0, 0],
      [1, 5],
      [2, 5],
    ])
  })

  it('holds turns back until the one before ends', () => {
    const workload = openLoop(
      traceOf([
        {session: 0, at: 0},
        {session: 1, at: 1},
        {session: 0, think: 7},
        {session: 0, think: 2},
      ]),
    )
    expect(workload.coupling).equal('lockstep')
    expect(drain(workload)).deep.equal([
      [0, 0],
      [1, 1],
    ])
    expect([workload.ended(1, 50), workload.ended(0, 100)]).deep.equal([false, true])
    expect(drain(workload)).deep.equal([[2, 107]])
    expect(workload.ended(2, 200)).equal(true)
    expect(drain(workload)).deep.equal([[3, 202]])
    expect(workload.ended(3, 300)).equal(false)
  })

  it('takes the arrival of a turn without a pause as it is', () => {
    const workload = openLoop(
      traceOf([
        {session: 0, at: 0},
        {session: 0, at: 3},
        {at: 4, think: 9},
      ]),
    )
    expect(workload.coupling).equal('independent')
    expect(drain(workload)).deep.equal([
      [0, 0],
      [1, 3],
      [2, 4],
    ])
  })

  it('mixes what is released with what comes by itself, rows of equal times in order', () => {
    const workload = openLoop(
      traceOf([{session: 0, at: 0}, {session: 0, think: 5}, {at: 10}, {at: 20}]),
    )
    expect(workload.arrivals.take()).equal(0)
    workload.ended(0, 5)
    expect(drain(workload)).deep.equal([
      [1, 10],
      [2, 10],
      [3, 20],
    ])
  })
})

describe('closedLoop', () => {
  it('starts with a row for each client, and gives the next to whoever is done', () => {
    const workload = closedLoop(traceOf([{at: 9}, {at: 9}, {at: 9}, {at: 9}]), 2)
    expect(workload.coupling).equal('lockstep')
    expect(drain(workload)).deep.equal([
      [0, 0],
      [1, 0],
    ])
    expect(workload.ended(1, 30)).equal(true)
    expect(workload.ended(0, 20)).equal(true)
    expect(drain(workload)).deep.equal([
      [3, 20],
      [2, 30],
    ])
    expect(workload.ended(3, 40)).equal(false)
    expect(drain(workload)).deep.equal([])
  })
})
