/** What LLMServingSim copies between host and device around every step. */
import {expect} from 'chai'
import {type HostMemory, hostCopies} from '#llmsim/compat/llmservingsim.js'
import type {BatchShape} from '#llmsim/latency/step-time.js'
import {decodes, shapeOf} from '../latency/shapes.js'

/** All copies of a step with `tp` ranks. */
const copiesOf = (memory: HostMemory, tp: number, bytesPerElement: number) => {
  const {load, store} = hostCopies(memory, bytesPerElement)
  return (shape: BatchShape) => tp * load(shape) + store(shape)
}

const memory = {bandwidthGb: 256, latencyNs: 0}

describe('host copies', () => {
  it('are one load and one store of four bytes a token at 16 bit', () => {
    const copies = copiesOf(memory, 1, 2)
    // 640 tokens · 4 B / 256 B a ns, twice.
    expect(copies(shapeOf({chunks: [[640, 0]]}))).equal(20)
    // A token is less than a nanosecond's worth.
    expect(copies(decodes(1, 100))).equal(0)
    // 100 · 4 / 256 = 1.56 each: cut before they are added.
    expect(copies(decodes(100, 100))).equal(2)
  })

  it('pay the latency each time', () => {
    const slow = {bandwidthGb: 256, latencyNs: 100}
    expect(hostCopies(slow, 2).load(decodes(1, 5))).equal(100)
    expect(hostCopies(slow, 2).store(decodes(1, 5))).equal(100)
  })

  it('load by the format of the weights, and always store four bytes', () => {
    const batch = shapeOf({chunks: [[640, 0]]})
    expect(copiesOf(memory, 1, 1)(batch)).equal(5 + 10)
    expect(copiesOf(memory, 1, 4)(batch)).equal(20 + 10)
  })

  it('cut fractions of bandwidth and latency', () => {
    const odd = {bandwidthGb: 2.9, latencyNs: 13.86}
    // 13 + 400/2, twice.
    expect(copiesOf(odd, 1, 2)(decodes(100, 5))).equal(2 * (13 + 200))
  })

  it('see padded tokens', () => {
    expect(copiesOf(memory, 1, 2)({...decodes(1, 5), paddedTokens: 640})).equal(20)
  })
})
