/** What engines made of their memory tiers, together. */
import {expect} from 'chai'
import {tierUseOf} from '#llmsim/report/tier-use.js'

const tier = (name: string, hitTokens: number) => ({
  ...{name, hitTokens, loadedBlocks: hitTokens / 16, writtenBlocks: 5, droppedBlocks: 1},
  ...{blocks: 10, peakBlocks: hitTokens / 16, usedBlocks: 0},
})
const engine = (lookedUpTokens: number, tiers: ReturnType<typeof tier>[]) => ({
  lookedUpTokens,
  tiers: {loads: {count: 1, ns: 3e6}, linkBytes: 0, tiers},
})

describe('tiers of a run', () => {
  it('of one name count together, wherever they stand; nearest first', () => {
    const engines = [
      engine(320, [tier('nvme', 32)]),
      engine(320, [tier('cpu', 16), tier('nvme', 96)]),
      {lookedUpTokens: 160, tiers: undefined},
    ]
    const use = tierUseOf(engines)!
    expect([use.loads, use.mean_load_ms]).deep.equal([2, 3])
    expect(use.tiers.map(({tier: name}) => name)).deep.equal(['cpu', 'nvme'])
    expect(use.tiers.map(({hit_rate}) => hit_rate)).deep.equal([16 / 800, 128 / 800])
    expect(use.tiers.map(({written_blocks}) => written_blocks)).deep.equal([5, 10])
    expect(use.tiers.map(({peak_usage}) => peak_usage)).deep.equal([0.1, 0.6])
  })

  it('are not there where no engine has one', () => {
    expect(tierUseOf([{lookedUpTokens: 160}])).equal(undefined)
  })
})
