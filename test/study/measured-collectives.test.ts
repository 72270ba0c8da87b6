/** What joins ranks whose kernels come from a profile. */
import {expect} from 'chai'
import {allReduceOn, joinedBy} from '#llmsim/latency/collective.js'
import {exchangeNs} from '#llmsim/latency/exchange.js'
import {type Instance, placeInstances} from '#llmsim/study/instance.js'
import {measuredCollectives} from '#llmsim/study/measured-collectives.js'
import type {RunRequest} from '#llmsim/study/run-request.js'
import {runRequest} from '../support/run-request.js'

const instanceOf = async (given: Partial<RunRequest>): Promise<Instance> => {
  const {instances} = await placeInstances(runRequest({hardware: 'H100', ...given}))
  return instances[0]!.instance
}
const model = 'Qwen/Qwen3-30B-A3B'

describe('ranks beside a profile', () => {
  it('reduce over their link; a single one does nothing', async () => {
    const pair = await instanceOf({layout: {tp: 2, npu: 2}})
    const {collectives, provenance} = measuredCollectives(pair)
    const bytes = 10 * pair.model.hiddenSize * 2
    const time = allReduceOn(pair.link, 2, 'measured').coefficients(bytes)
    expect(collectives.allReduce(10)).equal(Math.round(time))
    expect(provenance.map(({term}) => term)).deep.equal(['all-reduce'])
    const alone = measuredCollectives(await instanceOf({layout: {npu: 1}}))
    expect([alone.collectives.allReduce(10), alone.provenance.length]).deep.equal([0, 0])
  })

  it('add up experts within a tensor-parallel group, and exchange tokens beyond it', async () => {
    const within = measuredCollectives(await instanceOf({model, layout: {tp: 2, npu: 2, ep: 2}}))
    expect(within.collectives.dispatch(10)).equal(0)
    expect(within.collectives.combine(10)).equal(within.collectives.allReduce(10))
    const rank = await instanceOf({model, layout: {tp: 2, dp: 2, npu: 4}})
    const {collectives, provenance} = measuredCollectives(rank)
    const time = exchangeNs({
      ...{joined: joinedBy(rank.link, 4, 'measured'), exchange: 'gather', ranks: 4},
      ...{hiddenSize: 2048, experts: 128, perToken: 8},
    })
    // Of both data-parallel ranks.
    expect(collectives.dispatch(10)).equal(Math.round(time(20)))
    expect(collectives.combine(10)).equal(0)
    expect(provenance.map(({term}) => term)).deep.equal(['all-reduce', 'experts by gather'])
  })
})
