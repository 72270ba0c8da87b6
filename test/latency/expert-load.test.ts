import {expect} from 'chai'
import {loadEngine} from '#llmsim/catalogue/engines.js'
import {linkOf, loadHardware} from '#llmsim/catalogue/hardware.js'
import {busiestExperts, busiestRank} from '#llmsim/latency/expert-load.js'
import {hostTermsOf} from '#llmsim/latency/host.js'
import {rooflineModel} from '#llmsim/latency/roofline.js'
import {qwenMoe} from './models.js'
import {shapeOf} from './shapes.js'

describe('expert load', () => {
  it('is the mean where it is even, where all are on one rank, and under exponent 0', () => {
    expect(busiestRank({kind: 'even'}, 128, 8)).equal(1)
    expect(busiestRank({kind: 'power law', exponent: 2}, 128, 1)).equal(1)
    expect(busiestRank({kind: 'power law', exponent: 0}, 128, 8)).closeTo(1, 1e-12)
  })

  it('grows with the exponent, up to all work on one rank', () => {
    const of = (exponent: number) => busiestRank({kind: 'power law', exponent}, 128, 8)
    const grown = [0.2, 0.5, 1, 2, 20].map(of)
    expect(grown).deep.equal([...grown].sort((a, b) => a - b))
    expect(grown[0]).above(1)
    expect(grown.at(-1)).closeTo(8, 1e-4)
  })

  it('adds up recorded counts by rank', () => {
    // Ranks of two: 3 + 1, 8 + 0, 2 + 2 of 16: the busiest has half, 1.5 times its third.
    const counts = [3, 1, 8, 0, 2, 2]
    expect(busiestRank({kind: 'counts', counts}, 6, 3)).equal(1.5)
  })

  it('picks experts of the busiest rank as often as they are popular, and none twice', () => {
    const counts = [3, 1, 8, 0, 2, 2]
    const of = (perToken: number) =>
      busiestExperts({kind: 'counts', counts}, {count: 6, perToken, ranks: 3})
    expect(of(1)).deep.equal([0.5, 0])
    expect(of(4)).deep.equal([1, 0])
    const even = busiestExperts({kind: 'power law', exponent: 0}, {count: 8, perToken: 2, ranks: 1})
    expect(even).deep.equal(new Array(8).fill(0.25))
    const none = {kind: 'counts', counts: [0, 0]} as const
    expect(busiestExperts(none, {count: 2, perToken: 1, ranks: 1})).deep.equal([0.5, 0.5])
  })

  it('makes a step of spread experts longer, and one of few tokens shorter', async () => {
    const hardware = await loadHardware('H100')
    const host = hostTermsOf((await loadEngine('vllm-0.19')).profile, 'filtered')
    const timeOf = (exponent: number, ep: number, tokens = 2000) =>
      rooflineModel({
        model: qwenMoe,
        hardware,
        link: linkOf(hardware),
        parallelism: {tp: 1, ep},
        kvDtype: 'auto',
        host,
        expertLoad: {kind: 'power law', exponent},
      }).stepTime(shapeOf({chunks: [[tokens, 0]]}))
    expect(timeOf(1, 4)).above(timeOf(0, 4))
    expect(timeOf(1, 1) / timeOf(0, 1)).closeTo(1, 0.03)
    // 16 tokens touch most of 128 experts when they choose evenly.
    expect(timeOf(1, 1, 16)).below(0.9 * timeOf(0, 1, 16))
  })
})
