import {expect} from 'chai'
import {linkOf, loadHardware} from '#llmsim/catalogue/hardware.js'
import {allReduceOn, measuredCollective} from '#llmsim/latency/collective.js'
import {problemOf} from '../catalogue/problem.js'

const MiB = 2 ** 20

describe('all-reduce across nodes', () => {
  const onH100 = async (name: string, degree: number) =>
    allReduceOn(linkOf(await loadHardware('H100'), name), degree, 'measured')

  it('is what the link measured as long as one node is enough', async () => {
    const alone = await onH100('nvlink4', 8)
    const joined = await onH100('nvlink4+infiniband:50', 8)
    for (const bytes of [1024, MiB, 64 * MiB])
      expect(joined.coefficients(bytes)).equal(alone.coefficients(bytes))
  })

  it('adds the way between nodes to what the library takes inside of them', async () => {
    const link = linkOf(await loadHardware('H100'), 'nvlink4')!
    const inside = (bytes: number) =>
      (['all-gather', 'reduce-scatter'] as const)
        .map((kind) => measuredCollective(link.library[kind]!, kind, 8)(bytes))
        .reduce((a, b) => a + b)
    const {coefficients, detail, from} = await onH100('nvlink4+infiniband:50', 16)
    // Two nodes: one exchange of half the part of each device, both ways, in whole buffers.
    const between = (bytes: number) => 2 * (4000 + bytes / 8 / 2 / (50 * 0.66))
    expect(coefficients(MiB)).closeTo(inside(MiB) + between(MiB), 1e-6)
    expect(from).equal('class default')
    expect(detail).contain('8 devices on nvlink4').contain('2 members at 50 GB/s')
  })

  it('is slower on a slower network, and with more nodes', async () => {
    const time = async (name: string, degree: number) =>
      (await onH100(name, degree)).coefficients(MiB)
    const fast = await time('nvlink4+infiniband:50', 16)
    expect(await time('nvlink4+ethernet:12.5', 16)).above(fast)
    expect(await time('nvlink4+infiniband:50', 32)).above(fast)
  })

  it('needs whole nodes, and a network that is one', async () => {
    const cut = await problemOf(() => onH100('nvlink4+infiniband:50', 12))
    expect(cut.code).equal('PARALLELISM_INVALID')
    expect(cut.suggestions).deep.equal(['8 or 16 devices'])
    const wrong = await problemOf(() => onH100('nvlink4+token-ring:4', 16))
    expect(wrong.code).equal('FLAG_BAD_VALUE')
    expect(wrong.message).contain('"token-ring:4" is no network')
    const alone = await problemOf(() => onH100('nvlink4', 16))
    expect(alone.suggestions).contain('--link nvlink4+infiniband:50')
  })
})
