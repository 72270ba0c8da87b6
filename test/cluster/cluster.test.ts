/** The cluster as a driver sees it: submit, cancel, advance, and what it tells. */
import {expect} from 'chai'
import {buildSimulation, type Cluster, type SimulationConfig} from '#llmsim/cluster/cluster.js'
import {type Setting, simulationOf} from './serve.js'

type Told = [event: string, row: number, now: number]

const setUp = (setting: Omit<Setting, 'rows'>, coupling: SimulationConfig['coupling']) => {
  const told: Told[] = []
  const settled: number[] = []
  const tell = (event: string) => (slot: number, now: number) => {
    told.push([event, cluster.requests.row[slot]!, now])
  }
  const cluster: Cluster = buildSimulation(
    {...simulationOf(setting), coupling},
    {
      finished: tell('finished'),
      rejected: tell('rejected'),
      cancelled: (slot, now, produced) => tell(`cancelled after ${produced}`)(slot, now),
      settle: (now) => settled.push(now),
    },
  )
  const submit = (
    row: number,
    now: number,
    [input, output]: readonly [number, number] = [4, 1],
  ) => {
    const slot = cluster.requests.take()
    cluster.requests.row[slot] = row
    cluster.requests.input[slot] = input
    cluster.requests.total[slot] = input + output
    cluster.submit(slot, now)
    return slot
  }
  return {cluster, told, settled, submit}
}

for (const coupling of ['independent', 'lockstep'] as const)
  describe(`Cluster, ${coupling}`, () => {
    it('has no next event when idle', () => {
      const {cluster} = setUp({}, coupling)
      expect(cluster.nextEventAt()).equal(Number.POSITIVE_INFINITY)
      expect(cluster.advanceTo(1000)).equal(true)
    })

    it('does what is due until then, that instant included, and no more', () => {
      const {cluster, told, submit} = setUp({}, coupling)
      submit(0, 5)
      expect(cluster.nextEventAt()).equal(5)
      cluster.advanceTo(14)
      expect([told, cluster.nextEventAt()]).deep.equal([[], 15])
      cluster.advanceTo(15)
      expect(told).deep.equal([['finished', 0, 15]])
    })

    it('comes to the same by one leap and by many', () => {
      const runs = [1, 7, 1000].map((stride) => {
        const {cluster, told, submit} = setUp({instances: 2, engine: {maxNumSeqs: 2}}, coupling)
        for (let row = 0; row < 9; row++) submit(row, 0, [3 + row, 5 + 3 * row])
        for (let now = 0; now < 1000; now += stride) cluster.advanceTo(now)
        cluster.advanceTo(2000)
        return told.sort((a, b) => a[1] - b[1])
      })
      expect(runs[0]).lengthOf(9)
      expect(runs[1]).deep.equal(runs[0])
      expect(runs[2]).deep.equal(runs[0])
    })

    it('asks the router once for each request, and remembers the answer', () => {
      const {cluster, submit} = setUp({instances: 3}, coupling)
      const slots = [0, 1, 2, 3].map((row) => submit(row, 0))
      expect(slots.map((slot) => cluster.requests.instance[slot])).deep.equal([0, 1, 2, 0])
    })

    it('cancels where the request is, and recycles its slot', () => {
      const {cluster, told, submit} = setUp({instances: 2}, coupling)
      submit(0, 0, [4, 9])
      const slot = submit(1, 0, [4, 9])
      cluster.advanceTo(25)
      cluster.cancel(slot, 26)
      expect(told).deep.equal([['cancelled after 2', 1, 26]])
      expect(cluster.requests.size).equal(1)
      expect(cluster.replicas.map(({engine}) => engine.running)).deep.equal([1, 0])
      cluster.advanceTo(1000)
      expect(cluster.requests.size).equal(0)
    })

    it('turns away at once without a front end', () => {
      const {told, submit, cluster} = setUp({engine: {maxModelLen: 10}}, coupling)
      submit(0, 3, [10, 1])
      expect(told).deep.equal([['rejected', 0, 3]])
      expect(cluster.requests.size).equal(0)
    })
  })

describe('Cluster in lockstep', () => {
  it('completes all instances of an instant, by number, before it settles and plans', () => {
    const {told, settled, submit, cluster} = setUp({instances: 3}, 'lockstep')
    for (let row = 0; row < 3; row++) submit(row, 0)
    cluster.advanceTo(100)
    expect(told).deep.equal([
      ['finished', 0, 10],
      ['finished', 1, 10],
      ['finished', 2, 10],
    ])
    expect(settled).deep.equal([0, 10])
  })

  it('stops at the instant in which it is interrupted, and says so', () => {
    const {cluster, submit} = setUp({}, 'lockstep')
    submit(0, 0, [4, 3])
    cluster.interrupt()
    // An interrupt is for the advance that runs, not for the next one.
    expect(cluster.advanceTo(15)).equal(true)
    const ended: number[] = []
    const other = buildSimulation(
      {...simulationOf({}), coupling: 'lockstep'},
      {
        finished: (_slot, now) => {
          ended.push(now)
          other.interrupt()
        },
        rejected: () => {},
        cancelled: () => {},
      },
    )
    for (const output of [1, 4]) {
      const slot = other.requests.take()
      other.requests.input[slot] = 4
      other.requests.total[slot] = 4 + output
      other.submit(slot, 0)
    }
    expect([other.advanceTo(100), ended, other.nextEventAt()]).deep.equal([false, [10], 20])
    expect([other.advanceTo(100), ended]).deep.equal([false, [10, 40]])
    expect(other.advanceTo(100)).equal(true)
  })
})
