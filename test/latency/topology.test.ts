import {expect} from 'chai'
import fc from 'fast-check'
import {
  allReduce,
  allToAll,
  type Dimension,
  deviceCount,
  halfReduce,
  joining,
  taken,
} from '#llmsim/latency/topology.js'
import {problemOf} from '../catalogue/problem.js'

const nvlink: Dimension = {
  kind: 'nvlink',
  wiring: 'switch',
  degree: 8,
  gbPerS: 450,
  latencyNs: 2000,
  devicesPerPort: 1,
}
const infiniband: Dimension = {
  kind: 'fabric',
  wiring: 'switch',
  degree: 4,
  gbPerS: 50,
  latencyNs: 5000,
  devicesPerPort: 1,
}
const MiB = 2 ** 20
/** Of a call on a switch: what it costs, and the share of the rate; at once, and in whole buffers. */
const call = (hopsNs: number, sent: number, gbPerS: number) =>
  Math.min(8960 + hopsNs + sent / (0.27 * gbPerS), 24_800 + hopsNs + sent / (0.66 * gbPerS))

describe('collectives of a topology', () => {
  it('a ring: 2(n − 1) steps, each of 1/n of the bytes', () => {
    const ring: Dimension = {...nvlink, wiring: 'ring', degree: 4, gbPerS: 10, latencyNs: 100}
    const {ns, by} = allReduce([ring], 4000)
    expect(by).equal('ring')
    expect(ns).closeTo(call(2 * 3 * 100, 2 * 3000, 10), 1e-6)
  })

  it('scatters or gathers in half of the steps', () => {
    for (const kind of ['all-gather', 'reduce-scatter'] as const)
      expect(halfReduce([nvlink], MiB, kind).ns).closeTo(call(7 * 2000, (7 / 8) * MiB, 450), 1e-6)
  })

  it('takes flags with every few bytes for small messages, whole buffers for large ones', () => {
    expect(allReduce([nvlink], 64).ns).closeTo(8960 + 14 * 2000, 10)
    const large = (256 * MiB * 14) / 8
    expect(allReduce([nvlink], 256 * MiB).ns).closeTo(24_800 + 28_000 + large / 297, 1e-6)
  })

  it('takes halving and doubling between network cards', () => {
    const wide = {...infiniband, degree: 16}
    expect(allReduce([wide], MiB).by).equal('halving-doubling')
    // 16 ranks, 4 rounds each way.
    expect(allReduce([wide], MiB).ns).closeTo(call(8 * 5000, (2 * 15 * MiB) / 16, 50), 1e-6)
    // 12 ranks are no power of two: with many bytes the ring is best.
    expect(allReduce([{...wide, degree: 12}], 256 * MiB).by).equal('ring')
  })

  it('adds up dimension by dimension in one call: the outer one carries the part of one device', () => {
    const both = allReduce([nvlink, infiniband], MiB)
    expect(both.by).equal('hierarchical')
    const hops = 14 * 2000 + 4 * 5000
    const wire = (share: number) =>
      (14 * MiB) / 8 / (450 * share) + (6 * MiB) / 8 / 4 / (50 * share)
    expect(both.ns).closeTo(Math.min(8960 + hops + wire(0.27), 24_800 + hops + wire(0.66)), 1e-6)
  })

  it('one ring through all devices is best for many bytes: it has the ports of a node side by side', () => {
    const both = allReduce([nvlink, infiniband], 1024 * MiB)
    expect(both.by).equal('ring')
    // 28 edges inside of nodes and 3 between them; eight ports of 50 GB/s are slower than a device inside.
    const hops = 2 * (28 * 2000 + 3 * 5000)
    expect(both.ns).closeTo(call(hops, (2 * 31 * 1024 * MiB) / 32, 400), 1e-6)
  })

  it('a network card that a node shares is as slow as it is shared', () => {
    const shared = {...infiniband, devicesPerPort: 8}
    const own = allReduce([nvlink, infiniband], 64 * MiB).ns
    expect(allReduce([nvlink, shared], 64 * MiB).ns).above(4 * own)
  })

  it('the kernel of the engine serves one dimension, the library several', () => {
    const half = (bytes: number) => 7000 + bytes / 100
    const measured = {
      ...nvlink,
      own: (bytes: number) => 1000 + bytes,
      library: {'all-gather': half, 'reduce-scatter': half, 'all-reduce': half},
    }
    expect(allReduce([measured], 1000)).deep.equal({ns: 2000, by: 'measured'})
    expect(halfReduce([measured], 1000, 'all-gather')).deep.equal({ns: 7010, by: 'measured'})
    // Both halves inside, then 1,000 bytes between nodes: 2 rounds each way, in the same call.
    expect(allReduce([measured, infiniband], 8000).ns).closeTo(
      2 * 7080 + 4 * 5000 + 1500 / (50 * 0.66),
      1e-6,
    )
  })

  it('sends to all directly: neighbours inside, and by the ports at the same time', () => {
    // Of 32 parts 7 stay inside, and 24 leave the node.
    const inside = call(2000, (7 * MiB) / 32, 450)
    const outside = call(5000, (24 * MiB) / 32, 50)
    expect(allToAll([nvlink, infiniband], MiB).ns).closeTo(Math.max(inside, outside), 1e-6)
    const measured = {...nvlink, library: {'all-to-all': (bytes: number) => bytes}}
    expect(allToAll([measured], 800)).deep.equal({ns: 800, by: 'measured'})
  })

  it('two devices are joined by the outermost dimension in which they differ', () => {
    const all = [nvlink, infiniband]
    expect(joining(all, 3, 3)).equal(undefined)
    expect(joining(all, 0, 7)).equal(nvlink)
    expect(joining(all, 7, 8)).equal(infiniband)
    expect(joining(all, 0, 8)).equal(infiniband)
  })

  it('devices take a part of each dimension, or the error says what would do', async () => {
    const all = [nvlink, infiniband]
    const range = (from: number, count: number) => Array.from({length: count}, (_, i) => from + i)
    expect(taken(all, range(0, 8))).deep.equal([8, 1])
    expect(taken(all, range(4, 4))).deep.equal([4, 1])
    expect(taken(all, range(8, 16))).deep.equal([8, 2])
    expect(taken(all, range(6, 4))).deep.equal([2, 2])
    // The first device of each node, and the first two.
    expect(taken(all, [0, 8, 16, 24])).deep.equal([1, 4])
    expect(taken(all, [0, 1, 8, 9])).deep.equal([2, 2])
    expect(deviceCount(all)).equal(32)
    expect((await problemOf(() => taken(all, range(0, 12)))).suggestions).deep.equal([
      '8 or 16 devices',
    ])
    const crossing = await problemOf(() => taken(all, range(6, 3)))
    expect(crossing.message).contain('3 devices from device 6 on are cut unequally by groups of 8')
    expect((await problemOf(() => taken(all, range(0, 64)))).message).contain('the topology has 32')
  })

  const dimension = fc.record({
    kind: fc.constantFrom('nvlink', 'pcie', 'fabric', 'ethernet'),
    wiring: fc.constantFrom('switch', 'ring'),
    degree: fc.integer({min: 2, max: 16}),
    gbPerS: fc.integer({min: 1, max: 900}),
    latencyNs: fc.integer({min: 0, max: 50_000}),
    devicesPerPort: fc.constantFrom(1, 2, 8),
  }) as fc.Arbitrary<Dimension>

  it('more bytes never take less time, and no all-reduce beats the rate of a port', () => {
    fc.assert(
      fc.property(
        fc.array(dimension, {minLength: 1, maxLength: 3}),
        fc.nat(1e9),
        fc.nat(1e9),
        (dimensions, a, b) => {
          const [few, many] = [Math.min(a, b), Math.max(a, b)]
          expect(allReduce(dimensions, many).ns).least(allReduce(dimensions, few).ns)
          expect(allToAll(dimensions, many).ns).least(allToAll(dimensions, few).ns)
          const {degree, gbPerS, devicesPerPort} = dimensions[0]!
          const sent = ((2 * (degree - 1)) / degree) * many
          if (dimensions.length === 1)
            expect(allReduce(dimensions, many).ns).least(
              ((sent * devicesPerPort) / gbPerS) * (1 - 1e-9),
            )
        },
      ),
    )
  })
})
