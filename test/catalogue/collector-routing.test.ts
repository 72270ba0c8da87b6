import {expect} from 'chai'
import {expertsTouched} from '#llmsim/catalogue/collector-routing.js'

describe('experts that a measured row touches', () => {
  it('are as many as there are picks in a balanced batch, until each has one', () => {
    const layer = {perToken: 8, experts: 128}
    const touched = [1, 2, 16, 17, 4096].map((tokens) =>
      expertsTouched('balanced', {tokens, ...layer}),
    )
    expect(touched).deep.equal([8, 16, 128, 128, 128])
  })

  it('are fewer where a power law deals them out, and all in the end', () => {
    const layer = {perToken: 1, experts: 16}
    for (const tokens of [8, 16, 32]) {
      const touched = expertsTouched('power_law_1.2', {tokens, ...layer})
      expect(touched, `${tokens} tokens`).within(2, Math.min(16, tokens) - 1)
    }
    expect(expertsTouched('power_law_1.01', {tokens: 4096, ...layer})).equal(16)
  })

  it('are never fewer than one token picks, nor more than picks or experts', () => {
    for (const distribution of ['balanced', 'power_law_1.01', 'power_law_1.2'])
      for (const perToken of [1, 2, 8])
        for (const experts of [8, 128, 384])
          for (const tokens of [1, 2, 3, 16, 100, 8192])
            expect(
              expertsTouched(distribution, {tokens, perToken, experts}),
              `${distribution} ${perToken} of ${experts}, ${tokens} tokens`,
            ).within(perToken, Math.min(experts, tokens * perToken))
  })
})
