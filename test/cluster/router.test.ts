import {expect} from 'chai'
import {routers} from '#llmsim/cluster/router.js'
import type {EngineView} from '#llmsim/engine/engine-config.js'

const view = (running: number, waiting: number, maxNumSeqs = 100): EngineView => ({
  running,
  waiting,
  maxNumSeqs,
  freeBlocks: 10,
  totalBlocks: 10,
})
const request = {row: 0, inputTokens: 5}
const idle = [view(0, 0), view(0, 0), view(0, 0)]

describe('routers', () => {
  for (const [name, make] of Object.entries(routers)) {
    it(`${name} spreads requests evenly over engines that are alike`, () => {
      const router = make()
      expect(router.name).equal(name)
      const picks = Array.from({length: 7}, () => router.pick(request, idle))
      expect(picks).deep.equal([0, 1, 2, 0, 1, 2, 0])
    })

    it(`${name} starts anew for each simulation, and knows one engine`, () => {
      expect(make().pick(request, idle)).equal(0)
      expect(make().pick(request, idle)).equal(0)
      const router = make()
      expect([0, 0].map(() => router.pick(request, [view(9, 9)]))).deep.equal([0, 0])
    })
  }

  it('round-robin does not look', () => {
    const router = routers['round-robin']!()
    const engines = [view(90, 90), view(0, 0)]
    expect([0, 0, 0].map(() => router.pick(request, engines))).deep.equal([0, 1, 0])
  })

  it('least-requests counts one that waits as four that run, by the seats of the engine', () => {
    const pick = (...engines: EngineView[]) => routers['least-requests']!().pick(request, engines)
    expect(pick(view(5, 0), view(4, 0))).equal(1)
    expect(pick(view(5, 0), view(0, 1))).equal(1)
    expect(pick(view(3, 0), view(0, 1))).equal(0)
    expect(pick(view(10, 0, 10), view(50, 0, 100))).equal(1)
  })

  it('least-requests goes round among equals from the one behind the last pick', () => {
    const router = routers['least-requests']!()
    expect(router.pick(request, [view(9, 0), view(1, 0), view(9, 0)])).equal(1)
    expect(router.pick(request, [view(1, 0), view(1, 0), view(1, 0)])).equal(2)
    expect(router.pick(request, [view(1, 0), view(1, 0), view(1, 0)])).equal(0)
  })
})
