/** Memory tiers for KV by pencil: blocks of 4 tokens, steps of 10 ns, a block written in 2 ns and read in 5. */
import {expect} from 'chai'
import {type EngineLinks, KvLinks} from '#llmsim/cluster/kv-links.js'
import {defaultWeights, plainSeams, routers} from '#llmsim/cluster/router.js'
import {statusesOf, timesOf} from './serve.js'
import {again, first, large, serve, useOf} from './serve-tiers.js'

describe('memory tiers for KV', () => {
  it('load what the device lost: a prompt waits for its blocks, and computes the rest', () => {
    const run = serve({rows: [first, large, again]})
    expect(timesOf(run)).deep.equal([
      [0, 0, 10, 10],
      [100, 100, 110, 110],
      [200, 215, 225, 225],
    ])
    expect([...run.outcomes.cachedTokens]).deep.equal([0, 0, 12])
    // 3 shared blocks of the first, 5 full ones that only the large one knows, and none twice.
    expect(useOf(run)).deep.include({
      ...{hitTokens: 12, loadedBlocks: 3, writtenBlocks: 8, droppedBlocks: 0, peakBlocks: 8},
    })
    expect(run.engines[0]!.tiers!.loads).deep.equal({count: 1, ns: 15})
    expect(run.engines[0]!.tiers!.linkBytes).equal(10 * (3 + 8))
    expect(run.engines[0]!.freeBlocksAtEnd).equal(6)
  })

  it('let others pass while one loads', () => {
    const run = serve({rows: [first, large, again, {at: 201, input: 4}]})
    expect(timesOf(run).slice(2)).deep.equal([
      [200, 215, 225, 225],
      [201, 201, 211, 211],
    ])
  })

  it('have a block only once it is written', () => {
    // Step to 10, written by 16: the large one takes the device at 12, and the third comes too early at 15.
    const rows = [first, {...large, at: 12}, {...first, at: 15}]
    expect(useOf(serve({rows: rows.slice(0, 2)})).writtenBlocks).equal(8)
    // It is looked up as the large one ends, at 22: by then its blocks are there.
    expect(timesOf(serve({rows}))[2]).deep.equal([15, 37, 47, 47])
  })

  it('written on eviction get what the device loses, and nothing before', () => {
    const given = {rows: [first, large, again], tiers: [{write: 'on eviction'}] as const}
    const run = serve(given)
    expect(timesOf(run)[2]).deep.equal([200, 215, 225, 225])
    expect(useOf(run)).deep.include({loadedBlocks: 3, writtenBlocks: 3})
    const none = serve({...given, rows: [first]})
    expect(useOf(none)).deep.include({writtenBlocks: 0})
  })

  it('are read where the block is nearest, and fill those above on the way', () => {
    const rows = [first, large, again, {...large, at: 300}, {...again, at: 400}]
    // The first tier holds two blocks: the large one pushes the first prompt out of it.
    const run = serve({rows, tiers: [{blocks: 3}, {}]})
    expect(useOf(run, 0)).deep.include({peakBlocks: 3})
    expect(useOf(run, 1).loadedBlocks).equal(6)
    expect(timesOf(run)[4]).deep.equal([400, 415, 425, 425])
    expect(statusesOf(run).every((status) => status === 'completed')).equal(true)
  })

  it('drop what cannot wait', () => {
    const run = serve({rows: [first, large, again], tiers: [{maxPending: 2}]})
    // The last block of each list goes first: of [3, 2, 1] the first is left out, so nothing is found.
    expect(useOf(run).droppedBlocks).above(0)
    expect([...run.outcomes.cachedTokens]).deep.equal([0, 0, 0])
  })

  it('shared by engines give to one what another computed', () => {
    const rows = [first, {...first, at: 100}]
    const own = serve({rows, instances: 2})
    const shared = serve({rows, instances: 2, pool: 'shared'})
    expect([...own.outcomes.instance]).deep.equal([0, 1])
    expect([...own.outcomes.cachedTokens]).deep.equal([0, 0])
    expect([...shared.outcomes.cachedTokens]).deep.equal([0, 12])
    expect(timesOf(shared)[1]).deep.equal([100, 115, 125, 125])
  })

  it('draw requests to an engine whose tier has their prompt, where the router is told so', () => {
    // Both lose what their devices held; at 300 nothing but tiers tells them apart.
    const rows = [
      first,
      {...large, at: 1},
      {...large, at: 100},
      {...large, at: 101},
      {at: 200, input: 4},
      {...first, at: 300},
    ]
    const instanceOf = (tiers: number) => {
      const weights = {...defaultWeights, tiers}
      const router = routers.weighted!({...plainSeams, weights})
      return serve({rows, instances: 2, router}).outcomes.instance
    }
    const [home] = instanceOf(0)
    expect([instanceOf(0)[5], instanceOf(1)[5]]).deep.equal([1 - home!, home])
    const cached = serve({
      ...{rows, instances: 2},
      router: routers.weighted!({...plainSeams, weights: {...defaultWeights, tiers: 1}}),
    }).outcomes.cachedTokens
    expect(cached[5]).equal(12)
  })

  it('leave a token to compute of a prompt that lies there whole', () => {
    const whole = {at: 0, input: 12, ids: [1, 2, 3]}
    const run = serve({rows: [whole, large, {...whole, at: 200}]})
    // Two blocks of three: the last has the token whose logits are wanted.
    expect([...run.outcomes.cachedTokens]).deep.equal([0, 0, 8])
    expect(timesOf(run)[2]).deep.equal([200, 210, 220, 220])
  })

  it('are not ahead of a lone engine, whatever its router asks for', () => {
    // Out of the front end at 207; the blocks are there at 222, before the last one arrives. It is handed over with the
    // one at 210, which is not before somebody may leave at 209.
    const rows = [first, {...large, leaves: 209}, again, {at: 210, input: 4}, {at: 224, input: 4}]
    const asking = routers.weighted!({...plainSeams, weights: {...defaultWeights, tiers: 1}})
    const run = serve({rows, router: asking, delayNs: 7})
    expect(timesOf(run)).deep.equal(timesOf(serve({rows, delayNs: 7})))
    expect(useOf(run).loadedBlocks).equal(3)
  })

  it('give the blocks of a client that leaves while it waits back', () => {
    const run = serve({rows: [first, large, {...again, leaves: 205}, {...large, at: 206}]})
    expect(statusesOf(run)).deep.equal(['completed', 'completed', 'cancelled', 'completed'])
    expect(timesOf(run)[3]).deep.equal([206, 206, 216, 216])
    expect(run.engines[0]!.freeBlocksAtEnd).equal(6)
    // What it would have used it never did: nothing was looked up for it, found, or loaded.
    expect(run.engines[0]!).include({lookedUpTokens: 13 + 21 + 21, hitTokens: 0})
    expect(useOf(run)).include({hitTokens: 0, loadedBlocks: 0})
    expect(run.outcomes.cachedTokens[2]).equal(0)
  })

  it('count a hit when the request gets its seat, not as its load ends', () => {
    // Its blocks are there at 215; a step of another, from 210 on, ends at 220.
    const busy = {at: 210, input: 4}
    const run = (leaves?: number) =>
      serve({rows: [first, large, {...again, ...(leaves && {leaves})}, busy]})
    expect(timesOf(run())[2]).deep.equal([200, 220, 230, 230])
    expect(useOf(run())).include({hitTokens: 12, loadedBlocks: 3})
    expect(useOf(run(217))).include({hitTokens: 0, loadedBlocks: 3})
    expect(run(217).engines[0]!.lookedUpTokens).equal(13 + 21 + 4)
  })
})

describe('links of tiers', () => {
  const engine = (instance: number, pool: string): EngineLinks => ({
    instance,
    hostGbPerS: 10,
    blockBytes: 100,
    tiers: [
      {pool, readGbPerS: 15, writeGbPerS: 15, latencyNs: 3},
      {pool: `${pool} below`, readGbPerS: 2, writeGbPerS: 1, latencyNs: 50},
    ],
  })
  const read = (instance: number, tier = 0) => ({instance, tier, direction: 'read'}) as const
  const write = (instance: number, tier = 0) => ({instance, tier, direction: 'write'}) as const

  it('are as fast as the slowest on the way, and then the latency', () => {
    const links = new KvLinks([engine(0, 'a')])
    expect(links.nextOf(links.start(read(0), 10, 0))).equal(100)
    expect(links.advanceTo(102)).deep.equal([])
    expect(links.advanceTo(103)).deep.equal([0])
    expect(links.nextOf(links.start(read(0, 1), 10, 200))).equal(700)
  })

  it('are shared by those who read at the same time, and not by those who write', () => {
    const links = new KvLinks([engine(0, 'a'), engine(1, 'a')])
    const [mine, other] = [links.start(read(0), 10, 0), links.start(read(1), 10, 0)]
    const writing = links.start(write(0), 10, 0)
    // 15 GB/s for both: 7.5 each.
    expect([mine, other].map((id) => links.nextOf(id))).deep.equal([134, 134])
    expect(links.nextOf(writing)).equal(100)
  })

  it('take what goes further down from the tier above, not from the device', () => {
    const links = new KvLinks([engine(0, 'a')])
    links.start(write(0), 100, 0)
    expect(links.nextOf(links.start(write(0, 1), 1, 0))).equal(100)
    expect(links.nextEventAt()).equal(100)
  })
})
