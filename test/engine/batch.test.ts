import {expect} from 'chai'
import fc from 'fast-check'
import {Batch} from '#llmsim/engine/batch.js'
import {emptyShape} from '#llmsim/latency/step-time.js'
import {shapeOf} from '../latency/shapes.js'

describe('Batch', () => {
  it('sums up chunks and decodes', () => {
    const batch = new Batch()
    batch.holdDecodes(3, 60, 10, 35)
    batch.addChunk(10, 0)
    batch.addChunk(4, 6)
    batch.addChunk(1, 30)
    expect(batch.shape).deep.equal({
      ...emptyShape(),
      tokens: 18,
      sequences: 6,
      prefills: 2,
      prefillTokens: 14,
      prefillTokensMax: 10,
      prefillContext: 6,
      prefillContextMax: 6,
      // 1 + … + 10, and 7 + 8 + 9 + 10.
      prefillWork: 55 + 34,
      decodes: 4,
      decodeContext: 90,
      decodeContextMin: 10,
      decodeContextMax: 35,
    })
  })

  it('takes no notice of no decodes', () => {
    const batch = new Batch()
    batch.holdDecodes(0, 0, 0, 0)
    batch.addChunk(1, 7)
    expect(batch.shape.decodeContextMin).equal(7)
  })

  it('has the shape of its chunks, in any order and however decodes are grouped', () => {
    const chunk = fc.tuple(fc.integer({min: 2, max: 50}), fc.nat(50))
    fc.assert(
      fc.property(fc.array(chunk), fc.array(fc.nat(99), {minLength: 1}), (chunks, contexts) => {
        const batch = new Batch()
        const [first, ...rest] = contexts
        if (rest.length > 0) {
          const sum = rest.reduce((a, b) => a + b, 0)
          batch.holdDecodes(rest.length, sum, Math.min(...rest), Math.max(...rest))
        }
        for (const [n, c] of chunks) batch.addChunk(n, c)
        batch.addChunk(1, first!)
        batch.shape.paddedTokens = batch.shape.tokens
        expect(batch.shape).deep.equal(shapeOf({chunks, contexts}))
      }),
      {seed: 1},
    )
  })

  it('is plain while it delivers regular tokens only', () => {
    for (const list of ['joiners', 'stragglers', 'finishing', 'departing'] as const) {
      const batch = new Batch()
      batch.regular = 5
      expect(batch.isPlain).equal(true)
      batch.enlist(batch[list], 1)
      expect(batch.isPlain, list).equal(false)
      batch.clear()
      expect(batch.isPlain).equal(true)
      expect(batch.regular).equal(0)
    }
  })

  it('forgets a request, and says whether it would have got a token of its own', () => {
    const batch = new Batch()
    for (const slot of [1, 2]) batch.enlist(batch.joiners, slot)
    batch.enlist(batch.stragglers, 3)
    for (const slot of [2, 4]) batch.enlist(batch.finishing, slot)
    batch.enlist(batch.departing, 5)
    expect([1, 2, 3, 4, 5, 6].map((slot) => batch.forget(slot))).deep.equal([
      true,
      true,
      true,
      false,
      false,
      false,
    ])
    expect(batch.isPlain).equal(true)
  })

  it('is empty again once cleared', () => {
    const batch = new Batch()
    batch.addChunk(5, 5)
    batch.drafts = batch.verifications = 2
    batch.clear()
    expect(batch.shape).deep.equal(emptyShape())
    expect([batch.drafts, batch.verifications]).deep.equal([0, 0])
  })

  it('holds decodes and nothing of what it held before', () => {
    const batch = new Batch()
    batch.addChunk(5, 5)
    batch.enlist(batch.joiners, 1)
    batch.holdDecodes(3, 60, 10, 35)
    expect(batch.isOnlyDecodes(3)).equal(true)
    const {decodeContext, decodeContextMin, decodeContextMax, prefillTokens} = batch.shape
    expect([decodeContext, decodeContextMin, decodeContextMax, prefillTokens]).deep.equal([
      60, 10, 35, 0,
    ])
  })
})
