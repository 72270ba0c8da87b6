import {expect} from 'chai'
import {linkOf, loadHardware} from '#llmsim/catalogue/hardware.js'
import {joinedBy, measuredCollective} from '#llmsim/latency/collective.js'
import {exchangeNs, ranksReached} from '#llmsim/latency/exchange.js'

const link = linkOf(await loadHardware('H100'))!
const joined = joinedBy(link, 8, 'measured')
const request = {joined, ranks: 8, hiddenSize: 2048, experts: 128, perToken: 8}

describe('tokens on their way to experts and back', () => {
  it('gathered with their logits and scattered: the measured curves of the library', () => {
    const gather = measuredCollective(link.library['all-gather']!, 'all-gather', 8)
    const scatter = measuredCollective(link.library['reduce-scatter']!, 'reduce-scatter', 8)
    expect(exchangeNs({...request, exchange: 'gather'})(1000)).closeTo(
      gather(1000 * (4096 + 256)) + scatter(1000 * 4096),
      1e-6,
    )
  })

  it('from all to all: the tokens of a rank, once for each rank that has an expert of theirs', () => {
    const one = measuredCollective(link.library['all-to-all']!, 'all-to-all', 8)
    const copies = ranksReached(request)
    expect(exchangeNs({...request, exchange: 'all-to-all'})(1000)).closeTo(
      2 * one((1000 / 8) * copies * 4096),
      1e-6,
    )
  })

  it('reach as many ranks as a draw without putting back says', () => {
    expect(ranksReached({ranks: 2, experts: 4, perToken: 1})).closeTo(1, 1e-12)
    // Both of two experts on one rank: 2 of the 6 pairs.
    expect(ranksReached({ranks: 2, experts: 4, perToken: 2})).closeTo(2 - 2 / 6, 1e-12)
    expect(ranksReached({ranks: 8, experts: 8, perToken: 8})).equal(8)
    expect(ranksReached({ranks: 1, experts: 8, perToken: 2})).equal(1)
  })
})
