import {expect} from 'chai'
import fc from 'fast-check'
import {Dice} from '#llmsim/server/answers/dice.js'
import {fillerOf} from '#llmsim/server/answers/filler.js'
import {loadTokenizer} from '#llmsim/server/tokens/tokenizer.js'

for (const name of ['o200k', 'cl100k', 'estimate']) {
  describe(`filler in ${name}`, () => {
    it('has exactly the tokens that are asked for, and is read again as the same tokens', async () => {
      const tokenizer = await loadTokenizer(name)
      const filler = fillerOf(tokenizer)
      fc.assert(
        fc.property(fc.integer({min: 1, max: 3000}), fc.nat(), (length, seed) => {
          const {ids, pieces} = filler.take(length, new Dice(seed))
          expect([ids.length, pieces.length]).deep.equal([length, length])
          expect([...tokenizer.encode(pieces.join(''))]).deep.equal(Array.from(ids))
        }),
        {numRuns: 40},
      )
    })

    it('is the same for the same dice, and another for others', async () => {
      const filler = fillerOf(await loadTokenizer(name))
      const text = (seed: number): string => filler.take(40, new Dice(seed)).pieces.join('')
      expect(text(1)).equal(text(1))
      expect(new Set(Array.from({length: 20}, (_, i) => text(i))).size).greaterThan(18)
    })

    it('can be longer than what is prepared', async () => {
      const filler = fillerOf(await loadTokenizer(name))
      expect(filler.take(100_000, new Dice(3)).ids.length).equal(100_000)
    })
  })
}
