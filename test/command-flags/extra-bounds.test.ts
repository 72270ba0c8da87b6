import {expect} from 'chai'
import {loraOf, speculationOf} from '#llmsim/command-flags/extra-flags.js'

describe('numbers of drafts and adapters', () => {
  const drafts = (tokens: number) =>
    speculationOf({'num-speculative-tokens': tokens, 'acceptance-rate': '0.7'})
  const drawn = (adapters: number) => loraOf({'max-loras': 4, adapters})

  it('are refused beyond what makes sense, with the reason', () => {
    expect(() => drafts(257)).throw(
      /^--num-speculative-tokens 257: it must be at most 256: every step computes all drafts/,
    )
    expect(() => drafts(2 ** 53)).throw(/at most 256/)
    expect(() => drawn(1_000_001)).throw(/^--adapters 1000001: it must be at most 1000000: /)
  })

  it('are taken up to there', () => {
    expect(drafts(256)!.tokens).equal(256)
    expect(drawn(1_000_000)!.adapters).equal(1_000_000)
  })
})
