import {expect} from 'chai'
import {Pipeline} from '#llmsim/engine/pipeline.js'

describe('Pipeline', () => {
  it('numbers the batches that are added, and ends them in order', () => {
    const pipeline = new Pipeline()
    pipeline.add(pipeline.open())
    pipeline.add(pipeline.open())
    expect([pipeline.oldest.sequence, pipeline.newest?.sequence]).deep.equal([1, 2])
    expect([pipeline.size, pipeline.ended, pipeline.sequence]).deep.equal([2, 0, 2])
    expect(pipeline.end().sequence).equal(1)
    expect([pipeline.size, pipeline.ended]).deep.equal([1, 1])
  })

  it('gives the number of a batch that is not added to the next one', () => {
    const pipeline = new Pipeline()
    pipeline.open()
    expect(pipeline.newest).equal(undefined)
    const batch = pipeline.open()
    expect(batch.sequence).equal(1)
  })

  it('reuses batches, as if nobody had been preempted or timed', () => {
    const pipeline = new Pipeline()
    const first = pipeline.open()
    first.preempted = 3
    first.end = 10
    pipeline.add(first)
    pipeline.end()
    const second = pipeline.open()
    expect(second).equal(first)
    expect([second.preempted, second.end, second.sequence]).deep.equal([0, Infinity, 2])
  })
})
