import {expect} from 'chai'
import fc from 'fast-check'
import {
  allReduce,
  type Dimension,
  deviceCount,
  innermost,
  joining,
  reduceScatter,
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

describe('collectives of a topology', () => {
  it('a ring of neighbours: 2(n − 1) steps, each of 1/n of the bytes', () => {
    const ring: Dimension = {...nvlink, wiring: 'ring', degree: 4, gbPerS: 10, latencyNs: 100}
    expect(allReduce([ring], 4000)).deep.equal({ns: 2 * (3 * 100 + 3000 / 10), by: 'ring'})
  })

  it('takes one shot for a few bytes, and what sends least for many', () => {
    expect(allReduce([nvlink], 1024)).deep.equal({ns: 2000 + (7 * 1024) / 450, by: 'direct'})
    const large = allReduce([nvlink], 64 * MiB)
    expect(large.ns).closeTo(2 * (2000 + (7 / 8) * ((64 * MiB) / 450)), 1e-6)
  })

  it('takes halving and doubling between network cards', () => {
    const wide = {...infiniband, degree: 16}
    expect(allReduce([wide], MiB).by).equal('halving-doubling')
    // 16 ranks, 4 rounds each way.
    expect(allReduce([wide], MiB).ns).closeTo(2 * (4 * 5000 + ((15 / 16) * MiB) / 50), 1e-6)
    // 12 ranks are no power of two: with many bytes the ring is best.
    expect(allReduce([{...wide, degree: 12}], 256 * MiB).by).equal('ring')
  })

  it('adds up dimension by dimension: the outer one carries the part of one device', () => {
    const both = allReduce([nvlink, infiniband], MiB)
    const inside = 2 * reduceScatter(nvlink, MiB).ns
    expect(both.by).equal('hierarchical')
    expect(both.ns).closeTo(inside + allReduce([infiniband], MiB / 8).ns, 1e-6)
  })

  it('one ring through all devices is best for many bytes: it has the ports of a node side by side', () => {
    const both = allReduce([nvlink, infiniband], 256 * MiB)
    expect(both.by).equal('ring')
    // 28 edges inside of nodes and 3 between them; eight ports of 50 GB/s are slower than a device inside.
    const latency = 28 * 2000 + 3 * 5000
    expect(both.ns).closeTo(2 * (latency + ((31 / 32) * 256 * MiB) / 400), 1e-6)
  })

  it('a network card that a node shares is as slow as it is shared', () => {
    const shared = {...infiniband, devicesPerPort: 8}
    const own = allReduce([nvlink, infiniband], 64 * MiB).ns
    expect(allReduce([nvlink, shared], 64 * MiB).ns).above(4 * own)
  })

  it('a measured curve wins in its dimension, inside of a hierarchy too', () => {
    const measured = {...nvlink, measured: (bytes: number) => 7000 + bytes / 100}
    expect(allReduce([measured], 1000)).deep.equal({ns: 7010, by: 'measured'})
    expect(allReduce([measured, infiniband], 8000).ns).closeTo(
      7080 + allReduce([infiniband], 1000).ns,
      1e-9,
    )
  })

  it('two devices are joined by the outermost dimension in which they differ', () => {
    const all = [nvlink, infiniband]
    expect(joining(all, 3, 3)).equal(undefined)
    expect(joining(all, 0, 7)).equal(nvlink)
    expect(joining(all, 7, 8)).equal(infiniband)
    expect(joining(all, 0, 8)).equal(infiniband)
  })

  it('neighbours fill a topology from the inside, or the error says what would', async () => {
    const all = [nvlink, infiniband]
    expect(innermost(all, 8)).deep.equal([nvlink])
    expect(innermost(all, 4)).deep.equal([{...nvlink, degree: 4}])
    expect(deviceCount(innermost(all, 16))).equal(16)
    expect((await problemOf(() => innermost(all, 12))).suggestions).deep.equal(['8 or 16 devices'])
    expect((await problemOf(() => innermost(all, 64))).message).contain('the topology has 32')
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
