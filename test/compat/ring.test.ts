/** Ring collectives as LLMServingSim's network times them. */
import {expect} from 'chai'
import {ringCollectives} from '#llmsim/compat/llmservingsim.js'

const published = {
  link: {bandwidthGb: 16, latencyNs: 20_000},
  memoryBandwidthGb: 1597,
  tp: 2,
  ep: 2,
  hiddenSize: 1,
  experts: 0,
  bytesPerElement: 1,
}

describe('ring collectives', () => {
  // 16 GB/s of 2^30 bytes are 17.179869184 bytes per ns.
  it('all-reduce 10,240 bytes over two ranks in 40,635 ns', () => {
    // 10 + 2·(20,000 + 5,120/17.18 → 20,298 + 10) + 3·(5,120/1597 → 3)
    expect(ringCollectives(published).allReduce(10_240)).equal(40_635)
  })

  it('gather 4,352 bytes a rank in 20,273 ns', () => {
    // 2 · 2,176 bytes: the share of a rank times hidden size and experts.
    const ring = ringCollectives({...published, hiddenSize: 2048, experts: 128, bytesPerElement: 2})
    expect(ring.dispatch(2)).equal(20_273)
  })

  it('scatter the sums of 4,096 bytes in 20,142 ns', () => {
    expect(ringCollectives(published).combine(4096)).equal(20_142)
  })

  it('gather at least one token a rank', () => {
    const ring = ringCollectives({...published, hiddenSize: 2048, experts: 128, bytesPerElement: 2})
    expect(ring.dispatch(1)).equal(ring.dispatch(2))
    expect(ring.dispatch(3)).equal(ring.dispatch(2))
    expect(ring.dispatch(4)).equal(20_526)
  })

  it('cost nothing on one rank', () => {
    expect(ringCollectives({...published, tp: 1}).allReduce(10_240)).equal(0)
  })

  it('take 2(N − 1) steps and N − 1 reductions of an N-th', () => {
    // m = 2,560: step 20,149, reduction 3.
    expect(ringCollectives({...published, tp: 4}).allReduce(10_240)).equal(
      10 + 6 * (20_149 + 10) + 3 * 3,
    )
    expect(ringCollectives({...published, ep: 4}).combine(4096)).equal(10 + 3 * (20_059 + 10 + 0))
  })

  it('cut parts of bytes, and the fraction of the memory bandwidth', () => {
    // 10,241 → 5,120 each.
    expect(ringCollectives(published).allReduce(10_241)).equal(40_635)
    const slow = {...published, memoryBandwidthGb: 1.9}
    // One byte per ns: 3 · 5,120.
    expect(ringCollectives(slow).allReduce(10_240)).equal(10 + 2 * 20_308 + 3 * 5120)
  })

  it('count bytes of hidden states', () => {
    const ring = ringCollectives({...published, hiddenSize: 4096, bytesPerElement: 2})
    expect(ring.allReduce(3)).equal(ringCollectives(published).allReduce(3 * 4096 * 2))
  })
})
