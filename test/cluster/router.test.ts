import {expect} from 'chai'
import {mixed, Random} from '#llmsim/cluster/random.js'
import {defaultWeights, plainSeams, type Router, routers} from '#llmsim/cluster/router.js'
import type {EngineView} from '#llmsim/engine/engine-config.js'

const view = (running: number, waiting: number, maxNumSeqs = 100): EngineView => ({
  running,
  waiting,
  maxNumSeqs,
  freeBlocks: 10,
  totalBlocks: 10,
  cachedTokens: () => 0,
})
const request = {row: 0, inputTokens: 5}
const idle = [view(0, 0), view(0, 0), view(0, 0)]

describe('routers', () => {
  const dice = ['random', 'power-of-two']
  for (const [name, make] of Object.entries(routers).filter(([name]) => !dice.includes(name))) {
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

  for (const [name, make] of Object.entries(routers))
    it(`${name} picks one of those that are there, as engines come and go`, () => {
      const router = make({...plainSeams, prefixOf: (row) => row % 4, sessionOf: (row) => row % 5})
      const sizes = [4, 4, 4, 2, 2, 3, 1, 1, 4, 3, 2, 1, 5, 1]
      for (const [at, size] of [...sizes, ...sizes].entries()) {
        const engines = Array.from({length: size}, () => view(at % 3, 0))
        expect(router.pick({row: at, inputTokens: 5}, engines)).within(0, size - 1)
      }
    })

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

describe('routers with dice', () => {
  const engines = Array.from({length: 8}, () => view(0, 0))
  const picks = (router: Router) => Array.from({length: 8000}, () => router.pick(request, engines))

  for (const name of ['random', 'power-of-two'])
    it(`${name} reaches all engines about equally often, the same way for the same seed`, () => {
      const make = (seed: number) => routers[name]!({...plainSeams, seed})
      const first = picks(make(1))
      for (let at = 0; at < 8; at++)
        expect(first.filter((pick) => pick === at).length).within(850, 1150)
      expect(picks(make(1))).deep.equal(first)
      expect(picks(make(2))).not.deep.equal(first)
    })

  it('power-of-two takes the less loaded of two', () => {
    const router = routers['power-of-two']!()
    const crowded = [view(50, 9), view(1, 0)]
    expect(Array.from({length: 20}, () => router.pick(request, crowded))).deep.equal(
      new Array(20).fill(1),
    )
  })
})

describe('routers that look at caches and keys', () => {
  const holding = (cached: number, waiting = 0, freeBlocks = 10) => ({
    ...view(0, waiting),
    freeBlocks,
    cachedTokens: () => cached,
  })
  const prompt = {row: 0, inputTokens: 100}

  it('least-kv goes where the largest share of blocks is free', () => {
    const engines = [holding(0, 0, 2), holding(0, 0, 7), holding(0, 0, 5)]
    expect(routers['least-kv']!().pick(prompt, engines)).equal(1)
  })

  it('prefix-cache goes where most of the prompt is cached, else where least waits', () => {
    const router = routers['prefix-cache']!()
    expect(router.pick(prompt, [holding(16), holding(64, 30), holding(32)])).equal(1)
    expect(router.pick(prompt, [holding(0, 3), holding(0, 1), holding(0, 2)])).equal(1)
  })

  it('weighted lets a long queue outweigh a cached prefix', () => {
    const engines = [holding(50, 20), holding(0, 0)]
    const pick = (prefix: number) =>
      routers.weighted!({...plainSeams, weights: {...defaultWeights, prefix}}).pick(prompt, engines)
    expect([pick(1), pick(9)]).deep.equal([1, 0])
  })

  it('weighted takes account of tiers only where it is told what they are worth', () => {
    const below = {...holding(0, 1), tieredTokens: () => 80}
    const engines = [holding(40, 1), below, holding(0, 1)]
    const pick = (tiers: number) =>
      routers.weighted!({...plainSeams, weights: {...defaultWeights, tiers}}).pick(prompt, engines)
    // 3 · 0.4 against 1 · 0.8, and 2 · 0.8.
    expect([pick(0), pick(1), pick(2)]).deep.equal([0, 0, 1])
  })

  it('prefix-affinity keeps prompts that begin alike together until the engine is loaded', () => {
    const router = routers['prefix-affinity']!({...plainSeams, prefixOf: (row) => row % 5})
    const engines = Array.from({length: 4}, () => view(0, 0))
    const homeOf = (row: number) => router.pick({row, inputTokens: 9}, engines)
    for (let row = 0; row < 20; row++) expect(homeOf(row)).equal(homeOf(row % 5))
    const home = homeOf(3)
    engines[home] = view(9, 0)
    expect(homeOf(3)).not.equal(home)
  })

  it('prefix-affinity takes the first in the order of the key that is not loaded, however many keys it met', () => {
    const dice = new Random(5)
    const router = routers['prefix-affinity']!({...plainSeams, prefixOf: (row) => row})
    const counts = new Int32Array(6)
    // So many keys that some share a place, each of them again and again.
    for (let i = 0; i < 20_000; i++) {
      const row = (i * 7) % 9001
      counts[dice.below(6)] = dice.below(12)
      const engines = [...counts].map((count) => view(count >> 1, count - (count >> 1)))
      const most = Math.ceil((1.25 * (1 + counts.reduce((a, b) => a + b, 0))) / 6)
      const order = [0, 1, 2, 3, 4, 5].sort((a, b) => mixed(row, b) - mixed(row, a))
      const wanted = order.find((at) => counts[at]! < most)
      const sum = counts.reduce((a, b) => a + b, 0)
      const loads = i % 2 ? {counts, sum, loads: new Float64Array(6)} : undefined
      expect(router.pick({row, inputTokens: 5}, engines, loads)).equal(wanted)
    }
  })

  it('prefix-affinity spreads what nobody knows like least-requests', () => {
    const router = routers['prefix-affinity']!()
    const engines = [view(3, 0), view(0, 0)]
    expect(router.pick(prompt, engines)).equal(1)
  })

  it('session-sticky stays where a session began, however loaded', () => {
    const router = routers['session-sticky']!({...plainSeams, sessionOf: (row) => row % 2})
    const first = router.pick({row: 0, inputTokens: 9}, [view(0, 0), view(5, 0)])
    expect(first).equal(0)
    expect(router.pick({row: 2, inputTokens: 9}, [view(90, 90), view(0, 0)])).equal(0)
  })
})
