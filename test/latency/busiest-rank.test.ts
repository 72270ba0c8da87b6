/** Experts that a batch touches on the rank that the others wait for: against draws. */
import {expect} from 'chai'
import fc from 'fast-check'
import {uniformInt} from 'pure-rand/distribution/uniformInt'
import {xoroshiro128plus} from 'pure-rand/generator/xoroshiro128plus'
import {distinctExperts} from '#llmsim/latency/moe.js'

/** Mean, over draws, of the most touched experts of a rank, when each token picks experts at random. */
const drawn = (count: number, perToken: number, ranks: number, tokens: number): number => {
  const dice = xoroshiro128plus(count + 1000 * tokens + ranks)
  const draws = 400
  let sum = 0
  for (let draw = 0; draw < draws; draw++) {
    const touched = new Set<number>()
    for (let token = 0; token < tokens; token++) {
      const own = new Set<number>()
      while (own.size < perToken) own.add(uniformInt(dice, 0, count - 1))
      for (const expert of own) touched.add(expert)
    }
    const perRank = new Array<number>(ranks).fill(0)
    for (const expert of touched) perRank[Math.floor((expert * ranks) / count)]! += 1
    sum += Math.max(...perRank)
  }
  return sum / draws
}

const share = (count: number, perToken: number, expertRanks: number) => ({
  ...{count, perToken, expertRanks, hiddenSize: 4096, intermediate: 1024},
})

describe('the busiest rank of experts', () => {
  const cases: [count: number, perToken: number, ranks: number, tokens: number][] = [
    [256, 8, 8, 1],
    [256, 8, 4, 4],
    [256, 8, 8, 16],
    [256, 8, 8, 64],
    [128, 8, 2, 4],
    [128, 8, 6, 16],
    [64, 6, 16, 8],
    [16, 1, 4, 12],
  ]
  for (const [count, perToken, ranks, tokens] of cases)
    it(`of ${ranks} touches as many of ${count} as draws of ${tokens} × ${perToken} say`, () => {
      const ours = distinctExperts(tokens, share(count, perToken, ranks))
      expect(ours / drawn(count, perToken, ranks, tokens)).within(0.9, 1.1)
    })

  it('touches what all do where there is one, and never more than it holds, nor fewer for more tokens', () => {
    expect(distinctExperts(3, share(64, 8, 1))).closeTo(64 * (1 - (7 / 8) ** 3), 1e-9)
    fc.assert(
      fc.property(
        fc.integer({min: 1, max: 8}),
        fc.integer({min: 1, max: 6}),
        fc.integer({min: 0, max: 9}),
        fc.nat(400),
        (perToken, more, powers, tokens) => {
          const ranks = 2 ** powers
          const [fewer, most] = [tokens, tokens + more].map((each) =>
            distinctExperts(each, share(16 * ranks, perToken, ranks)),
          )
          expect(most).at.least(fewer! - 1e-9)
          expect(most).at.most(16)
          expect(fewer).at.least(16 * (1 - (1 - perToken / (16 * ranks)) ** tokens) - 1e-9)
        },
      ),
    )
  })
})
